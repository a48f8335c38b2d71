"""
How long a call takes: repeated, with the garbage collector paused, told as a median with its spread.

No clock is read here: the caller hands in a *timer* that returns nanoseconds, such as `time.perf_counter_ns`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from statistics import median

import attrs
import numpy as np

__all__ = ["Fit", "Timer", "Timing", "fit_line", "timed", "timing_of"]

Timer = Callable[[], int]


@attrs.frozen
class Timing:
    """Nanoseconds of one operation: the *median* of the repeats, the quickest and the slowest of them."""

    median: float
    low: float
    high: float


def timed(timer: Timer, call: Callable[..., object], *args: object) -> int:
    """
    Nanoseconds that *call* takes with *args*.

    The garbage collector is paused meanwhile, as `timeit` does: it walks all rules of a large table at moments that
    have nothing to do with what is measured.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        start = timer()
        call(*args)
        return timer() - start
    finally:
        if was_on:
            gc.enable()


def timing_of(nanoseconds: Sequence[float], operations: int = 1) -> Timing:
    """
    The timing of one operation, from repeats of *operations* each.

    >>> timing_of([300, 100, 200], operations=10)
    Timing(median=20.0, low=10.0, high=30.0)
    """
    return Timing(median(nanoseconds) / operations, min(nanoseconds) / operations, max(nanoseconds) / operations)


@attrs.frozen
class Fit:
    """A straight line through measurements: *intercept*, *slope*, and how much of the variation it explains."""

    intercept: float
    slope: float
    r_squared: float


def fit_line(x: Sequence[float], y: Sequence[float], weights: Sequence[float] | None = None) -> Fit:
    """
    The least-squares line through the points; flat through their mean if all *x* are equal.

    *weights* say how much each point's squared distance counts, all the same unless given. Where errors grow with what
    is measured, as those of time do, ``1 / y**2`` lets short times say as much as long ones.

    >>> fit_line([0, 1, 2], [5.0, 7.0, 9.0])
    Fit(intercept=5.0, slope=2.0, r_squared=1.0)
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    weight = np.ones_like(up) if weights is None else np.asarray(weights, dtype=np.float64)
    middle, mean = np.average(across, weights=weight), np.average(up, weights=weight)
    dx, dy = across - middle, up - mean
    width, height = float(weight * dx @ dx), float(weight * dy @ dy)
    slope = float(weight * dx @ dy) / width if width else 0.0
    rest = dy - slope * dx
    r_squared = 1 - float(weight * rest @ rest) / height if height else 1.0
    return Fit(float(mean - slope * middle), slope, r_squared)
