"""
IPVS on one host: its services and connections, and the functions that it hangs at the hooks.

Behaviour of: ip_vs_core and ip_vs_ctl; pinned by the corpus scenarios ipvs-*. A virtual address must be this host's
own, else its packets are forwarded and never seen here.
"""

from __future__ import annotations

from collections.abc import Iterator

from svcsim.addr import Family, Prefix
from svcsim.clock import SECOND
from svcsim.hooks import Hook, HookEntry, HookState, Host, Priority, Skb, Verdict
from svcsim.lb.conn import ConnTable, VsConn
from svcsim.lb.control import Control
from svcsim.lb.forward import masquerade, masquerade_icmp, send, update_conntrack
from svcsim.lb.service import Destination, ForwardingMethod, ServiceFlags, VirtualService
from svcsim.lb.states import (
    SCTP_ACTIVE,
    SCTP_CLOSED,
    SCTP_TABLE,
    SCTP_TIMEOUTS,
    TCP_ACTIVE,
    TCP_CLOSE,
    sctp_event,
)
from svcsim.packet import Icmp, Packet, Proto, Sctp, Tcp
from svcsim.route import RouteKind
from svcsim.trace import Dropped, Rewritten, Scheduled
from svcsim.wire import decode_quote, rewrite_quote

__all__ = ["Director"]

# Looked at for every packet: as names of this module they cost a third of what they cost as members of their classes.
_ACCEPT, _DROP = Verdict.ACCEPT, Verdict.DROP
_TCP, _UDP, _SCTP = int(Proto.TCP), int(Proto.UDP), int(Proto.SCTP)
_LOCAL, _BROADCAST, _MULTICAST = RouteKind.LOCAL, RouteKind.BROADCAST, RouteKind.MULTICAST
_MASQ = ForwardingMethod.MASQ

_INPUT, _OUTPUT, _INPUT_ONLY = range(3)
_SYN, _RST = 0x02, 0x04
_FTP, _FTP_DATA = 21, 20
_TIME_WAIT, _FIN_WAIT, _ESTABLISHED = 5, 4, 1
_SCTP_INIT, _SCTP_ABORT, _SCTP_ESTABLISHED = 1, 6, 8
_SCHEDULED = frozenset({_TCP, _UDP, _SCTP})
_IPSEC = frozenset({int(Proto.AH), int(Proto.ESP)})
_IKE = 500
#: ICMP messages that speak of another packet: unreachable, source quench, time exceeded.
_RELATED = frozenset({3, 4, 11})
_PORT_UNREACHABLE = {Family.IPV4: (3, 3), Family.IPV6: (1, 4)}


class Director(Control):
    """
    The load balancer of one host.

    `Control` has what is configured: services, destinations, timeouts. Here is what happens to packets.
    """

    def __init__(self, host: Host) -> None:
        self.conns = ConnTable(host.clock, self._conn_expired)
        self._drop_counter = 0
        super().__init__(host)

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
        proto, header = skb.proto, skb.header
        if proto not in _SCHEDULED:
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
        self._account(conn, _INPUT_ONLY if conn.no_output else _INPUT, skb)
        if conn.method is _MASQ:
            verdict = masquerade(conn, skb, state)
        else:
            verdict = send(conn, skb, state)
        if conn.one_packet:
            if conn.control is not None:
                conn.control.in_pkts += 1
            conn.in_pkts += 1
            self._conn_done(conn)
        else:
            conn.in_pkts += 1
            timer, deadline = conn.timer, self.clock.now + conn.timeout
            if timer is not None and timer.queued <= deadline and conn.control is None:
                timer.deadline = deadline  # what `touch` does, where there is nothing else to it
            else:
                self.conns.touch(conn)
        return verdict

    def _reconsider(self, conn: VsConn, skb: Skb) -> tuple[VsConn | None, Verdict | None]:
        """A new connection's first packet met an old one: go on with it, start anew (None), or drop (a verdict)."""
        sysctls = self.sysctls
        dest = conn.dest
        tracked = skb.ct is not None and skb.ct.confirmed
        if sysctls["net.ipv4.vs.expire_nodest_conn"] and dest is not None and dest.weight == 0:
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

    def _leave_behind(self, conn: VsConn) -> None:
        """Let *conn* expire, but only once this packet has passed: until then its destination counts it."""
        if conn.controlled == 0:
            self._leaving.append(conn)
            self.clock.call_at(self.clock.now, self._expire_leaving)

    def _expire_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        for conn in leaving:
            self.conns.expire(conn)

    def _take_other(self, skb: Skb, state: HookState) -> Verdict:
        if isinstance(skb.header, Icmp):
            related, verdict = self._take_icmp(skb, state)
            return verdict if related else _ACCEPT
        if skb.proto in _IPSEC:
            conn = self.conns.incoming(skb.family, _UDP, skb.src, _IKE, skb.dst, _IKE)
            if conn is not None and conn.dest is not None and conn.dest.available:
                self._account(conn, _INPUT, skb)
                return send(conn, skb, state)
        elif self.sysctls["net.ipv4.vs.ignore_tunneled"]:
            skb.ipvs_property = True
        return _ACCEPT

    def _unreadable(self, skb: Skb) -> Verdict:
        if skb.original.fragment_offset:
            return _ACCEPT
        return self._dropped(skb, "transport header cut short")

    # -- scheduling ---------------------------------------------------------------------------------------------------

    def _try_schedule(self, skb: Skb, state: HookState, *, icmp: bool = False) -> tuple[VsConn | None, Verdict]:
        """Schedule *skb* if it opens a connection to a service; else say what becomes of it."""
        if not self._opens(skb, icmp):
            return None, _ACCEPT
        table = self.table
        probes = table.probes
        service = table.find(skb.family, skb.mark, skb.proto, skb.dst, skb.dport)
        if service is None:
            return None, _ACCEPT
        if self.drops and self._defends():
            return None, self._dropped(skb, "dropped in defence (drop_packet)")
        if skb.sport == _FTP_DATA:
            return None, _ACCEPT
        if skb.indev in ("", "lo"):
            # The reply of a real server on this host, whose connection is known by the other side.
            if self.conns.incoming(skb.family, skb.proto, skb.dst, skb.dport, skb.src, skb.sport) is not None:
                return None, _ACCEPT
        conn = self._schedule(service, skb)
        if conn is None:
            return None, self._no_destination(service, skb, state, icmp)
        if skb.trace is not None:
            skb.trace.append(Scheduled(service, conn.dest, table.probes - probes))
        return conn, _ACCEPT

    def _opens(self, skb: Skb, icmp: bool) -> bool:
        if skb.proto == _TCP and not icmp:
            flags = skb.header.flags  # type: ignore[union-attr]
            if flags & _RST:
                return False
            return bool(flags & _SYN or self.sysctls["net.ipv4.vs.sloppy_tcp"])
        if icmp or skb.proto == _UDP:
            return True
        kind = skb.payload[0] if skb.payload else -1
        if kind in (_SCTP_ABORT, -1):
            return False
        return kind == _SCTP_INIT or bool(self.sysctls["net.ipv4.vs.sloppy_sctp"])

    def _defends(self) -> bool:
        """Whether drop_packet takes this one: with mode 3, every am_droprate-th."""
        self._drop_counter -= 1
        if self._drop_counter > 0:
            return False
        self._drop_counter = self.sysctls["net.ipv4.vs.am_droprate"]
        return True

    def _schedule(self, service: VirtualService, skb: Skb) -> VsConn | None:
        if service.flags & ServiceFlags.PERSISTENT:
            return self._schedule_persistent(service, skb)
        key = service.key
        if not key.fwmark and skb.dport != key.port:
            return None
        dest = service.scheduler.schedule(service, skb)
        if dest is None:
            return None
        return self._connect(service, skb, dest.address, dest.port or skb.dport, dest)

    def _schedule_persistent(self, service: VirtualService, skb: Skb) -> VsConn | None:
        """Send a client where its template leads, or make one."""
        key, dport = service.key, skb.dport
        exact = dport == key.port
        proto, vaddr = skb.proto, skb.dst
        if not exact and key.fwmark:
            proto, vaddr = 0, key.fwmark
        vport = dport if exact and key.port != _FTP else 0
        mask = service.netmask
        if skb.family is Family.IPV6:
            mask = Prefix.mask_of(Family.IPV6, service.netmask)
        caddr = skb.src & mask
        template = self.conns.template(skb.family, proto, caddr, vaddr, vport)
        if template is None or not self._still_good(template):
            dest = service.scheduler.schedule(service, skb)
            if dest is None:
                return None
            template = VsConn(
                skb.family,
                proto,
                caddr,
                0,
                vaddr,
                vport,
                dest.address,
                dest.port if vport else 0,
                dest.method,
                dest,
                key.fwmark,
                template=True,
                nfct=self.tracks,
            )
            template.timeout = service.timeout * SECOND
            self._bind(template, dest)
            self.conns.add(template)
        dest = template.dest
        assert dest is not None
        port = dest.port if exact and dest.port else dport
        conn = self._connect(service, skb, dest.address, port, dest)
        conn.depend_on(template)
        self.conns.touch(template)
        return conn

    def _still_good(self, template: VsConn) -> bool:
        dest = template.dest
        quiescent = self.sysctls["net.ipv4.vs.expire_quiescent_template"]
        if dest is not None and dest.available and not (quiescent and dest.weight == 0):
            return True
        self.conns.invalidate(template)
        return False

    def _connect(self, service: VirtualService, skb: Skb, daddr: int, dport: int, dest: Destination) -> VsConn:
        """Make the connection that *skb* opens, and count it."""
        conn = VsConn(
            skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport, daddr, dport, dest.method, dest, skb.mark
        )
        conn.nfct = self.tracks
        conn.no_output = dest.method is not _MASQ
        conn.one_packet = skb.proto == _UDP and service.one_packet
        self._bind(conn, dest)
        if not conn.one_packet:
            self.conns.add(conn)
        dest.stats.conns += 1
        service.stats.conns += 1
        self.stats.conns += 1
        return conn

    def _no_destination(self, service: VirtualService, skb: Skb, state: HookState, icmp: bool) -> Verdict:
        """Nothing could be chosen: past the director, on to the local stack, or refused."""
        host = state.host
        if self.sysctls["net.ipv4.vs.cache_bypass"] and service.key.fwmark:
            if host.routes[skb.family].address_type(skb.dst) is RouteKind.UNICAST:
                return self._bypass(service, skb, state)
        if service.key.port == _FTP and skb.dport != _FTP:
            return _ACCEPT
        if not icmp:
            host.answer_icmp(skb, *_PORT_UNREACHABLE[skb.family])
        return self._dropped(skb, f"no destination of {service} can be chosen")

    def _bypass(self, service: VirtualService, skb: Skb, state: HookState) -> Verdict:
        conn = VsConn(
            skb.family,
            skb.proto,
            skb.src,
            skb.sport,
            skb.dst,
            skb.dport,
            0,
            0,
            ForwardingMethod.BYPASS,
            None,
            skb.mark,
            no_output=True,
            nfct=self.tracks,
            one_packet=skb.proto == _UDP and service.one_packet,
        )
        if not conn.one_packet:
            self.conns.add(conn)
        self._account(conn, _INPUT_ONLY, skb)
        verdict = send(conn, skb, state)
        conn.in_pkts += 1
        self.conns.touch(conn)
        return verdict

    # -- replies ------------------------------------------------------------------------------------------------------

    def rewrite_reply(self, skb: Skb, state: HookState) -> Verdict:
        """Give a real server's answer the virtual address as its source."""
        if skb.ipvs_property or skb.route is None:
            return _ACCEPT
        proto = skb.proto
        if proto not in _SCHEDULED:
            if isinstance(skb.header, Icmp):
                return self._rewrite_icmp(skb, state)
            return _ACCEPT
        conn = self.conns.chains.get((skb.family, proto, skb.dst, skb.dport))
        while conn is not None and (conn.rport != skb.sport or conn.raddr != skb.src):
            conn = conn.older
        if conn is None or skb.header is None:
            if self.nat_icmp_send and self._is_unexpected(skb):
                state.host.answer_icmp(skb, *_PORT_UNREACHABLE[skb.family])
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
        self._account(conn, _OUTPUT, skb)
        skb.ipvs_property = True
        if conn.nfct:
            update_conntrack(conn, skb, state, request=False)
        else:
            skb.untrack()
        self.conns.touch(conn)
        return _ACCEPT

    def _reroute(self, skb: Skb, state: HookState) -> bool:
        """Route a reply again, now that its source is the virtual address; policy routing may want another way."""
        if state.hook is Hook.LOCAL_IN or not self.reroutes:
            return True
        route = skb.route
        if route is None or route.kind is _LOCAL:
            return True
        return state.host.reroute(skb, state)

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

    # -- ICMP ---------------------------------------------------------------------------------------------------------

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
        if quoted is None or quoted.proto not in _SCHEDULED or quoted.fragment_offset:
            return None
        return quoted

    def _take_icmp(self, skb: Skb, state: HookState) -> tuple[bool, Verdict]:
        """An error on its way to a destination: it quotes what the virtual service sent to the client."""
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
        self._account(conn, _INPUT, skb)
        if conn.method is _MASQ:
            verdict = masquerade_icmp(conn, skb, state)
        else:
            verdict = send(conn, skb, state)
        if made:
            self.conns.touch(conn)
        return True, verdict

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
        self._account(conn, _OUTPUT, skb)
        skb.ipvs_property = True
        if not conn.nfct:
            skb.untrack()
        return _ACCEPT

    # -- connections --------------------------------------------------------------------------------------------------

    def _bind(self, conn: VsConn, dest: Destination) -> None:
        """Count a connection at its destination, which may thereby reach its upper threshold."""
        dest.references += 1
        if conn.template:
            dest.persistent += 1
        else:
            dest.inactive += 1
        if dest.upper_threshold:
            dest.judge_load()

    def _unbind(self, conn: VsConn) -> None:
        dest = conn.dest
        if dest is None:
            return
        dest.references -= 1
        if conn.template:
            dest.persistent -= 1
        elif conn.inactive:
            dest.inactive -= 1
        else:
            dest.active -= 1
        dest.judge_load()

    def _conn_done(self, conn: VsConn) -> None:
        """The end of a one-packet connection: it was never in the table."""
        conn.leave_control()
        self._unbind(conn)

    def _conn_expired(self, conn: VsConn) -> None:
        self._unbind(conn)
        if conn.nfct and not conn.template and not conn.one_packet:
            key = (conn.family, conn.proto, conn.caddr, conn.vaddr, conn.cport, conn.vport)
            found = self.host.conntrack.find(key)
            if found is not None and not found[1]:
                self.host.conntrack.delete(found[0])
        control = conn.control
        if control is not None and conn.timeout == 0 and not control.controlled and not control.assured:
            self.conns.delete(control)

    def _account(self, conn: VsConn, direction: int, skb: Skb) -> None:
        """Count a packet of *conn*, and move the connection's state by it; an ICMP error is counted and moves nothing."""
        dest = conn.dest
        if dest is not None and dest.available:
            if self.clock.now >= self.next_estimate:
                self.estimate()
            length, own, service, total = skb.length, dest.stats, dest.service.stats, self.stats  # type: ignore[union-attr]
            if direction == _OUTPUT:
                own.outpkts += 1
                own.outbytes += length
                service.outpkts += 1
                service.outbytes += length
                total.outpkts += 1
                total.outbytes += length
            else:
                own.inpkts += 1
                own.inbytes += length
                service.inpkts += 1
                service.inbytes += length
                total.inpkts += 1
                total.inbytes += length
        if skb.proto == _TCP:
            if direction == _OUTPUT:
                conn.no_output = False
            new = self.tcp_table[direction][skb.header.flags & 0x3F][conn.state]  # type: ignore[union-attr]
            if new != conn.state:
                self._enter(conn, new, TCP_ACTIVE[new], new == _ESTABLISHED)
            conn.timeout = self.tcp_timeouts[new]
        elif skb.proto in _SCHEDULED:
            self._move(conn, direction, skb)

    def _move(self, conn: VsConn, direction: int, skb: Skb) -> None:
        """Move the state of a connection that is not TCP's, and choose its timeout."""
        if direction == _OUTPUT:
            conn.no_output = False
        if skb.proto == _UDP:
            conn.timeout = self.udp_timeout
            if direction == _OUTPUT and conn.control is not None:
                conn.control.assured = True
            return
        event = sctp_event(skb.payload)
        if event >= 0:
            new = SCTP_TABLE[direction][event][conn.state]
            if new != conn.state:
                self._enter(conn, new, SCTP_ACTIVE[new], new == _SCTP_ESTABLISHED)
            conn.timeout = SCTP_TIMEOUTS[new] * SECOND

    @staticmethod
    def _enter(conn: VsConn, state: int, active: bool, established: bool) -> None:
        """Let a connection be in *state*, in which its destination counts it as *active* or inactive."""
        conn.state = state
        if established and conn.control is not None:
            conn.control.assured = True
        dest = conn.dest
        if dest is not None and active == conn.inactive:
            conn.inactive = not active
            by = 1 if active else -1
            dest.active += by
            dest.inactive -= by

    @staticmethod
    def _dropped(skb: Skb, reason: str) -> Verdict:
        if skb.trace is not None:
            skb.trace.append(Dropped(f"ipvs: {reason}"))
        return _DROP

    def connection_of(self, skb: Skb) -> VsConn | None:
        """The connection of a packet that was sent on to a destination, found by where the answers will come from."""
        if skb.proto in _SCHEDULED:
            return self.conns.outgoing(skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport)
        if skb.proto in _IPSEC:
            return self.conns.outgoing(skb.family, _UDP, skb.src, _IKE, skb.dst, _IKE)
        return None

    def connections(self) -> Iterator[VsConn]:
        """Every connection and template, in the order of /proc/net/ip_vs_conn."""
        return iter(self.conns.listed())
