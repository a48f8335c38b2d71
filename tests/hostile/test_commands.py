"""No line that is typed on a node makes it crash, hang, or end half changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile.texts import COMMANDS, CONNTRACK_LISTING, RESTORE, SETS, spoiled
from svcsim import Node, Packet, SvcsimError
from svcsim.conntrack_text import load_connections
from svcsim.errors import ConfigError

_DUMPS = (
    "iptables-save", "ip6tables-save", "ipset save", "ipvsadm -Sn", "ip -4 addr; ip route show table all; ip rule",
    "sysctl -a", "conntrack -L",
)  # fmt: skip


def node_with_everything() -> Node:
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24", "2001:db8::1/64"], ["default"])
    node.add_interface("pods", ["10.0.0.1/8"])
    for tool in ("iptables", "ip6tables"):  # asking for a table makes it, even if what is asked is refused
        for table in ("raw", "mangle", "nat", "filter", "security"):
            node.run(f"{tool} -t {table} -L -n")
    for line in (
        f"iptables-restore <<'E'\n{RESTORE}E",
        f"ipset restore <<'E'\n{SETS}E",
        "ipvsadm -A -t 10.96.0.10:80 -s rr; ipvsadm -a -t 10.96.0.10:80 -r 10.0.0.5:8080 -m",
    ):
        done = node.run(line)
        assert done.returncode == 0, done.stderr
    load_connections(node.conntrack, CONNTRACK_LISTING)
    return node


def state(node: Node) -> list[str]:
    return [node.run(line).stdout for line in _DUMPS]


def try_line(node: Node, line: str) -> int | None:
    """The exit code; None for a refusal by `SvcsimError`."""
    try:
        done = node.run(line)
    except SvcsimError:
        return None
    assert 0 <= done.returncode <= 255
    return done.returncode


@given(st.data())
def test_spoiled_commands_are_answered(data):
    """A mutated line of any tool ends with an exit code or an `SvcsimError`, and the node still carries packets."""
    node = node_with_everything()
    line = data.draw(spoiled(data.draw(st.sampled_from(COMMANDS))))

    try_line(node, line)

    state(node)
    if "eth0" in node.devices.by_name and node.devices["eth0"].up:
        node.receive(Packet.tcp("192.0.2.9:1", "10.96.0.10:80"), "eth0")


@given(st.text(max_size=60))
def test_any_text_is_answered(text):
    """A line of any characters ends with an exit code or an `SvcsimError`."""
    try_line(node_with_everything(), text)


#: Tools that change one thing at a time: what they refuse is not done.
_WHOLE = [line for line in COMMANDS if ";" not in line and "ipset restore" not in line and "-R" not in line]


@given(st.data())
def test_what_is_refused_is_not_done(data):
    """A single command that fails leaves every table as it was."""
    node = node_with_everything()
    before = state(node)
    line = data.draw(spoiled(data.draw(st.sampled_from(_WHOLE))))
    if any(c in line for c in ";|&\n") and "restore" not in line:
        return

    if try_line(node, line) not in (0, None):
        after = state(node)
        # Several parameters, ranges, tables: what comes before the refusal stays.
        partly = line.startswith(("sysctl", "ipset", "iptables-restore"))
        assert partly or after == before


@given(st.data())
def test_listings_of_connections_are_read_whole_or_not(data):
    """A mutated `conntrack -L` is loaded, or refused with the table as it was."""
    node = Node()
    text = data.draw(spoiled(CONNTRACK_LISTING))
    try:
        count = load_connections(node.conntrack, text)
    except ConfigError:
        count = 0

    assert len(node.conntrack) == count


@pytest.mark.parametrize(
    "line",
    [
        "ipset create x hash:ip; ipset add x 10.0.0.0/8",
        "ipset create x hash:ip maxelem 4294967295; ipset add x 10.0.0.0/8",
        "ipset create x hash:ip,port maxelem 4294967295; ipset add x 10.0.0.0/8,0-65535",
        "ipset create x hash:net,port,net; ipset add x 0.0.0.0-255.255.255.254,tcp:0-65535,0.0.0.1-255.255.255.254",
        "ipset create x hash:ip; ipset del x 10.0.0.0/8 -exist",
        "ipset create x hash:ip bitmask 255.0.0.0; ipset add x 10.0.0.0/8 -exist",
        "ipset create x hash:net family inet6; ipset add x ::/1",
        "ipset create x bitmap:ip range 0.0.0.0/0",
        "ipset create x bitmap:ip range 0.0.0.0/0 netmask 16; ipset add x 0.0.0.0/0; ipset list x",
        "ipset create x hash:ip hashsize 4294967295 timeout 2147483; ipset list x",
        "iptables -A FORWARD -m limit --limit 1000000/sec --limit-burst 4294967295",
        "iptables -A FORWARD -m comment --comment " + "a" * 100_000,
        "iptables -A FORWARD " + "-m tcp " * 5000,
        "iptables -A FORWARD -d " + ",".join(["10.0.0.1"] * 5000),
        "iptables -t nat -A POSTROUTING -j SNAT --to-source 0.0.0.0-255.255.255.255",
        "iptables -I FORWARD 99999999999999999999 -j ACCEPT",
        "ipvsadm -A -t 10.0.0.1:80 -s rr -p 99999999999999999999",
        "ip route add 10.0.0.0/8 metric 99999999999999999999 table 99999999999999999999",
        "sysctl -w net.netfilter.nf_conntrack_max=" + "9" * 5000,
        "conntrack -L -m " + "9" * 5000,
        "sleep " + "9" * 400,
        "echo x | head -n " + "9" * 5000,
        "echo x | grep -E '" + "(" * 5000 + "'",
        "echo x | grep -E '" + "(" * 90 + "x{1,9}" + "){1,9}" * 90 + "'",
        "echo " + "a" * 30 + " | grep -E '(a*)*b|(a|a)*c|(.*.*.*)*d'",
        "echo x | grep '" + "x*" * 5000 + "'",
        "cat <<E\n" + "x" * 5_000_000,
        "cat <<'E' | grep -c x\n" + "x\n" * 200_000 + "E",
        "for a in 1 2 3 4 5 6 7 8 9; do " * 1000 + "true" + "; done" * 1000,
        "for a in 1 2 3 4 5 6 7 8 9; do " * 7 + "true" + "; done" * 7,
        "true" + " | cat" * 5000,
        "true" + " && true" * 20_000,
        "! " * 5000 + "true",
        "echo " + "'a'\"b\"" * 20_000,
        "echo " + "\\\n" * 100_000,
        "true;" * 50_000,
        "((" * 5000,
        "x" * 5_000_000,
    ],
    ids=lambda line: f"{line[:40]}({len(line)})",
)  # fmt: skip
def test_absurd_sizes(line):
    """Enormous numbers, depths and lengths behave, or are refused with a word, in time and memory."""
    node = Node()

    try_line(node, line)

    assert node.run("true").returncode == 0


def test_a_set_of_a_million():
    """A set takes a million elements by one word."""
    node = Node()
    done = node.run("ipset create x hash:ip maxelem 2000000; ipset add x 10.0.0.0/12; ipset list -t x | tail -n 1")

    assert done.stdout == "Number of entries: 1048576\n"
