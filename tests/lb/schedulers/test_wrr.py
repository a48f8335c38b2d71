"""Weighted round robin: cycles in proportion to the weights."""

from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.lb.bench import Bench
from svcsim.lb.schedulers import WeightedRoundRobin
from svcsim.lb.service import Destination


def picks(bench: Bench, count: int) -> str:
    """The destinations of *count* connections on one line."""
    return " ".join("-" if number is None else str(number) for number in bench.picks(count))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 2, 4], "2 1 0 2 2 2 1 2 1 0 2 2 2 1"),
        ([3, 6], "1 0 1 1 0 1 1 0 1"),
        ([2, 4, 6], "2 1 0 2 2 1 2 1 0 2 2 1"),
        ([5], "0 0 0"),
        ([0, 0], "- - -"),
        ([], "-"),
    ],
)
def test_a_service_built_one_by_one_begins_inside_a_cycle(weights: list[int], expected: str) -> None:
    """The threshold that the first destinations left behind is where the first cycle goes on, as in the kernel."""
    assert picks(Bench("wrr", weights), len(expected.split())) == expected


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8).filter(any), st.integers(0, 30))
def test_in_any_full_cycle_shares_are_proportional(weights: list[int], before: int) -> None:
    """A full cycle serves each destination its weight, divided by what the weights have in common."""
    bench = Bench("wrr", weights)
    picks(bench, before)
    start = bench.shares()
    common = gcd(*weights)
    picks(bench, sum(weights) // common)

    assert [now - then for now, then in zip(bench.shares(), start, strict=True)] == [w // common for w in weights]


class Plain:
    """The rule as it is written, pass by pass, without any short cut."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.threshold = self.top = 0
        self.step = 1

    def changed(self, weights: list[int]) -> None:
        self.last = None
        self.step = gcd(*[w for w in weights if w > 0]) or 1
        self.top = max(weights, default=0) - (self.step - 1)
        if self.threshold > self.top or self.threshold == 0:
            self.threshold = self.top
        elif self.step > 1:
            self.threshold = self.threshold // self.step * self.step + 1

    def pick(self, listed: list[Destination]) -> int | None:
        if self.top == 0:
            return None
        last, stop = self.last, None
        last_pass = restarted = False
        at = 0 if last is None else last + 1
        while True:
            while at < len(listed):
                if not listed[at].overloaded and listed[at].weight >= self.threshold:
                    self.last = at
                    return at
                if at == stop:
                    self.last = at
                    return None
                at += 1
            at = 0
            self.threshold -= self.step
            if self.threshold <= 0:
                self.threshold = self.top
                if last_pass or last is None:
                    self.last = None
                    return None
                restarted = True
            last_pass = self.threshold <= self.step
            if last_pass and restarted and last is not None:
                stop = last


#: Mostly connections, and enough overloading that heavy destinations often cannot serve.
KINDS = ["pick"] * 6 + ["overload"] * 3 + ["add", "edit", "remove"]
operations = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 99)), min_size=20, max_size=60)


@given(operations, st.lists(st.integers(0, 20), min_size=2, max_size=4))
def test_leaving_out_empty_passes_changes_no_choice(steps: list[tuple[str, int]], weights: list[int]) -> None:
    """Every choice and every inner value is that of the plain rule, with overloaded destinations of any weight."""
    bench, plain = Bench("wrr"), Plain()
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, WeightedRoundRobin)
    for weight in weights:
        bench.add(weight)
        plain.changed([d.weight for d in bench.service.destinations])
    for step, number in steps:
        listed = bench.service.destinations
        if step == "pick":
            expected = plain.pick(listed)
            chosen = bench.connect()
            assert (None if chosen is None else listed.index(chosen)) == expected
            assert scheduler.current_weight == plain.threshold
        elif step == "add":
            bench.add(number % 21)
        elif listed and step == "overload":
            listed[number % len(listed)].overloaded ^= True
        elif listed and step == "edit":
            bench.edit(listed[number % len(listed)], number % 21)
        elif listed and step == "remove":
            bench.remove(listed[number % len(listed)])
        if step in ("add", "edit", "remove") and (listed or step == "remove"):
            plain.changed([d.weight for d in bench.service.destinations])


def test_the_heaviest_weight_there_is_takes_no_longer() -> None:
    """Where only a light destination is left beside an overloaded one of two thousand million, it is found at once."""
    bench = Bench("wrr", [1, 2**31 - 1])
    bench.destinations[1].overloaded = True

    assert picks(bench, 3) == "0 0 0"
    bench.destinations[0].overloaded = True
    assert picks(bench, 2) == "- -"
