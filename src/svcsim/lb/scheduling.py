"""
How a packet that opens a connection gets one: its service, the scheduler or a template, or a refusal.

Behaviour of: ip_vs_schedule, ip_vs_sched_persist, ip_vs_leave, and the conn_schedule of each protocol.
"""

from __future__ import annotations

from svcsim.addr import Family, Prefix
from svcsim.clock import SECOND
from svcsim.hooks import HookState, Skb, Verdict
from svcsim.lb.accounts import INPUT_ONLY, Accounts
from svcsim.lb.conn import VsConn
from svcsim.lb.forward import send
from svcsim.lb.service import Destination, ForwardingMethod, ServiceFlags, VirtualService
from svcsim.packet import Proto
from svcsim.route import RouteKind
from svcsim.trace import Scheduled

__all__ = ["PORT_UNREACHABLE", "Scheduling"]

_ACCEPT = Verdict.ACCEPT
_TCP, _UDP = int(Proto.TCP), int(Proto.UDP)
_MASQ = ForwardingMethod.MASQ
_SYN, _RST = 0x02, 0x04
_FTP, _FTP_DATA = 21, 20
_SCTP_INIT, _SCTP_ABORT = 1, 6
_Loads = tuple[tuple[Destination, int, int, int, bool], ...]

PORT_UNREACHABLE = {Family.IPV4: (3, 3), Family.IPV6: (1, 4)}


def _loads(service: VirtualService) -> _Loads:
    """What a scheduler sees of the destinations, for a trace."""
    return tuple((d, d.weight, d.active, d.inactive, d.overloaded) for d in service.destinations)


def _templates(service: VirtualService) -> int:
    return sum(destination.persistent for destination in service.destinations)


class Scheduling(Accounts):
    """What becomes of a packet that belongs to no connection yet."""

    def _try_schedule(self, skb: Skb, state: HookState, *, icmp: bool = False) -> tuple[VsConn | None, Verdict]:
        """Schedule *skb* if it opens a connection to a service; else say what becomes of it."""
        if not self._opens(skb, icmp):
            return None, _ACCEPT
        table = self.table
        probes = table.probes
        service = table.find(skb.family, skb.mark, skb.proto, skb.dst, skb.dport)
        if service is None:
            return None, _ACCEPT
        if self.defence.drops_packet():
            return None, self._dropped(skb, "dropped in defence (drop_packet)")
        if skb.sport == _FTP_DATA:
            return None, _ACCEPT
        if skb.indev in ("", "lo"):
            # The reply of a real server on this host, whose connection is known by the other side.
            if self.conns.incoming(skb.family, skb.proto, skb.dst, skb.dport, skb.src, skb.sport) is not None:
                return None, _ACCEPT
        found = table.probes - probes
        tells_all = skb.trace is not None and state.host.tells_all
        loads = _loads(service) if tells_all else ()
        templates = _templates(service) if tells_all else 0
        conn = self._schedule(service, skb)
        if conn is None:
            return None, self._no_destination(service, skb, state, icmp)
        if skb.trace is not None:
            pinned = tells_all and service.persistent and _templates(service) == templates
            skb.trace.append(Scheduled(service, conn.dest, found, loads, pinned))
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
            host.answer_icmp(skb, *PORT_UNREACHABLE[skb.family])
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
        self._account(conn, INPUT_ONLY, skb)
        verdict = send(conn, skb, state)
        conn.in_pkts += 1
        self.conns.touch(conn)
        return verdict
