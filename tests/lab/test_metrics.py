"""Shares, fairness and Pearson's test against their definitions and against tables."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.lab.metrics import chi_square, jain, max_over_mean, shares

counts = st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any)


@given(counts)
def test_shares_add_up_to_one(given_counts):
    """Whatever the counts, the shares are parts of one whole, in the same order."""
    parts = shares(given_counts)

    assert math.isclose(sum(parts), 1.0)
    assert [part > 0 for part in parts] == [count > 0 for count in given_counts]


@given(counts, st.integers(1, 1000))
def test_fairness_has_its_bounds_and_no_scale(given_counts, factor):
    """Jain's index lies between 1/n and 1, the worst over the mean between 1 and n; neither sees a common factor."""
    n = len(given_counts)
    scaled = [count * factor for count in given_counts]

    assert 1 / n - 1e-12 <= jain(given_counts) <= 1 + 1e-12
    assert 1 - 1e-12 <= max_over_mean(given_counts) <= n + 1e-12
    assert math.isclose(jain(given_counts), jain(scaled))
    assert math.isclose(max_over_mean(given_counts), max_over_mean(scaled))


@pytest.mark.parametrize("busy, idle", [(1, 0), (3, 1), (2, 6)])
def test_jain_is_the_busy_part_when_the_busy_are_equal(busy, idle):
    """If k of n get the same and the rest nothing, the index is k/n."""
    assert jain([7] * busy + [0] * idle) == pytest.approx(busy / (busy + idle))


@pytest.mark.parametrize(
    "degrees, statistic, p_value",
    [
        # Critical values as printed in any table of the chi-square distribution.
        (1, 3.841, 0.05),
        (2, 5.991, 0.05),
        (3, 11.345, 0.01),
        (10, 18.307, 0.05),
        (30, 50.892, 0.01),
        (100, 77.929, 0.95),
    ],
)
def test_p_values_are_those_of_the_tables(degrees, statistic, p_value):
    """Counts built to have a tabulated statistic get the tabulated probability."""
    mean = 1e6
    off = math.sqrt(statistic * mean / 2)  # two counts that stray by this give the statistic
    seen = [mean + off, mean - off] + [mean] * (degrees - 1)

    result = chi_square(seen)

    assert result.degrees == degrees
    assert result.statistic == pytest.approx(statistic)
    assert result.p_value == pytest.approx(p_value, abs=5e-5)


@given(st.floats(0.001, 1000))
def test_two_degrees_have_a_closed_form(statistic):
    """With two degrees of freedom the tail is exp(-x/2), on both sides of where the expansions meet."""
    mean = 1e9
    off = math.sqrt(statistic * mean / 2)

    result = chi_square([mean + off, mean - off, mean])

    assert result.p_value == pytest.approx(math.exp(-result.statistic / 2), rel=1e-9, abs=1e-300)


def test_expected_proportions_need_no_scale():
    """Expected counts are proportions: 1:2:1 is 25:50:25."""
    assert chi_square([30, 45, 25], [1, 2, 1]) == chi_square([30, 45, 25], [25, 50, 25])


def test_what_must_not_happen_decides():
    """A backend that should get nothing and got something refutes it all; one that got nothing does not count."""
    assert chi_square([10, 10, 1], [1, 1, 0]).p_value == 0.0
    assert chi_square([10, 10, 0], [1, 1, 0]).degrees == 1


def test_a_single_backend_is_always_as_expected():
    """One backend gets everything, which says nothing."""
    assert chi_square([17]).p_value == 1.0


@pytest.mark.parametrize("function", [shares, jain, max_over_mean, chi_square])
@pytest.mark.parametrize("bad", [[], [0, 0], [1, -1], [1.0, math.nan], [math.inf]])
def test_what_are_no_counts_is_refused(function, bad):
    """No counts, only zeros, negative or unbounded ones: an error that shows them."""
    with pytest.raises(ConfigError, match="wants counts"):
        function(bad)


def test_expectations_of_another_size_are_refused():
    """Each observed count needs its expected one."""
    with pytest.raises(ConfigError, match="as many expected counts"):
        chi_square([1, 2, 3], [1, 2])
