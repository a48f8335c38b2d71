"""
Ranges of addresses that are no prefix.

Behaviour of: xt_iprange, revision 1 (`-m iprange`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family, format_address
from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["IprangeMatch"]

_SIDES = {"src-range": "source", "dst-range": "destination"}


@MATCHES.register("iprange")
@attrs.frozen
class IprangeMatch(Match):
    """``[!] --src-range, --dst-range address[-address]``, both ends included; a reversed range fits nothing."""

    options = (Option("src-range", invert=True), Option("dst-range", invert=True))

    family: Family
    source: tuple[int, int] | None = None
    destination: tuple[int, int] | None = None
    not_source: bool = attrs.field(default=False, kw_only=True)
    not_destination: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the ranges; at least one side must have one."""
        if not args.given:
            raise UsageError("iprange match: You must specify `--src-range' or `--dst-range'")
        return cls(
            args.family,
            _read(args, "src-range"),
            _read(args, "dst-range"),
            not_source=args.inverted("src-range"),
            not_destination=args.inverted("dst-range"),
        )

    def _sides(self) -> list[tuple[str, str, bool]]:
        """Option, range and inversion of each side that is tested."""
        sides = (("src-range", self.source, self.not_source), ("dst-range", self.destination, self.not_destination))
        return [
            (option, "-".join(format_address(self.family, end) for end in ends), inverted)
            for option, ends, inverted in sides
            if ends is not None
        ]

    def emit(self) -> str:
        """Source range, destination range."""
        return " ".join(f"{'! ' if inverted else ''}--{option} {ends}" for option, ends, inverted in self._sides())

    def describe(self, numeric: bool) -> str:
        """``source IP range ! 192.0.2.1-192.0.2.9``."""
        return " ".join(
            f"{_SIDES[option]} IP range {'! ' if inverted else ''}{ends}" for option, ends, inverted in self._sides()
        )

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether both addresses are in their ranges."""
        if self.source is not None:
            low, high = self.source
            if (low <= skb.src <= high) is self.not_source:
                return False
        if self.destination is not None:
            low, high = self.destination
            return (low <= skb.dst <= high) is not self.not_destination
        return True


def _read(args: Args, option: str) -> tuple[int, int] | None:
    if option not in args:
        return None
    first, dash, last = args.text(option).partition("-")
    low = args.address(option, first)
    return low, args.address(option, last) if dash else low
