"""Packets as bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import addresses, packets, tcp_packets, u16
from svcsim.addr import Family
from svcsim.checksum import internet
from svcsim.errors import PacketError
from svcsim.packet import Icmp, Packet, Tcp, Udp
from svcsim.wire import decode, decode_quote, encode, rewrite_quote

#: Packets that a kernel sent: a SYN, an ICMP error with its quote, an IPv6 reset, an echo reply.
RECORDED = [
    "450000280000400040066e5cc00002090a60000b0fa301bb000003e8000000005002faf0d3370000",
    "45c0003973fe0000400181f8c0000201c000020c03038125000000004500001d000040004011b6c2c000020cc00002019c4501bb000965cd78",
    "600da9680014064020010db800010000000000000000000120010db800010000000000000000001100509c4e00000000000003e950140000b3c30000",
    "45000020c06e000040013666c0000201c00002070000212d0001000170696e67",
]


@pytest.mark.parametrize("text", RECORDED)
def test_recorded_packets_come_back(text):
    """What a kernel sent is read without a wrong checksum and written again bit by bit."""
    packet = decode(bytes.fromhex(text))

    assert encode(packet).hex() == text
    assert (packet.checksum, packet.header_checksum) == (None, None)


@given(packets())
def test_values_come_back(packet):
    """Every packet value survives its bytes."""
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data):
    """Arbitrary bytes are a packet, which is written as it was read, or a PacketError."""
    try:
        packet = decode(data)
    except PacketError:
        return
    assert encode(packet) == data[: packet.length]


@given(packets(), st.data())
def test_damaged_packets_are_read_or_refused(packet, data):
    """A bit that flips makes another packet or a PacketError, and whatever is read is written again."""
    raw = bytearray(encode(packet))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        damaged = decode(bytes(raw))
    except PacketError:
        return
    assert encode(damaged) == bytes(raw)[: damaged.length]


@given(tcp_packets(), st.integers(1, 0xFFFF))
def test_a_wrong_checksum_is_kept(packet, off):
    """A transport checksum that is not right stays as it came."""
    raw = bytearray(encode(packet))
    value = int.from_bytes(raw[36:38]) ^ off
    raw[36:38] = value.to_bytes(2)

    damaged = decode(bytes(raw))

    assert damaged.checksum == value
    assert encode(damaged) == bytes(raw)


def test_udp_without_checksum_is_kept():
    """A UDP checksum of 0 over IPv4 means none was computed, and stays 0."""
    packet = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"x", checksum=0)

    assert encode(packet)[26:28] == b"\0\0"
    assert decode(encode(packet)).checksum == 0


def test_padding_is_left_out():
    """Bytes behind the total length belong to the link, not to the packet."""
    raw = encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2"))

    assert decode(raw + bytes(18)) == decode(raw)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no bytes at all"),
        (b"\x45", "cut short"),
        (b"\x75" + bytes(39), "version 7"),
        (b"\x44" + bytes(19), "header length 16"),
        (bytes.fromhex(RECORDED[0])[:30], "total length 40, there are 30"),
        (bytes.fromhex(RECORDED[2])[:50], "cut short"),
    ],
)
def test_impossible_bytes_are_refused(data, message):
    """What cannot be a packet is refused with the reason and the byte."""
    with pytest.raises(PacketError, match=message) as caught:
        decode(data)
    assert caught.value.offset is not None


def test_short_transport_header_is_no_header():
    """A packet whose transport header is cut is a packet all the same, without one."""
    raw = bytearray(encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2"))[:24])
    raw[2:4] = (24).to_bytes(2)
    raw[10:12] = b"\0\0"
    raw[10:12] = internet(bytes(raw[:20])).to_bytes(2)

    packet = decode(bytes(raw))

    assert packet.header is None
    assert (packet.sport, packet.dport) == (1, 2)
    assert encode(packet) == bytes(raw)


def test_later_fragments_have_no_header():
    """Only the first fragment carries the transport header."""
    packet = Packet.opaque("192.0.2.1", "192.0.2.2", 17, b"12345678", fragment_offset=2, dont_fragment=False)

    assert decode(encode(packet)) == packet


@pytest.mark.parametrize("kind", [0, 43, 60])
def test_ipv6_extension_headers_are_kept(kind):
    """Extension headers are stepped over to the transport header and written as they came."""
    plain = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"x")
    packet = plain.rewritten(options=bytes([17, 0, 1, 4, 0, 0, 0, 0]), next_header=kind)

    read = decode(encode(packet))

    assert read == packet
    assert isinstance(read.header, Udp)


def test_oversized_packets_are_refused():
    """What does not fit the length field is refused, not cut."""
    with pytest.raises(PacketError, match="too long"):
        encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2", bytes(65536)))


@given(packets(), st.integers(0, 100))
def test_a_quote_may_be_cut_anywhere(packet, size):
    """A quoted packet is read as far as it goes."""
    raw = encode(packet)[:size]
    quoted = decode_quote(raw)
    header = 20 if packet.family == 4 else 40
    if size < header:
        assert quoted is None
    elif quoted is not None:
        assert (quoted.src, quoted.dst) == (packet.src, packet.dst)
        if size >= header + len(packet.options) + 8 and not isinstance(packet.header, Icmp):
            assert (quoted.sport, quoted.dport) == (packet.sport, packet.dport)


@given(tcp_packets(), addresses(Family.IPV4), u16)
def test_rewriting_a_whole_quote_is_rewriting_the_packet(packet, address, port):
    """Inside a quote, addresses, ports and checksums change as they would in the packet itself."""
    raw = encode(packet)

    rewritten = decode(rewrite_quote(raw, dst=address, dport=port))

    assert rewritten.header_checksum is None
    assert encode(rewritten.rewritten(checksum=None)) == encode(packet.rewritten(dst=address, dport=port))


def test_rewriting_an_echo_changes_its_id():
    """For ICMP the port of a quote is the id."""
    raw = encode(Packet.echo("192.0.2.1", "192.0.2.2", ident=7))

    read = decode(rewrite_quote(raw, sport=9))

    assert read.header == Icmp(8, 0, 9 << 16 | 1)
    assert read.checksum is None


def test_rewriting_no_packet_changes_nothing():
    """Bytes that are no packet stay as they are."""
    assert rewrite_quote(b"\x45\0", src=1) == b"\x45\0"


def test_reserved_flag_bits_are_kept():
    """A TCP header's reserved bits travel in its flags."""
    packet = Packet.tcp("192.0.2.1:1", "192.0.2.2:2").rewritten(header=Tcp(flags=0x1F2))

    assert decode(encode(packet)).header == Tcp(flags=0x1F2)
