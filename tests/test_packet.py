"""Packet values and their builders."""

from __future__ import annotations

import pytest
from hypothesis import given

from strategies import packets
from svcsim.errors import ConfigError, PacketError
from svcsim.packet import Icmp, Packet, Proto, Tcp
from svcsim.wire import encode


def test_tcp_builder():
    """One line builds a segment; flags are letters."""
    packet = Packet.tcp("192.0.2.1:40000", "10.96.0.10:80", flags="SA", seq=5, ack=6, payload=b"hi", ttl=3)

    assert packet.header == Tcp(5, 6, 0x12)
    assert (packet.sport, packet.dport, packet.ttl, packet.length) == (40000, 80, 3, 42)
    assert str(packet) == "TCP 192.0.2.1:40000 > 10.96.0.10:80 [SA] seq 5 ack 6, length 42, ttl 3"


def test_builders_of_both_families():
    """Brackets hold an IPv6 address; ICMP is numbered as its family numbers it."""
    assert str(Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2")) == "UDP [2001:db8::1]:1 > [2001:db8::2]:2, length 48"
    assert Packet.echo("2001:db8::1", "2001:db8::2").header == Icmp(128, 0, 1 << 16 | 1)
    assert Packet.echo("192.0.2.1", "192.0.2.2", reply=True).proto == Proto.ICMP
    assert str(Packet.icmp("192.0.2.1", "192.0.2.2", 3, 1)).startswith("ICMP 192.0.2.1 > 192.0.2.2 dest unreach code 1")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Packet.tcp("192.0.2.1:40000", "10.96.0.10:80", flags="X"),
        lambda: Packet.tcp("192.0.2.1:99999", "10.96.0.10:80"),
        lambda: Packet.tcp("192.0.2.1", "10.96.0.10:80"),
        lambda: Packet.udp("192.0.2.1:1", "[::1]:2"),
        lambda: Packet.udp("192.0.2.1:1", "192.0.2.2:2", hops=3),
    ],
)
def test_impossible_packets_are_refused(build):
    """An unknown flag, a missing or impossible port, mixed families and unknown fields are named."""
    with pytest.raises((PacketError, ConfigError)):
        build()


@given(packets())
def test_length_is_the_number_of_bytes(packet):
    """A packet's length is what its bytes will be."""
    assert packet.length == len(encode(packet))


@given(packets())
def test_rewriting_changes_what_it_names(packet):
    """A rewritten packet differs in what was named, and its length is its own."""
    longer = packet.rewritten(payload=packet.payload + b"1234", ttl=9)

    assert longer.length == packet.length + 4
    assert longer.rewritten(payload=packet.payload, ttl=packet.ttl) == packet


def test_packets_do_not_change():
    """A packet is a value."""
    with pytest.raises(AttributeError):
        Packet.udp("192.0.2.1:1", "192.0.2.2:2").ttl = 3
