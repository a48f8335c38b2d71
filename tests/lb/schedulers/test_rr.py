"""Round robin: turns, and what happens to a turn when the list changes."""

from hypothesis import given
from hypothesis import strategies as st

from svcsim.lb.bench import Bench


def test_a_turn_begins_with_the_newest_and_goes_back_to_the_oldest() -> None:
    """The list has the newest destination first, and turns follow the list."""
    assert Bench("rr", [1, 1, 1]).picks(7) == [2, 1, 0, 2, 1, 0, 2]


def test_what_is_added_in_a_turn_is_served_when_the_turn_is_over() -> None:
    """A new destination stands at the head, behind which the running turn already is."""
    bench = Bench("rr", [1, 1, 1])
    bench.picks(7)
    bench.add()

    assert bench.picks(8) == [1, 0, 3, 2, 1, 0, 3, 2]


def test_when_the_one_served_last_goes_the_turn_goes_on_behind_it() -> None:
    """Removing the destination of the last choice neither skips nor repeats another."""
    bench = Bench("rr", [1, 1, 1])
    bench.picks(7)
    bench.add()
    bench.picks(8)
    first, second, gone, fourth = bench.destinations
    bench.remove(gone)

    assert [bench.connect() for _ in range(6)] == [second, first, fourth, second, first, fourth]


def test_a_weight_counts_only_as_nought_or_not() -> None:
    """A heavy destination gets no more than a light one; a quiesced one gets nothing and keeps its turn for later."""
    bench = Bench("rr", [1, 0, 900])
    assert bench.picks(4) == [2, 0, 2, 0]

    bench.edit(bench.destinations[1], 5)
    assert bench.picks(3) == [2, 1, 0]


def test_without_a_usable_destination_there_is_none() -> None:
    """An empty or wholly quiesced service refuses, and begins anew where it stopped."""
    bench = Bench("rr", [1, 1])
    bench.picks(1)
    for destination in bench.destinations:
        bench.edit(destination, 0)
    assert Bench("rr").connect() is None
    assert bench.picks(2) == [None, None]

    for destination in bench.destinations:
        bench.edit(destination, 1)
    assert bench.picks(1) == [0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 100))
def test_shares_of_equal_connections_differ_by_at_most_one(weights: list[int], count: int) -> None:
    """Whatever the weights, nobody is more than one connection ahead of another."""
    bench = Bench("rr", weights)
    bench.picks(count)

    assert max(bench.shares()) - min(bench.shares()) <= 1
