"""
Packets as bytes: `decode` and `encode` are each other's inverse, to the last bit.

Layouts of: RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 9260 (SCTP). A checksum that is right is
left out of the value and computed again when bytes are asked for; one that is not right is kept as it came.
"""

from __future__ import annotations

import struct
from struct import Struct

from svcsim.addr import Family
from svcsim.checksum import adjust, crc32c, internet, word_sum
from svcsim.errors import PacketError
from svcsim.packet import Header, Icmp, Packet, Proto, Sctp, Tcp, Udp

__all__ = ["decode", "decode_quote", "encode", "rewrite_quote"]

_IPV4 = Struct("!BBHHHBBHII")
_IPV6 = Struct("!IHBBQQQQ")
_TCP = Struct("!HHIIHHHH")
_UDP = Struct("!HHHH")
_ICMP = Struct("!BBHI")
_SCTP = Struct("!HHII")
_PORTS = Struct("!HH")

# Plain names: to ask an enum for its member costs more than to read the member.
_FOUR, _SIX = Family.IPV4, Family.IPV6
_IS_TCP, _IS_UDP, _IS_SCTP, _IS_ICMP, _IS_ICMPV6 = (
    int(p) for p in (Proto.TCP, Proto.UDP, Proto.SCTP, Proto.ICMP, Proto.ICMPV6)
)
_IS_UDPLITE = int(Proto.UDPLITE)
_PORTED = frozenset({_IS_TCP, _IS_UDP, _IS_SCTP})
#: IPv6 extension headers: hop-by-hop, routing, fragment, authentication, destination options.
_FRAGMENT, _AUTHENTICATION = 44, 51
_EXTENSIONS = frozenset({0, 43, _FRAGMENT, _AUTHENTICATION, 60})
_DONT_FRAGMENT, _MORE_FRAGMENTS, _OFFSET = 0x4000, 0x2000, 0x1FFF
_LOW_HALF = (1 << 64) - 1


def decode(data: bytes) -> Packet:
    """
    Read one IP packet; bytes behind its total length (padding) are left out.

    A transport header that is cut short, or says so of itself, is none: its bytes are the payload.

    >>> packet = Packet.udp("192.0.2.1:5353", "192.0.2.2:53", b"?")
    >>> decode(encode(packet)) == packet
    True
    >>> decode(b"E")
    Traceback (most recent call last):
    svcsim.errors.PacketError: cut short: an IPv4 header has at least 20 bytes, there are 1 (byte 1)
    """
    return _decode(data, True)


def decode_quote(data: bytes) -> Packet | None:
    """
    Read the packet that an ICMP error quotes, which may be cut anywhere behind its IP header; None if even that is cut.

    Ports (ICMP: id, type and code) are read as soon as four bytes (ICMP: eight) are there; the rest of a cut header is
    as empty as it looks. Neither checksums nor lengths are judged, as a kernel does not judge them.
    """
    try:
        return _decode(data, False)
    except PacketError:
        return None


def _decode(data: bytes, whole: bool) -> Packet:
    if type(data) is not bytes:
        data = bytes(memoryview(data))
    if not data:
        raise PacketError("no bytes at all", offset=0)
    version = data[0] >> 4
    if version == 4:
        return _decode_ipv4(data, whole)
    if version == 6:
        return _decode_ipv6(data, whole)
    raise PacketError(f"neither IPv4 nor IPv6: version {version}", offset=0)


def _decode_ipv4(data: bytes, whole: bool) -> Packet:
    total = len(data)
    if total < 20:
        raise PacketError(f"cut short: an IPv4 header has at least 20 bytes, there are {total}", offset=total)
    first, tos, length, ident, place, ttl, proto, header_checksum, src, dst = _IPV4.unpack_from(data)
    start = (first & 15) << 2
    if start < 20 or start > total:
        raise PacketError(f"impossible IPv4 header length {start}", offset=0)
    wrong = False
    if whole:
        if length < start:
            raise PacketError(f"impossible total length {length}", offset=2)
        if length > total:
            raise PacketError(f"cut short: total length {length}, there are {total}", offset=total)
        total = length
        # Words and their right checksum add up to a multiple of 65535; so they do with 65535 in place of 0.
        wrong = header_checksum == 0xFFFF or word_sum(data[:start]) % 0xFFFF != 0
    header, sport, dport, payload, checksum = _transport(
        4, proto, src, dst, data[start:total], place & _OFFSET != 0, whole and not place & (_OFFSET | _MORE_FRAGMENTS)
    )
    return Packet(
        _FOUR, proto, src, dst, sport, dport, header, payload, ttl, tos, ident, place & _DONT_FRAGMENT != 0,
        place & _MORE_FRAGMENTS != 0, place & _OFFSET, data[20:start], None, 0, checksum,
        header_checksum if wrong else None, place >> 15 != 0,
    )  # fmt: skip


def _decode_ipv6(data: bytes, whole: bool) -> Packet:
    total = len(data)
    if total < 40:
        raise PacketError(f"cut short: an IPv6 header has 40 bytes, there are {total}", offset=total)
    word, length, first, hops, src_high, src_low, dst_high, dst_low = _IPV6.unpack_from(data)
    if whole:
        if 40 + length > total:
            raise PacketError(f"cut short: total length {40 + length}, there are {total}", offset=total)
        total = 40 + length
    src, dst = src_high << 64 | src_low, dst_high << 64 | dst_low
    proto, at, place, ident = first, 40, 0, 0
    if first in _EXTENSIONS:
        proto, at, place, ident = _extensions(data, first, 40, total)
        if at > total or (proto in _EXTENSIONS and not place >> 3):
            if whole:
                raise PacketError("cut short inside an extension header", offset=total)
            at = min(at, total)
    header, sport, dport, payload, checksum = _transport(
        6, proto, src, dst, data[at:total], place >> 3 != 0, whole and not place & 0xFFF9
    )
    tos, label, options = word >> 20 & 0xFF, word & 0xFFFFF, data[40:at]
    return Packet(
        _SIX, proto, src, dst, sport, dport, header, payload, hops, tos, ident, True, place & 1 != 0, place >> 3,
        options, first if options else None, label, checksum,
    )  # fmt: skip


def _extensions(data: bytes, kind: int, at: int, end: int) -> tuple[int, int, int, int]:
    """
    Step over the extension headers of ``data[at:end]``, the first of which is of *kind*, as far as they go.

    The answer: what comes behind them and where (behind *end* if the last is cut short), and the offset word and id of
    a fragment header.
    """
    place = ident = 0
    while kind in _EXTENSIONS and at + 8 <= end and not place >> 3:  # data follows the header of a later fragment
        if kind == _FRAGMENT:
            place, ident, size = int.from_bytes(data[at + 2 : at + 4]), int.from_bytes(data[at + 4 : at + 8]), 8
        else:
            size = (data[at + 1] + 2) << 2 if kind == _AUTHENTICATION else (data[at + 1] + 1) << 3
        kind, at = data[at], at + size
    return kind, at, place, ident


def _transport(
    family: int, proto: int, src: int, dst: int, body: bytes, later: bool, judged: bool
) -> tuple[Header | None, int, int, bytes, int | None]:
    """Read a transport header: (header, source port, destination port, payload, checksum unless it is right)."""
    if later:
        return None, 0, 0, body, None
    size = len(body)
    if proto == _IS_TCP and size >= 20:
        sport, dport, seq, ack, bits, window, checksum, urgent = _TCP.unpack_from(body)
        end = bits >> 12 << 2
        if 20 <= end <= size:
            if judged and checksum != 0xFFFF and _adds_up(body, src + dst + _IS_TCP + size):
                checksum = None
            return Tcp(seq, ack, bits & 0xFFF, window, urgent, body[20:end]), sport, dport, body[end:], checksum
    elif proto == _IS_UDP and size >= 8:
        sport, dport, length, checksum = _UDP.unpack_from(body)
        if judged and checksum and _adds_up(body, src + dst + _IS_UDP + size):
            checksum = None
        return Udp(None if length == size else length), sport, dport, body[8:], checksum
    elif proto == (_IS_ICMP if family == 4 else _IS_ICMPV6):
        if size < 8:
            return None, 0, 0, body, None
        kind, code, checksum, rest = _ICMP.unpack_from(body)
        if judged:
            bare = internet(body[:2] + body[4:], 0 if family == 4 else src + dst + _IS_ICMPV6 + size)
            checksum = None if bare == checksum else checksum
        return Icmp(kind, code, rest), 0, 0, body[8:], checksum
    elif proto == _IS_SCTP and size >= 12:
        sport, dport, tag, checksum = _SCTP.unpack_from(body)
        if judged and checksum == _sctp_checksum(body):
            checksum = None
        return Sctp(tag), sport, dport, body[12:], checksum
    if size >= 4 and proto in _PORTED:
        sport, dport = _PORTS.unpack_from(body)
        return None, sport, dport, body, None
    return None, 0, 0, body, None


def _adds_up(segment: bytes, pseudo: int) -> bool:
    """Whether *segment*, its checksum and its pseudo-header add up to what a right checksum makes of them."""
    return (word_sum(segment) + pseudo) % 0xFFFF == 0


def _sctp_checksum(segment: bytes) -> int:
    """The CRC that *segment* should carry, as its four bytes are read; what stands in its place does not count."""
    return int.from_bytes(crc32c(segment[:8] + b"\0\0\0\0" + segment[12:]).to_bytes(4, "little"))


def encode(packet: Packet) -> bytes:
    """
    Write one IP packet; checksums that the value leaves open are computed.

    Values that contradict each other, or do not fit their fields, are no packet.

    >>> encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2")).hex()
    '4500001c000040004011b6cdc0000201c00002020001000200087bd7'
    """
    try:
        body = packet.payload if packet.header is None else _segment(packet, packet.header)
        return _encode_ipv4(packet, body) if packet.family == 4 else _encode_ipv6(packet, body)
    except struct.error as error:
        if packet.length > 0xFFFF + (0 if packet.family == 4 else 40):
            raise _too_long(packet) from None
        raise PacketError(f"a header field is out of range: {error}") from error


def _too_long(packet: Packet) -> PacketError:
    return PacketError(f"too long for a packet: {packet.length} bytes")


def _encode_ipv4(packet: Packet, body: bytes) -> bytes:
    tos, ttl, proto, src, dst, options = packet.tos, packet.ttl, packet.proto, packet.src, packet.dst, packet.options
    start = 20 + len(options)
    total = start + len(body)
    if start > 60 or start & 3:
        raise PacketError(f"impossible IPv4 header length {start}")
    if total > 0xFFFF:
        raise _too_long(packet)
    place = packet.fragment_offset
    if place >> 13:
        raise PacketError(f"a header field is out of range: fragment offset {place}")
    place |= packet.reserved << 15 | packet.dont_fragment << 14 | packet.more_fragments << 13
    first, ident, checksum = 0x40 | start >> 2, packet.ident, packet.header_checksum
    if checksum is None:
        checksum = internet(options, (first << 8) + tos + total + ident + place + (ttl << 8) + proto + src + dst)
    return _IPV4.pack(first, tos, total, ident, place, ttl, proto, checksum, src, dst) + options + body


def _encode_ipv6(packet: Packet, body: bytes) -> bytes:
    options, src, dst, proto, first = packet.options, packet.src, packet.dst, packet.proto, packet.next_header
    length = len(options) + len(body)
    if length > 0xFFFF:
        raise _too_long(packet)
    if packet.tos >> 8 or packet.flow_label >> 20:
        raise PacketError(f"a header field is out of range: class {packet.tos}, flow label {packet.flow_label}")
    if options or first is not None or packet.more_fragments or packet.fragment_offset:
        place = packet.fragment_offset << 3 | packet.more_fragments
        behind, end, said, _ = _extensions(options, proto if first is None else first, 0, len(options))
        if (behind, end, said & 0xFFF9) != (proto, len(options), place):
            raise PacketError("the extension headers do not lead to this protocol and fragment")
    word = 6 << 28 | packet.tos << 20 | packet.flow_label
    src_halves, dst_halves = (src >> 64, src & _LOW_HALF), (dst >> 64, dst & _LOW_HALF)
    first = proto if first is None else first
    return _IPV6.pack(word, length, first, packet.ttl, *src_halves, *dst_halves) + options + body


def _segment(packet: Packet, header: Header) -> bytes:
    """The bytes behind the IP header."""
    proto = packet.proto
    if isinstance(header, Tcp):
        if proto == _IS_TCP:
            return _tcp_segment(packet, header)
    elif isinstance(header, Udp):
        if proto == _IS_UDP:
            return _udp_segment(packet, header)
    elif isinstance(header, Icmp):
        if proto == (_IS_ICMP if packet.family == 4 else _IS_ICMPV6):
            return _icmp_segment(packet, header)
    elif proto == _IS_SCTP:
        bare = _SCTP.pack(packet.sport, packet.dport, header.tag, packet.checksum or 0) + packet.payload
        return bare if packet.checksum is not None else bare[:8] + _sctp_checksum(bare).to_bytes(4) + packet.payload
    raise PacketError(f"a header of {type(header).__name__} in a packet of protocol {proto}")


def _tcp_segment(packet: Packet, header: Tcp) -> bytes:
    sport, dport, payload, checksum = packet.sport, packet.dport, packet.payload, packet.checksum
    seq, ack, window, urgent = header.seq, header.ack, header.window, header.urgent
    flags, options = header.flags, header.options
    size = 20 + len(options)
    if size > 60 or size & 3:
        raise PacketError(f"impossible TCP header length {size}")
    if flags >> 12:
        raise PacketError(f"a header field is out of range: flags {flags:#x}")
    bits = size << 10 | flags
    behind = options + payload if options else payload
    if checksum is None:
        words = sport + dport + seq + ack + bits + window + urgent
        checksum = internet(behind, words + packet.src + packet.dst + _IS_TCP + size + len(payload))
    return _TCP.pack(sport, dport, seq, ack, bits, window, checksum, urgent) + behind


def _udp_segment(packet: Packet, header: Udp) -> bytes:
    sport, dport, payload, checksum = packet.sport, packet.dport, packet.payload, packet.checksum
    size = 8 + len(payload)
    length = size if header.length is None else header.length
    if checksum is None:
        words = sport + dport + length + packet.src + packet.dst + _IS_UDP + size
        checksum = internet(payload, words) or 0xFFFF  # 0 would say that there is none
    return _UDP.pack(sport, dport, length, checksum) + payload


def _icmp_segment(packet: Packet, header: Icmp) -> bytes:
    payload, checksum = packet.payload, packet.checksum
    if checksum is None:
        words = (header.type << 8) + header.code + header.rest
        if packet.family != 4:
            words += packet.src + packet.dst + _IS_ICMPV6 + 8 + len(payload)
        checksum = internet(payload, words)
    return _ICMP.pack(header.type, header.code, checksum, header.rest) + payload


#: Where the checksum stands in a transport header, and how much of that must be quoted for it to be written.
_QUOTED_CHECKSUM = {
    _IS_TCP: (16, 20),
    _IS_UDP: (6, 8),
    _IS_UDPLITE: (6, 8),
    _IS_ICMP: (2, 8),
    _IS_ICMPV6: (2, 8),
    _IS_SCTP: (8, 12),
}


def rewrite_quote(
    data: bytes,
    *,
    src: int | None = None,
    dst: int | None = None,
    sport: int | None = None,
    dport: int | None = None,
    transport_checksum: bool = True,
) -> bytes:
    """
    Change addresses and ports (ICMP: *sport* is the id) inside the packet that an ICMP error quotes.

    As NAT does it, checksums follow by the difference, whether they were right or not: the quoted IP header's, and the
    transport's if its whole header is quoted and had one; SCTP's is computed of what is quoted. IPVS computes the IP
    header's anew and leaves the transport's as it was (*transport_checksum* False).

    >>> quote = encode(Packet.udp("192.0.2.1:4000", "10.0.0.1:53"))[:28]
    >>> print(decode_quote(rewrite_quote(quote, dst=0x0A600001, dport=5300)))
    UDP 192.0.2.1:4000 > 10.96.0.1:5300, length 28
    """
    quoted = decode_quote(data)
    if quoted is None:
        return data
    out = bytearray(data)
    four = quoted.family == 4
    proto, start = quoted.proto, (20 if four else 40) + len(quoted.options)
    width, src_at, dst_at = (4, 12, 16) if four else (16, 8, 24)
    old = new = 0  # the sums of what was there and of what is there now
    for at, before, after in ((src_at, quoted.src, src), (dst_at, quoted.dst, dst)):
        if after is not None:
            out[at : at + width] = after.to_bytes(width)
            old, new = old + before, new + after
    if four and not transport_checksum:
        out[10:12] = internet(bytes(out[:10] + out[12:start])).to_bytes(2)
    elif four and (src is not None or dst is not None):
        out[10:12] = adjust(int.from_bytes(data[10:12]), old, new).to_bytes(2)
    if quoted.fragment_offset:
        return bytes(out)
    if proto == _IS_ICMP:
        old = new = 0  # it has no pseudo-header
    for place, port in ((4, sport),) if proto in (_IS_ICMP, _IS_ICMPV6) else ((0, sport), (2, dport)):
        at = start + place
        if port is not None and at + 2 <= len(out):
            old, new = old + int.from_bytes(out[at : at + 2]), new + port
            out[at : at + 2] = port.to_bytes(2)
    at, needed = _QUOTED_CHECKSUM.get(proto, (0, len(out)))
    if transport_checksum and start + needed <= len(out):
        _adjust_transport(out, proto, start, start + at, old, new)
    return bytes(out)


def _adjust_transport(out: bytearray, proto: int, start: int, at: int, old: int, new: int) -> None:
    """Let the transport checksum at *at* follow: words that added up to *old* add up to *new* now."""
    if proto == _IS_SCTP:
        out[at : at + 4] = _sctp_checksum(bytes(out[start:])).to_bytes(4)
        return
    checksum = int.from_bytes(out[at : at + 2])
    if proto == _IS_UDP and checksum == 0:
        return  # it had none
    checksum = adjust(checksum, old, new)
    if proto in (_IS_UDP, _IS_UDPLITE):
        checksum = checksum or 0xFFFF
    out[at : at + 2] = checksum.to_bytes(2)
