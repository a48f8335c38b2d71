"""One host: a packet's way, the local stack, what a router says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from strategies import packets
from svcsim import ConfigError, Family, Hook, HookEntry, Node, Packet, Priority, Verdict
from svcsim.errors import ExistsError, MissingError
from svcsim.fragment import fragments_of
from svcsim.hooks import Owner

V6 = "ICMPV6 2001:db8:1::1 > 2001:db8:1::7"


@pytest.fixture
def node():
    made = Node()
    made.add_interface("eth1", ["100.64.0.1/24", "2001:db8:1::1/64"], ["203.0.113.0/24"])
    made.add_interface("pods1", ["172.20.0.1/16", "2001:db8:2::1/64"])
    return made


def sent(outcome):
    return [(s.device, str(s.packet)) for s in outcome.sent]


def test_forwarding(node):
    """What is for another host leaves by the route's device with its TTL one less."""
    out = node.receive(Packet.tcp("100.64.0.7:4000", "172.20.0.9:80"), "eth1")

    assert sent(out) == [("pods1", "TCP 100.64.0.7:4000 > 172.20.0.9:80 [S] seq 0, length 40, ttl 63")]
    assert (out.verdict, out.delivered) == (Verdict.ACCEPT, [])


def test_the_way_is_the_documented_one(node):
    """Every kind of packet meets the hooks of its way, in order."""
    met = []

    def note(skb, state):
        met.append((state.hook.name, state.indev, state.outdev))
        return Verdict.ACCEPT

    for hook in Hook:
        node.hooks[Family.IPV4].register(HookEntry(hook, Priority.RAW, note, "note"))

    node.receive(Packet.udp("100.64.0.7:1", "172.20.0.9:2"), "eth1")
    assert met == [("PRE_ROUTING", "eth1", ""), ("FORWARD", "eth1", "pods1"), ("POST_ROUTING", "eth1", "pods1")]
    met.clear()
    node.listen("udp", 53)
    node.receive(Packet.udp("100.64.0.7:1", "100.64.0.1:53"), "eth1")
    assert met == [("PRE_ROUTING", "eth1", ""), ("LOCAL_IN", "eth1", "")]
    met.clear()
    node.send(Packet.udp("100.64.0.1:1", "172.20.0.9:2"))
    assert met == [("LOCAL_OUT", "", "pods1"), ("POST_ROUTING", "", "pods1")]
    met.clear()
    node.send(Packet.udp("100.64.0.1:1", "100.64.0.1:53"))
    assert met == [
        ("LOCAL_OUT", "", "lo"), ("POST_ROUTING", "", "lo"), ("PRE_ROUTING", "lo", ""), ("LOCAL_IN", "lo", ""),
    ]  # fmt: skip


def test_hooks_of_one_priority(node):
    """Of equal priorities the newest is asked first; what is unregistered is asked no more."""
    order = []
    entries = [
        HookEntry(Hook.FORWARD, 0, lambda skb, state, n=n: order.append(n) or Verdict.ACCEPT, n) for n in ("old", "new")
    ]
    hooks = node.hooks[Family.IPV4]
    for entry in entries:
        hooks.register(entry)
    packet = Packet.udp("100.64.0.7:1", "172.20.0.9:2")
    node.receive(packet, "eth1")
    hooks.unregister(entries[1])
    node.receive(packet, "eth1")

    assert order == ["new", "old", "old"]


def test_a_hook_decides(node):
    """The first verdict but ACCEPT ends the packet's way, and the trace says so."""
    node.hooks[Family.IPV4].register(HookEntry(Hook.FORWARD, 0, lambda skb, state: Verdict.DROP, "wall"))

    out = node.receive(Packet.udp("100.64.0.7:1", "172.20.0.9:2"), "eth1", trace=True)

    assert (out.verdict, out.sent) == (Verdict.DROP, [])
    assert "FORWARD: wall -> DROP" in str(out.trace)


def test_listening(node):
    """A declared socket takes what is for it, of both families or of one address; without one there is an answer."""
    syn = Packet.tcp("100.64.0.7:4000", "100.64.0.1:80")
    assert sent(node.receive(syn, "eth1"))[0][1].startswith("TCP 100.64.0.1:80 > 100.64.0.7:4000 [RA]")
    socket = node.listen("tcp", 80)
    out = node.receive(syn, "eth1")
    assert (sent(out), [str(d) for d in out.delivered]) == ([], [f"tcp socket 80: {syn}"])
    assert node.receive(Packet.tcp("[2001:db8:1::7]:1", "[2001:db8:1::1]:80"), "eth1").delivered
    node.stack.close(socket)
    node.listen("tcp", 80, "172.20.0.1")
    assert node.receive(syn, "eth1").delivered == []
    with pytest.raises(ExistsError, match="already in use"):
        node.listen("tcp", 80, "172.20.0.1")
    with pytest.raises(ConfigError, match="no sockets of protocol"):
        node.listen("icmp", 1)


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (Packet.udp("100.64.0.7:1", "100.64.0.1:9"), "ICMP 100.64.0.1 > 100.64.0.7 dest unreach code 3"),
        (Packet.opaque("100.64.0.7", "100.64.0.1", 99), "ICMP 100.64.0.1 > 100.64.0.7 dest unreach code 2"),
        (Packet.udp("100.64.0.7:1", "172.20.0.9:9", ttl=1), "ICMP 100.64.0.1 > 100.64.0.7 time exceeded code 0"),
        (Packet.udp("100.64.0.7:1", "8.8.8.8:9"), "ICMP 100.64.0.1 > 100.64.0.7 dest unreach code 0"),
        (Packet.udp("100.64.0.7:1", "198.18.0.1:9"), "ICMP 100.64.0.1 > 100.64.0.7 dest unreach code 1"),
        (Packet.udp("100.64.0.7:1", "198.18.1.1:9"), "ICMP 100.64.0.1 > 100.64.0.7 dest unreach code 13"),
        (Packet.udp("100.64.0.7:1", "172.20.0.9:9", bytes(1500)), "ICMP 100.64.0.1 > 100.64.0.7 dest unreach code 4"),
        (Packet.echo("100.64.0.7", "100.64.0.1"), "ICMP 100.64.0.1 > 100.64.0.7 echo reply id 1 seq 1"),
        (Packet.tcp("100.64.0.7:1", "100.64.0.1:9", flags="A", ack=7), "TCP 100.64.0.1:9 > 100.64.0.7:1 [R] seq 7"),
        (Packet.udp("[2001:db8:1::7]:1", "[2001:db8:1::1]:9"), f"{V6} dest unreach code 4"),
        (Packet.udp("[2001:db8:1::7]:1", "[2001:db8:2::9]:9", ttl=1), f"{V6} time exceeded"),
        (Packet.udp("[2001:db8:1::7]:1", "[2001:db8:9::9]:9"), f"{V6} dest unreach code 0"),
        (Packet.opaque("2001:db8:1::7", "2001:db8:1::1", 99), f"{V6} parameter problem code 1"),
    ],
)  # fmt: skip
def test_what_a_host_says(node, packet, answer):
    """What cannot be delivered or forwarded is answered by the error that the kernel sends, quoting it."""
    node.run("ip route add unreachable 198.18.0.0/24; ip route add prohibit 198.18.1.0/24")
    (left,) = node.receive(packet, "eth1").sent

    assert str(left.packet).startswith(answer)
    assert left.device == "eth1"


@pytest.mark.parametrize(
    "packet",
    [
        Packet.udp("100.64.0.1:1", "172.20.0.9:2"),
        Packet.udp("127.0.0.1:1", "172.20.0.9:2"),
        Packet.udp("224.0.0.5:1", "172.20.0.9:2"),
        Packet.udp("100.64.0.7:1", "127.0.0.1:2"),
        Packet.udp("0.0.0.0:1", "172.20.0.9:2"),
        Packet.udp("100.64.0.7:1", "198.18.2.1:2"),
        Packet.udp("100.64.0.7:1", "172.20.0.9:2", header_checksum=1),
        Packet.tcp("100.64.0.7:1", "100.64.0.1:9", flags="R"),
        Packet.tcp("100.64.0.7:1", "100.64.0.1:9", checksum=1),
        Packet.icmp("100.64.0.7", "172.20.0.9", 3, 1, ttl=1),
        Packet.udp("100.64.0.7:1", "100.64.0.255:9"),
    ],
)
def test_what_a_host_says_nothing_to(node, packet):
    """Martians, blackholes, broken packets, errors and broadcasts are dropped without a word."""
    node.run("ip route add blackhole 198.18.2.0/24")
    out = node.receive(packet, "eth1")

    assert (out.sent, out.delivered) == ([], [])


def test_unreachable_is_not_said_for_ever(node):
    """A router tells one sender five times at once that there is no way, and once a second from then on."""
    packet = Packet.udp("100.64.0.7:1", "8.8.8.8:9")

    assert sum(len(node.receive(packet, "eth1").sent) for _ in range(8)) == 5
    node.advance(1)
    assert sum(len(node.receive(packet, "eth1").sent) for _ in range(8)) == 1


def test_redirects(node):
    """What leaves where it came from is forwarded, and its sender told of the shorter way, ever more rarely."""
    packet = Packet.udp("100.64.0.7:1", "203.0.113.9:2")
    first, second = (sent(node.receive(packet, "eth1")) for _ in range(2))

    assert [line.split(",")[0] for _, line in first] == [
        "ICMP 100.64.0.1 > 100.64.0.7 redirect code 1", "UDP 100.64.0.7:1 > 203.0.113.9:2",
    ]  # fmt: skip
    assert len(second) == 1
    node.run("sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth1.send_redirects=0")
    node.advance(100)
    assert len(node.receive(packet, "eth1").sent) == 1


def test_rp_filter(node):
    """With strict filtering a source must be reachable by where it came from, with loose filtering by any way."""
    packet = Packet.udp("203.0.113.7:1", "100.64.0.9:2")
    assert len(node.receive(packet, "pods1").sent) == 1
    node.run("sysctl -qw net.ipv4.conf.pods1.rp_filter=2")
    assert len(node.receive(packet, "pods1").sent) == 1
    node.run("sysctl -qw net.ipv4.conf.pods1.rp_filter=1")
    assert len(node.receive(packet, "pods1").sent) == 0


def test_route_localnet(node):
    """Loopback addresses come from outside only if the device allows it."""
    node.listen("udp", 53)
    packet = Packet.udp("100.64.0.7:1", "127.0.0.1:53")
    node.run("sysctl -qw net.ipv4.conf.eth1.route_localnet=1")

    assert len(node.receive(packet, "eth1").delivered) == 1


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (Packet.udp("100.64.0.1:1", "8.8.8.8:2"), 101),
        (Packet.udp("100.64.0.1:1", "198.18.0.1:2"), 113),
        (Packet.udp("100.64.0.1:1", "198.18.1.1:2"), 13),
        (Packet.udp("100.64.0.1:1", "198.18.2.1:2"), 22),
        (Packet.udp("100.64.0.1:1", "172.20.0.9:2", bytes(2000)), 90),
        (Packet.udp("100.64.0.1:1", "172.20.255.255:2"), 13),
    ],
)
def test_errors_of_a_local_sender(node, packet, error):
    """A send that fails has the errno that the kernel gives."""
    node.run("ip route add unreachable 198.18.0.0/24; ip route add prohibit 198.18.1.0/24")
    node.run("ip route add blackhole 198.18.2.0/24")
    out = node.send(packet)

    assert (out.error, out.sent) == (error, [])


def test_a_sender_without_address_gets_one(node):
    """A packet from 0.0.0.0 leaves with the address of its way out."""
    (left,) = node.send(Packet.udp("0.0.0.0:1", "172.20.0.9:2"), owner=Owner(1000)).sent

    assert str(left.packet).startswith("UDP 172.20.0.1:1 >")


def test_fragments_for_this_host(node):
    """Fragments for this host are delivered as the datagram that they make."""
    node.listen("udp", 9)
    whole = Packet.udp("100.64.0.7:1", "100.64.0.1:9", bytes(3000), ident=7, dont_fragment=False)
    outs = [node.receive(piece, "eth1") for piece in fragments_of(whole, 1500)]

    assert [len(out.delivered) for out in outs] == [0, 0, 1]
    assert outs[-1].delivered[0].packet == whole


def test_large_packets_are_fragmented_on_the_way(node):
    """Without DF a packet that is too long for the way out leaves in pieces."""
    node.run("ip link set pods1 mtu 600")
    whole = Packet.udp("100.64.0.7:1", "172.20.0.9:9", bytes(1000), dont_fragment=False)
    pieces = node.receive(whole, "eth1").sent

    assert [p.packet.length for p in pieces] == [596, 452]
    assert [p.packet.ttl for p in pieces] == [63, 63]


def test_configuration_is_refused_whole(node):
    """An interface with an impossible address is not half made."""
    with pytest.raises(ConfigError):
        node.add_interface("eth2", ["10.0.0.1/24", "10.0.0.300/24"])
    with pytest.raises(ConfigError):
        node.add_interface("eth2", ["10.0.0.1/24", "10.0.0.1/24"])
    assert "eth2" not in node.devices
    with pytest.raises(ConfigError, match="not a device name"):
        node.add_interface("x" * 16)
    with pytest.raises(MissingError, match="Cannot find device"):
        node.receive(Packet.udp("1.1.1.1:1", "2.2.2.2:2"), "nope")
    with pytest.raises(ConfigError, match="not a kernel version"):
        Node(kernel="six")


@given(packets())
@settings(max_examples=150)
def test_any_packet_has_an_outcome(packet):
    """Whatever arrives, the node answers with an outcome, traced or not, and it is the same."""
    outs = []
    for trace in (False, True):
        node = Node(seed=1)
        node.add_interface("eth1", ["10.0.0.1/24", "2001:db8::1/64"], ["default", "::/0"])
        node.listen("tcp", 1)
        outs.append(node.receive(packet, "eth1", trace=trace))
    plain, traced = outs

    assert sent(plain) == sent(traced)
    assert plain.verdict is traced.verdict
    assert [str(event) for event in traced.trace]
