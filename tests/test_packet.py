"""Packet values and their builders."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given

from strategies import odd_packets, packets
from svcsim.errors import ConfigError, PacketError
from svcsim.packet import Icmp, Packet, Proto, Sctp, Tcp, TcpFlags, Udp
from svcsim.wire import decode, encode


def test_tcp_builder():
    """One line builds a segment; flags are letters."""
    packet = Packet.tcp("192.0.2.1:40000", "10.96.0.10:80", flags="SA", seq=5, ack=6, payload=b"hi", ttl=3)

    assert packet.header == Tcp(5, 6, TcpFlags.SYN | TcpFlags.ACK)
    assert (packet.sport, packet.dport, packet.ttl, packet.length) == (40000, 80, 3, 42)
    assert str(packet) == "TCP 192.0.2.1:40000 > 10.96.0.10:80 [SA] seq 5 ack 6, length 42, ttl 3"


@pytest.mark.parametrize("letter", "FSRPAUEW")
def test_each_flag_has_its_letter(letter):
    """What is written with a letter is shown with it."""
    packet = Packet.tcp("192.0.2.1:1", "192.0.2.2:2", flags=letter)

    assert f"[{letter}]" in str(packet)
    assert decode(encode(packet)) == packet


def test_builders_of_both_families():
    """Brackets hold an IPv6 address; ICMP is numbered as its family numbers it."""
    assert str(Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2")) == "UDP [2001:db8::1]:1 > [2001:db8::2]:2, length 48"
    assert Packet.echo("2001:db8::1", "2001:db8::2").header == Icmp(128, 0, 1 << 16 | 1)
    assert Packet.echo("2001:db8::1", "2001:db8::2", reply=True).header == Icmp(129, 0, 1 << 16 | 1)
    assert Packet.echo("192.0.2.1", "192.0.2.2", reply=True).header == Icmp(0, 0, 1 << 16 | 1)
    assert (Packet.echo("192.0.2.1", "192.0.2.2").proto, Packet.echo("::1", "::2").proto) == (1, 58)


def test_builders_of_other_protocols():
    """SCTP has ports and chunks; what is not looked into has a number and bytes."""
    sctp = Packet.sctp("192.0.2.1:7", "192.0.2.2:8", b"chunk", tag=9)
    ospf = Packet.opaque("192.0.2.1", "192.0.2.2", 89, b"hello")

    assert (sctp.proto, sctp.header, sctp.sport, sctp.payload) == (Proto.SCTP, Sctp(9), 7, b"chunk")
    assert (ospf.header, ospf.payload, str(ospf)) == (
        None,
        b"hello",
        "protocol 89 192.0.2.1 > 192.0.2.2, length 25",
    )


@pytest.mark.parametrize(
    ("packet", "shown"),
    [
        (Packet.icmp("192.0.2.1", "192.0.2.2", 3, 1), "ICMP 192.0.2.1 > 192.0.2.2 dest unreach code 1, length 28"),
        (Packet.icmp("192.0.2.1", "192.0.2.2", 77, 1), "ICMP 192.0.2.1 > 192.0.2.2 type 77 code 1, length 28"),
        (Packet.icmp("::1", "::2", 2), "ICMPV6 ::1 > ::2 packet too big code 0, length 48"),
        (Packet.echo("::1", "::2", seq=3), "ICMPV6 ::1 > ::2 echo request id 1 seq 3, length 48"),
        (Packet.tcp("192.0.2.1:1", "192.0.2.2:2", flags=""), "TCP 192.0.2.1:1 > 192.0.2.2:2 [none] seq 0, length 40"),
        (
            Packet.opaque("192.0.2.1", "192.0.2.2", 6, b"12345678", fragment_offset=2, more_fragments=True),
            "TCP 192.0.2.1 > 192.0.2.2 fragment at 16+, length 28",
        ),
        (
            Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"12345678", more_fragments=True),
            "UDP 192.0.2.1:1 > 192.0.2.2:2 fragment at 0+, length 36",
        ),
    ],
)
def test_packets_can_be_read(packet, shown):
    """A packet is shown as one line: protocol, ends, what it is, length, an unusual TTL."""
    assert str(packet) == shown


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Packet.tcp("192.0.2.1:1", "192.0.2.2:2", flags="X"), "flag 'X'"),
        (lambda: Packet.tcp("192.0.2.1:99999", "192.0.2.2:2"), "'192.0.2.1:99999'"),
        (lambda: Packet.tcp("192.0.2.1:-1", "192.0.2.2:2"), "'192.0.2.1:-1'"),
        (lambda: Packet.tcp("192.0.2.1:٢", "192.0.2.2:2"), "not an address and port"),
        (lambda: Packet.tcp("192.0.2.1", "192.0.2.2:2"), "192.0.2.1"),
        (lambda: Packet.tcp("192.0.2.256:1", "192.0.2.2:2"), "'192.0.2.256'"),
        (lambda: Packet.echo("192.0.2.1:1", "192.0.2.2"), "'192.0.2.1:1'"),
        (lambda: Packet.udp("192.0.2.1:1", "[::1]:2"), "different families"),
        (lambda: Packet.udp("192.0.2.1:1", "192.0.2.2:2", hops=3), "no such field of an IP header: hops"),
        (lambda: Packet.udp("192.0.2.1:1", "192.0.2.2:2").rewritten(hops=3), "no such field of a packet: hops"),
        (lambda: Packet.udp("192.0.2.1:1", "192.0.2.2:2").rewritten(length=3), "no such field of a packet: length"),
    ],
)
def test_impossible_packets_are_refused(build, message):
    """An unknown flag, a missing or impossible port, mixed families and unknown fields are named."""
    with pytest.raises((PacketError, ConfigError), match=message):
        build()


@given(odd_packets())
def test_length_is_the_number_of_bytes(packet):
    """A packet's length is what its bytes will be, whoever made it."""
    assert packet.length == len(encode(packet)) == decode(encode(packet)).length


@given(packets())
def test_rewriting_changes_what_it_names(packet):
    """A rewritten packet differs in what was named, and its length is its own."""
    assert packet.length  # known before, so that it could be taken over wrongly
    longer = packet.rewritten(payload=packet.payload + b"1234", ttl=9)

    assert longer.length == packet.length + 4
    assert longer.rewritten(payload=packet.payload, ttl=packet.ttl) == packet
    assert packet.rewritten(header=None).length == packet.length - (packet.header.size if packet.header else 0)


@given(odd_packets())
def test_rewriting_is_evolving(packet):
    """`rewritten` makes what `attrs.evolve` makes, equal and of one hash."""
    changes = {"src": packet.dst, "dst": packet.src, "ttl": 1, "checksum": 7}

    assert packet.rewritten(**changes) == attrs.evolve(packet, **changes)
    assert hash(packet.rewritten(**changes)) == hash(attrs.evolve(packet, **changes))


@given(packets())
def test_a_packet_that_was_looked_at_is_the_same(packet):
    """To ask for a length does not make another value."""
    twin = packet.rewritten()
    assert twin.length == packet.length

    assert twin == packet
    assert len({twin, packet}) == 1


@pytest.mark.parametrize("value", [Packet.udp("192.0.2.1:1", "192.0.2.2:2"), Tcp(), Udp(), Icmp(8), Sctp()])
def test_values_do_not_change(value):
    """A packet is a value, and so is its header; a rewritten one is as unchangeable as the first."""
    field = attrs.fields(type(value))[0].name

    with pytest.raises(AttributeError):
        setattr(value, field, 3)
    if isinstance(value, Packet):
        with pytest.raises(AttributeError):
            value.rewritten(ttl=1).ttl = 3
