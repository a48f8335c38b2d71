"""
Whom a change moves: adding, removing and reweighting destinations, beside the least that any balancer must move.

A key is whatever a balancer chooses by: a client, a slot of a table. It is moved if it is sent elsewhere after the change.
IPVS keeps the connections that it has; what a move costs is a client's session or cache, its connection at the next
director, and every connection where none are kept. Numbers are counts of keys, shares are parts of all keys.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence

import attrs

from svcsim.errors import ConfigError
from svcsim.lab.sessions import Session, place_sessions
from svcsim.lb.bench import Bench

__all__ = ["Disruption", "Moves", "count_moves", "measure_disruption", "theoretical_least"]


def theoretical_least(before: Sequence[int | None], after: Sequence[int | None]) -> float:
    """
    The least part of all keys that must move for each destination to have its share again, by weights *before* and *after*.

    None is a destination that is not there. It is the sum of what the shares of those fall that lose some: 1/n for one of
    n equal ones that leaves, 1/(n + 1) for one that comes. Source: the *smoothness* of a hash,
    Karger and others, "Web Caching with Consistent Hashing", Computer Networks 31, 1999.

    >>> theoretical_least([1, 1, 1, 1], [1, 1, 1, None]), theoretical_least([1, 1, 1], [1, 1, 1, 1])
    (0.25, 0.25)
    >>> theoretical_least([1, 1], [1, 3])
    0.25
    """
    _check(before, after)
    first = [weight or 0 for weight in before] + [0] * (len(after) - len(before))
    then = [weight or 0 for weight in after]
    whole, rest = sum(first), sum(then)
    if whole == 0 or rest == 0:
        raise ConfigError("without any weight there are no shares to have")
    return sum(max(0, a * rest - b * whole) for a, b in zip(first, then, strict=True)) / (whole * rest)


def _check(before: Sequence[int | None], after: Sequence[int | None]) -> None:
    if len(after) < len(before):
        raise ConfigError(f"{len(before)} destinations before and {len(after)} after: say None for one that leaves")
    bad = [weight for weight in (*before, *after) if weight is not None and weight < 0]
    if bad:
        raise ConfigError(f"a weight is not negative: {bad[0]}")
    back = [number for number, (a, b) in enumerate(zip(before, after, strict=False)) if a is None and b is not None]
    if back:
        raise ConfigError(f"destination {back[0]} cannot come back: one that is added stands behind all others")


@attrs.frozen
class Moves:
    """
    Of *total* keys so many *moved*; *forced* are those of them that had to, their destination being gone or quiesced.

    >>> moves = Moves(1000, 130, 100)
    >>> moves.share, moves.forced_share, moves.needless_share
    (0.13, 0.1, 0.03)
    """

    total: int
    moved: int
    forced: int

    @property
    def share(self) -> float:
        """The part that moved."""
        return self.moved / self.total

    @property
    def forced_share(self) -> float:
        """The part that had to move."""
        return self.forced / self.total

    @property
    def needless_share(self) -> float:
        """The part that moved from a destination that would still have served it."""
        return (self.moved - self.forced) / self.total


def count_moves(
    before: Sequence[Hashable],
    after: Sequence[Hashable],
    gone: Collection[Hashable] = (),
    worth: Sequence[int] | None = None,
) -> Moves:
    """
    Count the keys whose place *before* and *after* differs; from the places that are *gone* they had to move.

    *worth* is how much each key counts (1, if None), such as its requests.

    >>> count_moves("aabbcc", "aabbab", gone="c")
    Moves(total=6, moved=2, forced=2)
    >>> count_moves("abc", "abb", gone="c", worth=[5, 1, 30])
    Moves(total=36, moved=30, forced=30)
    """
    if worth is None:
        worth = [1] * len(before)
    if not len(before) == len(after) == len(worth):
        raise ConfigError(
            f"each key has a place before and after: {len(before)}, {len(after)} and {len(worth)} of them"
        )
    if sum(worth) <= 0 or min(worth) < 0:
        raise ConfigError("moves are counted of keys that are worth something")
    total = moved = forced = 0
    for old, new, value in zip(before, after, worth, strict=True):
        total += value
        if old != new:
            moved += value
            forced += value * (old in gone)
    return Moves(total, moved, forced)


@attrs.frozen
class Disruption:
    """The moves of *connections* and of their *requests*, and the part that is the *least*."""

    connections: Moves
    requests: Moves
    least: float


def measure_disruption(
    scheduler: str,
    before: Sequence[int],
    after: Sequence[int | None],
    sessions: Iterable[Session],
    *,
    flags: int = 0,
    kernel: tuple[int, ...] = (6, 18),
    seed: int = 0,
) -> Disruption:
    """
    Place *sessions*, change the weights from *before* to *after*, and place the same again.

    None is a destination that leaves; what *after* has more is added. The sessions come and go, and all have ended before the
    change. A scheduler that does not look at the client moves many whatever happens: ask with the same weights before and
    after to see how many.

    >>> from svcsim.lab.sessions import make_sessions
    >>> sessions = make_sessions(1000, clients=1000)
    >>> for name in ("mh", "sh", "rr"):
    ...     found = measure_disruption(name, [1] * 10, [1] * 9 + [None], sessions)
    ...     print(name, found.connections.moved, found.connections.forced, found.requests.moved, found.least)
    mh 114 105 407 0.1
    sh 928 105 3482 0.1
    rr 901 100 3343 0.1
    """
    if None in before:
        raise ConfigError("a destination that is not there before is added: it stands behind all others in the weights")
    given = list(sessions)
    least = theoretical_least(before, after)
    bench = Bench(scheduler, before, flags=flags, kernel=kernel, seed=seed)
    there = list(bench.destinations)
    first = place_sessions(bench, given)
    for destination, weight in zip(there, after, strict=False):
        if weight is None:
            bench.remove(destination)
        elif weight != destination.weight:
            bench.edit(destination, weight)
    for weight in after[len(there) :]:
        if weight is not None:
            bench.add(weight)
    gone = {destination for destination, weight in zip(there, after, strict=False) if not weight}
    then = place_sessions(bench, given)
    requests = [session.requests for session in given]
    return Disruption(count_moves(first, then, gone), count_moves(first, then, gone, requests), least)
