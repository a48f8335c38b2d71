"""
Chance, counted: a draw is a pure function of (seed, consumer's name, ordinal).

One consumer never shifts another's draws, a run can be repeated, and a vectorised twin can draw the same numbers.
The mixing function is SplitMix64's finaliser (Steele, Lea and Flood, 2014).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Stream", "Streams", "draw_rows"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def _mix(z: int) -> int:
    z = (z ^ (z >> 30)) * _MIX_1 & _MASK
    z = (z ^ (z >> 27)) * _MIX_2 & _MASK
    return z ^ (z >> 31)


class Stream:
    """
    The draws of one consumer; *ordinal* is the number of the next one.

    >>> dice = Streams(seed=1)["dice"]
    >>> [dice.below(6) for _ in range(8)] == [Streams(seed=1)["dice"].at(i) * 6 >> 64 for i in range(8)]
    True
    """

    __slots__ = ("key", "ordinal")

    def __init__(self, key: int) -> None:
        self.key = key
        self.ordinal = 0

    def at(self, ordinal: int) -> int:
        """The 64-bit draw number *ordinal*, without drawing it."""
        return _mix((self.key + ordinal * _GOLDEN) & _MASK)

    def u64(self) -> int:
        """Draw 64 bits."""
        ordinal = self.ordinal
        self.ordinal = ordinal + 1
        return self.at(ordinal)

    def u32(self) -> int:
        """Draw 32 bits."""
        return self.u64() >> 32

    def below(self, bound: int, *, period: int = 0) -> int:
        """
        Draw from ``0 .. bound - 1``.

        *period* is for whoever enumerates what can be drawn: numbers that differ by a multiple of it mean the same.
        """
        return self.u64() * bound >> 64

    def falls_below(self, threshold: int, bits: int) -> bool:
        """Draw *bits* bits; whether they are a number less than *threshold*."""
        ordinal = self.ordinal
        self.ordinal = ordinal + 1
        return self.at(ordinal) >> 64 - bits < threshold

    def pick(self, weights: Sequence[int]) -> int:
        """
        Draw the place of one of *weights*, each as often as its share of their sum.

        >>> dice = Streams(seed=1)["dice"]
        >>> [dice.pick([1, 0, 3]) for _ in range(8)]
        [0, 2, 2, 0, 2, 0, 2, 2]
        """
        left = self.below(sum(weights))
        for place, weight in enumerate(weights):
            left -= weight
            if left < 0:
                break
        return place


class Streams:
    """
    A seed's streams by name, made when first asked for.

    >>> streams = Streams(seed=7)
    >>> streams["a"] is streams["a"], streams["a"].u64() == streams["b"].u64()
    (True, False)
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}

    def __getitem__(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            key = _mix(self.seed + _GOLDEN & _MASK)
            for byte in name.encode():
                key = _mix(key ^ byte)
            stream = self._streams[name] = Stream(_mix(key + _GOLDEN & _MASK))
        return stream

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)


def draw_rows(key: int, ordinals: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """
    The 64-bit draws number *ordinals* of the stream with this *key*: `Stream.at` for many.

    >>> stream = Streams(seed=3)["rows"]
    >>> draw_rows(stream.key, np.arange(4, dtype=np.uint64)).tolist() == [stream.at(i) for i in range(4)]
    True
    """
    z = np.uint64(key) + ordinals * np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    rows: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return rows
