"""Templates: what a client is led by, how long, and over which ports."""

from __future__ import annotations

import pytest

from lb.directors import VIP, arrive, director, run
from svcsim.packet import Packet

PODS = tuple(f"-a -t 10.96.0.10:80 -r 10.244.0.{n}:8080 -m" for n in (5, 6, 7))


def where(node, **request):
    """The destination's last byte."""
    (sent,) = arrive(node, **request).sent
    return sent.packet.dst & 0xFF


def templates(node):
    return [conn for conn in node.ipvs.conns if conn.template]


def test_a_client_keeps_its_destination_whatever_its_port():
    """The scheduler is asked once; weight 0 and overload do not count for one who is led."""
    node = director("-A -t 10.96.0.10:80 -s rr -p 60", *PODS)
    first = where(node, port=4000)
    run(node, f"ipvsadm -e -t 10.96.0.10:80 -r 10.244.0.{first}:8080 -m -w 0")
    assert {where(node, port=4000 + n) for n in range(1, 6)} == {first}
    assert len(templates(node)) == 1


def test_expire_quiescent_template_leaves_a_quiesced_destination():
    """The old template stays in the listing with port 65535 until its time is up."""
    node = director("-A -t 10.96.0.10:80 -s rr -p 60", *PODS, "sysctl -qw net.ipv4.vs.expire_quiescent_template=1")
    first = where(node, port=4000)
    run(node, f"ipvsadm -e -t 10.96.0.10:80 -r 10.244.0.{first}:8080 -m -w 0")
    assert where(node, port=4001) != first
    assert sorted(conn.vport for conn in templates(node)) == [80, 65535]


@pytest.mark.parametrize(("mask", "together"), [("255.255.255.0", True), ("255.255.255.255", False)])
def test_the_mask_says_who_is_one_client(mask, together):
    """Clients of one network are led together."""
    node = director(f"-A -t 10.96.0.10:80 -s rr -p 60 -M {mask}", *PODS)
    assert (where(node, client="192.0.2.9") == where(node, client="192.0.2.77")) is together


def test_port_zero_is_all_ports():
    """One template leads to the same destination on every port, which is kept."""
    node = director("-A -t 10.96.0.10:0 -s rr -p 60", *(f"-a -t 10.96.0.10:0 -r 10.244.0.{n}:0 -m" for n in (5, 6)))
    sent = [arrive(node, port=4000 + n, to=f"{VIP}:{port}").sent[0].packet for n, port in enumerate((80, 443, 8080))]
    assert len({packet.dst for packet in sent}) == 1
    assert [packet.dport for packet in sent] == [80, 443, 8080]


def test_a_mark_binds_addresses_and_ports():
    """A service of a firewall mark leads a client over all that is marked."""
    node = director(
        "iptables -t mangle -A PREROUTING -i cli0 -j MARK --set-mark 7",
        "-A -f 7 -s rr -p 60",
        *(f"-a -f 7 -r 10.244.0.{n} -m" for n in (5, 6)),
    )
    assert where(node, to=f"{VIP}:80") == where(node, to=f"{VIP}:443", port=4001)
    (template,) = templates(node)
    assert (template.proto, template.vaddr) == (0, 7)


def test_a_template_outlives_its_time_while_it_leads():
    """Its time up and connections left, it is kept for a minute, again and again; and the minute sticks."""
    node = director("-A -t 10.96.0.10:80 -s rr -p 5", *PODS)
    arrive(node)
    arrive(node, flags="A")
    node.advance(100)
    (template,) = templates(node)
    assert template.remaining(node.clock.now) == 25
    assert template.timeout == 60 * 10**9
    node.advance(1000)
    assert not templates(node)


def test_a_template_and_its_connection_that_are_due_together_go_together():
    """The kernel fires the newest timer of a slot first: the connection, and then nothing holds the template."""
    node = director("-A -u 10.96.0.10:53 -s rr -p 5", "-a -u 10.96.0.10:53 -r 10.244.0.5:53 -m", "ipvsadm --set 0 0 5")
    node.receive(Packet.udp("192.0.2.9:4000", f"{VIP}:53"), "cli0")
    node.advance(5.1)
    assert len(node.ipvs.conns) == 0


def test_a_connection_that_was_heard_of_before_its_template_keeps_it():
    """The template's timer is the newer one, so it fires first, finds the connection and stays."""
    node = director("-A -u 10.96.0.10:53 -s rr -p 5", "-a -u 10.96.0.10:53 -r 10.244.0.5:53 -m", "ipvsadm --set 0 0 5")
    for seconds, port in ((3, 4000), (0, 4000), (0, 4001)):
        node.receive(Packet.udp(f"192.0.2.9:{port}", f"{VIP}:53"), "cli0")
        node.advance(seconds)
    node.advance(5.3)
    assert [conn.template for conn in node.ipvs.conns] == [True]
    node.advance(60)
    assert len(node.ipvs.conns) == 0
