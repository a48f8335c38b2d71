"""
Branches merged by what becomes of the packet: each outcome with its probability, and what that rests on.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import attrs

__all__ = ["Assumed", "Share", "conditions", "merge"]

#: What is not modelled, each with whether it is taken to hold.
Assumed = tuple[tuple[str, bool], ...]
#: By what is assumed and then by fate: the probability, and the number of branches.
_Groups = dict[Assumed, dict[str, tuple[Fraction, int]]]


def conditions(assumes: Assumed) -> str:
    """
    What is assumed, in words.

    >>> conditions((("-m osf --genre Linux", True), ("-j TEE --gateway 192.0.2.9", False)))
    '-m osf --genre Linux holds and -j TEE --gateway 192.0.2.9 does not act'
    """
    told = []
    for what, holds in assumes:
        verb = "act" if what.startswith("-j") else "hold"
        told.append(f"{what} {verb}s" if holds else f"{what} does not {verb}")
    return " and ".join(told)


@attrs.frozen
class Share:
    """What all *branches* (their number) with one *fate* have together, if all holds that they assume."""

    fate: str
    assumes: Assumed
    probability: Fraction
    branches: int

    def __str__(self) -> str:
        text = self.fate if self.probability == 1 else f"{self.fate} with {float(self.probability):.4g}"
        return f"if {conditions(self.assumes)}: {text}" if self.assumes else text


def merge(branches: Iterable[tuple[Assumed, str, Fraction]]) -> list[Share]:
    """
    Merge branches, each with what it assumes, its fate and its probability; the likeliest first.

    An assumption that changes nothing is left out.

    >>> half = Fraction(1, 2)
    >>> print(*merge([((("-m osf", True),), "dropped", half), ((("-m osf", True),), "sent", half),
    ...     ((("-m osf", False),), "sent", Fraction(1))]), sep="\\n")
    if -m osf holds: dropped with 0.5
    if -m osf holds: sent with 0.5
    if -m osf does not hold: sent
    >>> print(*merge([((("-m osf", True),), "sent", Fraction(1)), ((("-m osf", False),), "sent", Fraction(1))]))
    sent
    """
    groups: _Groups = {}
    for assumes, fate, probability in branches:
        _add(groups, assumes, {fate: (probability, 1)})
    for assumes in sorted(groups, key=len, reverse=True):
        _forget_the_last(groups, assumes)
    return [
        Share(fate, assumes, *share)
        for assumes, shares in groups.items()
        for fate, share in sorted(shares.items(), key=lambda each: (-each[1][0], each[0]))
    ]


def _add(groups: _Groups, assumes: Assumed, shares: dict[str, tuple[Fraction, int]]) -> None:
    """Count *shares* to what is assumed so."""
    group = groups.setdefault(assumes, {})
    for fate, (probability, branches) in shares.items():
        before, number = group.get(fate, (Fraction(0), 0))
        group[fate] = before + probability, number + branches


def _forget_the_last(groups: _Groups, assumes: Assumed) -> None:
    """Merge *assumes* with its opposite in the last point, and so on, as long as both come to the same."""
    while assumes in groups and assumes:
        what, holds = assumes[-1]
        other = (*assumes[:-1], (what, not holds))
        mine, its = groups[assumes], groups.get(other)
        if its is None or {fate: share[0] for fate, share in mine.items()} != {f: share[0] for f, share in its.items()}:
            return
        del groups[assumes], groups[other]
        assumes = assumes[:-1]
        _add(groups, assumes, {fate: (share[0], share[1] + its[fate][1]) for fate, share in mine.items()})
