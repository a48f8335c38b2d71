"""
What may not be loaded: misplaced matches and targets, loops.

Behaviour of: the checks of ip_tables when a table is replaced. Tables and protocols are checked for every rule. Hooks
and loops only for rules that a packet could reach: the kernel follows jumps from the built-in chains, and in each chain
goes no further than the first rule that surely decides - nothing asked, no match, and a verdict or RETURN for target.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from svcsim.hooks import Hook
from svcsim.tables.chain import GOTO, JUMP, RETURN, VERDICT, Chain, Link
from svcsim.tables.extension import Extension, Place
from svcsim.tables.problems import Refusal
from svcsim.tables.rule import Rule
from svcsim.tables.target import Target

if TYPE_CHECKING:
    from svcsim.tables.table import Table

__all__ = ["Checker"]

#: So many chains are kept as a tuple, which is smaller; among more of them a dictionary finds quicker.
_FEW = 8
_LOOP = "Too many levels of symbolic links."
#: The hooks that a number stands for, bit by bit.
_HOOKS = [frozenset(hook for hook in Hook if bits & 1 << hook) for bits in range(1 << len(Hook))]


#: What matters of a chain: the chains that its reachable rules lead to, and rules that stand for all that care for hooks.
Outline = tuple[Collection[Chain], Collection[Rule]]


def _extensions(rule: Rule) -> Iterable[Extension]:
    target = rule.target
    return (*rule.matches, target) if isinstance(target, Target) else rule.matches


def _outline(chain: Chain) -> Outline:
    leads_to: dict[Chain, None] = {}
    limited: dict[int, Rule] = {}
    link, end = chain.first, chain.end
    while link is not end:
        kind = link.kind
        if kind == JUMP or kind == GOTO:
            leads_to[link.aim] = None
        elif (kind == VERDICT or kind == RETURN) and link.rule.unconditional:
            break
        if link.sample is not None:
            limited[id(link.sample)] = link.sample
        link = link.next
    return leads_to if len(leads_to) > _FEW else tuple(leads_to), tuple(limited.values())


class Checker:
    """
    The checks of one table, which remembers what it found, so that a small change is a small check.

    From which hooks a chain is reached is kept in `Chain.reached` as bits. After rules were taken away it may hold too
    many; whenever a small check finds fault, everything is looked at anew before it is believed.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        #: New rules that remember something, and that need connection tracking, since these lists were emptied.
        self.stateful: list[Link] = []
        self.tracking: list[Link] = []
        self._known = False
        self._fine: set[tuple[type[Extension], int, bool]] = set()  # class, protocol, inverted

    def begin(self, tracking: list[Link]) -> None:
        """Note what new rules need from here; those in *tracking* are known to need that already."""
        self.stateful, self.tracking = [], tracking

    def forget(self) -> None:
        """Look at everything the next time: a change was undone, or all was replaced."""
        self._known = False

    def check_link(self, link: Link) -> None:
        """Refuse a new rule that may not stand in this table, or not with its protocol; note what it needs."""
        rule: Rule = link.rule
        for extension in _extensions(rule):
            if extension.carefree:
                continue
            if extension.limited:
                link.sample = rule
            if extension.stateful:
                self.stateful.append(link)
            if extension.tracks:
                self.tracking.append(link)
            header = rule.header
            key = (extension.__class__, header.proto, header.not_proto)
            if key not in self._fine:
                place = self._place(rule, frozenset())
                extension.check(place)
                if extension.__class__.check is Extension.check:
                    self._fine.add(key)

    def check_reach(self, changed: Iterable[Chain]) -> None:
        """Refuse loops, and rules that can be reached from hooks where they may not stand; *changed* chains are new."""
        if self._known:
            before = {chain: chain.outline for chain in changed}
            for chain in before:
                chain.outline = _outline(chain)
            try:
                for chain, old in before.items():
                    self._check_change(chain, old)
            except Refusal:
                self._known = False
        if not self._known:
            self._check_all()
            self._known = True

    def _check_change(self, chain: Chain, old: Outline | None) -> None:
        if not chain.reached:
            return
        leads_to: Collection[Chain] = chain.outline[0]
        known = {id(rule) for rule in old[1]} if old is not None else ()  # found fine where this chain is reached from
        for rule in chain.outline[1]:
            if id(rule) not in known:
                self._check_hooks(rule, chain.reached)
        for target in leads_to:
            if old is None or target not in old[0]:
                _refuse_loops([target], {chain})
                self._spread(target, chain.reached)

    def _spread(self, chain: Chain, hooks: int) -> None:
        """Let *chain* and all that it leads to be reached from *hooks*."""
        todo = [chain]
        while todo:
            chain = todo.pop()
            if hooks & ~chain.reached:
                chain.reached |= hooks
                for rule in chain.outline[1]:
                    self._check_hooks(rule, chain.reached)
                todo += chain.outline[0]

    def _check_all(self) -> None:
        chains = self._table.chains.values()
        for chain in chains:
            chain.reached = 0
            chain.outline = _outline(chain)
        bases = [(hook, base) for hook, base in enumerate(self._table.bases) if base is not None]
        for hook, base in bases:
            base.reached = 1 << hook
        _spread_all([base for _, base in bases])
        seen: set[tuple[int, int]] = set()
        for chain in chains:
            hooks = chain.reached
            for rule in chain.outline[1]:
                if (id(rule), hooks) not in seen:
                    seen.add((id(rule), hooks))
                    self._check_hooks(rule, hooks)

    def _place(self, rule: Rule, hooks: frozenset[Hook]) -> Place:
        header = rule.header
        return Place(self._table.family, self._table.name, hooks, header.proto, header.not_proto, rule.matches)

    def _check_hooks(self, rule: Rule, reached: int) -> None:
        """Refuse *rule* if it may not be reached from these hooks."""
        hooks = _HOOKS[reached]
        for extension in _extensions(rule):
            if not extension.carefree:
                extension.check(self._place(rule, hooks))


def _spread_all(bases: list[Chain]) -> None:
    """Let all chains be reached from where those are that lead to them, each after all of those; refuse loops."""
    ways: dict[Chain, int] = {}  # how many chains lead to each
    reachable = bases.copy()
    for chain in reachable:
        for target in chain.outline[0]:
            if target in ways:
                ways[target] += 1
            else:
                ways[target] = 1
                reachable.append(target)
    ready = bases.copy()
    for chain in ready:
        hooks = chain.reached
        for target in chain.outline[0]:
            target.reached |= hooks
            ways[target] -= 1
            if not ways[target]:
                ready.append(target)
    if len(ready) < len(reachable):
        _refuse_loops(bases, set())


def _refuse_loops(starts: list[Chain], above: set[Chain]) -> None:
    """Refuse a way from *starts* back to a chain that is on the way, or to one *above*."""
    done: set[Chain] = set()
    way = set(above)
    for start in starts:
        if start in done:
            continue
        todo = [(start, iter(_leads_to(start)))]
        way.add(start)
        while todo:
            chain, targets = todo[-1]
            for target in targets:
                if target in done:
                    continue
                if target in way:
                    raise Refusal(f"a loop: {target.name} leads back to itself", _LOOP)
                onward = _leads_to(target)
                if onward:
                    way.add(target)
                    todo.append((target, iter(onward)))
                    break
                done.add(target)
            else:
                todo.pop()
                way.discard(chain)
                done.add(chain)


def _leads_to(chain: Chain) -> Collection[Chain]:
    if chain.outline is None:
        chain.outline = _outline(chain)
    outline: Outline = chain.outline
    return outline[0]
