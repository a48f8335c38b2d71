"""Counters and estimated rates."""

from __future__ import annotations

from svcsim import Node, Packet
from svcsim.lb.stats import Stats, Totals


def test_user_space_lags_behind():
    """The shown counters are those of the last snapshot, two seconds apart."""
    node = Node()
    node.add_interface("eth1", ["100.64.0.1/24"])
    node.run("ip addr add 172.30.0.1/32 dev lo; ipvsadm -A -t 172.30.0.1:80 -s rr")
    node.run("ipvsadm -a -t 172.30.0.1:80 -r 100.64.0.9:80 -m")
    node.receive(Packet.tcp("100.64.0.7:1", "172.30.0.1:80"), "eth1")
    service = next(node.ipvs.services)

    assert (service.stats.shown(), service.stats.live()) == (Totals(), Totals(1, 1, 0, 40, 0))
    node.advance(2)
    node.ipvs.estimate()
    assert service.stats.shown() == Totals(1, 1, 0, 40, 0)


def test_zeroing_counts_from_the_snapshot():
    """What came after the last snapshot shows up again after zeroing."""
    stats = Stats()
    stats.conns = 5
    stats.estimate()
    stats.conns = 7
    stats.zero()

    assert (stats.shown().conns, stats.live().conns) == (0, 2)
    stats.estimate()
    assert stats.shown().conns == 2


def test_rates_decay_to_nothing():
    """Without traffic every rate falls to zero, however long one waits at once."""
    stats = Stats()
    stats.conns, stats.inbytes = 1000, 10**9
    stats.estimate()
    assert stats.rates().cps > 0

    stats.estimate(10**9)
    assert stats.rates().cps == stats.rates().inbps == 0
