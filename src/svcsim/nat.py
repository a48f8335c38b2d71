"""
Address translation: which tuple a connection gets, so that its answers find it again.

Behaviour of: nf_nat_core, nf_nat_masquerade. A connection is set up at most once for its destination and once for its
source, before it is confirmed; the mapping is nothing but the reply tuple, and outlives the rule that made it.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from svcsim.conntrack import Conn, Conntrack, Status, invert
from svcsim.conntrack_tcp import TcpPhase, TcpState
from svcsim.packet import ConnTuple, Proto
from svcsim.rng import Stream

__all__ = ["Manip", "Nat", "NatRange", "address_hash"]

_MASK = 0xFFFFFFFF
_NAT_SEEN = Status.NAT | Status.SEQ_ADJUST
_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP})
_BY_ID = frozenset({Proto.ICMP, Proto.ICMPV6})
_MERGEABLE = frozenset({Proto.UDP, Proto.UDPLITE, Proto.GRE})

#: A search tries so many ports at first, then half as many from elsewhere, until it would try fewer than 16.
_ATTEMPTS, _FEWEST_ATTEMPTS = 128, 16
#: The last tries of a round may take a port from a TCP connection that is over.
_LAST_TRIES = 32


class Manip(enum.Enum):
    """Which end of a packet is translated: the destination in PRE_ROUTING and LOCAL_OUT, else the source."""

    SRC = "source"
    DST = "destination"


class NatRange(NamedTuple):
    """
    What a rule lets NAT choose from; None leaves an address or a port as it is.

    *base_port* shifts a range of ports instead of scanning it. *random* and *random_fully* start anywhere even where
    the packet's own port would do. *persistent* gives a client the same address whatever it talks to. *netmap* keeps an
    address's host bits and takes the rest from *min_addr*, where *max_addr* has the host bits set.

    >>> NatRange.of(0x0A020002, 8080).max_port
    8080
    """

    min_addr: int | None = None
    max_addr: int | None = None
    min_port: int | None = None
    max_port: int | None = None
    base_port: int | None = None
    random: bool = False
    random_fully: bool = False
    persistent: bool = False
    netmap: bool = False

    @classmethod
    def of(cls, address: int | None, port: int | None = None) -> NatRange:
        """The range of one address, and one port if given."""
        return cls(address, address, port, port)

    def at(self, address: int) -> NatRange:
        """This range with *address* alone: MASQUERADE and REDIRECT learn theirs from the packet."""
        return self._replace(min_addr=address, max_addr=address, netmap=False)

    @property
    def any_port(self) -> bool:
        """Whether the packet's own port is nothing special."""
        return self.random or self.random_fully


class Nat:
    """
    The translations of one host.

    >>> from svcsim.clock import Clock
    >>> from svcsim.rng import Streams
    >>> from svcsim.sysctl import Sysctls
    >>> table = Conntrack(Clock(), Sysctls(), Streams())
    >>> query = (4, 17, 0xC0000201, 0x0A600001, 5000, 53)
    >>> conn = table.create(query, invert(query))
    >>> Nat(table, Streams()["nat"]).set_up(conn, NatRange.of(0x0A020002, 5353), Manip.DST)
    >>> conn.reply == (4, 17, 0x0A020002, 0xC0000201, 5353, 5000)
    True
    """

    def __init__(self, table: Conntrack, stream: Stream, kernel: tuple[int, ...] = (6, 18)) -> None:
        self._table = table
        self._stream = stream
        self._plain_start = kernel >= (6, 8)  # a plain range of destination ports starts at its lowest one
        self._evicts = kernel >= (6, 5)
        self._merges_mirrors = kernel >= (6, 12)

    def set_up(self, conn: Conn, nat_range: NatRange, manip: Manip) -> None:
        """Settle one end of *conn*, which must not be settled yet; a confirmed connection stays as it is."""
        if conn.status & Status.CONFIRMED:
            return
        current = invert(conn.reply)
        if nat_range.netmap:
            nat_range = nat_range.at(_netmapped(current[2] if manip is Manip.SRC else current[3], nat_range))
        chosen = self._unique(conn, current, nat_range, manip)
        if manip is Manip.SRC:
            changed, done = Status.SRC_NAT, Status.SRC_NAT_DONE
        else:
            changed, done = Status.DST_NAT, Status.DST_NAT_DONE
        assert not conn.status & done
        if chosen != current:
            self._table.alter_reply(conn, invert(chosen))
            conn.status |= changed
        conn.status |= done

    def bind_null(self, conn: Conn, manip: Manip) -> None:
        """Settle one end as it is; if the tuple is taken another source port is found even so."""
        if self._table.find(conn.reply) is None:  # nearly always, and then there is nothing to choose
            if not conn.status & Status.CONFIRMED:
                conn.status |= Status.SRC_NAT_DONE if manip is Manip.SRC else Status.DST_NAT_DONE
            return
        current = invert(conn.reply)
        address = current[2] if manip is Manip.SRC else current[3]
        self.set_up(conn, NatRange(address, address), manip)

    # -- choosing a tuple ----------------------------------------------------------------------------------------------

    def _used(self, conn: Conn, tuple: ConnTuple) -> bool:
        """Whether answers to *tuple* would find another connection."""
        return self._table.is_taken(invert(tuple), conn)

    def _unique(self, conn: Conn, current: ConnTuple, nat_range: NatRange, manip: Manip) -> ConnTuple:
        """The tuple that *conn*'s packets get: free if any can be found, as near to *current* as the range allows."""
        if manip is Manip.SRC and not nat_range.any_port:
            if _source_in_range(current, nat_range):
                if not self._used(conn, current) or self._mirrors(conn, current):
                    return current
            else:
                reused = self._mapping_of(current, nat_range)
                if reused is not None and not self._used(conn, reused):
                    return reused
        chosen = _with_address(current, nat_range, manip)
        if not nat_range.any_port:
            if nat_range.min_port is None:
                if not self._used(conn, chosen):
                    return chosen
            elif (
                nat_range.base_port is None
                and _port_in_range(chosen, nat_range, manip)
                and (nat_range.min_port == nat_range.max_port or not self._used(conn, chosen))
            ):
                return chosen
        return self._with_port(conn, chosen, nat_range, manip)

    def _mapping_of(self, current: ConnTuple, nat_range: NatRange) -> ConnTuple | None:
        """The mapping that this source has already, towards another destination, if the range allows it."""
        for other in self._table.of_source(current):
            _, _, _, address, _, port = other.reply
            if current[1] in _BY_ID:
                port = other.reply[4]
            candidate = (*current[:2], address, current[3], port, current[5])
            if _source_in_range(candidate, nat_range):
                return candidate
        return None

    def _mirrors(self, conn: Conn, tuple: ConnTuple) -> bool:
        """Whether what is in the way is the same flow, begun from its other end at the same time."""
        if not self._merges_mirrors or conn.status & _NAT_SEEN or tuple[1] not in _MERGEABLE:
            return False
        found = self._table.find(invert(tuple))
        if found is None:
            return False
        other, is_reply = found
        return not (is_reply or other.status & _NAT_SEEN) and (other.orig, other.reply) == (conn.reply, conn.orig)

    def _with_port(self, conn: Conn, tuple: ConnTuple, nat_range: NatRange, manip: Manip) -> ConnTuple:
        """Search the range for a port (ICMP: id) that makes *tuple* free; the last one tried if none does."""
        proto = tuple[1]
        at = 4
        lowest, highest = nat_range.min_port, nat_range.max_port
        if proto in _PORTED:
            if manip is Manip.DST:
                at = 5
            if lowest is None or highest is None:
                if manip is Manip.DST:
                    return tuple
                lowest, highest = _class_of(tuple[4])
            elif highest < lowest:
                lowest, highest = highest, lowest
        elif proto not in _BY_ID:
            return tuple
        elif lowest is None or highest is None:
            lowest, highest = 0, 0xFFFF
        size = highest - lowest + 1
        if nat_range.base_port is not None:
            offset = tuple[at] - nat_range.base_port & 0xFFFF
        elif nat_range.any_port or manip is Manip.SRC or not self._plain_start:
            offset = self._random_offset(size)
        else:
            offset = 0
        attempts = min(max(size, 0), _ATTEMPTS)
        while True:
            for i in range(attempts):
                port = lowest + (offset + i & 0xFFFF) % size
                tuple = _with_key(tuple, at, port)
                if not self._in_the_way(conn, tuple, attempts - i):
                    return tuple
            if attempts >= size or attempts < _FEWEST_ATTEMPTS:
                return tuple
            attempts //= 2
            offset = self._random_offset(size)

    def _random_offset(self, size: int) -> int:
        """Where in a range of *size* ports a search begins."""
        return self._stream.below(1 << 16, period=size)

    def _in_the_way(self, conn: Conn, tuple: ConnTuple, tries_left: int) -> bool:
        """Whether *tuple* is used; late in a search a TCP connection that is over gives way to a new one."""
        fresh = conn.state
        if (
            tries_left > _LAST_TRIES
            or not self._evicts
            or not isinstance(fresh, TcpState)
            or fresh.phase is not TcpPhase.SYN_SENT
        ):
            return self._used(conn, tuple)
        found = self._table.find(invert(tuple))
        if found is None:
            return False
        old, is_reply = found
        if not is_reply or not isinstance(old.state, TcpState) or old.state.phase < TcpPhase.TIME_WAIT:
            return True
        if old.status & (Status.FIXED_TIMEOUT | Status.DYING) or not old.status & Status.SRC_NAT:
            return True
        ahead = fresh.windows.sides[0].end - old.state.windows.sides[0].end & _MASK
        if not 0 < ahead < 0x80000000:
            return True
        self._table.delete(old)
        return False


def _with_key(tuple: ConnTuple, at: int, key: int) -> ConnTuple:
    family, proto, src, dst, sport, dport = tuple
    return (family, proto, src, dst, key, dport) if at == 4 else (family, proto, src, dst, sport, key)


def _class_of(port: int) -> tuple[int, int]:
    """The ports that may stand for *port*: a privileged one stays privileged."""
    if port < 512:
        return 1, 511
    return (600, 1023) if port < 1024 else (1024, 65535)


def _port_in_range(tuple: ConnTuple, nat_range: NatRange, manip: Manip) -> bool:
    proto = tuple[1]
    lowest, highest = nat_range.min_port, nat_range.max_port
    if proto in _BY_ID or (manip is Manip.SRC and (proto in _PORTED or proto == Proto.GRE)):
        port = tuple[4]
    elif proto in _PORTED or proto == Proto.GRE:
        port = tuple[5]
    else:
        return True
    return lowest is None or highest is None or lowest <= port <= highest


def _source_in_range(tuple: ConnTuple, nat_range: NatRange) -> bool:
    lowest, highest = nat_range.min_addr, nat_range.max_addr
    if lowest is not None and highest is not None and not lowest <= tuple[2] <= highest:
        return False
    return nat_range.min_port is None or _port_in_range(tuple, nat_range, Manip.SRC)


def _netmapped(address: int, nat_range: NatRange) -> int:
    """The host bits of *address* in the network of the range."""
    lowest, highest = nat_range.min_addr or 0, nat_range.max_addr or 0
    return lowest & ~(lowest ^ highest) | address & (lowest ^ highest)


def _with_address(tuple: ConnTuple, nat_range: NatRange, manip: Manip) -> ConnTuple:
    """*tuple* with an address of the range; out of several the hash of both ends picks one."""
    lowest, highest = nat_range.min_addr, nat_range.max_addr
    if lowest is None or highest is None:
        return tuple
    family, proto, src, dst, sport, dport = tuple
    if lowest == highest:
        address = lowest
    else:
        address = _pick(family, src, dst, lowest, highest, manip, nat_range.persistent)
    if manip is Manip.SRC:
        return (family, proto, address, dst, sport, dport)
    return (family, proto, src, address, sport, dport)


def _pick(family: int, src: int, dst: int, lowest: int, highest: int, manip: Manip, persistent: bool) -> int:
    """
    The address of the range for a client and what it talks to; the same after every boot.

    Word by word from the left: the range's own words as long as the choice runs along its upper end, then any.
    """
    words = 1 if family == 4 else 4
    other = _words(dst, words)
    chosen = address_hash(src, 0 if persistent else other[-1], words)
    bounds = list(zip(_words(lowest, words), _words(highest, words), strict=True))
    address, along = 0, True
    for i, (low, high) in enumerate(bounds):
        low, high = _swapped(low), _swapped(high)
        start, span = (low, high - low + 1 & _MASK) if along else (0, _MASK)
        word = start + (chosen * span >> 32) & _MASK
        address = address << 32 | word
        along = along and word == high
        if not persistent:
            # The kernel writes the choice over the destination as it goes, and then mixes in what stands there.
            chosen ^= _swapped(word) if manip is Manip.DST else other[i]
    return address


def _swapped(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "little"))


def _words(address: int, count: int) -> list[int]:
    """The 32-bit words of an address as a little-endian machine reads them."""
    data = address.to_bytes(count * 4)
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, count * 4, 4)]


def address_hash(address: int, seed: int, words: int = 1) -> int:
    """
    The hash by which NAT spreads sources over a range: Jenkins' lookup3 of the address, padded to four words.

    >>> hex(address_hash(0x0A010002, _words(0x0A600001, 1)[0]))
    '0x796536c5'
    """
    key = _words(address, words) + [0] * (4 - words)
    a = b = c = 0xDEADBEEF + 16 + seed & _MASK
    a, b, c = _mix(a + key[0] & _MASK, b + key[1] & _MASK, c + key[2] & _MASK)
    return _final(a + key[3] & _MASK, b, c)


def _rotated(x: int, bits: int) -> int:
    return (x << bits | x >> (32 - bits)) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for first, second, third in ((4, 6, 8), (16, 19, 4)):
        a = (a - c & _MASK) ^ _rotated(c, first)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ _rotated(a, second)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ _rotated(b, third)
        b = b + a & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = (c ^ b) - _rotated(b, 14) & _MASK
    a = (a ^ c) - _rotated(c, 11) & _MASK
    b = (b ^ a) - _rotated(a, 25) & _MASK
    c = (c ^ b) - _rotated(b, 16) & _MASK
    a = (a ^ c) - _rotated(c, 4) & _MASK
    b = (b ^ a) - _rotated(a, 14) & _MASK
    return (c ^ b) - _rotated(b, 24) & _MASK
