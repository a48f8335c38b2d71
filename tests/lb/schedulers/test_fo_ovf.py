"""fo and ovf: the heaviest first."""

from hypothesis import given
from hypothesis import strategies as st

from svcsim.lb.bench import Bench


def test_failover_sends_everything_to_the_heaviest_that_is_left() -> None:
    """The next in weight serves only while the heaviest is quiesced or overloaded."""
    bench = Bench("fo", [1, 3, 2])
    light, heavy, middle = bench.destinations
    assert {bench.connect() for _ in range(5)} == {heavy}

    heavy.overloaded = True
    assert bench.connect() is middle
    bench.edit(middle, 0)
    assert bench.connect() is light
    bench.edit(light, 0)
    assert bench.connect() is None
    heavy.overloaded = False
    assert bench.connect() is heavy


def test_of_equal_weights_the_newest_serves() -> None:
    """The first in the list wins a tie, and the newest is the first."""
    bench = Bench("fo", [2, 2])

    assert bench.connect() is bench.destinations[1]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6, unique=True), st.integers(0, 40))
def test_overflow_fills_the_heaviest_to_one_more_than_its_weight(weights: list[int], count: int) -> None:
    """Destinations fill in the order of their weights, each to its weight and one more; then there is none."""
    bench = Bench("ovf", weights)
    refused = sum(bench.connect() is None for _ in range(count))
    expected, left = {}, count
    for weight in sorted(weights, reverse=True):
        expected[weight] = min(weight + 1, left)
        left -= expected[weight]

    assert bench.shares() == [expected[weight] for weight in weights]
    assert refused == left


def test_overflow_does_not_see_inactive_connections() -> None:
    """For UDP, whose connections never become active, the heaviest is never full."""
    bench = Bench("ovf", [1, 2])

    assert {bench.connect(active=False) for _ in range(50)} == {bench.destinations[1]}


def test_overflow_passes_over_the_overloaded_and_the_quiesced() -> None:
    """An upper threshold below the weight counts too."""
    bench = Bench("ovf", [1, 0])
    bench.add(9, upper_threshold=2)
    light, _, heavy = bench.destinations

    assert [bench.connect() for _ in range(5)] == [heavy, heavy, light, light, None]
