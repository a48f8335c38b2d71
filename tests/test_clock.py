"""Virtual time and its timers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import MILLISECOND, SECOND, Clock
from svcsim.errors import ConfigError


@given(st.lists(st.integers(0, 100), max_size=30))
def test_timers_fire_in_order(deadlines):
    """Timers fire by deadline, equal ones in the order of their making, each at its own time."""
    clock = Clock()
    fired = []
    for number, deadline in enumerate(deadlines):
        clock.call_at(deadline, lambda n: fired.append((clock.now, n)), number)

    clock.advance(1000)

    assert fired == sorted((deadline, number) for number, deadline in enumerate(deadlines))
    assert clock.now == 1000


@given(st.lists(st.integers(0, 100), max_size=20), st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_many_steps_are_one(deadlines, steps):
    """Time that passes in steps fires what it fires in one."""

    def play(durations):
        clock, fired = Clock(), []
        for number, deadline in enumerate(deadlines):
            clock.call_at(deadline, lambda n: fired.append((clock.now, n)), number)
        for duration in durations:
            clock.advance(duration)
        return clock.now, fired

    assert play(steps) == play([sum(steps)])


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=20))
def test_a_timer_fires_once_at_its_last_deadline(changes):
    """However often a timer is put off or brought forward, it fires once, when it was last told to."""
    clock = Clock()
    fired = []
    timer = clock.call_at(100, lambda: fired.append(clock.now))
    expected = 100
    for ahead, pause in changes:
        clock.advance(pause)
        if fired:
            break
        expected = clock.now + ahead
        timer.reset(expected)

    clock.advance(10_000)

    assert fired == [expected]


def test_a_cancelled_timer_stays_silent():
    """A timer that was cancelled does not fire, and one that fired is no longer pending."""
    clock = Clock()
    fired = []
    clock.call_at(5, fired.append, "cancelled").cancel()
    other = clock.call_at(5, fired.append, "other")

    assert other.pending
    clock.advance(10)

    assert fired == ["other"]
    assert not other.pending


def test_a_cancelled_timer_can_be_set_again():
    """Resetting a timer that was cancelled, or has fired, makes it fire again, once."""
    clock = Clock()
    fired = []
    timer = clock.call_at(5, lambda: fired.append(clock.now))
    timer.cancel()
    timer.reset(7)
    clock.advance(10)
    timer.reset(12)
    clock.advance(10)

    assert fired == [7, 12]


def test_a_timer_may_set_itself_and_others():
    """What is due within the same advance fires in it, though it was set on the way."""
    clock = Clock()
    fired = []

    def again():
        fired.append(clock.now)
        if len(fired) < 4:
            clock.call_after(10, again)

    clock.call_after(10, again)
    clock.advance(35)

    assert fired == [10, 20, 30]
    clock.advance(5)
    assert fired == [10, 20, 30, 40]


def test_a_timer_that_fails_fires_no_more():
    """An error of what a timer calls comes out of `advance`; time stands at the deadline, and the rest is still due."""
    clock = Clock()
    fired = []
    clock.call_at(3, lambda: fired[0])
    clock.call_at(4, fired.append, "behind")

    with pytest.raises(IndexError):
        clock.advance(10)
    assert (clock.now, fired) == (3, [])
    clock.advance(1)
    assert fired == ["behind"]


def test_time_does_not_run_backwards():
    """A negative duration is refused and changes nothing."""
    clock = Clock(now=5)

    with pytest.raises(ConfigError, match="backwards"):
        clock.advance(-1)
    assert clock.now == 5


def test_putting_off_costs_no_queue_entry():
    """A timer that each packet puts off leaves one entry in the queue, however many packets pass."""
    clock = Clock()
    timer = clock.call_at(SECOND, lambda: None)
    for step in range(1000):
        timer.reset(SECOND + step * MILLISECOND)

    assert len(clock._queue) == 1


def test_pending_timers_are_counted():
    """A timer that was put off or brought forward counts once; one that fired or was cancelled does not."""
    clock = Clock()
    first, second, _ = (clock.call_at(at, lambda: None) for at in (10, 20, 30))
    first.reset(5)
    second.reset(40)
    assert clock.pending == 3

    clock.advance(10)
    assert clock.pending == 2
    second.cancel()
    assert clock.pending == 1
