"""
ICMPv6 type and code.

Behaviour of: icmp6_match of ip6_tables (`-m icmp6`, also called icmpv6 and ipv6-icmp).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb
from svcsim.packet import Icmp, Proto
from svcsim.tables.icmp_names import ICMPV6_NAMES, describe_icmp, emit_icmp, read_icmp
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.transport import answer_without_header

__all__ = ["Icmp6Match"]


@MATCHES.register("icmp6")
@attrs.frozen
class Icmp6Match(Match):
    """``[!] --icmpv6-type name|type[/code]``."""

    families = frozenset({Family.IPV6})
    protocols = frozenset({Proto.ICMPV6})
    options = (Option("icmpv6-type", invert=True, required=True),)

    type: int
    low: int = 0
    high: int = 255
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a type and a range of codes."""
        return cls(*read_icmp(args.text("icmpv6-type"), ICMPV6_NAMES, "ICMPv6"), invert=args.inverted("icmpv6-type"))

    def emit(self) -> str:
        """Type and code as numbers."""
        return f"{'! ' if self.invert else ''}--icmpv6-type {emit_icmp((self.type, self.low, self.high))}"

    def describe(self, numeric: bool) -> str:
        """``ipv6-icmptype 1 code 4``."""
        return describe_icmp("ipv6-icmp", (self.type, self.low, self.high), self.invert, numeric, ICMPV6_NAMES)

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether type and code are as asked for."""
        header = skb.header
        if not isinstance(header, Icmp):
            return answer_without_header(skb)
        return (header.type == self.type and self.low <= header.code <= self.high) is not self.invert
