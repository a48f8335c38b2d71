"""
The walk of one packet through one table, rule by rule.

Behaviour of: ipt_do_table, ip6t_do_table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.chain import CONTINUE, END, GOTO, JUMP, RETURN, RUN, Link
from svcsim.tables.extension import Test
from svcsim.tables.rule import Rule
from svcsim.tables.told import ToldWalk
from svcsim.tables.unknown import UnknownMatch

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
    dst = float(skb.dst)  # as keys are
    trace = skb.trace
    if trace is not None:
        if not base.length:
            trace.append(table.policies[state.hook])
            trace = None  # nothing else to tell
        else:
            base.renumber()
            told = ToldWalk(table.name, base, skb, state)
            trace.append(told)
    while True:
        while link.key != dst:
            link = link.next
        for ask in link.tests:
            answer = ask(skb, state)
            if not answer:
                if answer is None:
                    link.ended += 1
                    unknown = _unknown_before(link.rule, ask)
                    if trace is not None:
                        told.steps.append((link, link.number, 0, 0))
                        told.unknown = unknown is not None
                        told.too_short = unknown is None
                    if unknown is not None:
                        state.host.note_unknown(skb, str(unknown))
                        return Verdict.UNKNOWN
                    return _DROP
                break
        else:
            link.packets += 1
            link.bytes += skb.length
            kind = link.kind
            if trace is not None:
                told.steps.append((link, link.number, link.packets, link.bytes))
                if kind == JUMP or kind == GOTO:
                    link.aim.renumber()
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
                if trace is not None:  # what is asked from here on may be another packet
                    told = ToldWalk(table.name, base, skb, state, told)
                    trace.append(told)
            elif kind == RETURN or kind == END:
                link.ended += 1
                if not stack:
                    link = base.end
                    link.ended -= 1  # it did not come past the rules before
                    continue
                link = stack.pop()
                link.ended -= 1
            elif kind != CONTINUE:  # a verdict, or the policy
                link.ended += 1
                return link.aim  # type: ignore[no-any-return]
        link = link.next


def _unknown_before(rule: Rule, ask: Test) -> UnknownMatch | None:
    """The match of *rule* that nobody knows, if it is what *ask* asks, or stands before it."""
    for match in rule.matches:
        if isinstance(match, UnknownMatch):
            return match
        if match.matches == ask:
            return None
    return None
