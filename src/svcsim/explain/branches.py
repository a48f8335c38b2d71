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
from typing import Any, Generic, TypeVar

import attrs

from svcsim.explain.chance import Choice, Script

__all__ = ["Branch", "Branches", "Share", "follow"]

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
    assumes: tuple[tuple[str, bool], ...]
    fate: str
    way: W
    wide: tuple[tuple[str, int], ...] = ()


@attrs.frozen
class Share:
    """What all *branches* (their number) with one *fate* and the same assumptions have together."""

    fate: str
    assumes: tuple[tuple[str, bool], ...]
    probability: Fraction
    branches: int

    def __str__(self) -> str:
        text = self.fate if self.probability == 1 else f"{self.fate} with {float(self.probability):.4g}"
        return f"if {_conditions(self.assumes)}: {text}" if self.assumes else text


def _conditions(assumes: tuple[tuple[str, bool], ...]) -> str:
    told = []
    for what, holds in assumes:
        verb = "act" if what.startswith("-j") else "hold"
        told.append(f"{what} {verb}s" if holds else f"{what} does not {verb}")
    return " and ".join(told)


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
        merged: dict[tuple[Any, str], list[Fraction]] = {}
        for branch in self.branches:
            merged.setdefault((branch.assumes, branch.fate), []).append(branch.probability)
        shares = [
            Share(fate, assumes, sum(parts, Fraction(0)), len(parts)) for (assumes, fate), parts in merged.items()
        ]
        order = {assumes: place for place, assumes in enumerate(dict.fromkeys(share.assumes for share in shares))}
        return sorted(shares, key=lambda share: (order[share.assumes], -share.probability, share.fate))

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
        shares = [str(share) for share in self.by_fate()]
        more = len(shares) - _IN_A_LINE
        told = shares[:_IN_A_LINE] + ([f"{more} more outcomes"] if more > 0 else [])
        return "; ".join(told + ([self.cut] if self.cut else []))

    def lines(self) -> list[str]:
        """A line for each outcome, and what was not followed."""
        told = [str(share) for share in self.by_fate()]
        told += [self.cut] if self.cut else []
        for name, kinds in self.wide.items():
            many = str(kinds) if kinds < 1 << 32 else "very many"
            told.append(f"(drawn besides, not followed into each: {name}, one of {many})")
        return told


def follow(run: Callable[[Script], tuple[str, W]], *, chance: bool, most: int) -> Branches[W]:
    """
    Go every way: *run* goes the one that a script says, and tells its fate and itself.

    Without *chance* only what is not modelled is answered both ways. No more than *most* ways are gone.

    >>> def flip_twice(script):
    ...     half = (Fraction(1, 2), Fraction(1, 2))
    ...     return "".join("HT"[script.take(half)] for _ in range(2)), None
    >>> [(str(share), share.branches) for share in follow(flip_twice, chance=True, most=99).by_fate()]
    [('HH with 0.25', 1), ('HT with 0.25', 1), ('TH with 0.25', 1), ('TT with 0.25', 1)]
    >>> follow(flip_twice, chance=True, most=3).unexplored
    Fraction(1, 4)
    """
    order = count()
    waiting: list[tuple[Fraction, int, tuple[int, ...]]] = [(Fraction(-1), next(order), ())]
    found: list[Branch[W]] = []
    while waiting and len(found) < most:
        _, _, chosen = heapq.heappop(waiting)
        script = Script(chosen, chance)
        fate, way = run(script)
        found.append(_branch(script, fate, way))
        weight, taken = Fraction(1), tuple(choice.taken for choice in script.met)
        for at, choice in enumerate(script.met):
            if at >= len(chosen):
                for other, odds in enumerate(choice.odds):
                    if other != choice.taken and odds:
                        heapq.heappush(waiting, (-weight * odds, next(order), (*taken[:at], other)))
            weight *= choice.odds[choice.taken]
    return Branches(tuple(found), -sum((each[0] for each in waiting), Fraction(0)))


def _branch(script: Script, fate: str, way: W) -> Branch[W]:
    probability = Fraction(1)
    assumes: list[tuple[str, bool]] = []
    for choice in script.met:
        if choice.question:
            assumes.append((choice.question, _holds(choice)))
        else:
            probability *= choice.odds[choice.taken]
    return Branch(probability, tuple(assumes), fate, way, tuple(script.wide))


def _holds(choice: Choice) -> bool:
    return choice.taken == 0
