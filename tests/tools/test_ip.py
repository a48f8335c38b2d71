"""`ip` and `sysctl` on a node."""

from __future__ import annotations

import pytest

from svcsim import Node, Packet, UnsupportedError


@pytest.fixture
def node():
    made = Node()
    made.add_interface("eth1", ["100.64.0.1/24", "2001:db8:1::1/64"])
    made.add_interface("pods1", ["172.20.0.1/16"])
    return made


def run(node, line):
    done = node.run(line)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_addresses(node):
    """Addresses are added, shown and deleted; the local table follows."""
    run(node, "ip link add dum0 type dummy; ip addr add 172.30.0.10/32 dev dum0")
    assert "inet 172.30.0.10/32 scope global dum0" in run(node, "ip addr show dev dum0")
    assert run(node, "ip -o -4 addr show dev eth1").startswith("2: eth1    inet 100.64.0.1/24 scope global eth1")
    assert run(node, "ip -br addr show dev eth1").split() == ["eth1", "UNKNOWN", "100.64.0.1/24", "2001:db8:1::1/64"]
    echo = Packet.echo("100.64.0.9", "172.30.0.10")
    assert len(node.receive(echo, "eth1").sent) == 1
    run(node, "ip addr del 172.30.0.10/32 dev dum0")
    assert node.receive(echo, "eth1").delivered == []


def test_routes(node):
    """Routes are added, shown, asked and deleted."""
    run(node, "ip route add 203.0.113.0/24 via 172.20.0.2; ip route add blackhole 198.51.100.0/24")
    run(node, "ip route add default dev eth1; ip route replace default dev pods1 src 172.20.0.1 metric 5")
    assert run(node, "ip route show") == (
        "default dev eth1 scope link \n"
        "default dev pods1 scope link src 172.20.0.1 metric 5 \n"
        "172.20.0.0/16 dev pods1 proto kernel scope link src 172.20.0.1 \n"
        "100.64.0.0/24 dev eth1 proto kernel scope link src 100.64.0.1 \n"
        "blackhole 198.51.100.0/24 \n"
        "203.0.113.0/24 via 172.20.0.2 dev pods1 \n"
    )
    assert run(node, "ip route get 203.0.113.9").startswith("203.0.113.9 via 172.20.0.2 dev pods1 src 172.20.0.1")
    assert run(node, "ip route get 100.64.0.1").startswith("local 100.64.0.1 dev lo")
    run(node, "ip route del 203.0.113.0/24")
    assert "203.0.113" not in run(node, "ip route")


def test_policy_rules(node):
    """Rules send marked packets to a table of their own; the default priorities count down."""
    run(node, "ip rule add fwmark 0x1 table 100; ip rule add from 100.64.0.0/24 lookup 101 pref 50")
    run(node, "ip route add default dev pods1 table 100")
    assert run(node, "ip rule") == (
        "0:\tfrom all lookup local\n"
        "50:\tfrom 100.64.0.0/24 lookup 101\n"
        "32765:\tfrom all fwmark 0x1 lookup 100\n"
        "32766:\tfrom all lookup main\n"
        "32767:\tfrom all lookup default\n"
    )
    assert run(node, "ip route get 203.0.113.9 mark 1").startswith("203.0.113.9 dev pods1 table 100")
    run(node, "ip rule del fwmark 1 table 100")
    assert "fwmark" not in run(node, "ip rule")


@pytest.mark.parametrize(
    ("line", "code", "stderr"),
    [
        ("ip addr add 100.64.0.1/24 dev eth1", 2, "RTNETLINK answers: File exists"),
        ("ip addr add 10.0.0.1/24 dev nope", 1, 'Cannot find device "nope"'),
        ("ip addr add 300.1.1.1/24 dev eth1", 1, 'any valid prefix is expected rather than "300.1.1.1/24"'),
        ("ip addr del 10.0.0.77/24 dev eth1", 2, "RTNETLINK answers: Cannot assign requested address"),
        ("ip link set nope up", 1, 'Cannot find device "nope"'),
        ("ip route del 10.44.0.0/16", 2, "RTNETLINK answers: No such process"),
        ("ip route add 10.3.0.0/16 via 99.9.9.9", 2, "Nexthop has invalid gateway"),
        ("ip route get 99.9.9.9", 2, "RTNETLINK answers: Network is unreachable"),
        ("ip route show table 77", 2, "FIB table does not exist"),
        ("ip rule del fwmark 0x9", 2, "RTNETLINK answers: No such file or directory"),
        ("ip frob", 1, 'Object "frob" is unknown'),
    ],
)
def test_refusals(node, line, code, stderr):
    """A refusal has the real tool's exit code and words, and changes nothing."""
    before = run(node, "ip addr; ip route; ip rule")

    done = node.run(line)

    assert done.returncode == code
    assert stderr in done.stderr
    assert run(node, "ip addr; ip route; ip rule") == before


def test_what_is_not_modelled_is_named(node):
    """Objects and link types that do not exist here are refused by name."""
    for line in ("ip netns add x", "ip link add gre1 type gre", "ip route add default nexthop via 1.1.1.1"):
        with pytest.raises(UnsupportedError):
            node.run(line)


def test_links(node):
    """A link can be taken down, and what would go by it then does not."""
    packet = Packet.udp("100.64.0.9:1", "172.20.0.9:2")
    assert node.receive(packet, "eth1").sent[0].device == "pods1"
    run(node, "ip link set pods1 down")
    assert "state DOWN" in run(node, "ip link show pods1")
    assert [s.device for s in node.receive(packet, "eth1").sent] == ["eth1"]  # network unreachable, to the sender
    run(node, "ip link set pods1 up mtu 1400; ip link del pods1")
    assert node.run("ip link show pods1").returncode == 1


def test_sysctl(node):
    """Parameters are read and written by name; -q is silent, -n leaves the name out."""
    assert run(node, "sysctl net.ipv4.ip_forward") == "net.ipv4.ip_forward = 1\n"
    assert run(node, "sysctl -w net.ipv4.ip_forward=0") == "net.ipv4.ip_forward = 0\n"
    assert run(node, "sysctl -qw net/ipv4/ip_forward=1; sysctl -n net.ipv4.ip_forward") == "1\n"
    assert run(node, "cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    done = node.run("sysctl net.ipv4.nosuch")
    assert (done.returncode, done.stderr) == (
        255, "sysctl: cannot stat /proc/sys/net/ipv4/nosuch: No such file or directory\n"
    )  # fmt: skip
    assert "net.ipv4.vs.conntrack = 0" in run(node, "sysctl -a")


def test_forwarding_can_be_turned_off(node):
    """Without ip_forward what is not for this host is dropped without a word."""
    packet = Packet.udp("100.64.0.9:1", "172.20.0.9:2")
    run(node, "sysctl -qw net.ipv4.ip_forward=0")

    assert node.receive(packet, "eth1").sent == []


def test_files_that_are_not_there(node):
    """A file that is not modelled is one that does not exist."""
    done = node.run("cat /etc/passwd")

    assert (done.returncode, done.stderr) == (1, "cat: /etc/passwd: No such file or directory\n")
