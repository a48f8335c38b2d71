"""
No more often than so: a bucket of tokens.

Behaviour of: xt_limit (`-m limit`), with its arithmetic in timer ticks of 4 ms.
"""

from __future__ import annotations

import re
from typing import Self

import attrs

from svcsim.clock import SECOND, Clock
from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Loader, Place, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["Bucket", "LimitMatch"]

_U32 = 0xFFFFFFFF
#: Ticks a second (CONFIG_HZ), and how long one is.
_HZ = 250
_TICK = SECOND // _HZ
#: A rate is kept as the average time between packets, in parts of a second.
_SCALE = 10000
#: The greatest power of two that leaves room for a day's credits in 32 bits.
_CREDITS_PER_TICK = 1 << (_U32 // (_HZ * 60 * 60 * 24)).bit_length() - 1
_UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_SPELLINGS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"\s*\+?(\d{1,9})[^/]*(?:/(\w+))?")
_AVERAGE, _BURST = _SCALE * 60 * 20, 5  # 3/hour


def _credits(average: int) -> int:
    """What a packet costs; the kernel's 32 bits may overflow."""
    average &= _U32
    if average > _U32 // (_HZ * _CREDITS_PER_TICK):
        return average // _SCALE * _HZ * _CREDITS_PER_TICK & _U32
    return average * _HZ * _CREDITS_PER_TICK // _SCALE


@attrs.define(eq=False)
class Bucket:
    """A loaded rule's own tokens: *credit* of at most *cap*, of which a packet takes *cost*."""

    clock: Clock
    cost: int
    cap: int
    credit: int
    tick: int

    def __call__(self, skb: Skb, state: HookState) -> bool:
        tick = self.clock.now // _TICK
        credit = min(self.cap, self.credit + (tick - self.tick) * _CREDITS_PER_TICK)
        self.tick = tick
        allowed = credit >= self.cost
        self.credit = credit - self.cost if allowed else credit
        return allowed


@MATCHES.register("limit")
@attrs.frozen
class LimitMatch(Match):
    """``--limit rate[/second|/minute|/hour|/day]``, ``--limit-burst number``: *average* is 1/10000 s between packets."""

    stateful = True
    options = (Option("limit"), Option("limit-burst"))

    average: int = _AVERAGE
    burst: int = _BURST

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read rate and burst."""
        average = _read_rate(args.text("limit")) if "limit" in args else _AVERAGE
        burst = args.number("limit-burst", 0, 10000)
        return cls(average, _BURST if burst is None else burst)

    def _rate(self) -> str:
        unit = "day"
        for shorter in ("hour", "min", "sec"):
            packets, rest = divmod(_SCALE * _UNITS[shorter], self.average)
            if packets < max(rest, 1):
                break
            unit = shorter
        return f"{_SCALE * _UNITS[unit] // self.average}/{unit}"

    def emit(self) -> str:
        """The rate, and the burst if it is not 5."""
        return f"--limit {self._rate()}" + ("" if self.burst == _BURST else f" --limit-burst {self.burst}")

    def describe(self, numeric: bool) -> str:
        """``limit: avg 10/sec burst 5``."""
        return f"limit: avg {self._rate()} burst {self.burst}"

    def check(self, place: Place) -> None:
        """Refuse a burst of 0, and one so large that the bucket overflows."""
        super().check(place)
        if not self.burst or _credits(self.average * self.burst) < _credits(self.average):
            raise Refusal("limit: Overflow, try lower", "Numerical result out of range.")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """What a rule that was loaded just now says of its first packet."""
        return True

    def load(self, loader: Loader) -> Test:
        """Give the loaded rule a full bucket."""
        clock, cap = loader.host.clock, _credits(self.average * self.burst)
        return Bucket(clock, _credits(self.average), cap, cap, clock.now // _TICK)


def _read_rate(text: str) -> int:
    """The average time between packets of ``number[/unit]``; the beginning of a unit's name is enough."""
    found = _RATE.fullmatch(text)
    unit = (found[2] or "second").lower() if found else ""
    length = next((length for name, length in _SPELLINGS.items() if unit and name.startswith(unit)), 0)
    if found is None or not length or not int(found[1]):
        raise UsageError(f'bad rate "{text}"\'')
    average = _SCALE * length // int(found[1])
    if not average:
        raise UsageError(f'Rate too fast "{text}"')
    return average
