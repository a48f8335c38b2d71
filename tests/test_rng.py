"""Chance that is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.rng import Streams, draw_rows


@given(st.integers(0, 2**64), st.text(max_size=20), st.integers(0, 1000))
def test_rows_draw_what_a_stream_draws(seed, name, start):
    """The vectorised draw gives the numbers of the scalar one."""
    stream = Streams(seed)[name]
    ordinals = np.arange(start, start + 5, dtype=np.uint64)

    assert draw_rows(stream.key, ordinals).tolist() == [stream.at(i) for i in range(start, start + 5)]


def test_consumers_do_not_disturb_each_other():
    """What one stream draws does not depend on what another drew before, nor on which was made first."""
    alone = Streams(1)
    disturbed = Streams(1)
    disturbed["other"].u64()

    assert [alone["mine"].u32() for _ in range(3)] == [disturbed["mine"].u32() for _ in range(3)]


@given(st.integers(0, 2**32), st.integers(0, 50))
def test_a_draw_can_be_looked_up(seed, ordinal):
    """Draw number n is what n + 1 draws end with, and looking it up draws nothing."""
    stream, other = Streams(seed)["a"], Streams(seed)["a"]
    for _ in range(ordinal):
        other.u64()

    assert stream.at(ordinal) == other.u64()
    assert (stream.ordinal, other.ordinal) == (0, ordinal + 1)


@given(st.integers(0, 2**32), st.integers(1, 2**40))
def test_bounds_are_kept(seed, bound):
    """A draw below a bound is not negative and not the bound."""
    assert all(0 <= Streams(seed)["a"].below(bound) < bound for _ in range(3))


@pytest.mark.parametrize(("seed", "name"), [(2, "dice"), (3, "dice"), (2, "other dice")])
def test_draws_are_even(seed, name):
    """Ten thousand draws below 10 fill ten bins evenly: chi-square below the 0.999 quantile (9 degrees of freedom)."""
    stream = Streams(seed)[name]
    bins = [0] * 10
    for _ in range(10_000):
        bins[stream.below(10)] += 1

    assert sum((count - 1000) ** 2 / 1000 for count in bins) < 27.88


def test_seeds_and_names_make_other_draws():
    """Another seed or another name is another stream."""
    firsts = {Streams(seed)[name].u64() for seed in range(20) for name in ("", "a", "b", "ab", "ba")}

    assert len(firsts) == 100


def test_draws_stay_what_they_are():
    """A seed means the same draws in each version: results that were published can be repeated."""
    stream = Streams(7)["scheduler"]

    assert [stream.u32() for _ in range(3)] == [1847583432, 3745742816, 4177954075]
