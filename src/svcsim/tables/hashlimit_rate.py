"""
Rates of `-m hashlimit`: packets or bytes in so much time, and the credits that they cost.

Behaviour of: xt_hashlimit, revision 3, and its half in libxtables.
"""

from __future__ import annotations

import re

import attrs

from svcsim.tables.options import Args
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["HZ", "ByteRate", "PacketRate", "Rate", "read_rate"]

_U32, _U64 = 2**32 - 1, 2**64 - 1
HZ = 250
_SCALE = 1000000
#: The greatest powers of two that leave room for a day's, or a second's, credits.
_PER_TICK = 1 << (_U64 // (HZ * 86400)).bit_length() - 1
_BYTES_PER_TICK = 1 << (_U32 // HZ).bit_length() - 1
_UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_SPELLINGS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"\s*\+?(\d{1,9})(?:/(\w+))?")
_BYTES = re.compile(r"(\d{1,10})([km]?)")  # any other unit is as good as none
_MULTIPLES = {"": 1, "k": 1 << 10, "m": 1 << 20}
_BURST = 5


def _credits(average: int) -> int:
    """What it costs to wait so long, in the kernel's 64 bits."""
    return average * (HZ * _PER_TICK // _SCALE) & _U64


@attrs.frozen
class PacketRate:
    """*average* is 1/1000000 s between packets; *expire* the milliseconds of the unit that it was given in."""

    average: int
    burst: int
    expire: int = attrs.field(eq=False)

    per_tick = _PER_TICK

    def _unit(self) -> str:
        unit = "day"
        for shorter in ("hour", "min", "sec"):
            packets, rest = divmod(_SCALE * _UNITS[shorter], self.average)
            if packets < max(rest, 1):
                break
            unit = shorter
        return unit

    def __str__(self) -> str:
        unit = self._unit()
        return f"{_SCALE * _UNITS[unit] // self.average}/{unit}"

    @property
    def shown_burst(self) -> str:
        """The burst as it is printed."""
        return str(self.burst)

    @property
    def cap(self) -> int:
        """The credits of a full bucket."""
        return _credits(self.average * self.burst)

    def cost(self, length: int) -> int:
        """The credits that a packet costs."""
        return _credits(self.average)

    def check(self) -> None:
        """Refuse a burst that overflows."""
        if not self.burst or self.cap < _credits(self.average):
            raise Refusal("hashlimit: overflow, try lower", "Numerical result out of range.")


@attrs.frozen
class ByteRate:
    """*average* is what sixteen bytes cost, of 2**32 credits a second; *burst* as many seconds' worth may come at once."""

    average: int
    burst: int

    per_tick = _BYTES_PER_TICK
    cap = _BYTES_PER_TICK * HZ

    @property
    def expire(self) -> int:
        """Milliseconds until a bucket is idle."""
        return (self.burst + 1) * 1000

    def _bytes(self) -> int:
        return ((_U32 // self.average if self.average else _U32) - 1) << 4

    def __str__(self) -> str:
        return f"{_shown(self._bytes())}/s"

    @property
    def shown_burst(self) -> str:
        """The burst as it is printed: unlike the rate, cut to whole units."""
        size = self.burst * self._bytes()
        unit = "m" if size >= _MULTIPLES["m"] else "k" if size >= _MULTIPLES["k"] else ""
        return f"{size // _MULTIPLES[unit]}{unit}b" if self.burst else ""

    def cost(self, length: int) -> int:
        """The credits that a packet costs: by sixteen bytes begun, and one more."""
        each = self.average * self.cap >> 32
        return min(((length >> 4) + 1) * each, self.cap)

    def check(self) -> None:
        """Refuse a rate so high that bytes cost nothing."""
        if not self.average * self.cap >> 32:
            raise Refusal("hashlimit: overflow, rate too high")


Rate = PacketRate | ByteRate


def _shown(amount: int) -> str:
    unit = "m" if amount and amount % _MULTIPLES["m"] == 0 else "k" if amount and amount % _MULTIPLES["k"] == 0 else ""
    return f"{amount // _MULTIPLES[unit]}{unit}b"


def read_rate(args: Args, option: str) -> Rate:
    """Read ``number[/unit]`` packets, or ``number(b|kb|mb)/s`` bytes, with its burst."""
    text = args.text(option)
    found = _BYTES.match(text) if "b/s" in text else None
    if found is not None:
        amount = int(found[1]) * _MULTIPLES[found[2]]
        average = _U32 // ((amount >> 4) + 1)
        rate = ByteRate(average, 0)
        if "hashlimit-burst" not in args:
            return rate
        burst = _BYTES.match(args.text("hashlimit-burst"))
        if burst is None:
            raise args.bad_value("hashlimit-burst", args.text("hashlimit-burst"))
        size, each = int(burst[1]) * _MULTIPLES[burst[2]], rate._bytes()
        if each > size:
            raise UsageError(f"burst cannot be smaller than {each}b")
        return ByteRate(average, -(-size // each))
    plain = _RATE.fullmatch(text)
    unit = (plain[2] or "second").lower() if plain else ""
    length = next((length for name, length in _SPELLINGS.items() if unit and name.startswith(unit)), 0)
    if plain is None or not length or not int(plain[1]):
        raise args.bad_value(option, text)
    average = _SCALE * length // int(plain[1])
    if not average:
        raise UsageError(f'Rate too fast "{text}"')
    burst_text = args.text("hashlimit-burst", str(_BURST))
    if not burst_text.isdecimal() or not 1 <= int(burst_text[:9]) <= 1000000:
        raise UsageError('bad value for option "--hashlimit-burst", or out of range (1-1000000).')
    return PacketRate(average, int(burst_text), length * 1000)
