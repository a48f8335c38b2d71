"""
How evenly a load is spread: shares, Jain's index, the worst against the mean, the idle part, and Pearson's test.

All take counts per backend (connections, packets or bytes alike) and give numbers without a unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs
import numpy as np
import numpy.typing as npt

from svcsim.errors import ConfigError
from svcsim.lab.gamma import upper_gamma

__all__ = ["ChiSquare", "chi_square", "idle_share", "jain", "max_over_mean", "shares"]


def _counts(given: Iterable[float], what: str) -> npt.NDArray[np.float64]:
    counts = np.array(list(given), dtype=np.float64)
    if counts.size == 0 or not np.isfinite(counts).all() or (counts < 0).any() or not counts.any():
        raise ConfigError(f"{what} wants counts, none negative and not all zero, not {counts.tolist()}")
    return counts


def shares(counts: Iterable[float]) -> tuple[float, ...]:
    """
    The part of the whole that each backend got; they add up to 1.

    >>> shares([30, 60, 10])
    (0.3, 0.6, 0.1)
    """
    values = _counts(counts, "shares")
    return tuple((values / values.sum()).tolist())


def jain(counts: Iterable[float]) -> float:
    """
    Jain's fairness index: 1 if all got the same, k/n if k of n got the same and the rest nothing.

    It is (sum x)^2 / (n * sum x^2). Source: Jain, Chiu, Hawe, "A Quantitative Measure of Fairness and Discrimination
    for Resource Allocation in Shared Computer Systems", DEC-TR-301, 1984.

    >>> jain([5, 5, 5, 5]), jain([5, 5, 0, 0]), jain([7, 0, 0, 0])
    (1.0, 0.5, 0.25)
    """
    values = _counts(counts, "jain")
    values = values / values.max()  # a ratio needs no scale, and squares of huge counts would overflow
    return float(values.sum() ** 2 / (values.size * (values**2).sum()))


def max_over_mean(counts: Iterable[float]) -> float:
    """
    How much more than its part the busiest backend got: 1 if all got the same, n if one got everything.

    This is the *load imbalance* of the balls-into-bins literature, as a ratio: the fleet must be that much larger than
    an evenly loaded one. Source: Mitzenmacher and Upfal, "Probability and Computing", 2005, chapter 5.

    >>> max_over_mean([10, 10, 40])
    2.0
    """
    values = _counts(counts, "max_over_mean")
    return float(values.max() / values.mean())


def idle_share(counts: Iterable[float]) -> float:
    """
    The part of the backends that got nothing at all: 0 if each got something, (n - 1)/n if one got everything.

    Of m balls thrown blindly into n bins it is about e^(-m/n). Source: Mitzenmacher and Upfal, "Probability and
    Computing", 2005, section 5.3.

    >>> idle_share([5, 0, 3, 0])
    0.5
    """
    values = _counts(counts, "idle_share")
    return float((values == 0).mean())


@attrs.frozen
class ChiSquare:
    """The outcome of a test: *p_value* is how often chance alone would stray at least as far as *statistic*."""

    statistic: float
    degrees: int
    p_value: float


def chi_square(observed: Iterable[float], expected: Iterable[float] | None = None) -> ChiSquare:
    """
    Pearson's test of whether *observed* counts may come from a spread in the proportions of *expected* (even, if None).

    *expected* is scaled to the same total. Where a backend is expected to get nothing, whatever it got decides: p = 0.
    The degrees of freedom are one less than the backends that are expected to get something. As a
    rule of thumb each expected count should be at least 5. Source: Pearson, Philosophical Magazine 50, 1900.

    >>> fair = chi_square([101, 97, 102])
    >>> fair.degrees, round(fair.statistic, 2), round(fair.p_value, 2)
    (2, 0.14, 0.93)
    >>> chi_square([150, 90, 60]).p_value < 0.001
    True
    """
    seen = _counts(observed, "chi_square")
    wanted = np.ones_like(seen) if expected is None else _counts(expected, "chi_square")
    if wanted.size != seen.size:
        raise ConfigError(f"chi_square wants as many expected counts as observed ones: {wanted.size}, not {seen.size}")
    wanted = wanted * (seen.sum() / wanted.sum())
    possible = wanted > 0
    degrees = max(int(possible.sum()) - 1, 0)
    if seen[~possible].any():
        return ChiSquare(math.inf, degrees, 0.0)
    statistic = float(((seen - wanted)[possible] ** 2 / wanted[possible]).sum())
    p_value = upper_gamma(degrees / 2, statistic / 2) if degrees else 1.0
    return ChiSquare(statistic, degrees, p_value)
