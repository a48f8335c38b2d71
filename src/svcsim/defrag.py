"""
Putting fragments together again, as a host does that tracks connections.

Behaviour of: nf_defrag_ipv4 and nf_defrag_ipv6 over inet_fragment. Fragments of one datagram are held until it is whole;
one that overlaps another costs the whole datagram (RFC 5722), a repeated one is left out.
"""

from __future__ import annotations

from typing import Any

import attrs

from svcsim.addr import Family
from svcsim.clock import SECOND, Clock, Timer
from svcsim.errors import PacketError
from svcsim.packet import Packet
from svcsim.sysctl import Sysctl, Sysctls
from svcsim.wire import decode, encode

__all__ = ["Defragmenter", "Whole"]

_LARGEST = 65535
#: What a held fragment costs beside its bytes; the kernel counts its buffers' true size.
_OVERHEAD = 512
_FRAGMENT_HEADER = 44
_AUTHENTICATION = 51
_PARAMETERS = {
    Family.IPV4: [Sysctl("net.ipv4.ipfrag_time", 30), Sysctl("net.ipv4.ipfrag_high_thresh", 4194304)],
    Family.IPV6: [
        Sysctl("net.netfilter.nf_conntrack_frag6_timeout", 60),
        Sysctl("net.netfilter.nf_conntrack_frag6_high_thresh", 4194304),
    ],
}


@attrs.define
class Whole:
    """A datagram that was put together, and the length of the largest fragment that it came in."""

    packet: Packet
    largest_fragment: int


@attrs.define(eq=False)
class _Queue:
    """The fragments of one datagram by offset in bytes; *total* is known when the last one is here."""

    timer: Timer
    pieces: dict[int, Packet] = attrs.field(factory=dict)
    end: int = 0
    ended: bool = False
    held: int = 0


class Defragmenter:
    """
    The fragments that one family of a host holds.

    >>> from svcsim.fragment import fragments_of
    >>> whole = Packet.udp("192.0.2.1:7", "192.0.2.2:7", bytes(100), ident=5, dont_fragment=False)
    >>> defragmenter = Defragmenter(Family.IPV4, Clock(), Sysctls())
    >>> for piece in fragments_of(whole, 68):
    ...     found = defragmenter.add(piece)
    >>> found.packet == whole, found.largest_fragment
    (True, 68)
    """

    def __init__(self, family: Family, clock: Clock, sysctls: Sysctls) -> None:
        self._clock = clock
        self._sysctls = sysctls
        self._queues: dict[tuple[Any, ...], _Queue] = {}
        self._held = 0
        sysctls.declare(_PARAMETERS[family])
        self._time, self._limit = (parameter.name for parameter in _PARAMETERS[family])

    def __len__(self) -> int:
        return len(self._queues)

    def add(self, fragment: Packet, place: object = None) -> Whole | None:
        """Hold *fragment*; answer with the datagram if it is whole now. What is met at different places stays apart."""
        proto = fragment.proto if fragment.family is Family.IPV4 else 0
        key = (place, fragment.src, fragment.dst, proto, fragment.ident)
        queue = self._queues.get(key)
        if queue is None:
            if self._held >= self._sysctls[self._limit]:
                return None
            lifetime = self._sysctls[self._time] * SECOND
            queue = self._queues[key] = _Queue(self._clock.call_after(lifetime, lambda: self._forget(key)))
        start = fragment.fragment_offset * 8
        size = _size(fragment)
        if not fragment.more_fragments:
            consistent = start + size >= queue.end and not (queue.ended and start + size != queue.end)
            queue.ended = True
        else:
            size &= ~7
            consistent = not (queue.ended and start + size > queue.end)
        end = start + size
        if not consistent or size == 0 or end > _LARGEST or self._overlaps(queue, start, end):
            self._forget(key)
            return None
        queue.end = max(queue.end, end)
        if start not in queue.pieces and not self._repeats(queue, start, end):
            queue.pieces[start] = fragment
            cost = size + _OVERHEAD
            queue.held += cost
            self._held += cost
        if not queue.ended or sum(_size(piece) for piece in queue.pieces.values()) < queue.end:
            return None
        self._forget(key)
        try:
            return _join(queue.pieces, queue.end)
        except PacketError:
            return None  # together they are no packet, or one too long

    @staticmethod
    def _repeats(queue: _Queue, start: int, end: int) -> bool:
        """Whether these bytes are here already, in one run of fragments."""
        reached = start
        for at in sorted(queue.pieces):
            if at <= reached < at + _size(queue.pieces[at]):
                reached = at + _size(queue.pieces[at])
        return reached >= end

    @classmethod
    def _overlaps(cls, queue: _Queue, start: int, end: int) -> bool:
        """Whether some of these bytes are here already, but not all."""
        touched = any(at < end and start < at + _size(piece) for at, piece in queue.pieces.items())
        return touched and not cls._repeats(queue, start, end)

    def _forget(self, key: tuple[Any, ...]) -> None:
        queue = self._queues.pop(key, None)
        if queue is not None:
            queue.timer.cancel()
            self._held -= queue.held


def _size(fragment: Packet) -> int:
    """The bytes of the datagram that a fragment carries: all behind the IP header, IPv6 all behind the fragment header."""
    header = fragment.header
    size = len(fragment.payload) + (header.size if header is not None else 0)
    if fragment.family is Family.IPV6:
        size += len(fragment.options) - _fragment_header_end(fragment)
    return size


def _fragment_header_end(fragment: Packet) -> int:
    """Where the fragment header ends in an IPv6 packet's chain of extension headers."""
    kind, at = fragment.next_header, 0
    options = fragment.options
    while kind != _FRAGMENT_HEADER and at + 1 < len(options):
        size = (options[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (options[at + 1] + 1) * 8
        kind, at = options[at], at + size
    return at + 8


def _join(pieces: dict[int, Packet], end: int) -> Whole:
    """The datagram of fragments that leave no gap up to *end*."""
    first = pieces[0]
    largest = max(piece.length for piece in pieces.values())
    data = b"".join(_carried(pieces[at]) for at in sorted(pieces))
    assert len(data) == end
    if first.family is Family.IPV4:
        whole_df = max((p.length for p in pieces.values() if p.dont_fragment), default=0) == largest
        head = first.rewritten(
            header=None, sport=0, dport=0, payload=data, checksum=None, fragment_offset=0, more_fragments=False
        )
        return Whole(decode(encode(head.rewritten(dont_fragment=whole_df))), largest)
    return Whole(decode(encode(_without_fragment_header(first, data))), largest)


def _carried(fragment: Packet) -> bytes:
    raw = encode(fragment)
    if fragment.family is Family.IPV4:
        return raw[20 + len(fragment.options) :]
    return raw[40 + _fragment_header_end(fragment) :]


def _without_fragment_header(first: Packet, data: bytes) -> Packet:
    """The first fragment with all *data* and without its fragment header; the header before that names what follows."""
    end = _fragment_header_end(first)
    options, following = bytearray(first.options[: end - 8]), first.options[end - 8]
    next_header: int | None = following
    if options:
        kind, at, last = first.next_header, 0, 0
        while at < len(options):
            last = at
            size = (options[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (options[at + 1] + 1) * 8
            kind, at = options[at], at + size
        options[last] = following
        next_header = first.next_header
    return first.rewritten(
        proto=following,
        header=None,
        sport=0,
        dport=0,
        payload=data,
        checksum=None,
        fragment_offset=0,
        more_fragments=False,
        ident=0,
        options=bytes(options),
        next_header=next_header,
    )
