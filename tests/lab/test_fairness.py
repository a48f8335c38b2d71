"""Connections and requests, each counted for itself, per unit of weight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.lab.fairness import fairness, measure_fairness
from svcsim.lab.metrics import idle_share, jain
from svcsim.lab.sessions import Session, make_sessions
from svcsim.lb.bench import Bench

KERNEL = ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "twos", "lblc", "lblcr"]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=10), st.integers(1, 50))
def test_what_follows_the_weights_is_fair(weights, factor):
    """Counts in the proportion of the weights are as even as can be, whatever the weights."""
    found = fairness([weight * factor for weight in weights], weights)

    assert found.jain == pytest.approx(1)
    assert found.max_over_mean == pytest.approx(1)
    assert found.idle_share == 0
    assert found.test.p_value == pytest.approx(1)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any))
def test_idle_is_who_got_nothing(counts):
    """The idle share counts zeros, and bounds Jain's index from above."""
    assert idle_share(counts) == counts.count(0) / len(counts)
    assert jain(counts) <= 1 - idle_share(counts) + 1e-12


def test_a_quiesced_destination_has_no_part():
    """Weight 0 is left out of the comparison; that it got something all the same is refuted by the test."""
    assert fairness([5, 5, 0], [1, 1, 0]) == attrs_of(fairness([5, 5], [1, 1]), (0.5, 0.5, 0.0))
    assert fairness([5, 5, 1], [1, 1, 0]).test.p_value == 0


def attrs_of(found, parts):
    import attrs

    return attrs.evolve(found, shares=parts)


@pytest.mark.parametrize("name", KERNEL)
def test_nothing_is_lost(name):
    """Every session goes somewhere or is refused, and takes all its requests along."""
    sessions = make_sessions(300, clients=40, seed=3)
    spread = measure_fairness(name, [1, 2, 3], sessions)

    assert sum(spread.connections) + spread.refused == len(sessions)
    assert all(
        requests >= connections for requests, connections in zip(spread.requests, spread.connections, strict=True)
    )
    if not spread.refused:
        assert sum(spread.requests) == sum(session.requests for session in sessions)


def test_even_connections_need_not_be_even_requests():
    """Round robin deals connections out one by one; one long one among them makes a destination busy."""
    sessions = [Session(1, 1), Session(2, 2, requests=97), Session(3, 3), Session(4, 4)]
    spread = measure_fairness("rr", [1, 1], sessions)

    assert spread.of_connections.jain == 1
    assert sorted(spread.requests) == [2, 98]
    assert spread.of_requests.max_over_mean == 1.96


def test_sessions_end():
    """A connection that ended no longer counts against its destination: least connection sends the next one there."""
    at_once, held = [[Session(n, n, held=long) for n in range(6)] for long in (0, 10)]

    assert measure_fairness("lc", [1, 1], at_once).connections == (0, 6)
    assert measure_fairness("lc", [1, 1], held).connections == (3, 3)


def test_it_is_what_a_bench_says():
    """The picks are those of the scheduler, in the order of the sessions."""
    sessions = make_sessions(50, held=0)
    bench = Bench("mh", [1, 1, 1])
    for session in sessions:
        bench.connect(f"198.51.100.{session.client & 0xFF}:{session.port}")

    assert measure_fairness("mh", [1, 1, 1], sessions).connections == tuple(bench.shares())


def test_refusals():
    """Nothing to compare, and weights for others."""
    with pytest.raises(ConfigError, match="destination with a weight"):
        fairness([3, 0], [0, 1])
    with pytest.raises(ConfigError, match="as many expected counts"):
        fairness([3, 0], [1])
    with pytest.raises(ConfigError, match="wants counts"):
        _ = measure_fairness("rr", [0, 0], make_sessions(5)).of_connections
