"""
The walk of one packet through one table, rule by rule.

Behaviour of: ipt_do_table, ip6t_do_table.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.chain import CONTINUE, END, GOTO, JUMP, POLICY, RETURN, RUN, Chain, Link
from svcsim.trace import Dropped, Policy, RuleMatched, Trace, Walked

if TYPE_CHECKING:
    from svcsim.tables.table import Table

__all__ = ["walk"]

_DROP = Verdict.DROP


def walk(table: Table, skb: Skb, state: HookState) -> Verdict:
    """
    Ask the rules of *table* at *state*'s hook, first to last; the first that gives a verdict decides, else the policy.

    A rule that matches counts the packet before its target acts. A jump comes back behind its rule at the end of the
    chain, or on RETURN; a goto does not. Where there is nowhere to come back to, the policy of the built-in chain
    decides, and counts the packet like a rule. A packet that is too short for a match to judge is dropped at once and
    counts nowhere.

    Only where a walk begins and where it leaves a chain is counted besides: that is enough to tell how often each rule
    was asked (`Chain.asked`).
    """
    base = chain = table.bases[state.hook]
    chain.entered += 1
    link: Link = chain.first
    stack: list[Link] = []
    dst = skb.dst
    trace = skb.trace
    if trace is not None:
        teller = _Teller(trace, table.name, base, skb, state)
    while True:
        while link.key != dst:
            link = link.next
        for ask in link.tests:
            answer = ask(skb, state)
            if not answer:
                if answer is None:
                    link.ended += 1
                    if trace is not None:
                        teller.too_short(link)
                    return _DROP
                break
        else:
            link.packets += 1
            link.bytes += skb.length
            if trace is not None:
                teller.matched(link)
            kind = link.kind
            if kind == JUMP or kind == GOTO:
                link.ended += 1
                if kind == JUMP:
                    stack.append(link)
                chain = link.aim
                chain.entered += 1
                link = chain.first
                continue
            if kind == RUN:
                verdict: Verdict | None = link.aim(skb, state)
                if verdict is not None:
                    link.ended += 1
                    return verdict
            elif kind == RETURN or kind == END:
                link.ended += 1
                if not stack:
                    link = base.end
                    link.ended -= 1  # it did not come past the rules before
                    continue
                link = stack.pop()
                link.ended -= 1
                if trace is not None:
                    teller.came_back(link)
            elif kind != CONTINUE:  # a verdict, or the policy
                link.ended += 1
                return link.aim  # type: ignore[no-any-return]
        link = link.next


class _Teller:
    """What a walk tells a `Trace`: stretches of rules that were asked, and those that matched."""

    def __init__(self, trace: Trace, table: str, base: Chain, skb: Skb, state: HookState) -> None:
        self._trace, self._table, self._base = trace, table, base
        self._skb, self._state = skb, state
        self._begin(base)
        self._calls: list[tuple[Link, Chain]] = []

    def _begin(self, chain: Chain) -> None:
        chain.renumber()
        self._chain, self._start = chain, 1

    def _walked(self, stop: int) -> None:
        if stop >= self._start:
            seen = copy(self._skb)
            seen.ct = copy(seen.ct)
            self._trace.append(Walked(self._table, self._chain, self._start, stop, seen, self._state))
            self._start = stop + 1

    def matched(self, link: Link) -> None:
        """Tell that *link*'s rule matched, or that the end of its chain was reached."""
        kind = link.kind
        if kind == END or kind == POLICY:
            self._walked(len(self._chain))
            if kind == POLICY:
                self._trace.append(Policy(self._table, self._base))
            return
        self._walked(link.number)
        self._trace.append(RuleMatched(self._table, self._chain, link.number, link.rule))
        if kind == JUMP:
            self._calls.append((link, self._chain))
        if kind == JUMP or kind == GOTO:
            self._begin(link.aim)
        elif kind == RETURN:
            self._start = len(self._chain) + 1  # the rules behind it are not asked, even where a policy answers

    def came_back(self, link: Link) -> None:
        """Tell that the walk goes on behind *link*."""
        while self._calls:
            call, chain = self._calls.pop()
            if call is link:
                self._chain, self._start = chain, link.number + 1
                return

    def too_short(self, link: Link) -> None:
        """Tell that a match could not judge the packet."""
        self._walked(link.number)
        self._trace.append(Dropped(f"{self._table} {self._chain.name}: too short for {link.rule}"))
