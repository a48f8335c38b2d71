"""
As long as it lasts: a number of bytes.

Behaviour of: xt_quota (`-m quota`). What is left belongs to the loaded rule, and starts anew with the table.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Loader, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option

__all__ = ["QuotaMatch"]

_U64 = (1 << 64) - 1


@attrs.define(eq=False)
class _Left:
    """A loaded rule's own rest of *bytes*; the first packet that is too large takes it all."""

    bytes: int
    invert: bool

    def __call__(self, skb: Skb, state: HookState) -> bool:
        if skb.length > self.bytes:
            self.bytes = 0
            return self.invert
        self.bytes -= skb.length
        return not self.invert


@MATCHES.register("quota")
@attrs.frozen
class QuotaMatch(Match):
    """``[!] --quota bytes``."""

    stateful = True
    options = (Option("quota", invert=True, required=True),)

    bytes: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a number of bytes."""
        return cls(args.number("quota", 0, _U64) or 0, invert=args.inverted("quota"))

    def emit(self) -> str:
        """The number that the rule began with."""
        return f"{'! ' if self.invert else ''}--quota {self.bytes}"

    def describe(self, numeric: bool) -> str:
        """``quota: 5 bytes``, inverted or not."""
        return f"quota: {self.bytes} bytes"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """What a rule that was loaded just now says of its first packet."""
        return (skb.length <= self.bytes) is not self.invert

    def load(self, loader: Loader) -> Test:
        """Give the loaded rule its bytes."""
        return _Left(self.bytes, self.invert)
