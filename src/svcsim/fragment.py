"""
Cutting a packet into fragments that fit a link (RFC 791, RFC 8200 section 4.5).

Behaviour of: ip_do_fragment and ip6_fragment. A datagram that came in fragments leaves in pieces of the same sizes if
they fit, else it is cut anew; pinned by the scenarios iptables-fragments-*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from svcsim.addr import Family
from svcsim.errors import PacketError
from svcsim.packet import Packet
from svcsim.wire import decode, encode

__all__ = ["fragments_of"]

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_FRAGMENT_HEADER = 8
_END_OF_OPTIONS, _NO_OPERATION, _COPIED = 0, 1, 0x80


def fragments_of(packet: Packet, mtu: int, *, sizes: Sequence[int] = (), ident: int = 0) -> list[Packet]:
    """
    Cut *packet* so that no piece is longer than *mtu* bytes.

    *sizes* are the bytes of data in each fragment that it came in; if they fit they are kept, even where it would fit
    as a whole. *ident* is for IPv6 alone, whose fragments get an identification when they are made.

    >>> whole = Packet.udp("192.0.2.1:7", "192.0.2.2:7", bytes(100), dont_fragment=False)
    >>> [(p.length, p.fragment_offset, p.more_fragments) for p in fragments_of(whole, 68)]
    [(68, 0, True), (68, 6, True), (32, 12, False)]
    >>> [p.length for p in fragments_of(whole, 1500, sizes=(8, 64, 36))]
    [28, 84, 56]
    """
    if packet.length <= mtu and len(sizes) < 2:
        return [packet]
    if packet.family is Family.IPV6:
        return _cut_ipv6(packet, mtu, sizes, ident)
    raw = encode(packet)
    start = 20 + len(packet.options)
    pieces = []
    for at, end in _cuts(len(raw) - start, mtu - start, sizes):
        piece = packet.rewritten(
            header=None,
            sport=0,
            dport=0,
            payload=raw[start + at : start + end],
            checksum=None,
            options=_later_options(packet.options) if at else packet.options,
            fragment_offset=packet.fragment_offset + at // 8,
            more_fragments=packet.more_fragments or start + end < len(raw),
        )
        pieces.append(decode(encode(piece)))  # the first piece has a transport header to be read again
    return pieces


def _cuts(length: int, room: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where the pieces of *length* bytes begin and end: as they came, if all of *sizes* fit the *room*, else evenly."""
    fit = sum(sizes) == length and max(sizes, default=0) <= room and not any(size & 7 for size in sizes[:-1])
    if not fit:
        if room < 8:
            raise PacketError(f"no room for data: {room} bytes behind the header")
        even = room & ~7
        sizes = [even] * -(min(room - length, 0) // even)  # the last piece may fill the room to the byte
        sizes.append(length - sum(sizes))
    at = 0
    for size in sizes:
        yield at, at + size
        at += size


def _later_options(options: bytes) -> bytes:
    """IPv4 options as fragments but the first have them: what is not to be copied is blotted out."""
    kept, at = bytearray(options), 0
    while at < len(options) and options[at] != _END_OF_OPTIONS:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            break
        if not options[at] & _COPIED:
            kept[at : at + size] = bytes([_NO_OPERATION]) * size
        at += size
    return bytes(kept)


def _cut_ipv6(packet: Packet, mtu: int, sizes: Sequence[int], ident: int) -> list[Packet]:
    raw = encode(packet)
    start, named_at = _unfragmentable(raw)
    pieces = []
    for at, end in _cuts(len(raw) - start, mtu - start - _FRAGMENT_HEADER, sizes):
        head = bytearray(raw[:start])
        head[4:6] = (start - 40 + _FRAGMENT_HEADER + end - at).to_bytes(2)
        head[named_at] = _FRAGMENT
        more = start + end < len(raw)
        fragment = bytes([raw[named_at], 0]) + (at | more).to_bytes(2) + ident.to_bytes(4)
        pieces.append(decode(bytes(head) + fragment + raw[start + at : start + end]))
    return pieces


def _unfragmentable(raw: bytes) -> tuple[int, int]:
    """Where the part of an IPv6 packet ends that each fragment repeats, and the byte that names what follows it."""
    at, named_at, routed = 40, 6, False
    while raw[named_at] in (_HOP_BY_HOP, _ROUTING) or (raw[named_at] == _DESTINATION and not routed):
        if at + 2 > len(raw):
            break
        routed = routed or raw[named_at] == _ROUTING
        at, named_at = at + (raw[at + 1] + 1) * 8, at
    return min(at, len(raw)), named_at
