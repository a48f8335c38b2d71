"""
UDP header: ports.

Behaviour of: xt_tcpudp (`-m udp`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.texts import ANY_PORT, describe_ports, emit_ports
from svcsim.tables.transport import answer_without_header

__all__ = ["UdpMatch"]


@MATCHES.register("udp")
@attrs.frozen
class UdpMatch(Match):
    """
    ``[!] --sport, --dport port[:port]``.

    A fragment but the first never matches; a packet with less than a UDP header is dropped.
    """

    protocols = frozenset({Proto.UDP})
    options = (
        Option("source-port", invert=True, once="Only one `--source-port' allowed"),
        Option("sport", same="source-port"),
        Option("destination-port", invert=True, once="Only one `--destination-port' allowed"),
        Option("dport", same="destination-port"),
    )

    sport: tuple[int, int] = ANY_PORT
    dport: tuple[int, int] = ANY_PORT
    not_sport: bool = attrs.field(default=False, kw_only=True)
    not_dport: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read both ports."""
        return cls(
            args.port_range("source-port", "udp") or ANY_PORT,
            args.port_range("destination-port", "udp") or ANY_PORT,
            not_sport=args.inverted("source-port"),
            not_dport=args.inverted("destination-port"),
        )

    def emit(self) -> str:
        """Source port, destination port."""
        text = emit_ports("sport", self.sport, self.not_sport) + emit_ports("dport", self.dport, self.not_dport)
        return text[1:]

    def describe(self, numeric: bool) -> str:
        """``udp spt:1 dpts:80:90``."""
        source = describe_ports("spt", self.sport, self.not_sport, numeric, "udp")
        return f"udp{source}{describe_ports('dpt', self.dport, self.not_dport, numeric, 'udp')}"

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether both ports are as asked for."""
        if skb.header is None:
            return answer_without_header(skb)
        low, high = self.dport
        if (low <= skb.dport <= high) is self.not_dport:
            return False
        low, high = self.sport
        return (low <= skb.sport <= high) is not self.not_sport
