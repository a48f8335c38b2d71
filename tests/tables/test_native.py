"""Rules that nf_tables keeps: beside those of ip_tables, counted and printed in their own ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.hooks import Hook, HookState, Skb
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tables.matches.tcp import TcpMatch
from svcsim.tables.native import native_matches

SYN = Packet.tcp("192.0.2.9:40000", "198.51.100.5:80")
SHORT = Packet.opaque("192.0.2.9", "198.51.100.5", 6, bytes.fromhex("9c400050"))


def host(*commands: str) -> Node:
    node = Node()
    node.add_interface("in0", ["192.0.2.254/24"])
    node.add_interface("out0", ["198.51.100.254/24"])
    for command in commands:
        assert not node.run(command).returncode, command
    return node


def saved(node: Node) -> list[str]:
    return [line for line in node.run("iptables-nft-save -c").stdout.splitlines() if line[0] != "#"]


def test_rules_of_both_kinds():
    """Neither tool sees the other's rules; a packet meets both."""
    node = host("iptables-nft -A FORWARD -j ACCEPT", "iptables-legacy -A FORWARD -j DROP")

    assert node.run("iptables-nft -S FORWARD").stdout == "-P FORWARD ACCEPT\n-A FORWARD -j ACCEPT\n"
    assert node.run("iptables-legacy -S FORWARD").stdout == "-P FORWARD ACCEPT\n-A FORWARD -j DROP\n"
    assert not node.receive(SYN, "in0").sent


@pytest.mark.parametrize(
    ("command", "counters"),
    [
        ("iptables-nft -A FORWARD -p udp", "[0:0]"),
        ("iptables-nft -P FORWARD ACCEPT", "[1:40]"),
        ("iptables-nft -A FORWARD -p udp; iptables-nft -Z FORWARD", "[1:40]"),
        ("iptables-nft-restore <<'E'\n*filter\n-A FORWARD -p udp\nCOMMIT\nE", "[0:0]"),
        ("iptables-nft-restore <<'E'\n*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\nE", "[1:40]"),
    ],
)
def test_when_a_policy_counts(command, counters):
    """A built-in chain counts from when its policy was named or its counters were zeroed, not by having rules."""
    node = host(command)
    node.receive(SYN, "in0")

    assert f":FORWARD ACCEPT {counters}" in saved(node)


def test_counters_survive_other_changes():
    """A new rule leaves the policy's counters as they are, and what other rules remember."""
    node = host(
        "iptables-nft -P FORWARD ACCEPT", "iptables-nft -A FORWARD -m statistic --mode nth --every 2 --packet 0 -j DROP"
    )
    first = node.receive(SYN, "in0").sent
    node.run("iptables-nft -A FORWARD -p udp")
    second = node.receive(SYN, "in0").sent

    assert (len(first), len(second)) in ((1, 0), (0, 1))
    assert ":FORWARD ACCEPT [1:40]" in saved(node)


def test_tables_have_their_order():
    """Tables are saved as mangle, security, raw, filter, nat, however they came."""
    node = host(*(f"iptables-nft -t {table} -N x" for table in ("nat", "raw", "filter", "security", "mangle")))

    assert [line for line in saved(node) if line[0] == "*"] == ["*mangle", "*security", "*raw", "*filter", "*nat"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-p tcp ! --sport 0:1023", "--sport 1024:65535"),
        ("-p tcp ! --sport 1024:65535", "! --sport 1024:65535"),
        ("-p udp ! --dport 80", "! --dport 80"),
        ("-p tcp -m tcp --syn -m tcp --dport 443", "--dport 443 --tcp-flags FIN,SYN,RST,ACK SYN"),
        ("-p tcp -m tcp --dport 80 -m tcp --dport 443", "--dport 443"),
    ],
)
def test_what_comes_back(words, text):
    """Several tests of one protocol are one, and a range from port 0 on needs no inversion."""
    node = host(f"iptables-nft -A FORWARD {words}")
    proto = words.split()[1]

    assert node.run("iptables-nft -S FORWARD").stdout.endswith(f"-A FORWARD -p {proto} -m {proto} {text}\n")


@pytest.mark.parametrize(
    ("words", "passes"),
    [("--dport 80", True), ("! --dport 80", False), ("! --dport 81", True), ("--syn", False), ("--tcp-option 2", None)],
)
def test_short_packets_are_not_dropped(words, passes):
    """Of a packet with nothing but its ports these are looked at; only an old match drops it."""
    node = host(f"iptables-nft -A FORWARD -p tcp {words} -j ACCEPT", "iptables-nft -P FORWARD DROP")

    assert bool(node.receive(SHORT, "in0").sent) is bool(passes)
    assert (":FORWARD DROP [0:0]" in saved(node)) is (passes is not False)


@given(st.tuples(*[st.integers(0, 65535)] * 2).map(sorted), st.integers(0, 65535), st.booleans())
def test_the_same_packets_pass(ends, port, inverted):
    """However a range is written, it means the same."""
    match = TcpMatch(dport=(ends[0], ends[1]), not_dport=inverted)
    (native,) = native_matches([match])
    skb = Skb(Packet.tcp("192.0.2.9:40000", f"198.51.100.5:{port}"))
    state = HookState(Hook.FORWARD, skb.family, "in0", "out0", Node())

    assert native.matches(skb, state) == match.matches(skb, state)


def test_refusals_have_their_own_exit_code():
    """What nf_tables does not take ends with 4, by command and by text."""
    node = host("iptables-nft -N web")
    assert node.run("iptables-nft -t raw -A PREROUTING -j REJECT").returncode == 4
    assert node.run("iptables-nft-restore <<'E'\n*raw\n-A PREROUTING -j REJECT\nCOMMIT\nE").returncode == 4
