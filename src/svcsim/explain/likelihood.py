"""
How likely the way was that a packet took, as its trace tells.
"""

from __future__ import annotations

from fractions import Fraction

from svcsim.explain.refusals import BY_CHANCE, chance_of, refusals
from svcsim.lb.schedulers.twos import PowerOfTwoChoices
from svcsim.trace import RuleMatched, Scheduled, Trace, Walked

__all__ = ["chances_of"]


def chances_of(trace: Trace) -> list[str]:
    """In lines: where the way depended on a draw, how likely the way was that it took; what NAT draws is left out."""
    told: list[str] = []
    likely = 1.0
    for at, event in enumerate(trace):
        if isinstance(event, Walked):
            after = trace[at + 1] if at + 1 < len(trace) else None
            matched = after if isinstance(after, RuleMatched) and after.chain is event.chain else None
            step = _chance_of_stretch(event, matched)
            if step != 1.0:
                likely *= step
                told.append(f"{event.table} {event.chain.name}: it was {step:.4g} likely to go this way")
        elif isinstance(event, Scheduled) and not event.pinned:
            if isinstance(event.service.scheduler, PowerOfTwoChoices):
                share = float(_share_of_two(event))
                likely *= share
                told.append(f"ipvs: {event.destination} had a probability of {share:.4g}")
    if len(told) > 1:
        told.append(f"all in all {likely:.4g}")
    return told


def _chance_of_stretch(walked: Walked, matched: RuleMatched | None) -> float:
    """How likely the random rules of a stretch answered as they did."""
    likely = 1.0
    for refusal in refusals(walked, but=matched.number if matched else 0):
        chance = chance_of(refusal.rule)
        if chance is not None and refusal.why == BY_CHANCE:
            likely *= 1 - chance
    chance = chance_of(matched.rule) if matched is not None else None
    return likely if chance is None else likely * chance


def _share_of_two(event: Scheduled) -> Fraction:
    """The probability that the power of two choices takes what it took, as its destinations were loaded."""
    usable = [load for load in event.loads if load[1] > 0 and not load[4]]
    total = sum(load[1] for load in usable) + 1
    shares = [Fraction(load[1] + (place == 0), total) for place, load in enumerate(usable)]
    busy = [(load[2] << 8) + load[3] for load in usable]
    share = Fraction(0)
    for i, first in enumerate(usable):
        for j, second in enumerate(usable):
            taken = second if second[1] * busy[i] > first[1] * busy[j] else first
            share += shares[i] * shares[j] if taken[0] is event.destination else 0
    return share
