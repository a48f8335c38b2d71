"""
How long a packet is.

Behaviour of: xt_length (`-m length`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.texts import range_text

__all__ = ["LengthMatch"]


@MATCHES.register("length")
@attrs.frozen
class LengthMatch(Match):
    """``[!] --length length[:length]``: of the whole IP packet, both ends included; a reversed range fits nothing."""

    options = (Option("length", invert=True, required=True),)

    low: int
    high: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a range."""
        low, high = args.number_range("length", 65535) or (0, 0)
        return cls(low, high, invert=args.inverted("length"))

    def emit(self) -> str:
        """The range."""
        return f"{'! ' if self.invert else ''}--length {range_text((self.low, self.high))}"

    def describe(self, numeric: bool) -> str:
        """``length !100:200``."""
        return f"length {'!' if self.invert else ''}{range_text((self.low, self.high))}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the length is in the range."""
        return (self.low <= skb.length <= self.high) is not self.invert
