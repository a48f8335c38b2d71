"""
Connections: what is known of each flow, found by either of its two tuples.

Behaviour of: nf_conntrack_core. The table knows nothing of hooks or packets; the trackers in `conntrack_proto` and its
neighbours tell it how long an entry lives, and `tracking` asks it for each packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import attrs

from svcsim.addr import format_address
from svcsim.clock import SECOND, Clock, Timer
from svcsim.conntrack_index import BucketIndex, SourceIndex
from svcsim.errors import ExistsError
from svcsim.packet import ConnTuple, Proto
from svcsim.rng import Streams
from svcsim.sysctl import Sysctl, Sysctls

__all__ = ["Conn", "ConnSeen", "ConnState", "Conntrack", "Statistics", "Status", "invert", "opposite"]

#: ICMP types that ask, with those that answer; no other type has an opposite (icmp and icmpv6 trackers).
_ICMP_OPPOSITES = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
_ICMPV6_OPPOSITES = {128: 129, 129: 128, 139: 140, 140: 139}

#: Protocols whose entries may clash and be merged: nothing is lost if two packets of one flow make two entries.
_MERGEABLE = frozenset({Proto.UDP, Proto.UDPLITE, Proto.GRE})

#: How long the half-inserted loser of a clash lives: until its reply, or this.
_CLASH_LIFETIME = SECOND

_NAMES = {int(proto): proto.name.lower() for proto in Proto}
_PREFIX = "net.netfilter.nf_conntrack_"
_MAX, _COUNT, _BUCKETS, _ACCT = (_PREFIX + name for name in ("max", "count", "buckets", "acct"))
_PARAMETERS = [
    Sysctl(_MAX, 262144),  # as many as buckets, which are 262144 from 4 GiB of memory on
    Sysctl(_COUNT, 0, read_only=True),
    Sysctl(_BUCKETS, 262144, minimum=1),
    Sysctl(_ACCT, 0, maximum=1),
    Sysctl(_PREFIX + "checksum", 1, maximum=1),
    Sysctl(_PREFIX + "events", 2, maximum=2, modelled=False),
    Sysctl(_PREFIX + "expect_max", 4096, modelled=False),
    Sysctl(_PREFIX + "frag6_low_thresh", 3145728, modelled=False),
    Sysctl(_PREFIX + "log_invalid", 0, maximum=255, modelled=False),
    Sysctl(_PREFIX + "timestamp", 0, maximum=1, modelled=False),
]


class Status:
    """The bits of `Conn.status`, numbered as in the kernel; plain integers, because they are tested for each packet."""

    EXPECTED = 1 << 0
    SEEN_REPLY = 1 << 1
    ASSURED = 1 << 2
    CONFIRMED = 1 << 3
    SRC_NAT = 1 << 4
    DST_NAT = 1 << 5
    SEQ_ADJUST = 1 << 6
    SRC_NAT_DONE = 1 << 7
    DST_NAT_DONE = 1 << 8
    DYING = 1 << 9
    FIXED_TIMEOUT = 1 << 10
    NAT_CLASH = 1 << 12

    NAT = SRC_NAT | DST_NAT
    NAT_DONE = SRC_NAT_DONE | DST_NAT_DONE


_CONFIRMED, _DYING, _FIXED = Status.CONFIRMED, Status.DYING, Status.FIXED_TIMEOUT


def opposite(tuple: ConnTuple) -> ConnTuple | None:
    """
    The tuple of the packets that answer those of *tuple*; None for an ICMP type that is never answered.

    >>> opposite((4, 17, 0xC0000201, 0x0A600001, 5000, 53))
    (4, 17, 174063617, 3221225985, 53, 5000)
    >>> opposite((4, 1, 1, 2, 77, 8 << 8)), opposite((4, 1, 1, 2, 0, 5 << 8))
    ((4, 1, 2, 1, 77, 0), None)
    """
    family, proto, src, dst, sport, dport = tuple
    if proto != 1 and proto != 58:
        return (family, proto, dst, src, dport, sport)
    type = (_ICMP_OPPOSITES if proto == 1 else _ICMPV6_OPPOSITES).get(dport >> 8)
    return None if type is None else (family, proto, dst, src, sport, type << 8 | dport & 0xFF)


def invert(tuple: ConnTuple) -> ConnTuple:
    """The opposite of a tuple that is known to have one: any but that of an ICMP message that is never answered."""
    inverse = opposite(tuple)
    assert inverse is not None, tuple
    return inverse


class ConnState:
    """What a protocol's tracker keeps of one connection, where that is more than a time."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The state as ``conntrack -L`` shows it."""
        raise NotImplementedError

    @property
    def closing(self) -> bool:
        """Whether the connection may be given up for another one although it is ASSURED."""
        return False

    def close(self) -> str:
        """Take the connection for closed; answer with the name of the parameter that says how long it is still kept."""
        return ""


@attrs.define(eq=False)
class Conn:
    """
    One connection: *orig* is the tuple of its first packet, *reply* the one that answers are expected to have.

    Without NAT the two are each other's opposite; NAT lives in *reply* alone. *lifetime* is the time-out in nanoseconds
    that starts with confirmation; from then on *timer* runs. *counters* are packets and bytes of either direction, kept
    only if accounting was on when the connection was made.
    """

    orig: ConnTuple
    reply: ConnTuple
    id: int
    status: int = 0
    mark: int = 0
    lifetime: int = 0
    timer: Timer | None = None
    state: ConnState | None = None
    stream_after: int = 0  # UDP: from when on it is more than one question and its answer
    counters: list[int] | None = None
    masqueraded_on: str = ""  # the device that lent its address

    @property
    def confirmed(self) -> bool:
        """Whether it is in the table."""
        return self.status & _CONFIRMED != 0

    @property
    def proto(self) -> int:
        """The transport protocol's number."""
        return self.orig[1]

    def remaining(self, now: int) -> int:
        """Nanoseconds that it will still be kept if nothing more comes."""
        timer = self.timer
        return self.lifetime if timer is None or timer.deadline is None else max(0, timer.deadline - now)

    @property
    def seen(self) -> ConnSeen:
        """What it is now, to be told later."""
        return ConnSeen(self.orig, self.reply)

    def __str__(self) -> str:
        return str(self.seen)


class ConnSeen(NamedTuple):
    """Both tuples of a connection as they were at a moment; NAT may change the second."""

    orig: ConnTuple
    reply: ConnTuple

    def __str__(self) -> str:
        proto = self.orig[1]
        name = _NAMES.get(proto, f"protocol {proto}")
        ends = (f"{_end(t, 2)} > {_end(t, 3)}" for t in self)
        return f"{name} {' answered by '.join(ends)}"


def _end(tuple: ConnTuple, at: int) -> str:
    text = format_address(tuple[0], tuple[at])
    if tuple[1] in (Proto.ICMP, Proto.ICMPV6):
        return text
    return f"{text}:{tuple[at + 2]}" if tuple[0] == 4 else f"[{text}]:{tuple[at + 2]}"


@attrs.define
class Statistics:
    """What ``conntrack -S`` counts, in its order."""

    found: int = 0
    invalid: int = 0
    insert: int = 0
    insert_failed: int = 0
    drop: int = 0
    early_drop: int = 0
    error: int = 0
    search_restart: int = 0
    clash_resolve: int = 0
    chaintoolong: int = 0


class Conntrack:
    """
    The connection table of one host, shared by both families; a connection is found by either of its tuples.

    >>> table = Conntrack(Clock(), Sysctls(), Streams())
    >>> query = (4, 17, 0xC0000201, 0x0A600001, 5000, 53)
    >>> conn = table.create(query, invert(query))
    >>> table.find(query) is None
    True
    >>> table.refresh(conn, 30 * SECOND)
    >>> table.confirm(conn) is conn, table.find(invert(query)) == (conn, True)
    (True, True)
    >>> table.clock.advance(30 * SECOND); len(table)
    0
    """

    def __init__(self, clock: Clock, sysctls: Sysctls, streams: Streams) -> None:
        self.clock = clock
        self.sysctls = sysctls
        self.statistics = Statistics()
        self._streams = streams
        self._table: dict[ConnTuple, tuple[Conn, bool]] = {}
        #: The connection that *tuple* belongs to, and whether as its reply; None if there is none.
        self.find: Callable[[ConnTuple], tuple[Conn, bool] | None] = self._table.get
        self._count = 0
        self._last_id = 0
        self._sources: SourceIndex[Conn] | None = None
        self._buckets: BucketIndex[Conn] | None = None
        sysctls.declare(_PARAMETERS)
        sysctls.on_write(_BUCKETS, self._resized)

    # -- asking --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Conn]:
        """The confirmed connections, oldest first; the half-inserted losers of clashes are not shown."""
        return iter([conn for conn, is_reply in self._table.values() if not is_reply or conn.orig == conn.reply])

    def is_taken(self, tuple: ConnTuple, conn: Conn) -> bool:
        """Whether another flow than *conn*'s is found by *tuple*; one of the same original tuple is the same flow."""
        found = self._table.get(tuple)
        if found is None or found[0] is conn or found[0].orig == conn.orig:
            return False
        self.statistics.found += 1
        return True

    def of_source(self, tuple: ConnTuple) -> Iterable[Conn]:
        """The connections whose source NAT is settled and whose original source is that of *tuple*; newest first."""
        index = self._sources
        if index is None:  # few rulesets ever ask, so it is made when the first one does
            index = self._sources = SourceIndex()
            for conn in self:
                if conn.status & Status.SRC_NAT_DONE:
                    index.add(conn.orig, conn)
        return index.of(tuple)

    # -- the life of a connection --------------------------------------------------------------------------------------

    def create(self, orig: ConnTuple, reply: ConnTuple) -> Conn | None:
        """Make a connection, which is not in the table until it is confirmed; None if the table is full."""
        values = self.sysctls.values
        if self._count >= self.sysctls[_MAX] and not self._make_room(orig):
            return None
        self._last_id += 1
        return Conn(orig, reply, self._last_id, counters=[0, 0, 0, 0] if values[_ACCT] else None)

    def refresh(self, conn: Conn, lifetime: int) -> None:
        """Let *conn* live for *lifetime* nanoseconds from now, or from its confirmation."""
        timer = conn.timer
        if timer is None:
            conn.lifetime = lifetime
        elif not conn.status & _FIXED:
            timer.reset(self.clock.now + lifetime)

    def alter_reply(self, conn: Conn, reply: ConnTuple) -> None:
        """Expect answers of another tuple: for a connection that is not confirmed yet."""
        assert not conn.status & _CONFIRMED
        conn.reply = reply

    def confirm(self, conn: Conn) -> Conn | None:
        """
        Enter *conn* into the table, and answer with the connection that the packet now belongs to.

        That is *conn* itself, or the one that took its place if they clash and can be merged; None: drop the packet.
        """
        table = self._table
        if conn.status & _DYING:
            self.statistics.insert_failed += 1
            return None
        clash = table.get(conn.orig) or table.get(conn.reply)
        if clash is not None:
            return self._settle(conn, clash[0])
        table[conn.orig] = (conn, False)
        self._enter(conn)
        return conn

    def insert(self, conn: Conn) -> None:
        """Enter *conn* by an administrator's hand; refused if either tuple is taken."""
        if conn.orig in self._table or conn.reply in self._table:
            raise ExistsError("Such conntrack exists, try -U to update")
        self.statistics.insert += 1
        self.confirm(conn)

    def delete(self, conn: Conn) -> None:
        """Forget *conn*; if it is not confirmed yet it never will be."""
        if conn.status & _DYING:
            return
        conn.status |= _DYING
        timer = conn.timer
        if timer is None:
            return
        timer.cancel()
        timer.function, timer.arguments = _nothing, ()  # its place in the clock's queue shall not keep *conn* alive
        table = self._table
        for tuple in (conn.orig, conn.reply):
            found = table.get(tuple)
            if found is not None and found[0] is conn:
                del table[tuple]
        self._set_count(self._count - 1)
        if self._sources is not None:
            self._sources.discard(conn.orig, conn)
        if self._buckets is not None:
            self._buckets.discard(conn.orig, conn)
            self._buckets.discard(conn.reply, conn)

    def close(self, conn: Conn) -> None:
        """Take a TCP connection for closed because this host has answered it with a reset."""
        parameter = conn.state.close() if conn.state is not None and conn.status & _CONFIRMED else ""
        if parameter:
            self.refresh(conn, self.sysctls[parameter] * SECOND)

    def flush(self) -> None:
        """Forget all connections."""
        for conn, _ in list(self._table.values()):
            self.delete(conn)

    def delete_where(self, unwanted: Callable[[Conn], bool]) -> int:
        """Forget the connections that are *unwanted*; answer how many those were."""
        doomed = [conn for conn in self if unwanted(conn)]
        for conn in doomed:
            self.delete(conn)
        return len(doomed)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _enter(self, conn: Conn) -> None:
        """Put *conn* where answers find it, and start its time."""
        self._table[conn.reply] = (conn, True)
        conn.status |= _CONFIRMED
        clock = self.clock
        conn.timer = clock.call_at(clock.now + conn.lifetime, self.delete, conn)
        self._set_count(self._count + 1)
        if self._sources is not None and conn.status & Status.SRC_NAT_DONE:
            self._sources.add(conn.orig, conn)
        if self._buckets is not None:
            self._buckets.add(conn.orig, conn)
            self._buckets.add(conn.reply, conn)

    def _settle(self, loser: Conn, winner: Conn) -> Conn | None:
        """
        Two entries for one tuple: merge them, or enter just the later one's reply, or drop the packet.

        The middle way is that of two queries from one socket that NAT sent to two servers: both answers find home.
        """
        statistics = self.statistics
        if loser.proto in _MERGEABLE:
            same = (winner.orig, winner.reply) in ((loser.orig, loser.reply), (loser.reply, loser.orig))
            if same or not winner.status & Status.NAT_DONE:
                if winner.counters is not None and loser.counters is not None:
                    winner.counters = [a + b for a, b in zip(winner.counters, loser.counters, strict=True)]
                statistics.clash_resolve += 1
                return winner
            if loser.reply not in self._table:
                loser.status |= _FIXED | Status.NAT_CLASH
                loser.lifetime = _CLASH_LIFETIME
                self._enter(loser)
                statistics.clash_resolve += 1
                return loser
        statistics.drop += 1
        statistics.insert_failed += 1
        return None

    def _make_room(self, tuple: ConnTuple) -> bool:
        """The table is full: forget what is not ASSURED in the first of the nearest eight buckets that has any."""
        buckets = self._buckets
        if buckets is None:  # made when first needed: most tables are never full
            key = self._streams["conntrack hash"].u64()
            buckets = self._buckets = BucketIndex(key, self.sysctls[_BUCKETS])
            for held, (conn, _) in self._table.items():
                buckets.add(held, conn)
        victims = buckets.first_with(tuple, lambda conn: not conn.status & Status.ASSURED)
        for conn in victims:
            self.delete(conn)
        self.statistics.early_drop += len(victims)
        return bool(victims)

    def _resized(self) -> None:
        self._buckets = None

    def _set_count(self, count: int) -> None:
        self._count = count
        self.sysctls.values[_COUNT] = count


def _nothing() -> None:
    """What a cancelled timer does."""
