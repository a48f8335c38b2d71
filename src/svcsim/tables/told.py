"""
What a walk leaves for a trace: the links that matched, in their order; events are made of them when somebody reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from svcsim.hooks import HookState, Skb
from svcsim.snapshot import Snapshot
from svcsim.tables.chain import END, GOTO, JUMP, POLICY, RETURN, Chain, Link
from svcsim.trace import Dropped, Policy, Returned, RuleMatched, Told, TraceEvent, Undecided, Walked

__all__ = ["ToldWalk"]

#: A chain, the rule to go on with, and where it was called from.
_Place = tuple[Chain, int, list[tuple[Chain, int]]]
#: Behind every rule of a chain.
_NOWHERE = 1 << 62


class ToldWalk(Told):
    """
    A walk of the table called *table*, or what follows (*before*) when a target may have changed the packet.

    The walk itself appends to *steps*: the links that matched, the end of a chain among them, each with its place and
    what it has counted; and says that a match of the last one could not judge the packet (*too_short*), or that nobody
    knows what it says (*unknown*). Places are noted at once, so that the story stays true if rules come and go before it
    is read.
    """

    __slots__ = ("_base", "_before", "_goes_on", "_seen", "_state", "_table", "steps", "too_short", "unknown")

    def __init__(self, table: str, base: Chain, skb: Skb, state: HookState, before: ToldWalk | None = None) -> None:
        self._table, self._base, self._state, self._before = table, base, state, before
        self._seen = Snapshot(skb)
        self.steps: list[tuple[Link, int, int, int]] = []
        self.too_short = self.unknown = False

    def events(self) -> Iterator[TraceEvent]:
        """Tell it: the stretches of rules that were asked, those that matched, and where chains were left."""
        table, length = self._table, self._seen.length
        chain, start, calls = (self._base, 1, []) if self._before is None else self._before._goes_on
        for link, number, packets, bytes in self.steps:
            kind = link.kind
            at_end = kind == END or kind == POLICY
            undecided = self.unknown and link is self.steps[-1][0]
            stop = number - 1 if at_end or undecided else number
            if stop >= start:
                yield Walked(table, chain, start, stop, self._seen, self._state)
            start = number + 1
            if kind == POLICY:
                yield Policy(table, self._base, (packets, bytes), length)
            elif self.too_short and link is self.steps[-1][0]:
                yield Dropped(f"{table} {chain.name}: too short for {link.rule}")
            elif undecided:
                yield Undecided(table, chain, number, link.rule)
            elif not at_end:
                yield RuleMatched(table, chain, number, link.rule, (packets, bytes), length)
            if kind == JUMP:
                calls.append((chain, start))
            if kind == JUMP or kind == GOTO:
                chain, start = link.aim, 1
            elif kind == END or kind == RETURN:
                left = chain
                chain, start = calls.pop() if calls else (self._base, _NOWHERE)  # where a policy answers for the rest
                yield Returned(table, left, chain, 0 if start == _NOWHERE else start)
        self._goes_on: _Place = chain, start, calls
