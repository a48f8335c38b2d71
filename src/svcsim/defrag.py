"""
Putting fragments together again, as a host does that tracks connections.

Behaviour of: nf_defrag_ipv4 and nf_defrag_ipv6 over inet_fragment. Fragments of a datagram are held until it is whole;
one that overlaps another costs the whole datagram (RFC 5722), a repeated one is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
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
_IPV4 = [Sysctl("net.ipv4.ipfrag_time", 30), Sysctl("net.ipv4.ipfrag_high_thresh", 4194304)]
#: How long fragments are held, and how many bytes of them: at home, and where connections are tracked.
_PARAMETERS = {
    (Family.IPV4, False): _IPV4,
    (Family.IPV4, True): _IPV4,
    (Family.IPV6, False): [Sysctl("net.ipv6.ip6frag_time", 60), Sysctl("net.ipv6.ip6frag_high_thresh", 4194304)],
    (Family.IPV6, True): [
        Sysctl("net.netfilter.nf_conntrack_frag6_timeout", 60),
        Sysctl("net.netfilter.nf_conntrack_frag6_high_thresh", 4194304),
    ],
}


@attrs.define
class Whole:
    """A datagram that was put together: the length of the largest fragment, and the bytes of data in each, in order."""

    packet: Packet
    largest_fragment: int
    sizes: tuple[int, ...]


@attrs.define(eq=False)
class _Queue:
    """The fragments of one datagram: *pieces* by offset, and *runs* of them, sorted; *ended* if the last is here."""

    timer: Timer
    indev: str = ""  # where the last one came in
    pieces: dict[int, bytes] = attrs.field(factory=dict)
    runs: list[list[int]] = attrs.field(factory=list)  # [start, end] each
    first: Packet | None = None
    end: int = 0
    ended: bool = False
    carried: int = 0
    largest: int = 0
    largest_unfragmentable: int = 0  # of those whose sender did not want them fragmented

    def place(self, start: int, end: int) -> bool | None:
        """Find room for bytes: True if there is, False if they are here already, None if they overlap others."""
        runs = self.runs
        at = bisect_right(runs, [start, _LARGEST + 1])  # runs[at] is the first one that starts behind *start*
        before, behind = runs[at - 1] if at else None, runs[at] if at < len(runs) else None
        if before is not None and start < before[1]:
            return False if end <= before[1] else None
        if behind is not None and behind[0] < end:
            return None
        if before is not None and behind is None and before[1] == start:
            before[1] = end
        else:
            runs.insert(at, [start, end])
        return True


class Defragmenter:
    """
    The fragments that one family of a host holds: for itself, or where it is *tracking* connections.

    *too_late* is told the first fragment and the last one's device of what was not whole in time.

    >>> from svcsim.fragment import fragments_of
    >>> whole = Packet.udp("192.0.2.1:7", "192.0.2.2:7", bytes(100), ident=5, dont_fragment=False)
    >>> defragmenter = Defragmenter(Family.IPV4, Clock(), Sysctls())
    >>> for piece in fragments_of(whole, 68):
    ...     found = defragmenter.add(piece)
    >>> found.packet == whole, found.largest_fragment
    (True, 68)
    """

    def __init__(
        self,
        family: Family,
        clock: Clock,
        sysctls: Sysctls,
        *,
        tracking: bool = False,
        too_late: Callable[[Packet, str], None] | None = None,
    ) -> None:
        self._clock = clock
        self._too_late = too_late
        self._sysctls = sysctls
        self._queues: dict[tuple[Any, ...], _Queue] = {}
        self._held = 0
        parameters = _PARAMETERS[family, tracking]
        sysctls.declare(parameters)
        self._time, self._limit = (parameter.name for parameter in parameters)

    def __len__(self) -> int:
        return len(self._queues)

    def add(self, fragment: Packet, place: object = None, indev: str = "") -> Whole | None:
        """
        Hold *fragment*, which came by *indev*; answer with the datagram if it is whole now.

        What is met at different places stays apart.
        """
        try:
            data = _carried(fragment)
        except PacketError:
            return None  # no bytes say this
        proto = fragment.proto if fragment.family is Family.IPV4 else 0
        key = (place, fragment.src, fragment.dst, proto, fragment.ident)
        queue = self._queues.get(key)
        if queue is None:
            if self._held >= self._sysctls[self._limit]:
                return None
            lifetime = self._sysctls[self._time] * SECOND
            queue = self._queues[key] = _Queue(self._clock.call_after(lifetime, self._give_up, key))
        queue.indev = indev
        start = fragment.fragment_offset * 8
        if fragment.more_fragments:
            data = data[: len(data) & ~7]
            consistent = not (queue.ended and start + len(data) > queue.end)
        else:
            consistent = start + len(data) >= queue.end and not (queue.ended and start + len(data) != queue.end)
            queue.ended = True
        end = start + len(data)
        room = queue.place(start, end) if consistent and data and end <= _LARGEST else None
        if room is None:
            self._forget(key)
            return None
        if room:
            self._hold(queue, fragment, start, data)
        if not queue.ended or queue.carried < queue.end:
            return None
        self._forget(key)
        try:
            return _join(queue)
        except PacketError:
            return None  # together they are no packet, or one too long

    def _hold(self, queue: _Queue, fragment: Packet, start: int, data: bytes) -> None:
        queue.pieces[start] = data
        queue.carried += len(data)
        queue.end = max(queue.end, start + len(data))
        queue.largest = max(queue.largest, fragment.length)
        if start == 0:
            queue.first = fragment
        if fragment.dont_fragment:
            queue.largest_unfragmentable = max(queue.largest_unfragmentable, fragment.length)
        self._held += len(data) + _OVERHEAD

    def _give_up(self, key: tuple[Any, ...]) -> None:
        queue = self._queues[key]
        self._forget(key)
        if queue.first is not None and queue.indev and self._too_late is not None:
            self._too_late(queue.first, queue.indev)

    def _forget(self, key: tuple[Any, ...]) -> None:
        queue = self._queues.pop(key, None)
        if queue is not None:
            queue.timer.cancel()
            self._held -= queue.carried + _OVERHEAD * len(queue.pieces)


def _fragment_header_end(fragment: Packet) -> int:
    """Where the fragment header ends in an IPv6 packet's chain of extension headers."""
    kind, at = fragment.next_header, 0
    options = fragment.options
    while kind != _FRAGMENT_HEADER and at + 1 < len(options):
        size = (options[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (options[at + 1] + 1) * 8
        kind, at = options[at], at + size
    return at + 8


def _carried(fragment: Packet) -> bytes:
    """The bytes of the datagram that a fragment carries: what follows the IP header, or the IPv6 fragment header."""
    raw = encode(fragment)
    if fragment.family is Family.IPV4:
        return raw[20 + len(fragment.options) :]
    return raw[40 + _fragment_header_end(fragment) :]


def _join(queue: _Queue) -> Whole:
    """The datagram of fragments that leave no gap."""
    first = queue.first
    assert first is not None
    pieces = [queue.pieces[at] for at in sorted(queue.pieces)]
    data, sizes = b"".join(pieces), tuple(map(len, pieces))
    if first.family is Family.IPV6:
        return Whole(decode(encode(_without_fragment_header(first, data))), queue.largest, sizes)
    whole = first.rewritten(
        header=None,
        sport=0,
        dport=0,
        payload=data,
        checksum=None,
        fragment_offset=0,
        more_fragments=False,
        dont_fragment=queue.largest_unfragmentable == queue.largest,
    )
    return Whole(decode(encode(whole)), queue.largest, sizes)


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
