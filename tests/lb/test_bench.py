"""A service on a bench: either family, a scheduler by name or by class."""

from __future__ import annotations

import pytest

from svcsim.addr import Family
from svcsim.lb.bench import Bench
from svcsim.lb.schedulers.wrr import WeightedRoundRobin


@pytest.mark.parametrize("name", ["rr", "sh", "dh", "mh", "lblc"])
def test_the_service_may_be_of_ipv6(name):
    """Clients, service and destinations are then of IPv6, and the scheduler serves them."""
    bench = Bench(name, [1, 1, 1], family=Family.IPV6)

    assert str(bench.service.key) == "TCP [fd00:10:96::a]:80"
    assert [str(d) for d in bench.destinations] == [f"[fd00:10:244::{n}]:8080" for n in (2, 3, 4)]
    assert all(place in (0, 1, 2) for place in bench.picks(20))
    assert bench.connect() in bench.destinations
    assert sum(bench.shares()) == 21


def test_clients_are_numbered_from_one():
    """The first of `picks` is who `connect` speaks of."""
    for family in Family:
        bench = Bench("sh", [1] * 7, family=family)
        assert bench.picks(1) == [bench.destinations.index(bench.connect())]


def test_a_class_is_as_good_as_its_name():
    """The class is bound and serves, and may be exchanged for another."""
    bench = Bench(WeightedRoundRobin, [1, 2, 3])
    assert bench.picks(6) == Bench("wrr", [1, 2, 3]).picks(6)

    bench.exchange("sed")
    bench.exchange(WeightedRoundRobin)
    assert type(bench.service.scheduler) is WeightedRoundRobin
