"""
What became of a packet: sent where, delivered to what, dropped or refused, and - when asked for - the whole story.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.hooks import Skb, Verdict
from svcsim.packet import Packet
from svcsim.route import RouteKind
from svcsim.trace import Trace

__all__ = ["Delivery", "Outcome", "Sent"]


_ACCEPT = Verdict.ACCEPT
_TO_MANY = (RouteKind.BROADCAST, RouteKind.MULTICAST)


@attrs.define(eq=False)
class Sent:
    """A packet that left by *device*, in *answer* to another or as itself; the value is made when *packet* is read."""

    device: str
    skb: Skb = attrs.field(repr=False)
    answer: bool = False

    @property
    def packet(self) -> Packet:
        """The packet, as it left."""
        return self.skb.packet

    @property
    def next_hop(self) -> int:
        """The address on the link that it goes to: a gateway's, or its destination."""
        route = self.skb.route
        return (route.gateway if route is not None else 0) or self.skb.dst

    @property
    def to_many(self) -> bool:
        """Whether it goes to everybody on the link."""
        return self.skb.route is not None and self.skb.route.kind in _TO_MANY

    def __iter__(self) -> Iterator[str | Packet]:
        """Unpack as ``device, packet``."""
        return iter((self.device, self.skb.packet))

    def __str__(self) -> str:
        return f"{self.device}: {self.packet}"


@attrs.define(eq=False)
class Delivery:
    """A packet that something on this host took: *to* names the socket or protocol."""

    to: str
    skb: Skb = attrs.field(repr=False)

    @property
    def packet(self) -> Packet:
        """The packet, as it was delivered."""
        return self.skb.packet

    def __str__(self) -> str:
        return f"{self.to}: {self.packet}"


@attrs.define(eq=False, init=False)
class Outcome:
    """
    The answer of `Node.receive` and `Node.send`.

    *verdict* is the last one on the given packet's own way (STOLEN: IPVS took it over). *sent* holds everything that
    left the host because of it, in order: the packet itself, and errors or resets about it. *error* is the errno that a
    local sender got (1: filtered, 101: no route), 0 for none. *unknown* names what is not modelled and decided the way
    of the packet (then *verdict* is UNKNOWN) or of an answer to it; nothing that would have come behind is there.
    """

    verdict: Verdict
    sent: list[Sent]
    delivered: list[Delivery]
    error: int
    unknown: tuple[str, ...]
    trace: Trace | None = attrs.field(repr=False)

    def __init__(self, trace: Trace | None = None, *, error: int = 0) -> None:
        self.verdict = _ACCEPT
        self.sent = []
        self.delivered = []
        self.error = error
        self.unknown = ()
        self.trace = trace

    def __str__(self) -> str:
        lines = [f"sent by {sent}" for sent in self.sent]
        lines += [f"delivered to {delivery}" for delivery in self.delivered]
        lines += [f"not known: {what} is not modelled" for what in self.unknown]
        return "\n".join(lines) or self.verdict.name.lower()
