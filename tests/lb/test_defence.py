"""What the director drops under attack."""

from __future__ import annotations

import pytest

from lb.directors import arrive, director, run

WEB = ("-A -t 10.96.0.10:80 -s rr", "-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m")


def test_drop_packet_takes_every_so_many_th():
    """Mode 3: one of am_droprate new connections."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.am_droprate=4 net.ipv4.vs.drop_packet=3")
    node.advance(1)
    taken = [bool(arrive(node, port=4000 + n).sent) for n in range(12)]
    assert taken.count(False) == 3


@pytest.mark.parametrize("name", ["drop_entry", "drop_packet", "secure_tcp"])
def test_an_automatic_mode_follows_the_memory(name):
    """1 becomes 2 when memory runs short and 1 again when it does not; 0 and 3 stay."""
    node = director(*WEB, f"sysctl -qw net.ipv4.vs.{name}=1")
    shown = []
    for pages in (1 << 20, 100, 100, 1 << 20):
        node.ipvs.defence.available = pages
        node.advance(1)
        shown.append(node.sysctls[f"net.ipv4.vs.{name}"])
    assert shown == [1, 2, 2, 1]
    run(node, f"sysctl -qw net.ipv4.vs.{name}=3")
    node.advance(5)
    assert node.sysctls[f"net.ipv4.vs.{name}"] == 3


def test_the_drop_rate_grows_as_memory_goes():
    """amemthresh // (amemthresh - available)."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.drop_packet=1")
    rates = []
    for pages in (2000, 1000, 512, 0):
        node.ipvs.defence.available = pages
        node.advance(1)
        rates.append(node.ipvs.defence.rate)
    assert rates == [0, 42, 2, 1]


def test_drop_entry_drops_half_open_connections():
    """Of a table of half-open connections few are left after a minute; established ones stay."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.drop_entry=3")
    for port in range(4000, 4100):
        arrive(node, port=port)
    arrive(node, port=3999)
    arrive(node, port=3999, flags="A")
    node.advance(30)
    left = [conn.cport for conn in node.ipvs.conns]
    assert 3999 in left
    assert 10 < len(left) < 70  # (31/32)^30 of them
    assert sum(d.active for s in node.ipvs.services for d in s.destinations) == len(left)


def test_secure_tcp_does_not_believe_before_the_answer():
    """A client's own ACK does not establish a connection."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.secure_tcp=3")
    arrive(node)
    arrive(node, flags="A")
    assert [conn.state_name for conn in node.ipvs.conns] == ["SYN_RECV"]


def test_no_defence_no_timer():
    """With all modes off nothing ticks."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.drop_packet=3")
    run(node, "sysctl -qw net.ipv4.vs.drop_packet=0")
    assert not node.ipvs.defence._timer.pending
