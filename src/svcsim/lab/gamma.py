"""
The regularized incomplete gamma function, from which the chi-square distribution has its tails.

*P(a, x)* is the part of the gamma distribution of shape *a* that lies below *x*, and *Q(a, x)* the rest; both are numbers
between 0 and 1 without a unit. Either is found directly where it is the smaller one, so that a tail of 1e-200 has as
many right digits as one half.
"""

from __future__ import annotations

import itertools
import math

from svcsim.errors import ConfigError

__all__ = ["lower_gamma", "upper_gamma"]

_TINY = 1e-300
_HUGE = 1e12  # the number of terms rises with the square root of the shape
_EPSILON = 1e-16
_LARGE = 16.0  # from here on Stirling's series with the terms below is exact to the last digit
#: B(2k) / (2k (2k-1)) of the Bernoulli numbers: Stirling's series of ln Gamma (Abramowitz and Stegun 6.1.41).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def lower_gamma(a: float, x: float) -> float:
    """
    *P(a, x)*, for a shape *a* above 0 and *x* from 0 on (infinity too).

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 6.5.1.

    >>> round(lower_gamma(1, 2), 12) == round(1 - math.exp(-2), 12)
    True
    """
    _check(a, x)
    return _series(a, x) if x < a + 1 else 1.0 - _fraction(a, x)


def upper_gamma(a: float, x: float) -> float:
    """
    *Q(a, x)*, for a shape *a* above 0 and *x* from 0 on (infinity too).

    >>> round(upper_gamma(0.5, 3.841459 / 2), 6)  # 5 % of chi-square with one degree of freedom lie above 3.841459
    0.05
    """
    _check(a, x)
    return 1.0 - _series(a, x) if x < a + 1 else _fraction(a, x)


def _check(a: float, x: float) -> None:
    if not (_TINY <= a <= _HUGE and x >= 0):
        raise ConfigError(f"the incomplete gamma function wants 0 < a <= {_HUGE:g} and x >= 0, not a={a} and x={x}")


def _density(a: float, x: float) -> float:
    """
    ``x^a e^-x / Gamma(a)``, without the loss of digits that the logarithms of large numbers bring.

    For a large shape, by the distance between *x* and *a*, as Loader does for the Poisson distribution ("Fast and Accurate
    Computation of Binomial Probabilities", 2000).
    """
    if x == 0 or x == math.inf:
        return 0.0
    if a < _LARGE:
        return math.exp(a * math.log(x) - x - math.lgamma(a))
    rest = 0.0
    for coefficient in reversed(_STIRLING):
        rest = rest / (a * a) + coefficient
    return math.sqrt(a / math.tau) * math.exp(-_deviance(a, x) - rest / a)


def _deviance(a: float, x: float) -> float:
    """``a ln(a / x) + x - a``: 0 where they are equal, and right in all digits close to that."""
    if abs(x - a) > 0.1 * (x + a):
        return a * math.log(a / x) + x - a
    v = (a - x) / (a + x)
    total, power = (a - x) * v, 2 * a * v
    for n in itertools.count(3, 2):
        power *= v * v
        if total + power / n == total:
            return total
        total += power / n
    raise AssertionError


def _series(a: float, x: float) -> float:
    """*P* by its power series (Abramowitz and Stegun 6.5.29), which falls off at once where *x* is below the shape."""
    term = total = 1 / a
    n = a
    while term > total * _EPSILON:
        n += 1
        term *= x / n
        total += term
    return min(1.0, _density(a, x) * total)


def _fraction(a: float, x: float) -> float:
    """*Q* by its continued fraction (6.5.31), evaluated from the front as Lentz does (Applied Optics 15, 1976)."""
    scale = _density(a, x)
    if scale == 0:
        return 0.0
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for n in itertools.count(1):
        step = -n * (n - a)
        b += 2
        d = 1 / (step * d + b or _TINY)
        c = b + step / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 10 * _EPSILON:
            break
    return min(1.0, scale * value)
