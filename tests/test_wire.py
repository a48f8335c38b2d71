"""Packets as bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strategies import addresses, odd_packets, packets, tcp_packets, u16
from svcsim.addr import Family
from svcsim.checksum import crc32c, internet
from svcsim.errors import PacketError
from svcsim.packet import Icmp, Packet, Sctp, Tcp, Udp
from svcsim.wire import decode, decode_quote, encode, rewrite_quote

#: Packets that a kernel sent, and what they are.
RECORDED = {
    "TCP 192.0.2.9:4003 > 10.96.0.11:443 [S] seq 1000, length 40": (
        "450000280000400040066e5cc00002090a60000b0fa301bb000003e8000000005002faf0d3370000"
    ),
    "TCP 192.0.2.8:41000 > 10.244.0.15:80 [PA] seq 1001 ack 5000, length 41, ttl 63": (
        "45000029000040003f066ec4c00002080af4000fa0280050000003e9000013885018faf0cbe5000064"
    ),
    "UDP 192.0.2.19:20006 > 10.244.1.12:53, length 29, ttl 63": (
        "4500001d000040003f116dbdc00002130af4010c4e26003500096b6d78"
    ),
    "ICMP 192.0.2.1 > 192.0.2.7 echo reply id 1 seq 1, length 32": (
        "45000020c06e000040013666c0000201c00002070000212d0001000170696e67"
    ),
    "ICMP 192.0.2.1 > 192.0.2.12 dest unreach code 3, length 57": (
        "45c0003973fe0000400181f8c0000201c000020c03038125000000004500001d000040004011b6c2c000020cc00002019c4501bb000965cd78"
    ),
    "ICMP 192.0.2.1 > 10.96.0.77 redirect code 1, length 68": (
        "45c000447c960000400130b5c00002010a60004d050105c6cb00710f45000028000040003f06f5130a60004dcb00710f2382c4ea"
        "00001388000003e95012faf06e470000"
    ),
    "SCTP 192.0.2.1:4002 > 10.244.0.2:99, length 52, ttl 63": (
        "45000034000040003f846e4fc00002010af400020fa20063000000004e8dff2c0100001400000007000100000001000100000001"
    ),
    "TCP [2001:db8:1::1]:80 > [2001:db8:1::11]:40014 [RA] seq 0 ack 1001, length 60": (
        "600da9680014064020010db800010000000000000000000120010db80001000000000000000000110050"
        "9c4e00000000000003e950140000b3c30000"
    ),
    "UDP [2001:db8:1::76]:40000 > [2001:db8:2::23]:8080, length 49, ttl 63": (
        "600000000009113f20010db800010000000000000000007620010db80002000000000000000000239c401f9000096ffd78"
    ),
    "ICMPV6 2001:db8:1::1 > 2001:db8:9::10 echo reply id 40041 seq 1, length 52": (
        "600c7e41000c3a4020010db800010000000000000000000120010db80009000000000000000000108100a7f09c69000170696e67"
    ),
    "ICMPV6 2001:db8:1::1 > 2001:db8:1::16 dest unreach code 1, length 97": (
        "6007380c00393a4020010db800010000000000000000000120010db8000100000000000000000016010131d200000000600000000009113f"
        "20010db800010000000000000000001620010db80002000000000000000000289c41005000098f9778"
    ),
}


@pytest.mark.parametrize("text", RECORDED.values(), ids=RECORDED)
def test_recorded_packets_come_back(text):
    """What a kernel sent is read without a wrong checksum and written again bit by bit."""
    packet = decode(bytes.fromhex(text))

    assert encode(packet).hex() == text
    assert (packet.checksum, packet.header_checksum) == (None, None)


@pytest.mark.parametrize(("shown", "text"), RECORDED.items(), ids=RECORDED)
def test_recorded_packets_can_be_read(shown, text):
    """What a kernel sent is shown as what it is."""
    assert str(decode(bytes.fromhex(text))) == shown


@given(packets())
def test_values_come_back(packet):
    """Every packet value survives its bytes, with right checksums."""
    read = decode(encode(packet))

    assert read == packet
    assert (read.checksum, read.header_checksum) == (None, None)


@given(odd_packets())
def test_odd_values_come_back(packet):
    """Fragments, extension headers, wrong checksums and lengths, cut headers: every value survives its bytes."""
    read = decode(encode(packet))

    assert read == packet
    assert read.length == len(encode(packet))


@given(st.binary(max_size=120))
@example(b"\x60" + bytes(5) + b"\x3c\x40" + bytes(32))
@example(bytes.fromhex("4f00003c") + bytes(56))
def test_any_bytes_are_read_or_refused(data):
    """Arbitrary bytes are a packet, which is written as it was read, or a PacketError that says where."""
    packet, refusal = None, None
    try:
        packet = decode(data)
    except PacketError as error:
        refusal = error

    if packet is not None:
        assert encode(packet) == data[: packet.length]
    else:
        assert refusal is not None
        assert refusal.offset is not None


@given(odd_packets(), st.data())
def test_damaged_packets_are_read_or_refused(packet, data):
    """Bits that flip make another packet or a PacketError, and whatever is read is written again."""
    raw = bytearray(encode(packet))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        damaged = decode(bytes(raw))
    except PacketError:
        return
    assert encode(damaged) == bytes(raw)[: damaged.length]


@given(odd_packets(), st.data())
def test_cut_packets_are_refused(packet, data):
    """A packet of which bytes are missing is refused, wherever it is cut."""
    raw = encode(packet)

    with pytest.raises(PacketError):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(odd_packets())
def test_padding_is_left_out(packet):
    """Bytes behind the total length belong to the link, not to the packet."""
    raw = encode(packet)

    assert decode(raw + bytes(18)) == packet


def test_whatever_holds_bytes_is_read():
    """A bytearray or a part of a buffer is read as the bytes that it holds."""
    raw = encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"x"))

    assert decode(bytearray(raw)) == decode(memoryview(bytes(14) + raw)[14:]) == decode(raw)


# -- checksums ---------------------------------------------------------------------------------------------------------


@given(tcp_packets(), st.integers(1, 0xFFFF))
def test_a_wrong_checksum_is_kept(packet, off):
    """A transport checksum that is not right stays as it came."""
    raw = bytearray(encode(packet))
    value = int.from_bytes(raw[36:38]) ^ off
    raw[36:38] = value.to_bytes(2)

    damaged = decode(bytes(raw))

    assert damaged.checksum == value
    assert encode(damaged) == bytes(raw)


@given(tcp_packets(), u16)
def test_a_wrong_header_checksum_is_kept(packet, value):
    """A header checksum that is not right stays as it came, one that is right is left out."""
    raw = bytearray(encode(packet))
    right = int.from_bytes(raw[10:12])
    raw[10:12] = value.to_bytes(2)

    assert decode(bytes(raw)).header_checksum == (None if value == right else value)


def test_udp_without_checksum_is_kept():
    """A UDP checksum of 0 over IPv4 means none was computed, and stays 0."""
    packet = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"x", checksum=0)

    assert encode(packet)[26:28] == b"\0\0"
    assert decode(encode(packet)).checksum == 0


@pytest.mark.parametrize(
    ("packet", "at"),
    [
        (Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"ab"), 26),
        (Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"ab"), 46),
    ],
)
def test_a_udp_checksum_that_comes_out_as_none_is_written_otherwise(packet, at):
    """Where the sum is 0, UDP writes 65535, since 0 would say that there is none; and reads it as right."""
    sum_of_rest = int.from_bytes(encode(packet)[at : at + 2])
    word = (int.from_bytes(b"ab") + sum_of_rest) % 0xFFFF
    packet = packet.rewritten(payload=word.to_bytes(2))

    assert encode(packet)[at : at + 2] == b"\xff\xff"
    assert decode(encode(packet)) == packet


@pytest.mark.parametrize(("checksum", "kept"), [(0, 0), (0xFFFF, None)])
def test_an_icmp_message_of_zeros(checksum, kept):
    """Nothing but zeros has 65535 for its right checksum; 0 would add up as well, and is not what is sent."""
    packet = Packet.icmp("192.0.2.1", "192.0.2.2", 0, 0, rest=0, payload=bytes(4), checksum=checksum)

    assert decode(encode(packet)).checksum == kept


def test_sctp_carries_a_crc():
    """SCTP's checksum is the CRC of the segment with zeros in its place, in little-endian order."""
    raw = encode(Packet.sctp("192.0.2.1:1", "192.0.2.2:2", b"chunk", tag=7))

    assert raw[28:32] == crc32c(raw[20:28] + bytes(4) + raw[32:]).to_bytes(4, "little")
    assert decode(raw).header == Sctp(7)
    assert decode(raw[:28] + bytes(4) + raw[32:]).checksum == 0


def test_the_checksum_of_a_fragment_is_not_judged():
    """Only the whole datagram has a right checksum: a first fragment keeps what stands there."""
    whole = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"12345678", dont_fragment=False)

    first = decode(encode(whole.rewritten(more_fragments=True)))

    assert first.checksum == int.from_bytes(encode(whole)[26:28])


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (b"", 0, "no bytes at all"),
        (b"\x45", 1, "cut short"),
        (b"\x75" + bytes(39), 0, "version 7"),
        (b"\x44" + bytes(19), 0, "header length 16"),
        (b"\x46" + bytes(19), 0, "header length 24"),
        (b"\x45\0\0\x13" + bytes(16), 2, "total length 19"),
        (b"\x45\0\0\x28" + bytes(26), 30, "total length 40, there are 30"),
        (b"\x60" + bytes(38), 39, "cut short"),
        (b"\x60\0\0\0\0\x20" + bytes(44), 50, "total length 72, there are 50"),
        (b"\x60\0\0\0\0\x08\0\x40" + bytes(32) + b"\x11\x01" + bytes(6), 48, "extension header"),
        (b"\x60\0\0\0\0\x04\x3c\x40" + bytes(32) + b"\x11\x00" + bytes(2), 44, "extension header"),
    ],
)
def test_impossible_bytes_are_refused(data, offset, message):
    """What cannot be a packet is refused with the reason and the byte."""
    with pytest.raises(PacketError, match=message) as caught:
        decode(data)
    assert caught.value.offset == offset


def test_the_reserved_flag_is_carried():
    """A kernel forwards a packet whose reserved flag is set as any other: so the flag is kept, and summed up."""
    text = "4500001d0000c0003f11eed1c00002010af400090fa900350009aaff78"  # recorded

    packet = decode(bytes.fromhex(text))

    assert (packet.reserved, packet.header_checksum, encode(packet).hex()) == (True, None, text)


@pytest.mark.parametrize("size", [0, 3, 4, 7])
def test_short_transport_header_is_no_header(size):
    """A packet whose transport header is cut is a packet all the same; ports are read if they are there."""
    raw = bytearray(encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2"))[: 20 + size])
    raw[2:4] = len(raw).to_bytes(2)
    raw[10:12] = b"\0\0"
    raw[10:12] = internet(bytes(raw[:20])).to_bytes(2)

    packet = decode(bytes(raw))

    assert (packet.header, packet.payload) == (None, bytes(raw[20:]))
    assert (packet.sport, packet.dport) == ((1, 2) if size >= 4 else (0, 0))
    assert encode(packet) == bytes(raw)


@pytest.mark.parametrize("words", [0, 4, 7, 15])
def test_an_impossible_tcp_header_length_is_no_header(words):
    """A TCP header that says that it is shorter than any, or longer than the packet, is none."""
    raw = bytearray(encode(Packet.tcp("192.0.2.1:1", "192.0.2.2:2", payload=b"1234")))
    raw[32] = words << 4

    packet = decode(bytes(raw))

    assert (packet.header, packet.sport, packet.dport, len(packet.payload)) == (None, 1, 2, 24)


def test_tcp_options_are_kept():
    """Options belong to the header: what follows them is the payload."""
    options = bytes.fromhex("020405b4 0101 0402")
    packet = decode(encode(Packet.tcp("192.0.2.1:1", "192.0.2.2:2", payload=b"data", tcp_options=options)))

    assert isinstance(packet.header, Tcp)
    assert (packet.header.options, packet.payload) == (options, b"data")


def test_reserved_flag_bits_are_kept():
    """A TCP header's reserved bits travel in its flags."""
    packet = Packet.tcp("192.0.2.1:1", "192.0.2.2:2").rewritten(header=Tcp(flags=0xFF2))

    assert decode(encode(packet)).header == Tcp(flags=0xFF2)


def test_an_odd_udp_length_is_kept():
    """A UDP length field that does not say how long the datagram is stays as it came; a true one is left out."""
    packet = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"hello").rewritten(header=Udp(9))

    assert decode(encode(packet)).header == Udp(9)
    assert decode(encode(packet.rewritten(header=Udp(13)))).header == Udp()


def test_ipv4_options_are_kept():
    """IPv4 options stand before the transport header, in whole words."""
    packet = Packet.udp("192.0.2.1:1", "192.0.2.2:2", options=bytes.fromhex("94040000"))

    read = decode(encode(packet))

    assert (read, read.options) == (packet, bytes.fromhex("94040000"))


def test_later_fragments_have_no_header():
    """Only the first fragment carries the transport header."""
    packet = Packet.opaque("192.0.2.1", "192.0.2.2", 17, b"12345678", fragment_offset=2, dont_fragment=False)

    assert decode(encode(packet)) == packet


@pytest.mark.parametrize("family", ["192.0.2.{}", "2001:db8::{}"])
def test_icmp_of_the_other_family_is_opaque(family):
    """ICMP inside IPv6, and ICMPv6 inside IPv4, are protocols like any other."""
    proto = 1 if ":" in family else 58
    packet = Packet.opaque(family.format(1), family.format(2), proto, bytes(8))

    assert decode(encode(packet)) == packet


@pytest.mark.parametrize("kind", [0, 43, 60])
def test_ipv6_extension_headers_are_kept(kind):
    """Extension headers are stepped over to the transport header and written as they came."""
    plain = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"x")
    packet = plain.rewritten(options=bytes([17, 0, 1, 4, 0, 0, 0, 0]), next_header=kind)

    read = decode(encode(packet))

    assert read == packet
    assert isinstance(read.header, Udp)


def test_ipv6_chains_of_every_header():
    """Hop-by-hop, routing, fragment, authentication (counted in words), destination options: one behind the other."""
    chain = bytes.fromhex(
        "2b00010400000000"  # hop-by-hop
        "2c00000000000000"  # routing
        "3300000000000007"  # fragment: the whole, id 7
        "3c04 0000 00000001 00000002 000102030405060708090a0b"  # authentication: six words
        "1100010400000000"  # destination options
    )
    plain = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"x")
    packet = plain.rewritten(options=chain, next_header=0, ident=7)

    read = decode(encode(packet))

    assert (read, read.sport, read.ident) == (packet, 1, 7)
    assert encode(plain)[-9:] == encode(packet)[-9:]


def test_ipv6_fragments():
    """A fragment header says where its data belongs; behind that of a later fragment nothing is a header."""
    later = Packet.opaque("2001:db8::1", "2001:db8::2", 60, b"\x11\xff" + bytes(6)).rewritten(
        options=bytes.fromhex("3c00 0011 00000007"), next_header=44, ident=7, fragment_offset=2, more_fragments=True
    )

    assert decode(encode(later)) == later


# -- refusals ----------------------------------------------------------------------------------------------------------

V4 = Packet.tcp("192.0.2.1:1", "192.0.2.2:2")
V6 = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2")


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (Packet.udp("192.0.2.1:1", "192.0.2.2:2", bytes(65536)), "too long for a packet: 65564"),
        (Packet.opaque("192.0.2.1", "192.0.2.2", 50, bytes(65516)), "too long for a packet: 65536"),
        (Packet.opaque("2001:db8::1", "2001:db8::2", 50, bytes(65536)), "too long for a packet: 65576"),
        (V4.rewritten(ttl=256), "out of range"),
        (V4.rewritten(tos=-1), "out of range"),
        (V4.rewritten(ident=1 << 16), "out of range"),
        (V4.rewritten(src=1 << 32), "out of range"),
        (V4.rewritten(dport=1 << 16), "out of range"),
        (V4.rewritten(fragment_offset=1 << 13), "out of range"),
        (V4.rewritten(checksum=1 << 16), "out of range"),
        (V4.rewritten(header=Tcp(seq=1 << 32)), "out of range"),
        (V4.rewritten(header=Tcp(flags=1 << 12)), "out of range"),
        (V4.rewritten(header=Tcp(options=b"123")), "TCP header length 23"),
        (V4.rewritten(header=Tcp(options=bytes(44))), "TCP header length 64"),
        (V4.rewritten(options=b"123"), "IPv4 header length 23"),
        (V4.rewritten(options=bytes(44)), "IPv4 header length 64"),
        (V4.rewritten(proto=17), "Tcp in a packet of protocol 17"),
        (V6.rewritten(proto=6), "Udp in a packet of protocol 6"),
        (V6.rewritten(proto=1, header=Icmp(8)), "Icmp in a packet of protocol 1"),
        (V4.rewritten(header=Sctp()), "Sctp in a packet of protocol 6"),
        (V6.rewritten(tos=256), "out of range"),
        (V6.rewritten(flow_label=1 << 20), "out of range"),
        (V6.rewritten(dst=1 << 128), "out of range"),
        (V6.rewritten(src=-1), "out of range"),
        (V6.rewritten(more_fragments=True), "extension headers"),
        (V6.rewritten(options=bytes(8)), "extension headers"),
        (V6.rewritten(options=bytes([17, 1]) + bytes(6), next_header=60), "extension headers"),
        (V6.rewritten(options=bytes([6, 0]) + bytes(6), next_header=60), "extension headers"),
        (V6.rewritten(options=bytes([17, 0, 0, 8]) + bytes(4), next_header=44), "extension headers"),
    ],
)
def test_impossible_values_are_refused(packet, message):
    """What does not fit its field, or contradicts another, is refused, not cut."""
    with pytest.raises(PacketError, match=message):
        encode(packet)


# -- quotes ------------------------------------------------------------------------------------------------------------


@given(odd_packets(), st.integers(0, 100))
def test_a_quote_may_be_cut_anywhere(packet, size):
    """A quoted packet is read as far as it goes: addresses first, ports or id as soon as they are there."""
    raw = encode(packet)[:size]
    quoted = decode_quote(raw)
    header = 20 if packet.family == 4 else 40
    start = header + len(packet.options)
    if size < (start if packet.family == 4 else header):
        assert quoted is None
        return
    assert quoted is not None
    assert (quoted.src, quoted.dst) == (packet.src, packet.dst)
    if size < start or packet.header is None:
        return
    assert quoted.proto == packet.proto
    if not isinstance(packet.header, Icmp):
        assert (quoted.sport, quoted.dport) == ((packet.sport, packet.dport) if len(raw) >= start + 4 else (0, 0))
    elif len(raw) >= start + 8:
        assert quoted.header == packet.header


@given(st.binary(max_size=100), u16)
def test_any_quote_is_read_and_rewritten(data, port):
    """A quote may be anything: it is read or not, and what is rewritten keeps its length."""
    quoted = decode_quote(data)

    rewritten = rewrite_quote(data, src=1, dst=2, sport=port, dport=port)

    assert len(rewritten) == len(data)
    assert quoted is not None or rewritten == data


@pytest.mark.parametrize("total", [0, 20, 0xFFFF])
def test_the_length_in_a_quote_is_not_judged(total):
    """Some hosts quote a length in the wrong order, or another one: a kernel does not look."""
    raw = bytearray(encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2"))[:28])
    raw[2:4] = total.to_bytes(2)

    quoted = decode_quote(bytes(raw))

    assert quoted is not None
    assert (quoted.sport, quoted.dport, quoted.length) == (1, 2, 28)


@given(tcp_packets(), addresses(Family.IPV4), u16)
def test_rewriting_a_whole_quote_is_rewriting_the_packet(packet, address, port):
    """Inside a quote, addresses, ports and checksums change as they would in the packet itself."""
    raw = encode(packet)

    rewritten = decode(rewrite_quote(raw, dst=address, dport=port))

    assert rewritten.header_checksum is None
    assert encode(rewritten.rewritten(checksum=None)) == encode(packet.rewritten(dst=address, dport=port))


@given(odd_packets(), st.data(), u16, u16, st.booleans())
def test_rewriting_there_and_back(packet, data, sport, dport, transport_checksum):
    """Whatever is quoted, however it is cut: what is rewritten and rewritten back is what it was, but for checksums."""
    raw = encode(packet)[: data.draw(st.integers(20, 120))]
    quoted = decode_quote(raw)
    if quoted is None or quoted.fragment_offset:
        return
    src, dst = data.draw(addresses(packet.family)), data.draw(addresses(packet.family))
    start = (20 if packet.family == 4 else 40) + len(quoted.options)
    by_id = quoted.proto == (1 if packet.family == 4 else 58)
    first, second = (4, 6) if by_id else (0, 2)
    at = [int.from_bytes(raw[start + place : start + place + 2]) for place in (first, second)]
    ends = {"src": quoted.src, "dst": quoted.dst, "sport": at[0]} | ({} if by_id else {"dport": at[1]})

    there = rewrite_quote(raw, src=src, dst=dst, sport=sport, dport=dport, transport_checksum=transport_checksum)
    back = rewrite_quote(there, **ends, transport_checksum=transport_checksum)

    def without_checksums(quote):
        out = bytearray(quote)
        if packet.family == 4:
            out[10:12] = b"\0\0"
        place, size = {6: (16, 2), 17: (6, 2), 1: (2, 2), 58: (2, 2), 132: (8, 4)}.get(quoted.proto, (0, 0))
        out[start + place : start + place + size] = b""
        return bytes(out)

    assert without_checksums(back) == without_checksums(raw)
    if not transport_checksum:
        assert there[start + 4 :] == raw[start + 4 :] or by_id


#: What a kernel made of quotes that a server sent: NAT (6.18) and IPVS (6.1) had sent it what was for 10.96.0.10.
QUOTED = [
    (
        "TCP, whole: the checksum follows; IPVS leaves it",
        "4500002d0000400040066dd4c00002010af400020fa00050000003e8000000005002faf0904b000068656c6c6f",
        "4500002d0000400040066e60c00002010a60000a0fa00050000003e8000000005002faf090d7000068656c6c6f",
        "4500002d0000400040066e60c00002010a60000a0fa00050000003e8000000005002faf0904b000068656c6c6f",
    ),
    (
        "TCP, eight bytes of it",
        "4500002d0000400040066dd4c00002010af400020fa00050000003e8",
        "4500002d0000400040066e60c00002010a60000a0fa00050000003e8",
        "4500002d0000400040066e60c00002010a60000a0fa00050000003e8",
    ),
    (
        "TCP, cut just behind the checksum: the header is not whole, so it does not follow",
        "4500002d0000400040066dd4c00002010af400020fa00050000003e8000000005002faf0904b",
        "4500002d0000400040066e60c00002010a60000a0fa00050000003e8000000005002faf0904b",
        "4500002d0000400040066e60c00002010a60000a0fa00050000003e8000000005002faf0904b",
    ),
    (
        "UDP",
        "450000210000400040116dd5c00002010af400020fa10035000ddf3468656c6c6f",
        "450000210000400040116e61c00002010a60000a0fa10035000ddfc068656c6c6f",
        "450000210000400040116e61c00002010a60000a0fa10035000ddf3468656c6c6f",
    ),
    (
        "UDP, eight bytes of it",
        "450000210000400040116dd5c00002010af400020fa10035000ddf34",
        "450000210000400040116e61c00002010a60000a0fa10035000ddfc0",
        "450000210000400040116e61c00002010a60000a0fa10035000ddf34",
    ),
    (
        "UDP, four bytes of it: IPVS is content with them",
        "450000210000400040116dd5c00002010af400020fa10035",
        None,
        "450000210000400040116e61c00002010a60000a0fa10035",
    ),
    (
        "UDP without checksum",
        "450000210000400040116dd5c00002010af400020fa10035000d000068656c6c6f",
        "450000210000400040116e61c00002010a60000a0fa10035000d000068656c6c6f",
        None,
    ),
    (
        "a wrong header checksum stays as wrong",
        "450000210000400040111234c00002010af400020fa10035000ddf3468656c6c6f",
        "4500002100004000401112c0c00002010a60000a0fa10035000ddfc068656c6c6f",
        None,
    ),
    (
        "the reserved flag, an impossible length",
        "4500ffff0000c00040116dd5c00002010af400020fa10035000ddf3468656c6c6f",
        "4500ffff0000c00040116e61c00002010a60000a0fa10035000ddfc068656c6c6f",
        None,
    ),
    (
        "SCTP, eight bytes of it",
        "450000340000400040846d4fc00002010af400020fa2006300000000",
        "450000340000400040846ddbc00002010a60000a0fa2006300000000",
        "450000340000400040846ddbc00002010a60000a0fa2006300000000",
    ),
    (
        "SCTP, its header: the checksum is made of what is there",
        "450000340000400040846d4fc00002010af400020fa20063000000004e8dff2c",
        "450000340000400040846ddbc00002010a60000a0fa2006300000000adb95e66",
        "450000340000400040846ddbc00002010a60000a0fa20063000000004e8dff2c",
    ),
]


@pytest.mark.parametrize(("quote", "nat", "ipvs"), [row[1:] for row in QUOTED], ids=[row[0] for row in QUOTED])
def test_quotes_are_rewritten_as_a_kernel_does(quote, nat, ipvs):
    """Recorded: what NAT makes of a quote, and what IPVS does."""
    data = bytes.fromhex(quote)
    port = int.from_bytes(data[22:24])

    if nat is not None:
        assert rewrite_quote(data, dst=0x0A60000A, dport=port).hex() == nat
    if ipvs is not None:
        assert rewrite_quote(data, dst=0x0A60000A, dport=port, transport_checksum=False).hex() == ipvs


def test_ipvs_computes_the_header_checksum_anew():
    """Where the transport checksum is left alone, the header's is made right, whatever it was."""
    raw = encode(V4.rewritten(header_checksum=0x1234))

    assert decode(rewrite_quote(raw, dst=1, transport_checksum=False)).header_checksum is None
    assert decode(rewrite_quote(raw, dst=1)).header_checksum is not None


@pytest.mark.parametrize(("ends", "proto"), [("192.0.2.{}", 1), ("2001:db8::{}", 58)])
def test_rewriting_an_echo_changes_its_id(ends, proto):
    """For ICMP the port of a quote is the id; ICMPv6 sums up the addresses as well."""
    raw = encode(Packet.echo(ends.format(1), ends.format(2), ident=7))

    read = decode(rewrite_quote(raw, src=99, sport=9))

    assert isinstance(read.header, Icmp)
    assert (read.src, read.proto, read.header.rest, read.checksum) == (99, proto, 9 << 16 | 1, None)


def test_a_udp_checksum_never_becomes_none():
    """Where a rewritten UDP checksum comes out as 0 it is written as 65535."""
    packet = Packet.udp("192.0.2.1:1", "192.0.2.2:2")
    port = (2 + int.from_bytes(encode(packet)[26:28])) % 0xFFFF

    read = decode(rewrite_quote(encode(packet), dport=port))

    assert (read.dport, read.checksum, encode(read)[26:28]) == (port, None, b"\xff\xff")


def test_of_a_later_fragment_only_the_addresses_are_rewritten():
    """What looks like ports in a later fragment is data."""
    raw = encode(Packet.opaque("192.0.2.1", "192.0.2.2", 17, b"12345678", fragment_offset=2, dont_fragment=False))

    read = decode(rewrite_quote(raw, dst=1, dport=2))

    assert (read.dst, read.payload, read.header_checksum) == (1, b"12345678", None)


def test_rewriting_no_packet_changes_nothing():
    """Bytes that are no packet stay as they are."""
    assert rewrite_quote(b"\x45\0", src=1) == b"\x45\0"
