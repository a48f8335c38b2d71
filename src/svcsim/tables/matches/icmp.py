"""
ICMP type and code.

Behaviour of: icmp_match of ip_tables (`-m icmp`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb
from svcsim.packet import Icmp, Proto
from svcsim.tables.icmp_names import ICMP_NAMES, describe_icmp, emit_icmp, read_icmp
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.transport import answer_without_header

__all__ = ["IcmpMatch"]

#: The type that stands for all of them.
_ANY = 255


@MATCHES.register("icmp")
@attrs.frozen
class IcmpMatch(Match):
    """``[!] --icmp-type name|type[/code]``; ``any`` fits every message, so ``! any`` fits none."""

    families = frozenset({Family.IPV4})
    protocols = frozenset({Proto.ICMP})
    options = (Option("icmp-type", invert=True, required=True),)

    type: int
    low: int = 0
    high: int = 255
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a type and a range of codes."""
        return cls(*read_icmp(args.text("icmp-type"), ICMP_NAMES, "ICMP"), invert=args.inverted("icmp-type"))

    def emit(self) -> str:
        """Type and code as numbers."""
        shown = "any" if self.type == _ANY else emit_icmp((self.type, self.low, self.high))
        return f"{'! ' if self.invert else ''}--icmp-type {shown}"

    def describe(self, numeric: bool) -> str:
        """``icmptype 3 code 4``."""
        return describe_icmp("icmp", (self.type, self.low, self.high), self.invert, numeric, ICMP_NAMES)

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether type and code are as asked for."""
        header = skb.header
        if not isinstance(header, Icmp):
            return answer_without_header(skb)
        fits = self.type == _ANY or (header.type == self.type and self.low <= header.code <= self.high)
        return fits is not self.invert
