"""
Connections told to another director, so that they outlive this one.

Behaviour of: ip_vs_sync_conn_needed, ip_vs_proc_conn (version 1 of the protocol); pinned by the corpus scenarios
ipvs-daemon-*. What is modelled is which connection is told when, and what it becomes on the other side; the messages
themselves are not packets here, they wait in `Sync.outbox` until `exchange` carries them over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import attrs

from svcsim.clock import SECOND
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.lb.conn import VsConn
from svcsim.lb.service import ForwardingMethod
from svcsim.packet import Proto

if TYPE_CHECKING:
    from svcsim.lb.accounts import Accounts

__all__ = ["Daemon", "Sync", "SyncedConn", "exchange"]

_KERNEL_SAYS = 255
#: States of which the other side is told: for TCP established, closing and closed; for SCTP likewise.
_TOLD = {int(Proto.TCP): frozenset({1, 4, 5, 6, 7}), int(Proto.SCTP): frozenset({8, 9, 10, 11, 13})}
_ESTABLISHED = {int(Proto.TCP): 1, int(Proto.SCTP): 8}
_SHORTEST_REFRESH = 10 * SECOND
_THRESHOLD = "net.ipv4.vs.sync_threshold"
_UNTOLD = (0, 0)


@attrs.frozen
class Daemon:
    """How a synchronisation daemon was started; the defaults are the kernel's."""

    interface: str
    syncid: int = 0
    maxlen: int = 1472
    group: str = "224.0.0.81"
    port: int = 8848
    ttl: int = 1


@attrs.frozen
class SyncedConn:
    """What the other side is told of a connection."""

    family: int
    proto: int
    caddr: int
    cport: int
    vaddr: int
    vport: int
    daddr: int
    dport: int
    method: ForwardingMethod
    fwmark: int
    template: bool
    inactive: bool
    assured: bool
    state: int
    timeout: int  # whole seconds


class Sync:
    """
    The synchronisation daemons of one director: *master* tells, *backup* listens; None where there is none.

    *outbox* holds what was told and not carried over yet; past ``sync_qlen_max`` messages the newest are lost, and
    counted in *lost*.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.master: Daemon | None = None
        self.backup: Daemon | None = None
        self.outbox: deque[SyncedConn] = deque()
        self.lost = 0
        self._accounts = accounts
        self._told: dict[VsConn, tuple[int, int]] = {}  # the state at that time, and when it would have ended
        self._threshold, self._period = 3, 50
        accounts.sysctls.on_write(_THRESHOLD, self._threshold_written)

    def start(self, role: str, daemon: Daemon, known: bool) -> None:
        """Start the daemon of *role*, master or backup; *known* is whether its device is there."""
        if getattr(self, role) is not None:
            raise ExistsError("Daemon has already run", exit_code=_KERNEL_SAYS)
        if not known:
            raise MissingError("No such device", exit_code=_KERNEL_SAYS)
        setattr(self, role, daemon)

    def stop(self, role: str) -> None:
        """Stop the daemon of *role*; what a master has not sent yet is lost."""
        if getattr(self, role) is None:
            raise MissingError("No daemon is running", exit_code=_KERNEL_SAYS)
        setattr(self, role, None)
        if role == "master":
            self.outbox.clear()
            self._told.clear()

    def listed(self) -> str:
        """What ``ipvsadm -L --daemon`` prints."""
        return "".join(
            f"{role} sync daemon (mcast={d.interface}, syncid={d.syncid}, maxlen={d.maxlen}, "
            f"group={d.group}, port={d.port}, ttl={d.ttl})\n"
            for role, d in (("master", self.master), ("backup", self.backup))
            if d is not None
        )

    def _threshold_written(self) -> None:
        """``sync_threshold``: the packet of each *period* that is told of; the first has to be less than the second."""
        values = self._accounts.sysctls.values
        try:
            numbers = [int(word) for word in str(values[_THRESHOLD]).split()]
        except ValueError:
            numbers = []
        threshold, period = (*numbers, *(self._threshold, self._period)[len(numbers) :])[:2]
        good = 1 <= len(numbers) <= 2 and threshold >= 0 and period >= 0 and (threshold < period or not period)
        if good:
            self._threshold, self._period = threshold, period
        values[_THRESHOLD] = f"{self._threshold}\t{self._period}"
        if not good:
            raise ConfigError(f'sysctl: setting key "{_THRESHOLD}": Invalid argument', exit_code=_KERNEL_SAYS)

    # -- the master ---------------------------------------------------------------------------------------------------

    def heard(self, conn: VsConn) -> None:
        """A packet of *conn* has passed: tell of it, and of the template behind it, if their time has come."""
        if not conn.one_packet:
            self._tell(conn, conn.in_pkts)
        template = conn.control
        if template is not None:
            template.in_pkts += 1
            self._tell(template, template.in_pkts)

    def kept(self, conn: VsConn) -> None:
        """A connection on which others depend has got more time."""
        self._tell(conn, self._threshold)

    def forget(self, conn: VsConn) -> None:
        """A connection is gone."""
        self._told.pop(conn, None)

    def _tell(self, conn: VsConn, packets: int) -> None:
        if not self._is_needed(conn, packets):
            return
        if len(self.outbox) >= self._accounts.sysctls["net.ipv4.vs.sync_qlen_max"]:
            self.lost += 1
            return
        self.outbox.append(
            SyncedConn(
                conn.family,
                conn.proto,
                conn.caddr,
                conn.cport,
                conn.vaddr,
                conn.vport,
                conn.daddr,
                conn.dport,
                conn.method,
                conn.fwmark,
                conn.template,
                conn.inactive,
                conn.assured,
                conn.state,
                conn.timeout // SECOND,
            )
        )

    def _is_needed(self, conn: VsConn, packets: int) -> bool:
        sysctls, now = self._accounts.sysctls, self._accounts.clock.now
        old_state, old_end = self._told.get(conn, _UNTOLD)
        end, retry, changed = now + conn.timeout, 0, False
        if not conn.template:
            if sysctls["net.ipv4.vs.sync_persist_mode"] and conn.control is not None:
                return False  # the template does for it
            if conn.proto in _TOLD:
                if conn.state not in _TOLD[conn.proto]:
                    return False
                changed = conn.state != old_state
        if not (changed and conn.state != _ESTABLISHED[conn.proto]):
            refresh = sysctls["net.ipv4.vs.sync_refresh_period"] * SECOND
            if refresh and abs(end - old_end) < min(refresh, max(conn.timeout // 2, _SHORTEST_REFRESH)):
                retry = old_end & 3
                if retry >= sysctls["net.ipv4.vs.sync_retries"] or now < old_end - conn.timeout + refresh // 8:
                    return False
                retry += 1
            if self._period:
                if not conn.template and packets % self._period != self._threshold:
                    return False
            elif not refresh and packets != self._threshold:
                return False
        before = (old_state, old_end)
        self._told[conn] = (conn.state, end & ~3 | retry)
        return self._told[conn] != before or changed or old_end != end

    # -- the backup ---------------------------------------------------------------------------------------------------

    def accept(self, told: SyncedConn) -> None:
        """
        Have a connection as *told*, bound to the destination of that name, if there is one.

        It inherits how that one is forwarded to. One of the same ends that leads elsewhere is replaced, unless what is
        told is that it is over.
        """
        accounts = self._accounts
        conns = accounts.conns
        ends = (told.family, told.proto, told.caddr)
        if told.template:
            conn = conns.template(*ends, told.vaddr, told.vport)
        else:
            conn = conns.incoming(*ends, told.cport, told.vaddr, told.vport)
        if conn is not None and (conn.daddr, conn.dport) != (told.daddr, told.dport):
            if told.inactive and not told.template:
                return
            conns.expire(conn)
            conn = None
        if conn is None:
            conn = accounts.adopt(told)
        elif not told.template and conn.inactive != told.inactive:
            conn.inactive = told.inactive
            if conn.dest is not None:
                conn.dest.active += -1 if told.inactive else 1
                conn.dest.inactive += 1 if told.inactive else -1
        conn.in_pkts, conn.state, conn.assured = self._threshold, told.state, told.assured
        conn.timeout = told.timeout * SECOND or 180 * SECOND
        conns.touch(conn)


def exchange(master: Accounts, backup: Accounts) -> int:
    """
    Carry over what *master* has to tell to *backup*; how many connections that were.

    Both daemons must run, of the same syncid (a backup of syncid 0 listens to all); else nothing is carried, and what
    was told is lost, as datagrams are that nobody hears.

    >>> from svcsim.node import Node
    >>> from svcsim.packet import Packet
    >>> first, second = Node(), Node()
    >>> for node, role in ((first, "master"), (second, "backup")):
    ...     _ = node.add_interface("cli0", ["192.0.2.1/24"]), node.add_interface("pod0", ["10.244.0.1/16"])
    ...     _ = node.run("ip addr add 10.96.0.10/32 dev lo; ipvsadm -A -u 10.96.0.10:53 -s rr")
    ...     _ = node.run("ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.5:53 -m")
    ...     _ = node.run(f"ipvsadm --start-daemon {role} --mcast-interface pod0")
    >>> for _ in range(3):
    ...     _ = first.receive(Packet.udp("192.0.2.9:4000", "10.96.0.10:53"), "cli0")
    >>> exchange(first.ipvs, second.ipvs), len(second.ipvs.conns)
    (1, 1)
    """
    sender, listener = master.sync, backup.sync
    told = list(sender.outbox)
    sender.outbox.clear()
    if sender.master is None or listener.backup is None:
        return 0
    if listener.backup.syncid not in (0, sender.master.syncid):
        return 0
    for each in told:
        listener.accept(each)
    return len(told)
