"""
What a host says of its own: ICMP errors, resets, echo replies, and how they get out.

Behaviour of: icmp_send, icmpv6_send, nf_reject and ip_send_unicast_reply. What is said belongs to the connection of what it
is about, passes LOCAL_OUT and POST_ROUTING like anything that is sent from here, and may itself be refused there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.hooks import CtInfo, Owner, Skb
from svcsim.icmp import error_about, reset_of
from svcsim.packet import Icmp, Packet, Tcp
from svcsim.route import Route, RouteKind
from svcsim.trace import Dropped, Note

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["Voice"]

_KERNEL = Owner(uid=None)
#: ICMP errors that count against a peer (icmp_ratemask), but that a packet is too large.
_LIMITED = frozenset({3, 4, 11, 12})
_TOO_LARGE = (3, 4)
#: Routes by which something leaves, if only for this host itself.
_WAYS = frozenset({RouteKind.UNICAST, RouteKind.LOCAL, RouteKind.BROADCAST, RouteKind.MULTICAST})


class Voice:
    """The host's own messages; an ICMP message that is being sent silences every other."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._labels = node.streams["ipv6 flow label"]
        self._speaking_icmp = False

    def error(self, skb: Skb, type: int, code: int, rest: int) -> None:
        """Tell the sender of *skb* by an ICMP error that quotes it as it stands now, unless none may be sent."""
        if self._speaking_icmp:
            return
        node, family = self._node, skb.family
        routing = node.routes[family]
        mine = routing.owns(skb.dst) if family is Family.IPV6 else routing.is_local(skb.dst)
        back = routing.lookup(skb.src, skb.dst if mine else 0)
        packet = error_about(skb, type, code, rest, skb.dst if mine else back.source)
        if packet is not None:
            if (type, code) != _TOO_LARGE and type in _LIMITED and back.device != "lo":
                node.ingress[family].peers.told(skb.src)
            self.say(packet, about=skb)

    def reset(self, skb: Skb) -> None:
        """Answer the TCP segment *skb* with a reset, unless it is one itself; its connection is as good as closed."""
        packet = reset_of(skb)
        if packet is not None:
            self.say(packet, about=skb, labelled=False)
            if skb.ct is not None and isinstance(skb.header, Tcp):
                self._node.conntrack.close(skb.ct)

    def say(self, packet: Packet, *, about: Skb | None = None, outdev: str = "", labelled: bool = True) -> None:
        """
        Send a *packet* of the host's own, by *outdev* if one is named.

        One *about* another belongs to that one's connection. What the host's own protocols send is *labelled*: it has a
        socket, and in IPv6 a flow label.
        """
        node, family = self._node, packet.family
        if family is Family.IPV4:
            packet = packet.rewritten(ttl=node.sysctls["net.ipv4.ip_default_ttl"])
        elif labelled:  # by a hash that nobody else can predict
            label = self._labels.at(hash((packet.src, packet.dst, packet.proto, packet.sport, packet.dport)))
            packet = packet.rewritten(flow_label=label & 0xFFFFF)
        skb = Skb(packet, trace=node.outcome.trace)
        if skb.trace is not None:
            skb.trace.append(Note(f"answered by {packet}"))
        if about is not None and about.ct is not None:
            skb.ct = about.ct
            skb.ctinfo = CtInfo.RELATED if about.ctinfo.is_reply else CtInfo.RELATED_REPLY
        # Resets of IPv6 have no socket either, although they are labelled.
        of_socket = labelled and not (family is Family.IPV6 and isinstance(packet.header, Tcp))
        skb.owner = _KERNEL if of_socket else None
        route = node.routes[family].lookup(packet.dst, packet.src, outdev=outdev)
        if route.kind not in _WAYS or not self.may_have_source(packet.src, route, family):
            if skb.trace is not None:
                skb.trace.append(Dropped(f"{route}: no way back"))
            return
        speaking, self._speaking_icmp = self._speaking_icmp, self._speaking_icmp or isinstance(packet.header, Icmp)
        sent = node.outcome.sent
        before = len(sent)
        try:
            node.transmit(skb, route)
        finally:
            self._speaking_icmp = speaking
        for each in sent[before:]:
            each.answer = True

    def may_have_source(self, source: int, route: Route, family: Family) -> bool:
        """Whether what leaves by *route* may come from *source*: loopback addresses stay inside."""
        if family is Family.IPV6 or source >> 24 != 127 or route.device == "lo":
            return True
        return self._node.ingress[family].input_of(route.device).route_localnet
