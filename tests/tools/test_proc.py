"""`cat` of the kernel's files."""

from __future__ import annotations

import pytest

from svcsim import Node, Packet, UnsupportedError


@pytest.fixture
def node():
    made = Node()
    made.add_interface("eth1", ["100.64.0.1/24"])
    made.add_interface("pods1", ["172.20.0.1/16"])
    return made


def test_parameters_are_files(node):
    """A kernel parameter is a file under /proc/sys."""
    node.run("sysctl -qw net.ipv4.ip_default_ttl=63")

    done = node.run("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/nosuch /proc/sys/net/ipv4/ip_default_ttl")

    assert (done.returncode, done.stdout) == (1, "1\n63\n")
    assert done.stderr == "cat: /proc/sys/net/ipv4/nosuch: No such file or directory\n"
    assert node.run("cat /proc/sys/net").stderr == "cat: /proc/sys/net: Is a directory\n"


def test_connections(node):
    """Tracked connections stand in nf_conntrack."""
    node.run("iptables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT")
    node.receive(Packet.udp("100.64.0.9:4001", "172.20.0.9:53"), "eth1")

    assert node.run("cat /proc/net/nf_conntrack").stdout == (
        "ipv4     2 udp      17 29 src=100.64.0.9 dst=172.20.0.9 sport=4001 dport=53 [UNREPLIED] "
        "src=172.20.0.9 dst=100.64.0.9 sport=53 dport=4001 mark=0 zone=0 use=2\n"
    )


def test_ipvs(node):
    """Services, their connections and their counters each have a file."""
    node.run("ipvsadm -A -t 100.64.0.1:80 -s rr; ipvsadm -a -t 100.64.0.1:80 -r 172.20.0.9:8080 -m")
    node.receive(Packet.tcp("100.64.0.9:4000", "100.64.0.1:80"), "eth1")

    assert "TCP  64400001:0050 rr" in node.run("cat /proc/net/ip_vs").stdout
    assert "64400009 0FA0 64400001 0050 AC140009 1F90 SYN_RECV" in node.run("cat /proc/net/ip_vs_conn").stdout
    assert "Total Incoming" in node.run("cat /proc/net/ip_vs_stats").stdout


@pytest.mark.parametrize("path", ["/proc/net/route", "/etc/passwd", "file", "/proc/sys/kernel/hostname"])
def test_other_files_are_named(node, path):
    """A file that svcsim has not is refused by name, not called missing."""
    with pytest.raises(UnsupportedError):
        node.run(f"cat {path}")


def test_standard_input_is_read_once(node):
    """- is standard input, which has an end."""
    assert node.run("echo a | cat - /proc/sys/net/ipv4/ip_forward -").stdout == "a\n1\n"
