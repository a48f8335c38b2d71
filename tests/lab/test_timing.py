"""Medians, spreads and straight lines."""

from __future__ import annotations

import gc

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.lab.timing import fit_line, timed, timing_of

numbers = st.floats(-1e6, 1e6)


@given(numbers, st.floats(-1e3, 1e3), st.lists(st.integers(0, 10**5), min_size=2, max_size=30, unique=True))
def test_a_line_is_found_again(intercept, slope, x):
    """Points on a line give that line."""
    fit = fit_line(x, [intercept + slope * value for value in x])

    assert fit.slope == pytest.approx(slope, abs=1e-4)
    assert fit.intercept == pytest.approx(intercept, rel=1e-6, abs=1e-2)


def test_noise_lowers_the_explained_part():
    """What the line does not explain is taken off R squared; a flat cloud has none explained."""
    assert fit_line([0, 1, 2, 3], [0, 1, 2, 3]).r_squared == 1.0
    assert fit_line([0, 1, 2, 3], [0, 2, 1, 3]).r_squared == pytest.approx(0.64)
    assert fit_line([0, 1, 0, 1], [1, 1, 2, 2]).r_squared == 0.0


def test_a_weight_is_so_many_points():
    """A point of weight two counts as two points do, one of weight zero not at all."""
    weighted = fit_line([0, 1, 2, 9], [0, 2, 1, 50], [2, 1, 1, 0])

    assert attrs.astuple(weighted) == pytest.approx(attrs.astuple(fit_line([0, 0, 1, 2], [0, 0, 2, 1])))


def test_points_above_one_another_have_no_slope():
    """With one x there is no line to find: flat, through the mean."""
    fit = fit_line([5, 5], [1, 3])

    assert (fit.intercept, fit.slope) == (2, 0)


def test_the_clock_is_the_callers_and_the_collector_is_paused():
    """The time is the difference of two readings; the collector rests in between and works again after."""
    readings = iter([100, 175])
    seen = []

    assert timed(lambda: next(readings), lambda: seen.append(gc.isenabled())) == 75
    assert seen == [False]
    assert gc.isenabled()


def test_the_collector_works_again_after_an_error():
    """A call that fails leaves the collector as it was."""
    with pytest.raises(ZeroDivisionError):
        timed(lambda: 0, lambda: 1 // 0)

    assert gc.isenabled()


def test_a_timing_is_of_one_operation():
    """Median, quickest and slowest are divided by the operations of a repeat."""
    timing = timing_of([40, 10, 20, 30], operations=5)

    assert (timing.median, timing.low, timing.high) == (5, 2, 8)
