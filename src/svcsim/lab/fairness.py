"""
How evenly a scheduler spreads what comes: connections and requests apart.

The measures are those of `metrics`, taken per unit of weight: a destination of weight 3 has its part if it gets three
times what one of weight 1 gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from svcsim.errors import ConfigError
from svcsim.lab.metrics import ChiSquare, chi_square, idle_share, jain, max_over_mean, shares
from svcsim.lab.sessions import Session, place_sessions
from svcsim.lb.bench import Bench

__all__ = ["Fairness", "Spread", "fairness", "measure_fairness"]


@attrs.frozen
class Fairness:
    """
    The measures of one spread; *shares* add up to 1, the others are as `metrics` has them.

    *test* is `chi_square` against the weights. It presumes that what is counted was placed one by one, so it says something
    of connections, and little of requests, which come in clumps.
    """

    shares: tuple[float, ...]
    jain: float
    max_over_mean: float
    idle_share: float
    test: ChiSquare


def fairness(counts: Sequence[float], weights: Sequence[float] | None = None) -> Fairness:
    """
    Measure the spread of *counts* over destinations of these *weights* (all 1, if None).

    Jain's index, the maximum over the mean and the idle part are those of the destinations with a weight above 0.

    >>> even = fairness([30, 60, 90], [1, 2, 3])
    >>> even.jain, even.max_over_mean, even.idle_share, even.test.p_value
    (1.0, 1.0, 0.0, 1.0)
    >>> fairness([60, 60, 60], [1, 2, 3]).max_over_mean > 1.6
    True
    """
    if weights is None:
        weights = [1] * len(counts)
    test = chi_square(counts, weights)
    per_weight = [count / weight for count, weight in zip(counts, weights, strict=True) if weight]
    if not any(per_weight):
        raise ConfigError(f"nothing of {list(counts)} went to a destination with a weight: {list(weights)}")
    return Fairness(shares(counts), jain(per_weight), max_over_mean(per_weight), idle_share(per_weight), test)


@attrs.frozen
class Spread:
    """
    What each destination got, in the order of *weights*: numbers of *connections* and of the *requests* in them.

    *refused* is how many connections found no destination.
    """

    scheduler: str
    weights: tuple[int, ...]
    connections: tuple[int, ...]
    requests: tuple[int, ...]
    refused: int

    @property
    def of_connections(self) -> Fairness:
        """How evenly the connections are spread."""
        return fairness(self.connections, self.weights)

    @property
    def of_requests(self) -> Fairness:
        """How evenly the requests are spread."""
        return fairness(self.requests, self.weights)


def measure_fairness(
    scheduler: str,
    weights: Iterable[int],
    sessions: Iterable[Session],
    *,
    flags: int = 0,
    kernel: tuple[int, ...] = (6, 18),
    seed: int = 0,
) -> Spread:
    """
    Let *sessions* come and go at a service of the scheduler named, with a destination for each of *weights*.

    >>> from svcsim.lab.sessions import make_sessions
    >>> spread = measure_fairness("rr", [1, 1, 1, 1], make_sessions(400, seed=1))
    >>> spread.connections
    (100, 100, 100, 100)
    >>> spread.of_connections.jain, round(spread.of_requests.jain, 2)
    (1.0, 0.63)
    """
    bench = Bench(scheduler, weights, flags=flags, kernel=kernel, seed=seed)
    requests = dict.fromkeys(bench.destinations, 0)
    given, refused = list(sessions), 0
    for session, chosen in zip(given, place_sessions(bench, given), strict=True):
        if chosen is None:
            refused += 1
        else:
            requests[chosen] += session.requests
    there = tuple(destination.weight for destination in bench.destinations)
    return Spread(scheduler, there, tuple(bench.shares()), tuple(requests.values()), refused)
