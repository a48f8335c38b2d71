"""
IPVS on one host: its services and connections, and the functions that it hangs at the hooks.

Behaviour of: ip_vs_core and ip_vs_ctl; pinned by the corpus scenarios ipvs-*. A virtual address must be this host's
own, else its packets are forwarded and never seen here.
"""

from __future__ import annotations

from svcsim.hooks import Hook, HookEntry, HookState, Priority, Skb, Verdict
from svcsim.lb.accounts import INPUT, INPUT_ONLY, OUTPUT, SCHEDULED
from svcsim.lb.conn import VsConn
from svcsim.lb.forward import masquerade, send, update_conntrack
from svcsim.lb.icmp_errors import IcmpErrors
from svcsim.lb.scheduling import PORT_UNREACHABLE
from svcsim.lb.service import ForwardingMethod
from svcsim.lb.states import SCTP_CLOSED, TCP_CLOSE
from svcsim.packet import Icmp, Proto, Sctp, Tcp
from svcsim.route import RouteKind
from svcsim.trace import Rewritten

__all__ = ["Director"]

# Looked at for every packet: as names of this module they cost a third of what they cost as members of their classes.
_ACCEPT, _DROP = Verdict.ACCEPT, Verdict.DROP
_TCP, _UDP, _SCTP = int(Proto.TCP), int(Proto.UDP), int(Proto.SCTP)
_BROADCAST, _MULTICAST = RouteKind.BROADCAST, RouteKind.MULTICAST
_MASQ = ForwardingMethod.MASQ

_SYN, _RST = 0x02, 0x04
_TIME_WAIT, _FIN_WAIT = 5, 4
_IPSEC = frozenset({int(Proto.AH), int(Proto.ESP)})
_IKE = 500


class Director(IcmpErrors):
    """
    The load balancer of one host.

    `Control` has what is configured: services, destinations, timeouts. Here is what happens to packets.
    """

    def entries(self) -> tuple[HookEntry, ...]:
        """Where IPVS stands on a packet's way, while a service exists."""
        return (
            # After filtering and before source NAT; replies first, so that none is taken for a request.
            HookEntry(Hook.LOCAL_IN, Priority.NAT_SRC - 2, self.rewrite_reply, "ipvs reply"),
            HookEntry(Hook.LOCAL_IN, Priority.NAT_SRC - 1, self.take_request, "ipvs request"),
            # Requests born on this host are scheduled after destination NAT.
            HookEntry(Hook.LOCAL_OUT, Priority.NAT_DST + 1, self.rewrite_reply, "ipvs local reply"),
            HookEntry(Hook.LOCAL_OUT, Priority.NAT_DST + 2, self.take_request, "ipvs local request"),
            # Errors about requests of firewall-mark services pass through, as do the answers of real servers.
            HookEntry(Hook.FORWARD, Priority.NAT_SRC - 1, self.take_forwarded_icmp, "ipvs forwarded icmp"),
            HookEntry(Hook.FORWARD, Priority.NAT_SRC, self.rewrite_reply, "ipvs forwarded reply"),
        )

    # -- requests -----------------------------------------------------------------------------------------------------

    def take_request(self, skb: Skb, state: HookState) -> Verdict:
        """Send a request for a virtual service on to its destination, choosing one if its connection is new."""
        route = skb.route
        if skb.ipvs_property or route is None or route.kind is _BROADCAST or route.kind is _MULTICAST:
            return _ACCEPT
        if self.passive and self.sync.backup is not None:
            return _ACCEPT
        proto, header = skb.proto, skb.header
        if proto not in SCHEDULED:
            return self._take_other(skb, state)
        conn = self.conns.chains.get((skb.family, proto, skb.src, skb.sport))
        while conn is not None and (conn.vport != skb.dport or conn.vaddr != skb.dst):
            conn = conn.older
        if header is None:
            return self._unreadable(skb)
        if conn is not None:
            if (proto == _TCP and header.flags & _SYN) or (proto == _SCTP and skb.payload[:1] == b"\x01"):  # type: ignore[union-attr]
                conn, verdict = self._reconsider(conn, skb)
                if verdict is not None:
                    return verdict
        if conn is not None:
            dest = conn.dest
            if dest is not None and not dest.available:
                if not self.sysctls["net.ipv4.vs.expire_nodest_conn"]:
                    return self._dropped(skb, "the destination is gone")
                if self._end(conn, skb):
                    return self._dropped(skb, "the destination is gone; a retransmission starts anew")
                conn = None
        if conn is None:
            conn, verdict = self._try_schedule(skb, state)
            if conn is None:
                return verdict
        self._account(conn, INPUT_ONLY if conn.no_output else INPUT, skb)
        if conn.method is _MASQ:
            verdict = masquerade(conn, skb, state)
        else:
            verdict = send(conn, skb, state)
        conn.in_pkts += 1
        if self.sync.master is not None:
            self.sync.heard(conn)
        if conn.one_packet:
            if conn.control is not None and self.sync.master is None:
                conn.control.in_pkts += 1
            self._conn_done(conn)
        else:
            timer, deadline = conn.timer, self.clock.now + conn.timeout
            if timer is not None and timer.queued <= deadline and conn.control is None:
                timer.deadline = deadline  # what `touch` does, where there is nothing else to it
            else:
                self.conns.touch(conn)
        return verdict

    def _reconsider(self, conn: VsConn, skb: Skb) -> tuple[VsConn | None, Verdict | None]:
        """A new connection's first packet met an old one: go on with it, start anew (None), or drop (a verdict)."""
        sysctls, kernel = self.sysctls, self.host.kernel
        dest = conn.dest
        # Before Linux 5.9 it was dropped whenever connections were tracked, confirmed or not.
        tracked = skb.ct is not None and (skb.ct.confirmed or kernel < (5, 9))
        quiesced = sysctls["net.ipv4.vs.expire_nodest_conn"] and dest is not None and dest.weight == 0
        # Before Linux 5.16 conn_reuse_mode=0 kept also connections of quiesced destinations.
        if quiesced and (kernel >= (5, 16) or sysctls["net.ipv4.vs.conn_reuse_mode"]):
            reuse, old_ct = True, tracked
        elif sysctls["net.ipv4.vs.conn_reuse_mode"] and self._reusable(conn):
            old_ct = tracked
            reuse = conn.controlled == 0 or not old_ct
        else:
            return conn, None
        if not reuse:
            return conn, None
        if not old_ct:
            conn.nfct = False
        self._leave_behind(conn)
        if old_ct:
            return None, self._dropped(skb, "an old tracked connection; a retransmission starts anew")
        return None, None

    def _reusable(self, conn: VsConn) -> bool:
        """Whether a client may open this connection's ports anew."""
        if conn.control is not None:
            return False
        if conn.proto == _TCP:
            if conn.state in (_TIME_WAIT, TCP_CLOSE):
                return True
            return bool(self.sysctls["net.ipv4.vs.conn_reuse_mode"] & 2 and conn.state == _FIN_WAIT and conn.no_output)
        return conn.proto == _SCTP and conn.state == SCTP_CLOSED

    def _end(self, conn: VsConn, skb: Skb) -> bool:
        """Expire a connection whose destination is gone; whether netfilter still tracks it."""
        tracked = skb.ct is not None and skb.ct.confirmed
        if not tracked:
            conn.nfct = False
        self._leave_behind(conn)
        return tracked

    def _take_other(self, skb: Skb, state: HookState) -> Verdict:
        if isinstance(skb.header, Icmp):
            related, verdict = self._take_icmp(skb, state)
            return verdict if related else _ACCEPT
        if skb.proto in _IPSEC:
            conn = self.conns.incoming(skb.family, _UDP, skb.src, _IKE, skb.dst, _IKE)
            if conn is not None and conn.dest is not None and conn.dest.available:
                self._account(conn, INPUT, skb)
                return send(conn, skb, state)
        elif self.sysctls["net.ipv4.vs.ignore_tunneled"]:
            skb.ipvs_property = True
        return _ACCEPT

    def _unreadable(self, skb: Skb) -> Verdict:
        if skb.original.fragment_offset:
            return _ACCEPT
        return self._dropped(skb, "transport header cut short")

    # -- replies ------------------------------------------------------------------------------------------------------

    def rewrite_reply(self, skb: Skb, state: HookState) -> Verdict:
        """Give a real server's answer the virtual address as its source."""
        if skb.ipvs_property or skb.route is None:
            return _ACCEPT
        proto = skb.proto
        if proto not in SCHEDULED:
            if isinstance(skb.header, Icmp):
                return self._rewrite_icmp(skb, state)
            return _ACCEPT
        conn = self.conns.chains.get((skb.family, proto, skb.dst, skb.dport))
        while conn is not None and (conn.rport != skb.sport or conn.raddr != skb.src):
            conn = conn.older
        if conn is None or skb.header is None:
            if self.nat_icmp_send and self._is_unexpected(skb):
                state.host.answer_icmp(skb, *PORT_UNREACHABLE[skb.family])
                return self._dropped(skb, "a real server speaks without a connection")
            return _ACCEPT
        if conn.method is _MASQ:
            trace = skb.trace
            before = skb.tuple() if trace is not None else None
            if skb.checksum == 0 and proto == _UDP:
                skb.checksum = None
            skb.set_source(conn.vaddr, conn.vport)
            if trace is not None and before is not None:
                trace.append(Rewritten("ipvs reply", before, skb.tuple()))
            if not self._reroute(skb, state):
                return _DROP
        self._account(conn, OUTPUT, skb)
        skb.ipvs_property = True
        if conn.nfct:
            update_conntrack(conn, skb, state, request=False)
        else:
            skb.untrack()
        self.conns.touch(conn)
        return _ACCEPT

    def _is_unexpected(self, skb: Skb) -> bool:
        """Whether a known masqueraded real server sends this, and an error about it may be sent."""
        if skb.header is None or (isinstance(skb.header, Tcp) and skb.header.flags & _RST):
            return False
        if isinstance(skb.header, Sctp) and skb.payload[:1] == b"\x06":
            return False
        return any(
            d.address == skb.src and d.port == skb.sport and d.method is _MASQ
            for service in self.table
            if service.key.fwmark or service.key.proto == skb.proto
            for d in service.destinations
        )

    def connection_of(self, skb: Skb) -> VsConn | None:
        """The connection of a packet that was sent on to a destination, found by where the answers will come from."""
        if skb.proto in SCHEDULED:
            return self.conns.outgoing(skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport)
        if skb.proto in _IPSEC:
            return self.conns.outgoing(skb.family, _UDP, skb.src, _IKE, skb.dst, _IKE)
        return None
