"""The incomplete gamma function against closed forms, exact sums and printed values."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.lab.gamma import lower_gamma, upper_gamma

shapes = st.floats(1e-3, 1e5)


def poisson(shape: int, x: float) -> tuple[float, float]:
    """*Q* and *P* of a whole shape: the Poisson probabilities of fewer than *shape* events, and of the others."""
    with localcontext() as context:
        context.prec = 400
        term, below = Decimal(1), Decimal(0)
        for number in range(shape):
            below += term
            term = term * Decimal(x) / (number + 1)
        upper = below * (-Decimal(x)).exp()
        return float(upper), float(1 - upper)


@pytest.mark.parametrize("shape", [1, 2, 5, 15, 16, 17, 100, 700])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 1.5, 3.0])
def test_whole_shapes_are_sums(shape, ratio):
    """For a whole shape both tails are a sum of Poisson probabilities; twelve digits are right, however small the tail."""
    x = shape * ratio
    upper, lower = poisson(shape, x)

    assert upper_gamma(shape, x) == pytest.approx(upper, rel=1e-12, abs=1e-300)
    assert lower_gamma(shape, x) == pytest.approx(lower, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    "a, x, p",
    [
        # Handbook of Mathematical Functions, table 26.7 (P of chi-square), as 1 - Q.
        (0.5, 0.5, 1 - 0.31731),
        (1.5, 0.5, 1 - 0.80125),
        (2.5, 5.0, 1 - 0.07524),
        (10.0, 10.0, 1 - 0.45793),
    ],
)
def test_printed_values(a, x, p):
    """A few entries of the Handbook's table."""
    assert lower_gamma(a, x) == pytest.approx(p, abs=6e-6)


@given(st.floats(0, 600))
def test_a_half_is_the_error_function(x):
    """Q(1/2, x) is erfc(sqrt x), down to the smallest tail."""
    assert upper_gamma(0.5, x) == pytest.approx(math.erfc(math.sqrt(x)), rel=1e-12)


@given(shapes, st.floats(0, 4))
def test_the_tails_are_one_whole(a, ratio):
    """P + Q = 1, both between 0 and 1, and P rises with x."""
    x = a * ratio
    lower, upper = lower_gamma(a, x), upper_gamma(a, x)

    assert 0 <= lower <= 1 and 0 <= upper <= 1
    assert lower + upper == pytest.approx(1, abs=1e-13)
    assert lower_gamma(a, x * 1.01) >= lower - 1e-13


@given(st.floats(0.1, 1e4), st.floats(0.5, 2))
def test_neighbouring_shapes_agree(a, ratio):
    """Q(a + 1, x) - Q(a, x) = x^a e^-x / Gamma(a + 1), where series and fraction meet too."""
    x = a * ratio
    step = math.exp(a * math.log(x) - x - math.lgamma(a + 1))

    assert upper_gamma(a + 1, x) - upper_gamma(a, x) == pytest.approx(step, abs=1e-11)


def test_a_huge_shape_is_found():
    """Of a hundred million degrees of freedom the median lies a third below the mean: P(a, a) = 1/2 + 1/(3 sqrt(2 pi a))."""
    a = 5e7

    assert lower_gamma(a, a) == pytest.approx(0.5 + 1 / (3 * math.sqrt(math.tau * a)), rel=1e-9)


def test_the_ends():
    """Nothing lies below 0, nothing above infinity, and so far out that no float is left, 0 does."""
    assert (lower_gamma(2.5, 0), upper_gamma(2.5, 0)) == (0.0, 1.0)
    assert (lower_gamma(2.5, math.inf), upper_gamma(2.5, math.inf)) == (1.0, 0.0)
    assert upper_gamma(2.5, 1e6) == 0.0


@pytest.mark.parametrize("a, x", [(0, 1), (-1, 1), (1, -1), (math.nan, 1), (1, math.nan), (math.inf, 1), (1e13, 1)])
def test_what_has_no_value_is_refused(a, x):
    """A shape that is not above 0 or too large, an x below 0, and what is no number."""
    for function in (lower_gamma, upper_gamma):
        with pytest.raises(ConfigError, match="incomplete gamma"):
            function(a, x)
