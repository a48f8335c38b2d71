"""What a change moves, beside what it must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.lab.disruption import Moves, count_moves, measure_disruption, theoretical_least
from svcsim.lab.sessions import Session, make_sessions

weights = st.lists(st.integers(1, 20), min_size=2, max_size=12)


@given(st.integers(2, 2000))
def test_one_of_equal_ones(n):
    """One of n that leaves moves 1/n; one that comes moves 1/(n + 1)."""
    assert theoretical_least([1] * n, [1] * (n - 1) + [None]) == pytest.approx(1 / n)
    assert theoretical_least([1] * n, [1] * (n + 1)) == pytest.approx(1 / (n + 1))


@given(weights, weights)
def test_the_least_is_a_distance(first, second):
    """It lies between 0 and 1, is 0 for equal shares alone, and the way back moves as much."""
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    found = theoretical_least(first, second)

    assert 0 <= found < 1
    assert found == theoretical_least(second, first)
    assert theoretical_least(first, [5 * weight for weight in first]) == 0


@given(weights, st.data())
def test_no_placing_moves_less(before, data):
    """Whoever places so that each has its share before and after moves at least that part of the keys."""
    after = data.draw(st.lists(st.integers(0, 20), min_size=len(before), max_size=len(before)).filter(any))
    keys = sum(before) * sum(after)
    old = [name for name, weight in enumerate(before) for _ in range(weight * sum(after))]
    new = [name for name, weight in enumerate(after) for _ in range(weight * sum(before))]
    moves = count_moves(old, data.draw(st.permutations(new)) if keys < 200 else new)

    assert moves.share >= theoretical_least(before, after) - 1e-12


def test_quiesced_and_gone_weigh_the_same():
    """Weight 0 has no share, so it makes no difference to the least whether it is there."""
    assert theoretical_least([2, 1, 0], [2, 0, 1]) == theoretical_least([2, 1], [2, None, 1]) == pytest.approx(1 / 3)


def test_requests_are_counted_apart():
    """A connection that moves takes its requests along: one moved connection of two may be nearly all the requests."""
    sessions = [Session(0xC6336401 + n, 40000, requests=1 + 98 * (n == 0)) for n in range(2)]
    whole = measure_disruption("dh", [1], [0, 1], sessions)

    assert whole.connections == Moves(2, 2, 2)
    assert whole.requests == Moves(100, 100, 100)
    assert count_moves("ab", "cb", worth=[99, 1]) == Moves(100, 99, 0)


@pytest.mark.parametrize("change", [[1] * 9 + [None], [1] * 11, [1] * 9 + [3], [1] * 10])
def test_maglev_moves_little_and_sh_much(change):
    """Of ten equal destinations Maglev moves a tenth or little more; a hash into a list of places most."""
    sessions = make_sessions(2000, clients=2000)
    maglev, plain = (measure_disruption(name, [1] * 10, change, sessions) for name in ("mh", "sh"))

    assert maglev.least == plain.least
    if change == [1] * 10:
        assert maglev.connections.moved == plain.connections.moved == 0
    else:
        assert maglev.connections.share < maglev.least + 0.12
        assert plain.connections.share > 0.3


def test_all_that_sat_on_the_lost_one_is_forced():
    """Who was sent to a destination that leaves or is quiesced had to move."""
    sessions = make_sessions(500, clients=500)
    for last in (None, 0):
        found = measure_disruption("rr", [1, 1], [1, last], sessions)
        assert found.connections == Moves(500, 250, 250)


def test_round_robin_moves_without_a_change():
    """It does not look at the client: of 10 destinations and 1001 connections each client comes to the next one."""
    found = measure_disruption("rr", [1] * 10, [1] * 10, make_sessions(1001, clients=1001))

    assert found.connections == Moves(1001, 1001, 0)
    assert found.least == 0


@pytest.mark.parametrize(
    "before, after, message",
    [
        ([1, 1], [1], "say None"),
        ([1, -1], [1, 1], "not negative: -1"),
        ([None, 1], [1, 1], "cannot come back"),
        ([0, 0], [1, 1], "without any weight"),
        ([1, 1], [0, None], "without any weight"),
    ],
)
def test_changes_that_are_none_are_refused(before, after, message):
    """Whoever leaves is named, nobody comes back in another's place, and there is something to share."""
    with pytest.raises(ConfigError, match=message):
        theoretical_least(before, after)


def test_keys_without_places_are_refused():
    """Every key has a place before and after, and some key is worth something."""
    with pytest.raises(ConfigError, match="each key has a place"):
        count_moves("ab", "a")
    for worth in ([], [0, 0], [2, -1]):
        with pytest.raises(ConfigError, match="worth something"):
            count_moves("ab"[: len(worth)], "ab"[: len(worth)], worth=worth)
    with pytest.raises(ConfigError, match="is added"):
        measure_disruption("rr", [1, None], [1, None], [])
