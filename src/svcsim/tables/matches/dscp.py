"""
The code point of differentiated services.

Behaviour of: xt_dscp (`-m dscp`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.service_types import read_dscp

__all__ = ["DscpMatch"]


@MATCHES.register("dscp")
@attrs.frozen
class DscpMatch(Match):
    """``[!] --dscp value``, ``[!] --dscp-class name``."""

    options = (
        Option("dscp", invert=True, excludes=("dscp-class",)),
        Option("dscp-class", invert=True, excludes=("dscp",)),
    )

    value: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a number or a class."""
        inverted = args.inverted("dscp") or args.inverted("dscp-class")
        return cls(read_dscp(args, "dscp", "match"), invert=inverted)

    def emit(self) -> str:
        """The number, in hexadecimal."""
        return f"{'! ' if self.invert else ''}--dscp 0x{self.value:02x}"

    def describe(self, numeric: bool) -> str:
        """``DSCP match !0x0a``."""
        return f"DSCP match {'!' if self.invert else ''}0x{self.value:02x}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the six high bits of the byte are the code point."""
        return (skb.tos >> 2 == self.value) is not self.invert
