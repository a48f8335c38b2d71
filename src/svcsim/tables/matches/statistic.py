"""
Every n-th packet, or one by chance.

Behaviour of: xt_statistic (`-m statistic`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.rng import Stream
from svcsim.tables.extension import Loader, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["Chance", "NthMatch", "RandomMatch", "Turn"]

#: A probability is kept in 31 bits: this one always holds.
_CERTAIN = 1 << 31


@attrs.define(eq=False)
class Chance:
    """A loaded rule's own sequence of draws."""

    stream: Stream
    threshold: int
    invert: bool

    def __call__(self, skb: Skb, state: HookState) -> bool:
        return (self.stream.u64() >> 33 < self.threshold) is not self.invert


@attrs.define(eq=False)
class Turn:
    """A loaded rule's own counter: of *every* packets the one that finds it at its *end*."""

    count: int
    end: int
    invert: bool

    def __call__(self, skb: Skb, state: HookState) -> bool:
        self.count = count = 0 if self.count == self.end else self.count + 1
        return (count == 0) is not self.invert


@MATCHES.register("statistic")
@attrs.frozen
class StatisticMatch(Match):
    """``--mode random [!] --probability p`` or ``--mode nth [!] --every n --packet k``."""

    options = (
        Option("mode", required=True),
        Option("probability", invert=True, requires=("mode",)),
        Option("every", invert=True, requires=("mode", "packet")),
        Option("packet", requires=("mode", "every")),
    )

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one of the two modes."""
        raise NotImplementedError
