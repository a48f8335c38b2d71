"""Input routing: which sources may arrive where, what is for this host, and what comes back to it."""

from __future__ import annotations

import pytest

from svcsim.hooks import Verdict
from svcsim.node import Node
from svcsim.packet import Packet


def host(*sysctls: str) -> Node:
    node = Node()
    node.add_interface("a0", ["192.0.2.1/24"], ["default"])
    node.add_interface("b0", ["10.9.0.1/16"])
    for setting in sysctls:
        assert not node.run(f"sysctl -qw {setting}").returncode, setting
    return node


def passes(node: Node, src: str, dst: str, iface: str = "a0") -> bool:
    return node.receive(Packet.udp(f"{src}:7", f"{dst}:7"), iface).verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    ("sysctl", "src", "dst", "answer"),
    [
        ("", "198.51.100.1", "10.9.0.5", True),
        ("", "10.9.0.5", "10.9.0.6", True),
        ("", "10.9.255.255", "10.9.0.5", True),
        ("", "10.9.0.1", "10.9.0.5", False),
        ("", "192.0.2.1", "10.9.0.5", False),
        ("", "224.0.0.5", "10.9.0.5", False),
        ("", "255.255.255.255", "10.9.0.5", False),
        ("", "0.0.0.0", "10.9.0.5", False),
        ("", "0.1.2.3", "10.9.0.5", True),
        ("", "127.0.0.1", "10.9.0.5", False),
        ("", "198.51.100.1", "127.0.0.1", False),
        ("", "198.51.100.1", "0.0.0.0", False),
        ("", "198.51.100.1", "224.0.0.9", False),
        ("", "198.51.100.1", "224.0.0.1", True),
        ("", "0.0.0.0", "255.255.255.255", True),
        ("net.ipv4.conf.a0.accept_local=1", "10.9.0.1", "10.9.0.5", True),
        ("net.ipv4.conf.a0.route_localnet=1", "198.51.100.1", "127.0.0.1", True),
        ("net.ipv4.conf.a0.rp_filter=1", "10.9.0.5", "10.9.0.6", False),
        ("net.ipv4.conf.a0.rp_filter=2", "10.9.0.5", "10.9.0.6", True),
        ("net.ipv4.conf.a0.rp_filter=2", "10.9.255.255", "10.9.0.5", False),
        ("net.ipv4.conf.all.rp_filter=1", "198.51.100.1", "10.9.0.5", True),
    ],
)
def test_who_may_come(sysctl, src, dst, answer):
    """Without rp_filter only this host's own addresses and what cannot be a source are refused."""
    assert passes(host(*([sysctl] if sysctl else [])), src, dst) is answer


def test_a_policy_rule_wants_the_way_back():
    """Where policy rules were added, a broadcast source is no longer taken for an ordinary one."""
    node = host()
    assert passes(node, "10.9.255.255", "10.9.0.5")
    node.run("ip rule add from 203.0.113.0/24 table 7")

    assert not passes(node, "10.9.255.255", "10.9.0.5")


@pytest.mark.parametrize(
    ("src", "dst"),
    [("::1", "2001:db8::1"), ("ff02::9", "2001:db8::1"), ("2001:db8::9", "::1"), ("2001:db8::9", "ff01::1")],
)
def test_ipv6_refuses_before_anything_counts(src, dst):
    """Loopback and multicast sources, and what does not leave a device, are gone before PREROUTING."""
    node = host()
    node.run("ip6tables -t raw -A PREROUTING")
    assert node.receive(Packet.udp(f"[{src}]:7", f"[{dst}]:7"), "a0").verdict is Verdict.DROP

    assert "[0:0] -A PREROUTING" in node.run("ip6tables-save -c").stdout


def test_a_broadcast_comes_back():
    """What this host answers to a broadcast address leaves, and is heard by this host itself."""
    node = host()
    node.run("iptables -A INPUT -i a0 -p icmp")
    (sent,) = node.receive(Packet.udp("192.0.2.255:7", "192.0.2.1:9"), "a0").sent

    assert sent.packet.dst == 0xC00002FF
    assert "[1:56] -A INPUT -i a0 -p icmp" in node.run("iptables-save -c").stdout


def test_groups_leave_by_the_first_device():
    """IPv6 multicast goes by the first device that is up, IPv4 by its routes."""
    node = host()
    node.run("ip -6 addr add 2001:db8::1/64 dev a0; ip -6 addr add 2001:db8:1::1/64 dev b0")
    group = Packet.udp("[2001:db8::1]:7", "[ff0e::5]:7")

    assert [sent.device for sent in node.send(group).sent] == ["a0"]
    node.set_link("a0", up=False)
    assert [sent.device for sent in node.send(group).sent] == ["b0"]


def test_a_device_that_goes_down_takes_routes_along():
    """Added routes and IPv6 addresses go, IPv4 addresses stay; lo cannot be taken away, and nothing changes by trying."""
    node = host()
    node.run("ip route add 203.0.113.0/24 dev b0; ip -6 addr add 2001:db8:1::1/64 dev b0")
    node.set_link("b0", up=False)
    node.set_link("b0", up=True)
    routes = node.run("ip route").stdout

    assert "203.0.113.0/24" not in routes and "10.9.0.0/16" in routes
    assert "2001:db8:1::1" not in node.run("ip -6 addr").stdout
    before = node.run("ip addr; ip route").stdout
    with pytest.raises(ValueError, match="not supported"):
        node.remove_interface("lo")
    assert node.run("ip addr; ip route").stdout == before


def test_the_default_ttl():
    """What the host makes of its own has the TTL that the sysctl says."""
    (sent,) = host("net.ipv4.ip_default_ttl=99").receive(Packet.echo("198.51.100.1", "192.0.2.1"), "a0").sent

    assert sent.packet.ttl == 99
