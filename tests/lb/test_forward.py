"""Ways to a destination: sizes, time to live, tunnels of every kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.directors import CLIENT, VIP, director
from svcsim.addr import Family
from svcsim.checksum import internet
from svcsim.lb.service import Destination, TunnelType
from svcsim.lb.tunnel import overhead, wrap
from svcsim.packet import Packet
from svcsim.wire import decode, encode


def served(words: str, packet: Packet, *more: str):
    """What leaves a director of one UDP service when *packet* arrives."""
    node = director("-A -u 10.96.0.10:53 -s rr", f"-a -u 10.96.0.10:53 -r 10.244.0.5:53 {words}", *more)
    return node.receive(packet, "cli0").sent


@pytest.mark.parametrize("words", ["-m", "-g", "-i", "-i --tun-type gre", "-i --tun-type gue --tun-port 6080"])
def test_a_packet_about_to_die_is_reported(words):
    """Each way is a hop: time exceeded, and nothing is sent on."""
    (told,) = served(words, Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", ttl=1))
    assert (told.packet.header.type, told.packet.header.code) == (11, 0)


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ("-m", 1500),
        ("-g", 1500),
        ("-i", 1480),
        ("-i --tun-type gre", 1476),
        ("-i --tun-type gre --tun-csum", 1472),
        ("-i --tun-type gue --tun-port 6080", 1468),
    ],
)
def test_what_does_not_fit_is_reported_with_the_room_there_is(words, room):
    """A packet that may not be cut and is larger than the way allows; the error quotes it one hop older."""
    fits = Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", bytes(room - 28), dont_fragment=True)
    assert served(words, fits)[0].device == "pod0"
    big = Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", bytes(room - 27), dont_fragment=True)
    if room < 1500:
        (told,) = served(words, big)
        assert (told.packet.header.type, told.packet.header.code, told.packet.header.rest) == (3, 4, room)
        assert told.packet.payload[8] == 63


def test_pmtu_disc_off_lets_anything_into_a_tunnel():
    """The outer packet may then be cut, whatever the inner one says."""
    big = Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", bytes(1470), dont_fragment=True)
    sent = served("-i", big, "sysctl -qw net.ipv4.vs.pmtu_disc=0")
    assert [each.device for each in sent] == ["pod0", "pod0"]
    assert not sent[0].packet.dont_fragment


@given(
    kind=st.sampled_from(TunnelType),
    checksum=st.sampled_from(["nocsum", "csum"]),
    inner=st.sampled_from(Family),
    outer=st.sampled_from(Family),
    payload=st.binary(max_size=64),
    tos=st.integers(0, 255),
)
def test_the_wrapping_holds_the_packet_whole(kind, checksum, inner, outer, payload, tos):
    """The inner packet is the end of the outer one, which is `overhead` larger; its checksums are right."""
    ends = ("192.0.2.9:1", "10.96.0.10:53") if inner is Family.IPV4 else ("[2001:db8::9]:1", "[fd96::10]:53")
    packet = Packet.udp(*ends, payload, tos=tos)
    dest = Destination(outer, 1, 53, tunnel=kind, tunnel_port=6080, tunnel_checksum=checksum)
    wrapped = wrap(packet, 7, 8, outer, dest, 40000)
    raw = encode(wrapped)
    assert raw.endswith(encode(packet))
    assert len(raw) == packet.length + overhead(outer, dest)
    assert decode(raw).checksum in (None, 0)
    if kind is TunnelType.GRE and checksum == "csum":
        assert internet(wrapped.payload) == 0
    assert wrapped.tos & 3 == (2 if tos & 3 == 3 else tos & 3)


def test_a_tunnel_without_room_sends_nothing():
    """What an IPv6 tunnel leaves of a small link is less than IPv6 needs."""
    node = director("ip link set pod0 mtu 1300", "-A -u [fd96::10]:53 -s rr", "-a -u [fd96::10]:53 -r [fd00::5]:53 -i")
    assert node.receive(Packet.udp("[2001:db8::9]:1", "[fd96::10]:53"), "cli0").sent == []


def test_a_family_that_is_not_the_services_is_reached_by_tunnel():
    """An IPv6 request goes inside IPv4, which may then be cut: IPv6 has no word against it."""
    node = director("-A -t [fd96::10]:80 -s rr", "-a -t [fd96::10]:80 -r 10.244.0.5:80 -i")
    (sent,) = node.receive(Packet.tcp("[2001:db8::9]:1", "[fd96::10]:80"), "cli0").sent
    assert (sent.packet.family, sent.packet.proto, sent.packet.dont_fragment) == (Family.IPV4, 41, False)
