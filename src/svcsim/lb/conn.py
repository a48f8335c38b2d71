"""
IPVS connections and persistence templates, and the table that finds them by either side.

Behaviour of: ip_vs_conn. A new connection with the key of one that is about to expire stands before it; both exist
until the old one's timer has fired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from svcsim.clock import SECOND, Clock, Timer
from svcsim.lb.service import Destination, ForwardingMethod
from svcsim.lb.states import SCTP_NAMES, TCP_NAMES
from svcsim.packet import Proto

__all__ = ["ConnKey", "ConnTable", "VsConn"]

#: Family, protocol, client address and port, and the address and port on the other side.
ConnKey = tuple[int, int, int, int, int, int]

_NEW = 3 * SECOND
#: How long what others depend on (a template) is kept when its time is up.
_IN_USE = 60 * SECOND
_TABLE_BITS = 12  # ip_vs.conn_tab_bits
_ANY = 0


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
    controlled: int = 0
    timer: Timer | None = None
    in_key: ConnKey = (0, 0, 0, 0, 0, 0)
    out_key: ConnKey = (0, 0, 0, 0, 0, 0)
    older_in: VsConn | None = None  # the one that this one hides
    older_out: VsConn | None = None

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

    *incoming* finds a connection by client and virtual side, *outgoing* by client and the side that replies come from.
    """

    def __init__(self, clock: Clock, expired: Callable[[VsConn], None]) -> None:
        self.clock = clock
        self.incoming: dict[ConnKey, VsConn] = {}
        self.outgoing: dict[ConnKey, VsConn] = {}
        self.templates: dict[ConnKey, VsConn] = {}
        self._all: dict[int, VsConn] = {}
        self._expired = expired

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[VsConn]:
        """Every connection, the oldest first."""
        return iter(list(self._all.values()))

    def listed(self) -> list[VsConn]:
        """
        Every connection in the order of /proc/net/ip_vs_conn: by bucket, the newest of a bucket first.

        The kernel keys its hash by a number drawn at boot; here it is 0.
        """
        newest_first = list(self._all.values())[::-1]
        return sorted(newest_first, key=_bucket)

    def add(self, conn: VsConn) -> None:
        """Enter a connection and start its timer."""
        family, proto = conn.family, conn.proto
        conn.in_key = (family, proto, conn.caddr, conn.cport, conn.vaddr, conn.vport)
        self._all[id(conn)] = conn
        if conn.template:
            conn.older_in = self.templates.get(conn.in_key)
            self.templates[conn.in_key] = conn
        else:
            if conn.method is ForwardingMethod.MASQ:
                conn.out_key = (family, proto, conn.caddr, conn.cport, conn.daddr, conn.dport)
            else:
                conn.out_key = conn.in_key
            conn.older_in = self.incoming.get(conn.in_key)
            self.incoming[conn.in_key] = conn
            conn.older_out = self.outgoing.get(conn.out_key)
            self.outgoing[conn.out_key] = conn
        clock = self.clock
        conn.timer = clock.call_at(clock.now + conn.timeout, self._fire, conn)

    def touch(self, conn: VsConn) -> None:
        """Start a connection's time anew."""
        timer = conn.timer
        if timer is not None:
            timer.reset(self.clock.now + conn.timeout)

    def expire(self, conn: VsConn) -> None:
        """Let a connection end now, unless others depend on it."""
        if id(conn) in self._all:
            self._fire(conn)

    def invalidate(self, template: VsConn) -> None:
        """Make a template that leads nowhere unfindable; it stays in the listing until its time is up."""
        self._unlink(template)
        template.vport, template.dport, template.cport = 0xFFFF, 0xFFFF, 0
        template.older_in = None
        template.in_key = (template.family, template.proto, template.caddr, 0, template.vaddr, 0xFFFF)
        self._all[id(template)] = template

    def _fire(self, conn: VsConn) -> None:
        if conn.controlled:
            conn.timeout = _IN_USE
            self.touch(conn)
            return
        self._unlink(conn)
        if conn.timer is not None:
            conn.timer.cancel()
        control = conn.control
        if control is not None:
            control.controlled -= 1
        self._expired(conn)

    def _unlink(self, conn: VsConn) -> None:
        del self._all[id(conn)]
        if conn.template:
            _take_out(self.templates, conn.in_key, conn, "older_in")
        else:
            _take_out(self.incoming, conn.in_key, conn, "older_in")
            _take_out(self.outgoing, conn.out_key, conn, "older_out")


def _take_out(table: dict[ConnKey, VsConn], key: ConnKey, conn: VsConn, link: str) -> None:
    """Take *conn* out of the chain of those that share its key."""
    head = table.get(key)
    if head is conn:
        older = getattr(conn, link)
        if older is None:
            del table[key]
        else:
            table[key] = older
        return
    while head is not None:
        older = getattr(head, link)
        if older is conn:
            setattr(head, link, getattr(conn, link))
            return
        head = older


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


def _bucket(conn: VsConn) -> int:
    address = conn.caddr
    if conn.family == 6:
        address = (address ^ address >> 32 ^ address >> 64 ^ address >> 96) & 0xFFFFFFFF
    raw = int.from_bytes(address.to_bytes(4), "little")
    port = int.from_bytes(conn.cport.to_bytes(2), "little")
    return _jhash((raw, port, conn.proto), 0) & (1 << _TABLE_BITS) - 1
