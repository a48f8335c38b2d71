"""
The books of the load balancer: what is counted of each connection, at its destination, its service and in all.

Behaviour of: ip_vs_bind_dest, ip_vs_in_stats, ip_vs_out_stats, set_tcp_state and their likes.
"""

from __future__ import annotations

from collections.abc import Iterator

from svcsim.addr import Family
from svcsim.clock import SECOND
from svcsim.hooks import Host, Skb, Verdict
from svcsim.lb.conn import ConnTable, VsConn
from svcsim.lb.control import Control
from svcsim.lb.defence import Defence
from svcsim.lb.service import Destination, ForwardingMethod
from svcsim.lb.states import SCTP_ACTIVE, SCTP_TABLE, SCTP_TIMEOUTS, TCP_ACTIVE, TCP_SECURE_TABLE, TCP_TABLE, sctp_event
from svcsim.lb.sync import Sync, SyncedConn
from svcsim.packet import Proto
from svcsim.trace import Dropped

__all__ = ["INPUT", "INPUT_ONLY", "MIN_PMTU", "OUTPUT", "SCHEDULED", "Accounts"]

#: Which way a packet goes, as the state tables have it.
INPUT, OUTPUT, INPUT_ONLY = range(3)
_TCP, _UDP = int(Proto.TCP), int(Proto.UDP)
#: The protocols that have connections.
SCHEDULED = frozenset({_TCP, _UDP, int(Proto.SCTP)})
_ESTABLISHED, _SCTP_ESTABLISHED = 1, 8
MIN_PMTU = 552  # net.ipv4.route.min_pmtu
_MTU_EXPIRES, _MOST_NARROW = 600 * SECOND, 2048


class Accounts(Control):
    """The connections of one host, each counted where it belongs."""

    def __init__(self, host: Host) -> None:
        self.conns = ConnTable(host.clock, self._conn_expired)
        self._leaving: list[VsConn] = []
        self._narrow: dict[int, tuple[int, int]] = {}  # IPv4 tunnels' ends: what goes there, and until when
        super().__init__(host)
        self.sync = Sync(self)
        self.defence = Defence(host, self.conns, self._defence_changed)

    def narrow(self, address: int, mtu: int) -> None:
        """A router on the way to *address* takes no more than *mtu* (net.ipv4.route.min_pmtu, mtu_expires)."""
        if len(self._narrow) >= _MOST_NARROW:
            self._narrow.clear()
        mtu = max(mtu, MIN_PMTU)
        if mtu <= self.path_mtu(address, mtu):  # a way that was found narrow does not widen by being told so
            self._narrow[address] = (mtu, self.clock.now + _MTU_EXPIRES)

    def path_mtu(self, address: int, mtu: int) -> int:
        """What goes to *address* by a route of *mtu*."""
        found = self._narrow.get(address)
        return mtu if found is None or found[1] < self.clock.now else min(mtu, found[0])

    def _defence_changed(self) -> None:
        self.tcp_table = TCP_SECURE_TABLE if self.defence.secure else TCP_TABLE

    def connections(self) -> Iterator[VsConn]:
        """Every connection and template, in the order of /proc/net/ip_vs_conn."""
        return iter(self.conns.listed())

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

    def adopt(self, told: SyncedConn) -> VsConn:
        """Make the connection that another director tells of; its destination may be unknown here."""
        dest = self._destination_of(told)
        method = told.method if dest is None else dest.method
        conn = VsConn(
            told.family,
            told.proto,
            told.caddr,
            told.cport,
            told.vaddr,
            told.vport,
            told.daddr,
            told.dport,
            method,
            dest,
            told.fwmark,
            template=told.template,
            nfct=self.tracks,
            no_output=method is not ForwardingMethod.MASQ,
        )
        if dest is not None:
            self._bind(conn, dest)
            if not told.inactive and not told.template:
                conn.inactive = False
                dest.inactive -= 1
                dest.active += 1
        self.conns.add(conn)
        return conn

    def _destination_of(self, told: SyncedConn) -> Destination | None:
        family = Family(told.family)
        if told.template and told.proto == 0:
            service = self.table.find(family, told.vaddr, int(Proto.TCP), 0, 0)
        else:
            service = self.table.find(family, told.fwmark, told.proto, told.vaddr, told.vport)
        return None if service is None else service.find(family, told.daddr, told.dport)

    def _conn_expired(self, conn: VsConn) -> None:
        self._unbind(conn)
        self.sync.forget(conn)
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
            if direction == OUTPUT:
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
            if direction == OUTPUT:
                conn.no_output = False
            new = self.tcp_table[direction][skb.header.flags & 0x3F][conn.state]  # type: ignore[union-attr]
            if new != conn.state:
                self._enter(conn, new, TCP_ACTIVE[new], new == _ESTABLISHED)
            conn.timeout = self.tcp_timeouts[new]
        elif skb.proto in SCHEDULED:
            self._move(conn, direction, skb)

    def _move(self, conn: VsConn, direction: int, skb: Skb) -> None:
        """Move the state of a connection that is not TCP's, and choose its timeout."""
        if direction == OUTPUT:
            conn.no_output = False
        if skb.proto == _UDP:
            conn.timeout = self.udp_timeout
            if direction == OUTPUT and conn.control is not None:
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

    def _leave_behind(self, conn: VsConn) -> None:
        """Let *conn* expire, but only once this packet has passed: until then its destination counts it."""
        if conn.controlled == 0:
            self._leaving.append(conn)
            self.clock.call_at(self.clock.now, self._expire_leaving)

    def _expire_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        for conn in leaving:
            self.conns.expire(conn)

    @staticmethod
    def _dropped(skb: Skb, reason: str) -> Verdict:
        if skb.trace is not None:
            skb.trace.append(Dropped(f"ipvs: {reason}"))
        return Verdict.DROP
