"""
Cutting a packet into fragments that fit a link (RFC 791, RFC 8200 section 4.5).
"""

from __future__ import annotations

from svcsim.addr import Family
from svcsim.errors import PacketError
from svcsim.packet import Packet
from svcsim.wire import decode, encode

__all__ = ["fragments_of"]


def fragments_of(packet: Packet, mtu: int) -> list[Packet]:
    """
    Cut *packet* so that no piece is longer than *mtu* bytes.

    >>> whole = Packet.udp("192.0.2.1:7", "192.0.2.2:7", bytes(100), dont_fragment=False)
    >>> [(p.length, p.fragment_offset, p.more_fragments) for p in fragments_of(whole, 68)]
    [(68, 0, True), (68, 6, True), (32, 12, False)]
    """
    if packet.length <= mtu:
        return [packet]
    if packet.family is Family.IPV6:
        raise PacketError("IPv6 packets are fragmented by their sender alone")
    raw = encode(packet)
    start = 20 + len(packet.options)
    room = (mtu - start) & ~7
    if room < 8:
        raise PacketError(f"an MTU of {mtu} has no room for data behind {start} bytes of header")
    pieces = []
    for at in range(start, len(raw), room):
        piece = raw[at : at + room]
        last = at + room >= len(raw)
        whole = packet.rewritten(
            header=None,
            sport=0,
            dport=0,
            payload=piece,
            checksum=None,
            fragment_offset=packet.fragment_offset + (at - start) // 8,
            more_fragments=packet.more_fragments or not last,
        )
        pieces.append(decode(encode(whole)))  # the first piece has a transport header to be read again
    return pieces
