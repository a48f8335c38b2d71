"""
IPVS connections and persistence templates, and the table that finds them by either side.

Behaviour of: ip_vs_conn. Connections hang in chains by their client's address and port, the newest first: a new one
stands before one of the same ends that is about to expire, and both exist until the old one's timer has fired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

import attrs

from svcsim.clock import MILLISECOND, SECOND, Clock, Timer
from svcsim.lb.service import Destination, ForwardingMethod
from svcsim.lb.states import SCTP_NAMES, TCP_NAMES
from svcsim.packet import Proto

__all__ = ["TABLE_SIZE", "ConnTable", "VsConn", "bucket_of"]

#: Family, protocol, client address and port.
_Client = tuple[int, int, int, int]

_NEW = 3 * SECOND
#: How long what others depend on (a template) is kept when its time is up.
_IN_USE = 60 * SECOND
TABLE_SIZE = 1 << 12  # ip_vs.conn_tab_bits
_NO_PORT = 0xFFFF
_MASQ = ForwardingMethod.MASQ
_TICK = 4 * MILLISECOND  # a kernel of 250 Hz


@attrs.define(eq=False)
class VsConn:
    """
    One connection from a client over a virtual address to a destination.

    A *template* remembers where a client's connections go; its client port is 0 and *control* of each of them is it.
    *inactive* and *no_output* are the kernel's flags INACTIVE and NOOUTPUT; *nfct* says that netfilter tracks it too.
    """

    family: int
    proto: int
    caddr: int
    cport: int
    vaddr: int
    vport: int
    daddr: int
    dport: int
    method: ForwardingMethod
    dest: Destination | None
    fwmark: int = 0
    template: bool = False
    one_packet: bool = False
    nfct: bool = False
    no_output: bool = False
    inactive: bool = True
    assured: bool = False
    state: int = 0
    timeout: int = _NEW
    in_pkts: int = 0
    control: VsConn | None = None
    dependants: set[VsConn] | None = None  # whose *control* this is
    timer: Timer | None = None
    raddr: int = 0  # where the replies come from: the destination if it is masqueraded, else the virtual address
    rport: int = 0
    serial: int = 0  # grows with every connection that is entered; 0 out of the table
    older: VsConn | None = None  # the next one of the same client port
    armed: int = 0  # grows with every start of a timer that a template's end may hang on

    @property
    def controlled(self) -> int:
        """How many connections depend on this one."""
        return len(self.dependants) if self.dependants else 0

    def depend_on(self, template: VsConn) -> None:
        """Have *template* for *control*."""
        self.control = template
        if template.dependants is None:
            template.dependants = set()
        template.dependants.add(self)

    def leave_control(self) -> None:
        """Depend on nothing any more; *control* still tells on what it did."""
        if self.control is not None and self.control.dependants is not None:
            self.control.dependants.discard(self)

    @property
    def state_name(self) -> str:
        """The state as it is listed."""
        if self.template:
            return "ASSURED" if self.assured else "NONE"
        if self.proto == Proto.TCP:
            return TCP_NAMES[self.state]
        if self.proto == Proto.SCTP:
            return SCTP_NAMES[self.state]
        return "UDP" if self.proto == Proto.UDP else "NONE"

    def remaining(self, now: int) -> int:
        """Seconds until it expires, rounded down."""
        timer = self.timer
        return 0 if timer is None or timer.deadline is None else max(timer.deadline - now, 0) // SECOND


class ConnTable:
    """
    Every connection and template of one host.

    *chains* holds the newest connection of each client's address and port; a packet's is the first of those behind it
    (`VsConn.older`) with the right other side. The packet path walks them itself.
    """

    def __init__(self, clock: Clock, expired: Callable[[VsConn], None]) -> None:
        self.clock = clock
        self.chains: dict[_Client, VsConn] = {}
        self._templates: dict[_Client, VsConn] = {}
        self._size = 0
        self._serial = 0
        self._armed = 0
        self._expired = expired

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[VsConn]:
        """Every connection, the oldest first."""
        found = []
        for conn in (*self.chains.values(), *self._templates.values()):
            link: VsConn | None = conn
            while link is not None:
                found.append(link)
                link = link.older
        return iter(sorted(found, key=attrgetter("serial")))

    def listed(self) -> list[VsConn]:
        """
        Every connection in the order of /proc/net/ip_vs_conn: by bucket, the newest of a bucket first.

        The kernel keys its hash by a number drawn at boot; here it is 0.
        """
        newest_first = list(self)[::-1]
        return sorted(newest_first, key=bucket_of)

    def incoming(self, family: int, proto: int, caddr: int, cport: int, vaddr: int, vport: int) -> VsConn | None:
        """The connection of a request: from a client to a virtual address."""
        conn = self.chains.get((family, proto, caddr, cport))
        while conn is not None and (conn.vport != vport or conn.vaddr != vaddr):
            conn = conn.older
        return conn

    def outgoing(self, family: int, proto: int, caddr: int, cport: int, raddr: int, rport: int) -> VsConn | None:
        """The connection of a reply: to a client, from where its destination's answers come."""
        conn = self.chains.get((family, proto, caddr, cport))
        while conn is not None and (conn.rport != rport or conn.raddr != raddr):
            conn = conn.older
        return conn

    def template(self, family: int, proto: int, caddr: int, vaddr: int, vport: int) -> VsConn | None:
        """What is remembered of a client's (masked) address."""
        conn = self._templates.get((family, proto, caddr, 0))
        while conn is not None and (conn.vport != vport or conn.vaddr != vaddr):
            conn = conn.older
        return conn

    def add(self, conn: VsConn) -> None:
        """Enter a connection and start its timer."""
        if conn.method is _MASQ:
            conn.raddr, conn.rport = conn.daddr, conn.dport
        else:
            conn.raddr, conn.rport = conn.vaddr, conn.vport
        self._link(conn)
        self._armed += 1
        conn.armed = self._armed
        conn.timer = self.clock.call_after(conn.timeout, self._fire, conn)

    def touch(self, conn: VsConn) -> None:
        """Start a connection's time anew; one whose slot of the timer wheel stays the same keeps its place there."""
        timer, deadline = conn.timer, self.clock.now + conn.timeout
        if timer is None:
            return
        if timer.deadline is None or _slot(timer.deadline, conn.timeout) != _slot(deadline, conn.timeout):
            self._armed += 1
            conn.armed = self._armed
        timer.reset(deadline)

    def expire(self, conn: VsConn) -> None:
        """Let a connection end now, unless others depend on it."""
        if conn.serial:
            self._end(conn)

    def delete(self, conn: VsConn) -> None:
        """Take a connection away, and with it a template that it leaves with nothing, unless others depend on it."""
        if conn.serial:
            if conn.control is not None:
                conn.timeout = 0  # by this its end is known to be no natural one
            self._end(conn)

    def invalidate(self, template: VsConn) -> None:
        """Let a template that leads nowhere be found no more; it stays in the listing until its time is up."""
        self._unlink(template)
        template.vport, template.dport, template.cport = _NO_PORT, _NO_PORT, 0
        self._link(template)

    def _fire(self, conn: VsConn) -> None:
        """
        A connection's time is up.

        Of one slot of the kernel's timer wheel the timer that was set last fires first. So a template goes with the
        connections of its slot that were heard of later than it was, and is kept by one that was heard of earlier.
        Timers fire at their own time here; the one waits for the other.
        """
        timer, control, now = conn.timer, conn.control, self.clock.now
        assert timer is not None
        awaited = None
        if conn.dependants:
            awaited = _last_of_slot(conn, now)
        elif control is not None and conn.armed < control.armed and control.timer is not None:
            awaited = control.timer.deadline
            if awaited is not None and (awaited < now or _slot(awaited, control.timeout) > _slot(now, conn.timeout)):
                awaited = None
        if awaited is None:
            self._end(conn)
        else:
            timer.reset(awaited + 1)

    def _end(self, conn: VsConn) -> None:
        """End a connection; one that others depend on is kept for another while."""
        if conn.dependants:
            conn.timeout = _IN_USE
            self.touch(conn)
            return
        self._unlink(conn)
        if conn.timer is not None:
            conn.timer.cancel()
        conn.leave_control()
        self._expired(conn)

    def _link(self, conn: VsConn) -> None:
        """Put a connection at the head of its chain."""
        table = self._templates if conn.template else self.chains
        client = (conn.family, conn.proto, conn.caddr, conn.cport)
        head = table.setdefault(client, conn)
        if head is not conn:
            conn.older, table[client] = head, conn
        self._size += 1
        self._serial += 1
        conn.serial = self._serial

    def _unlink(self, conn: VsConn) -> None:
        """Take a connection out of its chain."""
        table = self._templates if conn.template else self.chains
        client = (conn.family, conn.proto, conn.caddr, conn.cport)
        link = table[client]
        if link is not conn:
            while link.older is not conn:
                assert link.older is not None
                link = link.older
            link.older = conn.older
        elif conn.older is not None:
            table[client] = conn.older
        else:
            del table[client]
        conn.older = None
        conn.serial = 0
        self._size -= 1


def _slot(deadline: int, timeout: int) -> int:
    """
    When a timer fires at last that was set *timeout* before its *deadline*.

    The kernel's timer wheel is the coarser the longer a timer runs: 4 ms for a quarter of a second, then eight times as
    much for every eightfold time.
    """
    width, reach = _TICK, 64 * _TICK
    while timeout >= reach:
        width, reach = width * 8, reach * 8
    return (deadline // width + 1) * width


def _last_of_slot(template: VsConn, now: int) -> int | None:
    """When the last connection of a template that is due *now* is due itself, if all fire before it in its slot."""
    end, last = _slot(now, template.timeout), now
    for each in template.dependants or ():
        due = each.timer.deadline if each.timer is not None else None
        if due is None or _slot(due, each.timeout) > end or each.armed < template.armed:
            return None
        last = max(last, due)
    return last


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & 0xFFFFFFFF


def _jhash(words: tuple[int, int, int], start: int) -> int:
    """Jenkins' lookup3 of three words (Bob Jenkins, 2006), as the kernel's jhash_3words."""
    seed = start + 0xDEADBEEF + 12
    a, b, c = ((word + seed) & 0xFFFFFFFF for word in words)
    for x, y, by in (
        (2, 1, 14),
        (0, 2, 11),
        (1, 0, 25),
        (2, 1, 16),
        (0, 2, 4),
        (1, 0, 14),
        (2, 1, 24),
    ):
        v = [a, b, c]
        v[x] = (v[x] ^ v[y]) - _rotate(v[y], by) & 0xFFFFFFFF
        a, b, c = v
    return c


def bucket_of(conn: VsConn) -> int:
    """The bucket of the kernel's table that a connection is in; its hash has 0 for the key that the kernel draws."""
    address = conn.caddr
    if conn.family == 6:
        address = (address ^ address >> 32 ^ address >> 64 ^ address >> 96) & 0xFFFFFFFF
    raw = int.from_bytes(address.to_bytes(4), "little")
    port = int.from_bytes(conn.cport.to_bytes(2), "little")
    return _jhash((raw, port, conn.proto), 0) & TABLE_SIZE - 1
