"""
Every way that a packet can go: each random draw followed both ways, and each thing that nobody knows.

The tree of draws is gone through leaf by leaf, the likeliest first; a leaf costs one journey. So a chain of n rules of
which one is picked at random costs n journeys, not two to the power of n.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from typing import Generic, NamedTuple, TypeVar

import attrs

from svcsim.explain.chance import Choice, Script
from svcsim.explain.shares import Assumed, Share, merge

__all__ = ["Branch", "Branches", "follow"]

W = TypeVar("W")
#: So many outcomes are named in one line.
_IN_A_LINE = 8


@attrs.frozen(eq=False)
class Branch(Generic[W]):
    """
    One way: its *probability* if all holds that it *assumes* of what is not modelled, *fate*, and *way* (explained).

    *wide* names the draws on the way that were not followed into each number: who draws, and how many it could be. The
    branch shows one of those.
    """

    probability: Fraction
    assumes: Assumed
    fate: str
    way: W
    wide: tuple[tuple[str, int], ...] = ()


@attrs.frozen(eq=False)
class Branches(Generic[W]):
    """
    The branches of a packet's way, the likeliest first.

    *unexplored* is the probability of those that were cut off because there were too many, 0 if all are here; where
    something is not modelled, either answer to it weighs one half in this sum.
    """

    branches: tuple[Branch[W], ...]
    unexplored: Fraction = Fraction(0)

    def __iter__(self) -> Iterator[Branch[W]]:
        return iter(self.branches)

    def __len__(self) -> int:
        return len(self.branches)

    def by_fate(self) -> list[Share]:
        """The branches merged by what becomes of the packet, the likeliest first of those that assume the same."""
        return merge((branch.assumes, branch.fate, branch.probability) for branch in self.branches)

    def _shares(self) -> list[str]:
        assumed = any(branch.assumes for branch in self.branches)
        return [f"{'either way: ' if assumed and not share.assumes else ''}{share}" for share in self.by_fate()]

    @property
    def cut(self) -> str:
        """A word about what was cut off, empty if nothing was."""
        if not self.unexplored:
            return ""
        return f"and others with {float(self.unexplored):.4g}, not followed: more than {len(self)} branches"

    @property
    def wide(self) -> dict[str, int]:
        """The draws that were not followed into each number, each with the most that it could be."""
        found: dict[str, int] = {}
        for branch in self.branches:
            for name, kinds in branch.wide:
                found[name] = max(kinds, found.get(name, 0))
        return found

    def line(self) -> str:
        """All in one line."""
        shares = self._shares()
        more = len(shares) - _IN_A_LINE
        told = shares[:_IN_A_LINE] + ([f"{more} more outcomes"] if more > 0 else [])
        return "; ".join(told + ([self.cut] if self.cut else []))

    def lines(self) -> list[str]:
        """A line for each outcome, and what was not followed."""
        told = self._shares()
        told += [self.cut] if self.cut else []
        for name, kinds in self.wide.items():
            many = str(kinds) if kinds < 1 << 32 else "very many"
            told.append(f"(drawn besides, not followed into each: {name}, one of {many})")
        return told


def follow(run: Callable[[Script], tuple[str, W]], most: int) -> Branches[W]:
    """
    Go every way: *run* goes the one that a script says, and tells its fate and itself.

    No more than *most* ways are gone.

    >>> def flip_twice(script):
    ...     half = (Fraction(1, 2), Fraction(1, 2))
    ...     return "".join("HT"[script.take(half)] for _ in range(2)), None
    >>> [(str(share), share.branches) for share in follow(flip_twice, 99).by_fate()]
    [('HH with 0.25', 1), ('HT with 0.25', 1), ('TH with 0.25', 1), ('TT with 0.25', 1)]
    >>> follow(flip_twice, 3).unexplored
    Fraction(1, 4)
    """
    order = count()
    waiting = [_Fork(0.0, next(order), [], 0, None, Fraction(1), Fraction(1))]
    found: list[Branch[W]] = []
    while waiting and len(found) < most:
        fork = heapq.heappop(waiting)
        script = Script(fork.choices())
        fate, way = run(script)
        weight, probability = fork.weight, fork.probability
        for at in range(script.given, len(script.met)):
            choice = script.met[at]
            for other, odds in enumerate(choice.odds):
                if other != choice.taken and odds:
                    taken = attrs.evolve(choice, taken=other)
                    likely = probability if choice.question else probability * odds
                    key = -float(weight * odds)
                    heapq.heappush(waiting, _Fork(key, next(order), script.met, at, taken, weight * odds, likely))
            weight *= choice.odds[choice.taken]
            probability *= 1 if choice.question else choice.odds[choice.taken]
        assumes = tuple((choice.question, _holds(choice)) for choice in script.met if choice.question)
        found.append(Branch(probability, assumes, fate, way, tuple(script.wide)))
    return Branches(tuple(found), sum((fork.weight for fork in waiting), Fraction(0)))


class _Fork(NamedTuple):
    """
    A way that nobody has gone yet: the first choices (*at*) that a run has *met*, then *taken*.

    They are in the order of their *key*, which is how likely they are, and then as they were found.
    """

    key: float
    order: int
    met: list[Choice]
    at: int
    taken: Choice | None
    weight: Fraction
    probability: Fraction

    def choices(self) -> list[Choice]:
        return [] if self.taken is None else [*self.met[: self.at], self.taken]


def _holds(choice: Choice) -> bool:
    return choice.taken == 0
