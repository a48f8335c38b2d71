"""
ICMP errors about connections: each side of one knows other addresses, and an error must quote what its receiver knows.

Behaviour of: ip_vs_in_icmp, ip_vs_out_icmp, ip_vs_forward_icmp, ip_vs_nat_icmp; pinned by the corpus scenarios
ipvs-icmp-* and ipvs-errors-*.
"""

from __future__ import annotations

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.lb.accounts import INPUT, MIN_PMTU, OUTPUT, SCHEDULED
from svcsim.lb.forward import masquerade_icmp, send
from svcsim.lb.scheduling import Scheduling
from svcsim.lb.service import ForwardingMethod, TunnelType
from svcsim.lb.tunnel import overhead, unwrapped
from svcsim.packet import Icmp, Packet, Proto
from svcsim.route import RouteKind
from svcsim.trace import Rewritten
from svcsim.wire import decode_quote, rewrite_quote

__all__ = ["IcmpErrors"]

_ACCEPT, _DROP = Verdict.ACCEPT, Verdict.DROP
_MASQ, _LOCAL, _IPV4 = ForwardingMethod.MASQ, RouteKind.LOCAL, Family.IPV4
_TOO_BIG = (3, 4)
_INTERNETWORK_CONTROL = 0xC0
_LONGEST_QUOTE = 576 - 28  # RFC 1812, 4.3.2.3
#: ICMP messages that speak of another packet: unreachable, source quench, time exceeded.
_RELATED = frozenset({3, 4, 11})


class IcmpErrors(Scheduling):
    """What becomes of ICMP errors."""

    def take_forwarded_icmp(self, skb: Skb, state: HookState) -> Verdict:
        """ICMP errors about requests of firewall-mark services, whose virtual addresses are not this host's."""
        if skb.ipvs_property or not isinstance(skb.header, Icmp):
            return _ACCEPT
        return self._take_icmp(skb, state)[1]

    @staticmethod
    def _quoted(skb: Skb) -> Packet | None:
        """The packet that an ICMP error speaks of, if it is of a protocol that is scheduled."""
        header = skb.header
        assert isinstance(header, Icmp)
        related = header.type in _RELATED if skb.family is Family.IPV4 else header.type < 128
        if not related:
            return None
        quoted = decode_quote(skb.payload)
        if quoted is None or quoted.proto not in SCHEDULED or quoted.fragment_offset:
            return None
        return quoted

    def _take_icmp(self, skb: Skb, state: HookState) -> tuple[bool, Verdict]:
        """An error on its way to a destination: it quotes what the virtual service sent to the client."""
        if skb.family is _IPV4 and self._take_tunnels(skb, state):
            return True, Verdict.STOLEN
        quoted = self._quoted(skb)
        if quoted is None:
            return False, _ACCEPT
        conn = self.conns.incoming(skb.family, quoted.proto, quoted.dst, quoted.dport, quoted.src, quoted.sport)
        made = False
        if conn is None:
            if not self.sysctls["net.ipv4.vs.schedule_icmp"]:
                return True, _ACCEPT
            inner = Skb(quoted.rewritten(src=quoted.dst, dst=quoted.src, sport=quoted.dport, dport=quoted.sport))
            inner.indev, inner.mark, inner.route, inner.trace = skb.indev, skb.mark, skb.route, skb.trace
            conn, verdict = self._try_schedule(inner, state, icmp=True)
            if conn is None:
                return True, verdict
            made = True
        self._account(conn, INPUT, skb)
        if conn.method is _MASQ:
            verdict = masquerade_icmp(conn, skb, state)
        else:
            verdict = send(conn, skb, state)
        if made:
            self.conns.touch(conn)
        return True, verdict

    def _take_tunnels(self, skb: Skb, state: HookState) -> bool:
        """
        An error about what this host put into a tunnel: the client is told, of the packet that it sent.

        Of a way that is too narrow it is told the room that the tunnel had till now; the next packet finds it narrower.
        """
        header, outer = skb.header, decode_quote(skb.payload)
        assert isinstance(header, Icmp)
        if header.type not in _RELATED or outer is None or skb.route is None or skb.route.kind is not _LOCAL:
            return False
        if outer.proto == Proto.UDP and not self._is_tunnel(outer):
            return False
        data = unwrapped(outer)
        inner = decode_quote(data) if data else None
        if data is None or inner is None or inner.proto not in SCHEDULED or inner.fragment_offset:
            return False
        conn = self.conns.incoming(inner.family, inner.proto, inner.src, inner.sport, inner.dst, inner.dport)
        if conn is None or conn.method is not ForwardingMethod.TUNNEL:
            return False
        room = 0
        if (header.type, header.code) == _TOO_BIG:
            told = header.rest & 0xFFFF
            self.narrow(outer.dst, told)
            # The kernel goes by the route that it has kept, and takes up the narrower one with the next packet.
            kept = conn.dest.tunnel_mtu if conn.dest is not None else 0
            room = max((kept or self.path_mtu(outer.dst, max(told, MIN_PMTU))) - overhead(_IPV4, conn.dest), 0)
        message = Packet(
            _IPV4,
            int(Proto.ICMP),
            inner.dst,
            inner.src,
            header=Icmp(header.type, header.code, room),
            payload=data[:_LONGEST_QUOTE],
            tos=_INTERNETWORK_CONTROL,
            dont_fragment=False,
        )
        state.host.originate(message)
        return True

    def _is_tunnel(self, outer: Packet) -> bool:
        """Whether a datagram goes to where a GUE tunnel ends."""
        return any(
            d.tunnel is TunnelType.GUE and (d.address, d.tunnel_port) == (outer.dst, outer.dport)
            for service in self.table
            for d in service.destinations
        )

    def _rewrite_icmp(self, skb: Skb, state: HookState) -> Verdict:
        """An error that a real server sends: the client knows the virtual address alone."""
        quoted = self._quoted(skb)
        if quoted is None:
            return _ACCEPT
        conn = self.conns.outgoing(skb.family, quoted.proto, quoted.src, quoted.sport, quoted.dst, quoted.dport)
        if conn is None:
            return _ACCEPT
        if conn.method is _MASQ:
            trace = skb.trace
            before = skb.tuple() if trace is not None else None
            skb.payload = rewrite_quote(skb.payload, dst=conn.vaddr, dport=conn.vport, transport_checksum=False)
            skb.set_source(conn.vaddr, skb.sport)
            if trace is not None and before is not None:
                trace.append(Rewritten("ipvs icmp reply", before, skb.tuple()))
            if not self._reroute(skb, state):
                return _DROP
        self._account(conn, OUTPUT, skb)
        skb.ipvs_property = True
        if not conn.nfct:
            skb.untrack()
        return _ACCEPT

    def _reroute(self, skb: Skb, state: HookState) -> bool:
        """Route a reply again, now that its source is the virtual address; policy routing may want another way."""
        if state.hook is Hook.LOCAL_IN or not self.reroutes:
            return True
        route = skb.route
        if route is None or route.kind is _LOCAL:
            return True
        return state.host.reroute(skb, state)
