"""`sysctl` on a node."""

from __future__ import annotations

import pytest

from svcsim import Node, Packet, UnsupportedError


@pytest.fixture
def node():
    made = Node()
    made.add_interface("eth1", ["100.64.0.1/24"])
    made.add_interface("pods1", ["172.20.0.1/16"])
    return made


NOSUCH = "sysctl: cannot stat /proc/sys/net/ipv4/nosuch: No such file or directory\n"


@pytest.mark.parametrize(
    ("line", "code", "stdout", "stderr"),
    [
        ("sysctl net.ipv4.ip_forward", 0, "net.ipv4.ip_forward = 1\n", ""),
        ("sysctl net/ipv4/ip_forward", 0, "net.ipv4.ip_forward = 1\n", ""),
        ("sysctl -n net.ipv4.ip_forward net.ipv4.ip_default_ttl", 0, "1\n64\n", ""),
        ("sysctl -N net.ipv4.ip_forward", 0, "net.ipv4.ip_forward\n", ""),
        ("sysctl -b net.ipv4.ip_forward", 0, "1", ""),
        ("sysctl -q net.ipv4.ip_forward", 0, "net.ipv4.ip_forward = 1\n", ""),
        ("sysctl --values net.ipv4.ip_forward", 0, "1\n", ""),
        ("sysctl -w net.ipv4.ip_forward=0", 0, "net.ipv4.ip_forward = 0\n", ""),
        ("sysctl net.ipv4.ip_forward=0", 0, "net.ipv4.ip_forward = 0\n", ""),
        ("sysctl -w 'net.ipv4.ip_forward = 0'", 0, "net.ipv4.ip_forward = 0\n", ""),
        ("sysctl -qw net.ipv4.ip_forward=0; sysctl -n net.ipv4.ip_forward", 0, "0\n", ""),
        ("sysctl --quiet --write net.ipv4.ip_forward=1", 0, "", ""),
        ("sysctl -w net.ipv4.ip_default_ttl=0x20; sysctl -n net.ipv4.ip_default_ttl", 0,
         "net.ipv4.ip_default_ttl = 0x20\n32\n", ""),
        ("sysctl net.ipv4.nosuch", 1, "", NOSUCH),
        ("sysctl -w net.ipv4.nosuch=1", 1, "", NOSUCH),
        ("sysctl -e net.ipv4.nosuch", 0, "", ""),
        ("sysctl net.ipv4.ip_forward net.ipv4.nosuch", 1, "net.ipv4.ip_forward = 1\n", NOSUCH),
        ("sysctl net.ipv4.nosuch net.ipv4.nosuch", 2, "", NOSUCH * 2),
        ("sysctl -w net.ipv4.ip_forward=x", 1, "", 'sysctl: setting key "net.ipv4.ip_forward": Invalid argument\n'),
        ("sysctl -w net.ipv4.ip_default_ttl=256", 1, "",
         'sysctl: setting key "net.ipv4.ip_default_ttl": Invalid argument\n'),
        ("sysctl -w net.ipv4.ip_forward", 1, "", "sysctl: command line(0): invalid syntax, continuing...\n"),
        ("sysctl -w", 1, "", "sysctl: no variables specified\nTry `sysctl --help' for more information.\n"),
        ("sysctl net.ipv4.conf.nope.rp_filter", 1, "",
         "sysctl: cannot stat /proc/sys/net/ipv4/conf/nope/rp_filter: No such file or directory\n"),
        ("sysctl -ar ip_forward$", 0, "net.ipv4.ip_forward = 1\n", ""),
        ("sysctl -a --pattern ip_forward$ -n", 0, "1\n", ""),
    ],
)  # fmt: skip
def test_parameters(node, line, code, stdout, stderr):
    """Parameters are read and written as by procps; the exit code counts what failed."""
    done = node.run(line)

    assert (done.returncode, done.stdout, done.stderr) == (code, stdout, stderr)


def test_trees(node):
    """The name of a tree stands for all that is in it, -a for everything."""
    shown = node.run("sysctl net.ipv4.conf.eth1").stdout
    everything = node.run("sysctl -a").stdout

    assert "net.ipv4.conf.eth1.rp_filter = 0\n" in shown
    assert "pods1" not in shown
    assert shown in everything
    assert node.run("sysctl").returncode == 1


@pytest.mark.parametrize(
    "line",
    [
        "sysctl kernel.hostname",
        "sysctl -w net.core.somaxconn=1024",
        "sysctl -qw net.ipv4.tcp_tw_reuse=1",
        "sysctl -e net.bridge.bridge-nf-call-iptables",
        "sysctl net.ipv4.conf.eth1.proxy_arp",
        "sysctl -p",
        "sysctl --system",
        "cat /proc/sys/kernel/hostname",
    ],
)
def test_what_is_not_modelled_is_named(node, line):
    """A parameter that a kernel has and this has not is refused by name, not called missing."""
    with pytest.raises(UnsupportedError):
        node.run(line)


def test_forwarding_can_be_turned_off(node):
    """Without ip_forward what is not for this host is dropped without a word."""
    packet = Packet.udp("100.64.0.9:1", "172.20.0.9:2")
    assert len(node.receive(packet, "eth1").sent) == 1

    node.run("sysctl -qw net.ipv4.ip_forward=0")

    assert node.receive(packet, "eth1").sent == []
