"""lc, wlc, sed, nq: the schedulers that look at what destinations have to do."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.lb.bench import Bench
from svcsim.lb.service import Destination

VECTORS = {
    "lc": ("2 1 0 2 1 0 2 1 0 2 1 0", "2 1 0 2 1 0 2 1"),
    "wlc": ("2 1 0 2 1 2 2 1 0 2 1 2", "2 1 0 2 1 2 2 1"),
    "sed": ("2 1 2 2 1 0 2 1 2 2 1 0", "2 2 2 2 2 2 2 2"),
    "nq": ("2 1 0 2 2 1 2 1 2 2 1 0", "2 2 2 2 2 2 2 2"),
}


def picks(bench: Bench, count: int, *, active: bool = True) -> str:
    """The destinations of *count* connections on one line."""
    return " ".join(map(str, bench.picks(count, active=active)))


@pytest.mark.parametrize("name", VECTORS)
def test_connections_that_stay_are_spread_as_in_the_kernel(name: str) -> None:
    """Weights 1, 2, 3: where TCP connections go, and where UDP's go, which never become active."""
    active, inactive = VECTORS[name]

    assert picks(Bench(name, [1, 2, 3]), 12) == active
    assert picks(Bench(name, [1, 2, 3]), 8, active=False) == inactive


def overhead(d: Destination) -> int:
    return 256 * d.active + d.inactive


#: What each makes smallest; a tie goes to the first in the list.
COST: dict[str, Callable[[Destination], Fraction | int]] = {
    "lc": overhead,
    "wlc": lambda d: Fraction(overhead(d), d.weight),
    "sed": lambda d: Fraction(d.active + 1, d.weight),
    "nq": lambda d: Fraction(-1) if d.active == 0 else Fraction(d.active + 1, d.weight),
}

loads = st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 600), st.booleans())


@pytest.mark.parametrize("name", COST)
@given(rows=st.lists(loads, max_size=7))
def test_the_choice_is_the_first_of_the_cheapest(name: str, rows: list[tuple[int, int, int, bool]]) -> None:
    """By exact fractions over any loads and weights; quiesced and overloaded destinations are not looked at."""
    bench = Bench(name)
    for weight, active, inactive, overloaded in rows:
        destination = bench.add(weight)
        destination.active, destination.inactive, destination.overloaded = active, inactive, overloaded
    usable = [d for d in bench.service.destinations if d.weight > 0 and not d.overloaded]
    expected = min(usable, key=COST[name], default=None)

    assert bench.connect() is expected


def test_an_active_connection_outweighs_255_inactive_ones() -> None:
    """lc and wlc count an active connection as 256 inactive ones, so 256 of those tie with it."""
    for name in ("lc", "wlc"):
        bench = Bench(name, [1, 1])
        older, newer = bench.destinations
        older.active, newer.inactive = 1, 255
        assert bench.connect(active=False) is newer
        older.active, newer.inactive = 1, 257
        assert bench.connect() is older


def test_products_beyond_32_bits_are_exact() -> None:
    """The largest weights do not wrap around."""
    bench = Bench("wlc", [2**31 - 1, 2**31 - 1])
    older, newer = bench.destinations
    older.active, newer.active = 2**20, 2**20 + 1

    assert bench.connect() is older
