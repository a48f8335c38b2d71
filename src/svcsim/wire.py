"""
Packets as bytes: `decode` and `encode` are each other's inverse, to the last bit.

Layouts of: RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 9260 (SCTP). A checksum that is right is
left out of the value and computed again when bytes are asked for; one that is not right is kept as it came.
"""

from __future__ import annotations

import struct
from struct import Struct

from svcsim.addr import Family
from svcsim.checksum import adjust, crc32c, internet
from svcsim.errors import PacketError
from svcsim.packet import Header, Icmp, Packet, Proto, Sctp, Tcp, Udp

__all__ = ["decode", "decode_quote", "encode", "rewrite_quote"]

_IPV4 = Struct("!BBHHHBBHII")
_IPV6 = Struct("!IHBB16s16s")
_TCP = Struct("!HHIIHHHH")
_UDP = Struct("!HHHH")
_ICMP = Struct("!BBHI")
_SCTP = Struct("!HHII")
_PORTS = Struct("!HH")

#: Where the checksum stands in a transport header.
_CHECKSUM_AT: dict[int, int] = {Proto.TCP: 16, Proto.UDP: 6, Proto.UDPLITE: 6, Proto.ICMP: 2, Proto.ICMPV6: 2}
_HEADER_SIZE: dict[int, int] = {Proto.TCP: 20, Proto.UDP: 8, Proto.ICMP: 8, Proto.ICMPV6: 8, Proto.SCTP: 12}
#: IPv6 extension headers: hop-by-hop, routing, fragment, authentication, destination options.
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION})


def decode(data: bytes) -> Packet:
    """
    Read one IP packet; bytes behind its total length (padding) are left out.

    >>> packet = Packet.udp("192.0.2.1:5353", "192.0.2.2:53", b"?")
    >>> decode(encode(packet)) == packet
    True
    >>> decode(b"E")
    Traceback (most recent call last):
    svcsim.errors.PacketError: cut short: an IPv4 header has at least 20 bytes, there are 1 (byte 1)
    """
    return _decode(data, whole=True)


def decode_quote(data: bytes) -> Packet | None:
    """
    Read the packet that an ICMP error quotes, which may be cut anywhere behind its IP header; None if even that is cut.

    Ports (ICMP: id, type and code) are read as soon as four bytes (ICMP: eight) are there; the rest of a cut header is
    as empty as it looks. Checksums are not judged.
    """
    try:
        return _decode(data, whole=False)
    except PacketError:
        return None


def _decode(data: bytes, *, whole: bool) -> Packet:
    if not data:
        raise PacketError("no bytes at all", offset=0)
    version = data[0] >> 4
    if version == 4:
        return _decode_ipv4(data, whole)
    if version == 6:
        return _decode_ipv6(data, whole)
    raise PacketError(f"neither IPv4 nor IPv6: version {version}", offset=0)


def _decode_ipv4(data: bytes, whole: bool) -> Packet:
    if len(data) < 20:
        raise PacketError(f"cut short: an IPv4 header has at least 20 bytes, there are {len(data)}", offset=len(data))
    first, tos, total, ident, fragment, ttl, proto, header_checksum, src, dst = _IPV4.unpack_from(data)
    start = (first & 15) * 4
    if start < 20 or start > len(data):
        raise PacketError(f"impossible IPv4 header length {start}", offset=0)
    if total < start:
        raise PacketError(f"impossible total length {total}", offset=2)
    if whole and total > len(data):
        raise PacketError(f"cut short: total length {total}, there are {len(data)}", offset=len(data))
    if fragment & 0x8000:
        raise PacketError("the reserved bit of an IPv4 header is set", offset=6)
    right = internet(data[:10] + b"\0\0" + data[12:start]) if whole else header_checksum
    offset, more = fragment & 0x1FFF, bool(fragment & 0x2000)
    body = data[start:total]
    header, sport, dport, payload, checksum = _transport(
        4, proto, src, dst, body, first=offset == 0, judged=whole and not offset and not more
    )
    return Packet(
        Family.IPV4,
        proto,
        src,
        dst,
        sport,
        dport,
        header,
        payload,
        ttl,
        tos,
        ident,
        bool(fragment & 0x4000),
        more,
        offset,
        data[20:start],
        None,
        0,
        checksum,
        None if right == header_checksum else header_checksum,
    )


def _decode_ipv6(data: bytes, whole: bool) -> Packet:
    if len(data) < 40:
        raise PacketError(f"cut short: an IPv6 header has 40 bytes, there are {len(data)}", offset=len(data))
    word, length, first, hops, source, target = _IPV6.unpack_from(data)
    total = 40 + length
    if whole and total > len(data):
        raise PacketError(f"cut short: total length {total}, there are {len(data)}", offset=len(data))
    end = min(total, len(data))
    proto, at = first, 40
    offset, more, ident = 0, False, 0
    while proto in _EXTENSIONS and not offset:
        if at + 8 > end:
            if whole:
                raise PacketError("cut short inside an extension header", offset=at)
            break
        kind, proto = proto, data[at]
        if kind == _FRAGMENT:
            place = int.from_bytes(data[at + 2 : at + 4])
            offset, more, ident = place >> 3, bool(place & 1), int.from_bytes(data[at + 4 : at + 8])
            size = 8
        else:
            size = (data[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (data[at + 1] + 1) * 8
        at += size
        if at > end:
            if whole:
                raise PacketError("cut short inside an extension header", offset=end)
            at = end
    src, dst = int.from_bytes(source), int.from_bytes(target)
    header, sport, dport, payload, checksum = _transport(
        6, proto, src, dst, data[at:end], first=offset == 0, judged=whole and not offset and not more
    )
    return Packet(
        Family.IPV6,
        proto,
        src,
        dst,
        sport,
        dport,
        header,
        payload,
        hops,
        word >> 20 & 0xFF,
        ident,
        True,
        more,
        offset,
        data[40:at],
        first if at > 40 else None,
        word & 0xFFFFF,
        checksum,
    )


def _transport(
    family: int, proto: int, src: int, dst: int, body: bytes, *, first: bool, judged: bool
) -> tuple[Header | None, int, int, bytes, int | None]:
    """Read a transport header: (header, source port, destination port, payload, checksum unless it is right)."""
    size = _HEADER_SIZE.get(proto, 0)
    known = first and size and (proto != Proto.ICMP or family == 4) and (proto != Proto.ICMPV6 or family == 6)
    if not known or len(body) < size:
        if known and len(body) >= 4 and proto not in (Proto.ICMP, Proto.ICMPV6):
            sport, dport = _PORTS.unpack_from(body)
            return None, sport, dport, body, None
        return None, 0, 0, body, None
    header: Header
    if proto == Proto.TCP:
        sport, dport, seq, ack, bits, window, checksum, urgent = _TCP.unpack_from(body)
        end = (bits >> 12) * 4
        if end < 20 or end > len(body):
            return None, sport, dport, body, None
        header = Tcp(seq, ack, bits & 0xFFF, window, urgent, body[20:end])
    elif proto == Proto.UDP:
        sport, dport, length, checksum = _UDP.unpack_from(body)
        header, end = Udp(None if length == len(body) else length), 8
    elif proto == Proto.SCTP:
        sport, dport, tag, checksum = _SCTP.unpack_from(body)
        header, end = Sctp(tag), 12
    else:
        kind, code, checksum, rest = _ICMP.unpack_from(body)
        header, sport, dport, end = Icmp(kind, code, rest), 0, 0, 8
    right = _checksum(family, proto, src, dst, body) if judged else None
    return header, sport, dport, body[end:], None if checksum == right else checksum


def _checksum(family: int, proto: int, src: int, dst: int, segment: bytes) -> int:
    """The transport checksum that *segment* should carry; what stands in its place does not count."""
    if proto == Proto.SCTP:
        return int.from_bytes(crc32c(segment[:8] + b"\0\0\0\0" + segment[12:]).to_bytes(4, "little"))
    at = _CHECKSUM_AT[proto]
    bare = segment[:at] + b"\0\0" + segment[at + 2 :]
    pseudo = 0 if proto == Proto.ICMP else src + dst + proto + len(segment)
    value = internet(bare, pseudo)
    return value or 0xFFFF if proto in (Proto.UDP, Proto.UDPLITE) else value


def encode(packet: Packet) -> bytes:
    """
    Write one IP packet; checksums that the value leaves open are computed.

    >>> encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2")).hex()
    '4500001c000040004011b6cdc0000201c00002020001000200087bd7'
    """
    try:
        return _encode(packet)
    except (struct.error, OverflowError) as error:
        raise PacketError(f"a header field is out of range: {error}") from error


def _encode(packet: Packet) -> bytes:
    if packet.length > 0xFFFF + (0 if packet.family == 4 else 40):
        raise PacketError(f"too long for a packet: {packet.length} bytes")
    body = _body(packet)
    if packet.family == 6:
        word = 6 << 28 | packet.tos << 20 | packet.flow_label
        length = len(packet.options) + len(body)
        first = packet.proto if packet.next_header is None else packet.next_header
        head = _IPV6.pack(word, length, first, packet.ttl, packet.src.to_bytes(16), packet.dst.to_bytes(16))
        return head + packet.options + body
    start = 20 + len(packet.options)
    total = start + len(body)
    if start > 60 or start & 3:
        raise PacketError(f"impossible IPv4 header length {start}")
    fragment = packet.dont_fragment << 14 | packet.more_fragments << 13 | packet.fragment_offset
    fields = [
        4 << 4 | start >> 2,
        packet.tos,
        total,
        packet.ident,
        fragment,
        packet.ttl,
        packet.proto,
        packet.header_checksum or 0,
        packet.src,
        packet.dst,
    ]
    if packet.header_checksum is None:
        fields[7] = internet(_IPV4.pack(*fields) + packet.options)
    return _IPV4.pack(*fields) + packet.options + body


def _body(packet: Packet) -> bytes:
    header, payload, checksum = packet.header, packet.payload, packet.checksum
    if header is None:
        return payload
    known = checksum or 0
    if isinstance(header, Tcp):
        size = 20 + len(header.options)
        if size > 60 or size & 3:
            raise PacketError(f"impossible TCP header length {size}")
        bits = size << 10 | header.flags
        segment = _TCP.pack(
            packet.sport, packet.dport, header.seq, header.ack, bits, header.window, known, header.urgent
        )
        segment += header.options + payload
    elif isinstance(header, Udp):
        length = 8 + len(payload) if header.length is None else header.length
        segment = _UDP.pack(packet.sport, packet.dport, length, known) + payload
    elif isinstance(header, Icmp):
        segment = _ICMP.pack(header.type, header.code, known, header.rest) + payload
    else:
        segment = _SCTP.pack(packet.sport, packet.dport, header.tag, known) + payload
    if checksum is not None:
        return segment
    right = _checksum(packet.family, packet.proto, packet.src, packet.dst, segment)
    at, width = (8, 4) if packet.proto == Proto.SCTP else (_CHECKSUM_AT[packet.proto], 2)
    return segment[:at] + right.to_bytes(width) + segment[at + width :]


def rewrite_quote(
    data: bytes,
    *,
    src: int | None = None,
    dst: int | None = None,
    sport: int | None = None,
    dport: int | None = None,
    transport: bool = True,
) -> bytes:
    """
    Change addresses and ports (ICMP: *sport* is the id) inside the packet that an ICMP error quotes.

    The quoted IP header's checksum follows; with *transport* the transport's does too, where the quote reaches it and
    the packet had one.

    >>> quote = encode(Packet.udp("192.0.2.1:4000", "10.0.0.1:53"))[:28]
    >>> print(decode_quote(rewrite_quote(quote, dst=0x0A600001, dport=5300)))
    UDP 192.0.2.1:4000 > 10.96.0.1:5300, length 28
    """
    quoted = decode_quote(data)
    if quoted is None:
        return data
    out = bytearray(data)
    four = quoted.family == 4
    width, places = (4, (12, 16)) if four else (16, (8, 24))
    start = 20 + len(quoted.options) if four else 40 + len(quoted.options)
    old = new = 0
    for at, before, after in ((places[0], quoted.src, src), (places[1], quoted.dst, dst)):
        if after is not None:
            out[at : at + width] = after.to_bytes(width)
            old, new = old + before, new + after
    if four and (src is not None or dst is not None):
        out[10:12] = adjust(int.from_bytes(data[10:12]), old, new).to_bytes(2)
    if quoted.fragment_offset:
        return bytes(out)
    pseudo_old, pseudo_new = (0, 0) if quoted.proto == Proto.ICMP else (old, new)
    changes = [(0, sport), (2, dport)] if not isinstance(quoted.header, Icmp) else [(4, sport)]
    for offset, value in changes:
        at = start + offset
        if value is not None and at + 2 <= len(out):
            pseudo_old, pseudo_new = pseudo_old + int.from_bytes(out[at : at + 2]), pseudo_new + value
            out[at : at + 2] = value.to_bytes(2)
    if not transport or quoted.proto not in _CHECKSUM_AT:
        return bytes(out)
    at = start + _CHECKSUM_AT[quoted.proto]
    if at + 2 <= len(out):
        checksum = int.from_bytes(out[at : at + 2])
        if checksum or quoted.proto != Proto.UDP:
            out[at : at + 2] = adjust(checksum, pseudo_old, pseudo_new).to_bytes(2)
    return bytes(out)
