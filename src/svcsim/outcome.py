"""
What became of a packet: sent where, delivered to what, dropped or refused, and - when asked for - the whole story.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.hooks import Skb, Verdict
from svcsim.packet import Packet
from svcsim.trace import Trace

__all__ = ["Delivery", "Outcome", "Sent"]


@attrs.define(eq=False)
class Sent:
    """A packet that left by *device*; the value is made when *packet* is read."""

    device: str
    skb: Skb = attrs.field(repr=False)

    @property
    def packet(self) -> Packet:
        """The packet, as it left."""
        return self.skb.packet

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


@attrs.define(eq=False)
class Outcome:
    """
    The answer of `Node.receive` and `Node.send`.

    *verdict* is the last one on the given packet's own way (STOLEN: IPVS took it over). *sent* holds everything that
    left the host because of it, in order: the packet itself, and errors or resets about it. *error* is the errno that a
    local sender got (1: filtered, 101: no route), 0 for none.
    """

    verdict: Verdict = Verdict.ACCEPT
    sent: list[Sent] = attrs.field(factory=list)
    delivered: list[Delivery] = attrs.field(factory=list)
    error: int = 0
    trace: Trace | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        lines = [f"sent by {sent}" for sent in self.sent]
        lines += [f"delivered to {delivery}" for delivery in self.delivered]
        return "\n".join(lines) or self.verdict.name.lower()
