"""ICMP errors about connections, both ways, and about tunnels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.directors import CLIENT, VIP, arrive, director
from svcsim.addr import Family, parse_address
from svcsim.lb.service import Destination, TunnelType
from svcsim.lb.tunnel import wrap
from svcsim.packet import Icmp, Packet, Proto
from svcsim.wire import decode_quote, encode

WEB = ("-A -t 10.96.0.10:80 -s rr", "-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m")


def error(about: Packet, src: str, dst: str, kind: int = 3, code: int = 1, rest: int = 0, cut: int = 28) -> Packet:
    """An ICMP error from *src* to *dst*."""
    quote = about if isinstance(about, bytes) else encode(about)
    ends = parse_address(src).value, parse_address(dst).value
    return Packet(Family.IPV4, int(Proto.ICMP), *ends, header=Icmp(kind, code, rest), payload=quote[:cut])


def test_a_clients_error_reaches_the_destination_in_its_own_words():
    """It quotes an answer of the service; the destination sent it from its own address and port."""
    node = director(*WEB)
    arrive(node)
    (answer,) = node.receive(Packet.tcp("10.244.0.5:8080", f"{CLIENT}:4000", flags="SA"), "pod0").sent
    (sent,) = node.receive(error(answer.packet, CLIENT, VIP), "cli0").sent
    quoted = decode_quote(sent.packet.payload)
    assert (sent.device, sent.packet.dst) == ("pod0", parse_address("10.244.0.5").value)
    assert (quoted.src, quoted.sport) == (parse_address("10.244.0.5").value, 8080)


def test_a_destinations_error_reaches_the_client_in_the_services_words():
    """It quotes the rewritten request; the client sent it to the virtual address and port."""
    node = director(*WEB)
    (request,) = arrive(node).sent
    (sent,) = node.receive(error(request.packet, "10.244.0.5", CLIENT), "pod0").sent
    quoted = decode_quote(sent.packet.payload)
    assert sent.packet.src == parse_address(VIP).value
    assert (quoted.dst, quoted.dport) == (parse_address(VIP).value, 80)


def test_an_error_does_not_prolong_a_connection():
    """It is counted, and the timer runs on."""
    node = director(*WEB)
    (request,) = arrive(node).sent
    (conn,) = node.ipvs.conns
    node.advance(10)
    left = conn.remaining(node.clock.now)
    node.receive(error(request.packet, "10.244.0.5", CLIENT), "pod0")
    assert conn.remaining(node.clock.now) == left
    (service,) = node.ipvs.services
    assert service.stats.outpkts == 1


@pytest.mark.parametrize("on", [0, 1])
def test_an_error_about_no_connection(on):
    """schedule_icmp makes one of it, as if its answer had been asked for; else it passes."""
    node = director(*WEB, f"sysctl -qw net.ipv4.vs.schedule_icmp={on}")
    node.receive(error(Packet.tcp(f"{VIP}:80", f"{CLIENT}:4000"), CLIENT, VIP), "cli0")
    assert len(node.ipvs.conns) == on


def test_a_real_server_that_speaks_out_of_turn():
    """nat_icmp_send tells it that nobody listens; another host is let be."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.nat_icmp_send=1")
    for pod, told in ((5, "pod0"), (6, "cli0")):
        (sent,) = node.receive(Packet.tcp(f"10.244.0.{pod}:8080", f"{CLIENT}:999", flags="A"), "pod0").sent
        assert sent.device == told


@pytest.mark.parametrize("kind", TunnelType)
@pytest.mark.parametrize(("type_", "code", "room"), [(3, 1, 0), (11, 0, 0), (3, 4, 1500)])
def test_an_error_about_a_tunnel_is_told_to_the_client(kind, type_, code, room):
    """The wrapping comes off; a way too narrow is told as the room that was, and the next packet finds it narrower."""
    words = {0: "", 1: " --tun-type gue --tun-port 6080", 2: " --tun-type gre"}[int(kind)]
    node = director("-A -u 10.96.0.10:53 -s rr", f"-a -u 10.96.0.10:53 -r 10.244.0.5:53 -i{words}")
    sent = node.receive(Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", b"a" * 40), "cli0").sent[0].packet
    report = error(sent, "10.244.0.5", "10.244.0.1", type_, code, 1000, 200)
    (told,) = node.receive(report, "pod0").sent

    assert (told.device, told.packet.src) == ("cli0", parse_address(VIP).value)
    assert (told.packet.header.type, told.packet.header.code) == (type_, code)
    size = len(encode(sent)) - 68
    assert told.packet.header.rest == (room - size if room else 0)
    assert decode_quote(told.packet.payload).sport == 4000

    big = Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", b"a" * 1000, dont_fragment=True)
    (after,) = node.receive(big, "cli0").sent
    assert (after.packet.header.rest == 1000 - size if room else after.device == "pod0")  # fmt: skip
    node.advance(601)
    assert node.receive(big, "cli0").sent[0].device == "pod0"


@given(data=st.binary(max_size=80), outer=st.sampled_from([4, 17, 47, 6]), cut=st.integers(0, 120))
def test_no_quote_crashes(data, outer, cut):
    """Whatever an error quotes, it is answered or passes."""
    node = director("-A -u 10.96.0.10:53 -s rr", "-a -u 10.96.0.10:53 -r 10.244.0.5:53 -i")
    inner = encode(Packet.udp(f"{CLIENT}:4000", f"{VIP}:53"))
    dest = Destination(Family.IPV4, parse_address("10.244.0.5").value, 53)
    about = encode(Packet.opaque("10.244.0.1", "10.244.0.5", outer, data))
    for quote in (
        about,
        encode(wrap(Packet.udp(f"{CLIENT}:1", f"{VIP}:53", data), 1, dest.address, Family.IPV4, dest)),
    ):
        node.receive(error(quote, "10.244.0.5", "10.244.0.1", cut=cut), "pod0")
    assert inner
