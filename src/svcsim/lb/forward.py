"""
How IPVS sends a packet on: masquerading, direct routing, tunnels, to this host itself, or past everything.

Behaviour of: ip_vs_xmit. What goes to another host is sent from the start of LOCAL_OUT on (the hook function says
STOLEN); what is for this host goes on where it stands. A packet that cannot be sent is gone, and STOLEN too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb, Verdict
from svcsim.lb.service import ForwardingMethod
from svcsim.lb.tunnel import overhead, wrap
from svcsim.packet import Icmp, Proto
from svcsim.route import Route, RouteKind
from svcsim.trace import Dropped, Rewritten
from svcsim.wire import rewrite_quote

if TYPE_CHECKING:
    from svcsim.lb.conn import VsConn

__all__ = ["masquerade", "masquerade_icmp", "send", "update_conntrack"]

# Looked at for every packet: as names of this module they cost a third of what they cost as members of their classes.
_ACCEPT, _STOLEN = Verdict.ACCEPT, Verdict.STOLEN
_LOCAL, _UNICAST = RouteKind.LOCAL, RouteKind.UNICAST
_IPV4, _IPV6, _UDP, _MASQ = Family.IPV4, Family.IPV6, int(Proto.UDP), ForwardingMethod.MASQ

_TIME_EXCEEDED = {Family.IPV4: (11, 0), Family.IPV6: (3, 0)}
_TOO_BIG = {Family.IPV4: (3, 4), Family.IPV6: (2, 0)}
_MINIMUM_MTU = {4: 68, 6: 1280}
#: The ports that an encapsulation draws its source from, one a flow (net.ipv4.ip_local_port_range).
_FLOW_PORTS, _FLOW_PORT_COUNT = 32768, 28232
#: First bytes of source addresses that want a second look: 127/8, and ::1 and its like.
_ODD_SOURCES = frozenset({0, 127})


def send(conn: VsConn, skb: Skb, state: HookState) -> Verdict:
    """Send *skb* on by its connection's method."""
    method = conn.method
    if method is _MASQ:
        return masquerade(conn, skb, state)
    if method is ForwardingMethod.LOCAL:
        return _go_on(conn, skb, state)
    if method is ForwardingMethod.TUNNEL:
        return _tunnel(conn, skb, state)
    target = skb.dst if method is ForwardingMethod.BYPASS else conn.daddr
    route = state.host.routes[skb.family].lookup(target)
    if route.kind is _LOCAL:
        if method is ForwardingMethod.BYPASS or not _is_local(skb):
            return _lost(skb, "the destination is this host, which this way does not lead to")
        return _go_on(conn, skb, state)
    if not _may_leave(skb, state, route, route.mtu):
        return _STOLEN
    if not route.gateway:
        route = attrs.evolve(route, gateway=target)  # the destination on the link is asked for, not the packet's
    return _hand_over(conn, skb, state, route)


def masquerade(conn: VsConn, skb: Skb, state: HookState) -> Verdict:
    """Rewrite destination address and port; the answers come back through this host."""
    host = state.host
    route = host.routes[skb.family].lookup(conn.daddr)
    local = route.kind is _LOCAL
    if local:
        if skb.indev not in ("", "lo") and skb.family is _IPV4 and conn.daddr >> 24 == 127:
            return _lost(skb, "from outside to a loopback address")
    elif skb.ttl > 1 and route.kind is _UNICAST and skb.length <= route.mtu and skb.src >> 24 not in _ODD_SOURCES:
        skb.ttl -= 1  # the plain case of _may_leave, which answers for all others
    elif not _may_leave(skb, state, route, route.mtu):
        return _STOLEN
    trace = skb.trace
    before = skb.tuple() if trace is not None else None
    if skb.checksum == 0 and skb.proto == _UDP:
        skb.checksum = None  # a datagram that came without a checksum leaves with one
    skb.set_destination(conn.daddr, conn.dport)
    if trace is not None and before is not None:
        trace.append(Rewritten("ipvs masquerading", before, skb.tuple()))
    skb.ipvs_property = True
    if not conn.nfct:
        skb.untrack()
    elif skb.ct is not None:
        update_conntrack(conn, skb, state, request=True)
    if local:
        return _ACCEPT
    host.transmit(skb, route)
    return _STOLEN


def masquerade_icmp(conn: VsConn, skb: Skb, state: HookState) -> Verdict:
    """Send an ICMP error about a masqueraded connection on to its destination, quoting what that one knows."""
    host = state.host
    route = host.routes[skb.family].lookup(conn.daddr)
    local = route.kind is _LOCAL
    if not local and not _may_leave(skb, state, route, route.mtu):
        return _STOLEN
    skb.payload = rewrite_quote(skb.payload, src=conn.daddr, sport=conn.dport, transport_checksum=False)
    skb.set_destination(conn.daddr, skb.dport)
    skb.ipvs_property = True
    if not conn.nfct:
        skb.untrack()
    if local:
        return _ACCEPT
    host.transmit(skb, route)
    return _STOLEN


def _go_on(conn: VsConn, skb: Skb, state: HookState) -> Verdict:
    """Leave the packet where it is: the destination is this host."""
    skb.ipvs_property = True
    if not conn.nfct:
        skb.untrack()
    return _ACCEPT


def _hand_over(conn: VsConn, skb: Skb, state: HookState, route: Route) -> Verdict:
    skb.ipvs_property = True
    if not conn.nfct:
        skb.untrack()
    state.host.transmit(skb, route)
    return _STOLEN


def _tunnel(conn: VsConn, skb: Skb, state: HookState) -> Verdict:
    """Wrap the packet and send the wrapping to the destination, which answers the client itself."""
    host, dest = state.host, conn.dest
    outer = _IPV6 if (dest.family if dest is not None else conn.family) == 6 else _IPV4
    route = host.routes[outer].lookup(conn.daddr)
    if route.kind is _LOCAL:
        return _go_on(conn, skb, state) if _is_local(skb) else _lost(skb, "the tunnel ends at this host")
    whole = route.mtu if outer is _IPV6 else host.ipvs.path_mtu(conn.daddr, route.mtu)
    if whole < route.mtu:
        route = attrs.evolve(route, mtu=whole)  # what may be cut is cut to fit
    elif dest is not None:
        dest.tunnel_mtu = whole
    if dest is not None and whole < dest.tunnel_mtu:
        dest.tunnel_mtu = 0
    mtu = whole - overhead(outer, dest)
    discovers = bool(host.sysctls["net.ipv4.vs.pmtu_disc"])
    if not _may_leave(skb, state, route, mtu if discovers and mtu >= _MINIMUM_MTU[outer] else 1 << 16):
        return _STOLEN
    if mtu < _MINIMUM_MTU[outer]:
        return _lost(skb, f"a tunnel over {route.device} has no room")
    inner = skb.packet
    source_port = _FLOW_PORTS + host.streams["gue source port"].at(hash(skb.tuple())) % _FLOW_PORT_COUNT
    wrapped = wrap(inner, route.source, conn.daddr, outer, dest, source_port, dont_fragment=discovers)
    carrier = Skb(wrapped, skb.indev, skb.trace)
    carrier.mark = skb.mark
    carrier.ipvs_property = True
    if conn.nfct and skb.ct is not None:
        host.tracking[skb.family].confirm(skb, state)
    if skb.trace is not None:
        skb.trace.append(Rewritten("ipvs tunnelling", skb.tuple(), carrier.tuple()))
    host.transmit(carrier, route)
    return _STOLEN


def _is_local(skb: Skb) -> bool:
    return skb.route is not None and skb.route.kind is _LOCAL


def _may_leave(skb: Skb, state: HookState, route: Route, mtu: int) -> bool:
    """Whether *skb* can go by *route*, one hop further; if not, its sender is told as the kernel tells it."""
    host, family = state.host, skb.family
    if route.kind is not _UNICAST:
        host.answer_icmp(skb, *((3, 1) if family is _IPV4 else (1, 3)))
        _lost(skb, "no route to the destination")
        return False
    if (skb.src >> 24 == 127) if family is _IPV4 else skb.src == 1:
        _lost(skb, "loopback sources do not leave the host")
        return False
    if skb.ttl <= 1:
        host.answer_icmp(skb, *_TIME_EXCEEDED[family])
        _lost(skb, "time to live exceeded")
        return False
    skb.ttl -= 1
    skb.changed = True
    if skb.length > mtu:  # only now: an error about its size quotes it as it would have left
        told = family is Family.IPV6 or (skb.original.dont_fragment and not isinstance(skb.header, Icmp))
        if told:
            host.answer_icmp(skb, *_TOO_BIG[family], mtu)
            _lost(skb, f"larger than the path's {mtu} bytes")
            return False
    return True


def _lost(skb: Skb, reason: str) -> Verdict:
    if skb.trace is not None:
        skb.trace.append(Dropped(f"ipvs: {reason}"))
    return _STOLEN


def update_conntrack(conn: VsConn, skb: Skb, state: HookState, *, request: bool) -> None:
    """
    Teach the tracked connection where the answers will come from, before it is confirmed.

    Only masqueraded connections, in the original direction, and not one-packet ones.
    """
    ct = skb.ct
    if ct is None or ct.confirmed or skb.ctinfo.is_reply or conn.one_packet:
        return
    if conn.method is not _MASQ:
        return
    family, proto, src, dst, sport, dport = ct.reply
    ported = proto not in (Proto.ICMP, Proto.ICMPV6)
    if request:
        src, sport = conn.daddr, conn.dport if ported else sport
    else:
        dst, dport = conn.vaddr, conn.vport if ported else dport
    state.host.conntrack.alter_reply(ct, (family, proto, src, dst, sport, dport))
