"""Hosts joined by links: who takes what, in which order, and when everything is at rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import MILLISECOND, SECOND
from svcsim.errors import ConfigError, ExistsError, MissingError, SvcsimError
from svcsim.network import Network
from svcsim.packet import Packet


def chain(length: int, delay: float = 0.0) -> Network:
    """Hosts h0, h1, ... in a row, each the router of those behind it."""
    net = Network()
    for i in range(length):
        node = net.add(f"h{i}").node
        if i:
            node.add_interface("left", [f"10.0.{i - 1}.2/24"])
        if i < length - 1:
            node.add_interface("right", [f"10.0.{i}.1/24"])
    for i in range(length - 1):
        net.join(f"link{i}", f"h{i}:right", f"h{i + 1}:left", delay=delay)
        for j in range(length):
            if j < i:
                net.hosts[f"h{j}"].node.run(f"ip route add 10.0.{i}.0/24 via 10.0.{j}.2")
            elif j > i + 1:
                net.hosts[f"h{j}"].node.run(f"ip route add 10.0.{i}.0/24 via 10.0.{j - 1}.1")
    return net


@given(length=st.integers(2, 6), milliseconds=st.integers(0, 50))
def test_an_echo_goes_there_and_back(length, milliseconds):
    """Every router takes one off the TTL, every link costs its delay, both ways."""
    net = chain(length, milliseconds / 1000)
    last = f"10.0.{length - 2}.2"

    journey = net.send("h0", Packet.echo("10.0.0.1", last))

    assert [hop.host for hop in journey.hops] == [
        *(f"h{i}" for i in range(length)),
        *(f"h{i}" for i in reversed(range(length - 1))),
    ]
    assert [packet.ttl for _, packet in journey.delivered()] == [64 - (length - 2)] * 2
    assert net.clock.now == 2 * (length - 1) * milliseconds * MILLISECOND
    assert not journey.lost


def test_a_way_that_ends_nowhere_is_told():
    """What nobody on a link takes is lost, and the journey says whom nobody had."""
    net = chain(2)

    journey = net.send("h0", Packet.udp("10.0.0.1:5", "10.0.0.9:6"))

    assert [str(lost) for lost in journey.lost] == [
        "h0 right: UDP 10.0.0.1:5 > 10.0.0.9:6, length 28 => lost: nobody on link0 has 10.0.0.9"
    ]


def test_a_device_that_is_joined_to_nothing():
    """A device without a link leads nowhere."""
    net = Network()
    net.add("a").node.add_interface("eth0", ["192.0.2.1/24"])

    assert net.send("a", Packet.udp("192.0.2.1:5", "192.0.2.2:6")).lost[0].reason == "eth0 leads nowhere"


def test_a_broadcast_is_for_everybody():
    """A broadcast, which a rule may make of a packet, comes to every other member of the segment."""
    net = Network()
    for i in (1, 2, 3):
        net.add(f"h{i}").node.add_interface("eth0", [f"192.0.2.{i}/24"])
    net.join("lan", "h1:eth0", "h2:eth0", "h3:eth0")

    net.hosts["h1"].node.run("iptables -t nat -A OUTPUT -d 192.0.2.77 -j DNAT --to-destination 192.0.2.255")

    journey = net.send("h1", Packet.udp("192.0.2.1:5", "192.0.2.77:6"))

    assert {hop.host for hop in journey.hops if hop.device == "eth0"} >= {"h2", "h3"}


@pytest.mark.parametrize("ignore, taken", [(0, True), (1, False)])
def test_an_address_of_another_device(ignore, taken):
    """A host answers for an address of a dummy device too, unless arp_ignore forbids it."""
    net = chain(2)
    server = net.hosts["h1"].node
    server.add_interface("vip0", ["10.0.0.100/32"], kind="dummy")
    server.run(f"sysctl -w net.ipv4.conf.all.arp_ignore={ignore}")

    journey = net.send("h0", Packet.echo("10.0.0.1", "10.0.0.100"))

    assert bool(journey.lost) is not taken


def test_direct_routing_asks_for_the_destination():
    """What IPVS sends by direct routing keeps the virtual address, and goes to the real server for all that."""
    net = chain(2)
    director, server = net.hosts["h0"].node, net.hosts["h1"].node
    director.add_interface("cli", ["198.51.100.1/24"])
    director.add_interface("vip0", ["203.0.113.5/32"], kind="dummy")
    server.add_interface("vip0", ["203.0.113.5/32"], kind="dummy")
    server.run("sysctl -w net.ipv4.conf.all.arp_ignore=1")
    net.hosts["h1"].serve("tcp", 80, lambda packet: ())
    director.run("ipvsadm -A -t 203.0.113.5:80 -s rr; ipvsadm -a -t 203.0.113.5:80 -r 10.0.0.2 -g")

    journey = net.receive("h0", "cli", Packet.tcp("198.51.100.9:40000", "203.0.113.5:80"))

    assert [host for host, _ in journey.delivered()] == ["h1"]


def test_time_carries_what_is_under_way():
    """A packet on a slow link comes in when its time has come, and not before."""
    net = chain(2, delay=1.0)
    arrived = []
    net.hosts["h1"].serve("udp", 7, lambda packet: arrived.append(net.clock.now) or ())

    net.clock.call_at(SECOND, lambda: net.post(net.hosts["h0"], Packet.udp("10.0.0.1:9", "10.0.0.2:7")))

    assert not net.advance(1.5).lost
    assert not arrived
    net.advance(1.0)
    assert arrived == [2 * SECOND]
    assert net.clock.now == round(2.5 * SECOND)


def test_what_a_timer_sends_is_carried():
    """A datagram that never became whole: the host says so by itself, half a minute later, and the peer hears it."""
    net = chain(2)
    first = next(iter(_pieces(Packet.udp("10.0.0.1:9", "10.0.0.2:7", bytes(3000)))))
    net.send("h0", first)

    journey = net.advance(60)

    assert [hop.host for hop in journey.hops] == ["h1", "h0"]
    assert journey.hops[0].packet is None


def _pieces(packet: Packet):
    from svcsim.fragment import fragments_of

    return fragments_of(packet, 1500, ident=1)


def test_what_does_not_come_to_rest_is_stopped():
    """Two applications that answer each other for ever are stopped with a word."""
    net = chain(2)
    for name in ("h0", "h1"):
        net.hosts[name].serve("udp", 7, lambda packet: [_back(packet)])

    with pytest.raises(SvcsimError, match="does not come to rest"):
        net.send("h0", Packet.udp("10.0.0.1:7", "10.0.0.2:7"))

    assert not net.advance(1).hops


def _back(packet: Packet) -> Packet:
    return Packet.udp("10.0.0.2:7", "10.0.0.1:7") if packet.src & 0xFF == 1 else Packet.udp("10.0.0.1:7", "10.0.0.2:7")


@pytest.mark.parametrize(
    "wrong, error",
    [
        (lambda net: net.add("h0"), ExistsError),
        (lambda net: net.host("x"), MissingError),
        (lambda net: net.join("l", "h0"), ConfigError),
        (lambda net: net.join("l", "h0:eth7"), MissingError),
        (lambda net: net.join("l", "h0:right"), ExistsError),
        (lambda net: net.join("l", "h1:right", delay=-1), ConfigError),
        (lambda net: net.send("x", Packet.udp("10.0.0.1:7", "10.0.0.2:7")), MissingError),
    ],
)
def test_refusals(wrong, error):
    """What is named wrongly is refused, and leaves the network as it was."""
    net = chain(3)
    before = {name: list(segment.members) for name, segment in net.segments.items()}

    with pytest.raises(error):
        wrong(net)

    assert {name: segment.members for name, segment in net.segments.items()} == before
    assert list(net.hosts) == ["h0", "h1", "h2"]


def test_a_host_that_is_gone_takes_nothing():
    """What is on its way to a host that was removed is lost with it."""
    net = chain(2, delay=1.0)
    net.clock.call_at(0, lambda: net.post(net.hosts["h0"], Packet.echo("10.0.0.1", "10.0.0.2")))
    net.advance(0.5)
    net.remove("h1")

    assert not net.advance(5).hops


def test_hosts_draw_apart():
    """Hosts of one seed draw differently, and the same each time."""
    first, second = Network(seed=3), Network(seed=3)
    draws = [[net.add(name).node.streams["x"].u64() for name in "ab"] for net in (first, second)]

    assert draws[0] == draws[1]
    assert draws[0][0] != draws[0][1]
