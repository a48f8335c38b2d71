"""
Up to fifteen ports in one rule.

Behaviour of: xt_multiport, revision 1 (`-m multiport`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.names import protocol_name, service_name
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.texts import range_text
from svcsim.tables.transport import ports_of

__all__ = ["MultiportMatch"]

_DCCP = 33
_PROTOCOLS = frozenset({Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP, _DCCP})
#: A range takes two of them.
_SLOTS = 15
_KINDS = {"source-ports": "sports", "destination-ports": "dports", "ports": "ports"}


@MATCHES.register("multiport")
@attrs.frozen
class MultiportMatch(Match):
    """
    ``[!] --sports, --dports, --ports port[:port],...``: one of them is the source, the destination, or either.

    *proto* is kept for listings, which print ports by name.
    """

    reads_protocol = True
    protocols = _PROTOCOLS
    options = (
        Option("source-ports", invert=True, excludes=("destination-ports", "ports")),
        Option("sports", same="source-ports"),
        Option("destination-ports", invert=True, excludes=("source-ports", "ports")),
        Option("dports", same="destination-ports"),
        Option("ports", invert=True, excludes=("source-ports", "destination-ports")),
    )

    kind: str
    ports: tuple[tuple[int, int], ...]
    invert: bool = attrs.field(default=False, kw_only=True)
    proto: int = attrs.field(default=0, kw_only=True, eq=False)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one list of ports."""
        if not args.given:
            raise UsageError("multiport expection an option")
        if not args.proto:
            raise UsageError("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'")
        if args.proto_inverted or args.proto not in _PROTOCOLS:
            raise UsageError("multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP")
        option = next(iter(args.given))
        protocol = protocol_name(args.proto)
        ports: list[tuple[int, int]] = []
        room = _SLOTS
        for text in args.text(option).split(","):
            low, colon, high = text.partition(":")
            room -= 2 if colon else 1
            if room < 0:
                raise UsageError("too many ports specified")
            first = args.port(low, protocol)
            last = args.port(high, protocol) if colon else first
            if colon and first >= last:
                raise UsageError("invalid portrange specified")
            ports.append((first, last))
        return cls(_KINDS[option], tuple(ports), invert=args.inverted(option), proto=args.proto)

    def emit(self) -> str:
        """The list as it was given, in numbers."""
        return f"{'! ' if self.invert else ''}--{self.kind} {','.join(map(range_text, self.ports))}"

    def describe(self, numeric: bool) -> str:
        """``multiport dports 80,443``."""
        protocol = protocol_name(self.proto)
        shown = [
            range_text(ends) if numeric else ":".join(service_name(port, protocol) for port in dict.fromkeys(ends))
            for ends in self.ports
        ]
        return f"multiport {self.kind} {' !' if self.invert else ''}{','.join(shown)}"

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether a port is one of them."""
        if skb.original.fragment_offset:
            return False
        ports = ports_of(skb)
        if ports is None:
            return None
        source, destination = ports
        if self.kind == "dports":
            found = any(low <= destination <= high for low, high in self.ports)
        elif self.kind == "sports":
            found = any(low <= source <= high for low, high in self.ports)
        else:
            found = any(low <= source <= high or low <= destination <= high for low, high in self.ports)
        return found is not self.invert
