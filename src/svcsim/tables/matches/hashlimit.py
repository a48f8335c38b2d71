"""
No more often than so, for each client, service or network: buckets by key.

Behaviour of: xt_hashlimit, revision 3 (`-m hashlimit`), with its arithmetic in timer ticks of 4 ms. A table of buckets is
shared by name and outlives the rules that are replaced as long as one names it.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.errors import UnsupportedError
from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Loader, Place, Test
from svcsim.tables.hashlimit_rate import Rate, read_rate
from svcsim.tables.hashlimit_table import Buckets
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["HashlimitMatch"]

_MODES = ("srcip", "srcport", "dstip", "dstport")

_NUMBERS = ("htable-size", "htable-max", "htable-gcinterval", "htable-expire")


@MATCHES.register("hashlimit")
@attrs.frozen
class HashlimitMatch(Match):
    """
    ``--hashlimit-upto rate``, ``--hashlimit-above rate``, ``--hashlimit-burst``, ``--hashlimit-mode
    srcip,srcport,dstip,dstport``, ``--hashlimit-srcmask``, ``--hashlimit-dstmask``, ``--hashlimit-name``,
    ``--hashlimit-htable-size|max|gcinterval|expire``.

    *numbers* are those of the table: size, greatest size, milliseconds between clean-ups, and until a bucket is idle.
    """

    options = (
        Option("hashlimit-upto", invert=True, excludes=("hashlimit-above",)),
        Option("hashlimit", same="hashlimit-upto"),
        Option("hashlimit-above", invert=True, excludes=("hashlimit-upto",)),
        Option("hashlimit-burst"),
        Option("hashlimit-srcmask"),
        Option("hashlimit-dstmask"),
        *(Option(f"hashlimit-{name}") for name in _NUMBERS),
        Option("hashlimit-mode"),
        Option("hashlimit-name", required=True),
        Option("hashlimit-rate-match", arity=0),
        Option("hashlimit-rate-interval"),
    )

    rate: Rate
    above: bool
    mode: tuple[str, ...]
    table: str
    numbers: tuple[int, int, int, int]
    masks: tuple[int, int]
    bits: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read rate, key and table."""
        option = next((name for name in ("hashlimit-upto", "hashlimit-above") if name in args), None)
        if option is None:
            raise UsageError("You have to specify --hashlimit")
        if "hashlimit-rate-match" in args:
            raise UnsupportedError("-m hashlimit --hashlimit-rate-match", instead="leave the rule out")
        rate = read_rate(args, option)
        words = args.text("hashlimit-mode").split(",") if "hashlimit-mode" in args else []
        if any(word not in _MODES for word in words):
            raise args.bad_value("hashlimit-mode", args.text("hashlimit-mode"))
        numbers = [args.number(f"hashlimit-{name}") for name in _NUMBERS]
        size, most, interval, expire = numbers
        bits = args.family.bits
        masks = [args.number(f"hashlimit-{side}mask", 0, 255) for side in ("src", "dst")]
        return cls(
            rate,
            (option == "hashlimit-above") is not args.inverted(option),
            tuple(name for name in _MODES if name in words),
            args.text("hashlimit-name"),
            (size or 0, most or 0, 1000 if interval is None else interval, rate.expire if expire is None else expire),
            (bits if masks[0] is None else masks[0], bits if masks[1] is None else masks[1]),
            bits,
        )

    def _rest(self) -> list[tuple[str, int]]:
        """The numbers that are not what they are by default."""
        defaults = (0, 0, 1000, self.rate.expire)
        rest = [
            (name, value)
            for name, value, default in zip(_NUMBERS, self.numbers, defaults, strict=True)
            if value != default
        ]
        return rest + [
            (name, value) for name, value in zip(("srcmask", "dstmask"), self.masks, strict=True) if value != self.bits
        ]

    def emit(self) -> str:
        """Rate, burst, key, name, and what is not by default."""
        parts = [f"--hashlimit-{'above' if self.above else 'upto'} {self.rate}"]
        if self.rate.shown_burst:
            parts.append(f"--hashlimit-burst {self.rate.shown_burst}")
        if self.mode:
            parts.append(f"--hashlimit-mode {','.join(self.mode)}")
        parts.append(f"--hashlimit-name {self.table}")
        return " ".join(parts + [f"--hashlimit-{name} {value}" for name, value in self._rest()])

    def describe(self, numeric: bool) -> str:
        """``limit: up to 1/sec burst 2 mode srcip``."""
        parts = [f"limit: {'above' if self.above else 'up to'} {self.rate}"]
        if self.rate.shown_burst:
            parts.append(f"burst {self.rate.shown_burst}")
        if self.mode:
            parts.append(f"mode {'-'.join(self.mode)}")
        return " ".join(parts + [f"{name} {value}" for name, value in self._rest()])

    def check(self, place: Place) -> None:
        """Refuse a table that would never be cleaned, masks longer than an address, and an overflow."""
        super().check(place)
        if not self.numbers[2] or not self.numbers[3] or max(self.masks) > self.bits:
            raise Refusal("hashlimit: bad interval or mask")
        self.rate.check()

    def matches(self, skb: Skb, state: HookState) -> bool:
        """What a rule says of its table's first packet."""
        return not self.above

    def load(self, loader: Loader) -> Test:
        """Find the table, or make it as this rule says."""
        clock = loader.host.clock
        _, _, interval, expire = self.numbers

        def make() -> Buckets:
            return Buckets(clock, self.rate, self.mode, self.masks, interval, expire, self.bits)

        kind = f"hashlimit{self.bits}"
        return _Lookup(loader.share(kind, self.table, make), self.above)


class _Lookup:
    """What a loaded rule asks; it keeps the table alive."""

    __slots__ = ("above", "buckets")

    def __init__(self, buckets: Buckets, above: bool) -> None:
        self.buckets, self.above = buckets, above

    def __call__(self, skb: Skb, state: HookState) -> bool | None:
        within = self.buckets.take(skb)
        return None if within is None else within is not self.above
