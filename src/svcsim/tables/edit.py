"""
Changing a table: all of it or nothing.

Behaviour of: libiptc. Changes are made one after the other and refused one by one; `Edit.commit` has the result checked
as the kernel does and puts it to work, or everything is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Self

from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.hooks import Verdict
from svcsim.tables.chain import GOTO, JUMP, Chain, Link
from svcsim.tables.problems import Refusal
from svcsim.tables.rule import Jump, Rule

if TYPE_CHECKING:
    from svcsim.tables.form import Form
    from svcsim.tables.forms import Stretch
    from svcsim.tables.table import Table

__all__ = ["Edit"]

Counters = tuple[int, int]

_NO_CHAIN = "No chain/target/match by that name."
_NO_RULE = "Bad rule (does a matching rule exist in that chain?)."
_POLICIES = {"ACCEPT": Verdict.ACCEPT, "DROP": Verdict.DROP}
#: Names that the kernel gives a meaning of its own.
_RESERVED = frozenset({"", "ACCEPT", "DROP", "QUEUE", "RETURN"})
_NAME_LENGTH = 32


class Edit:
    """
    One change of *table*, as a context: what raises inside undoes it, the end commits it.

    A rule keeps its counters. Whatever rules remember for themselves begins anew with every commit that changed
    something, and the policies' counters are lost: that is how iptables 1.8.9 goes about it.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.changed = False
        self._undo: list[Callable[[], object]] = []
        self._fresh: set[Chain] = set()  # made by this edit: nothing about them need be undone
        self._touched: dict[Chain, None] = {}
        self._unchecked: list[Link] = []
        self._forms: dict[Form, Link] = {}  # one rule of each stands for the others in a check
        self._tracking: list[Link] = []
        self._gone: set[Link] = set()
        self._policies: dict[str, Counters] = {}
        self._declared: set[str] = set()  # built-in chains of which a policy was named, or whose counters were zeroed
        self._chains_saved = False
        self._replaced = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.roll_back()
        else:
            self.commit()

    # -- the end -------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Have the result checked and put it to work; a refusal undoes the whole edit."""
        if not self.changed:
            return
        table, checker, gone = self.table, self.table.checker, self._gone
        if gone:  # what was added may be gone again: look at all that is there
            unchecked = [link for chain in self._changed_chains() for link in chain]
        else:
            unchecked = self._unchecked + list(self._forms.values())
        try:
            if self._replaced:
                checker.forget()
            checker.begin(self._tracking)
            for link in unchecked:
                checker.check_link(link)
            checker.check_reach(self._changed_chains())
            table.load(link for link in unchecked if link.tests is None)
        except BaseException:
            self.roll_back()
            raise
        table.begin(
            gone,
            self._policies,
            self._declared,
            self._changed_chains(),
            replaced=self._replaced,
        )
        self.__init__(table)  # type: ignore[misc]

    def roll_back(self) -> None:
        """Undo everything, the last change first."""
        for undo in reversed(self._undo):
            undo()
        if self.changed:
            self.table.checker.forget()
            self.table.count_references()
        self.__init__(self.table)  # type: ignore[misc]

    # -- rules ---------------------------------------------------------------------------------------------------------

    def append(self, chain: str, rule: Rule, counters: Counters = (0, 0)) -> None:
        """Hang *rule* at the end of *chain*."""
        held = self.table.chains.get(chain)
        if held is None:
            raise MissingError(_NO_CHAIN)
        link = self._link(rule, counters)
        if held not in self._fresh:
            self._open(held)
        held.append(link)
        self.changed = True

    def add(self, stretch: Stretch, counted: bool) -> bool:
        """Hang the rules of *stretch* at the ends of their chains; False, and nothing done, if that cannot be."""
        made: dict[Form, tuple[list[Chain], list[Link]]] = {}
        for form, lines in stretch.lines.items():
            of_form = form.links(lines, self.table.chains)
            if of_form is None:
                return False
            made[form] = of_form
        for form, (_, links) in made.items():
            self._take(form, links)
            if counted:
                for link, (packets, size, *_) in zip(links, stretch.lines[form], strict=True):
                    if packets is not None:
                        link.packets, link.bytes = int(packets), int(size)
        queues = {form: zip(*links, strict=True) for form, links in made.items()}
        fresh, opened = self._fresh, set()
        for form in stretch.forms:
            chain, link = next(queues[form])
            if chain not in fresh and chain not in opened:
                opened.add(chain)
                self._open(chain)
            chain.append(link)
            if not form.plain:
                self._unchecked.append(link)
        return True

    def _take(self, form: Form, links: list[Link]) -> None:
        """Note what rules of one form lead to, and which of them there is to check."""
        if form.jumps:
            for link in links:
                link.aim.references += 1
        if form.plain:
            self._forms.setdefault(form, links[0])
            if form.tracks:
                self._tracking += links

    def _open(self, chain: Chain) -> None:
        """Be about to append to a chain that was there before."""
        self._touch(chain)
        last, length, loose = chain.last, chain.length, chain.loose
        self._undo.append(lambda: _cut(chain, last, length, loose))

    def insert(self, chain: str, number: int, rule: Rule, counters: Counters = (0, 0)) -> None:
        """Hang *rule* in place *number*, counted from 1."""
        held = self.chain(chain)
        if not 1 <= number <= held.length + 1:
            raise MissingError("Index of insertion too big.")
        link = self._link(rule, counters)
        self._touch(held)
        held.insert(number, link)
        self._undo.append(lambda: held.remove(number))

    def replace(self, chain: str, number: int, rule: Rule, counters: Counters = (0, 0)) -> None:
        """Put *rule* where another is."""
        held = self.chain(chain)
        if not 1 <= number <= held.length:
            raise MissingError("Index of replacement too big.")
        link = self._link(rule, counters)
        self._remove(held, number)
        held.insert(number, link)
        self._undo.append(lambda: held.remove(number))

    def delete(self, chain: str, number: int) -> None:
        """Take away the rule in place *number*."""
        held = self.chain(chain)
        if not 1 <= number <= held.length:
            raise MissingError("Index of deletion too big.")
        self._remove(held, number)

    def delete_rule(self, chain: str, rule: Rule) -> None:
        """Take away the first rule that equals *rule*."""
        number = self.find(chain, rule)
        self._remove(self.table.chains[chain], number)

    def find(self, chain: str, rule: Rule) -> int:
        """The place of the first rule that equals *rule*; none is an error."""
        held = self.table.chains.get(chain)
        number = held.find(rule) if held is not None else 0
        if not number:
            raise MissingError(_NO_RULE)
        return number

    # -- chains --------------------------------------------------------------------------------------------------------

    def create(self, name: str) -> None:
        """Make an empty chain."""
        if name in _RESERVED or not self.declare([name]):
            raise ExistsError("Chain already exists.")

    def declare(self, names: list[str]) -> bool:
        """Make empty chains, none of them called as a verdict is; False, and nothing done, if one is there already."""
        if not self.table.chains.keys().isdisjoint(names) or len(set(names)) < len(names):
            return False
        self._save_chains()
        made = list(map(Chain, names))
        self.table.chains.update(zip(names, made, strict=True))
        self._fresh.update(made)
        if not self._replaced:
            self._touched.update(dict.fromkeys(made))
        self.changed = True
        return True

    def remove(self, name: str) -> None:
        """Take away a user's chain, which must be empty and not be led to."""
        chain = self.chain(name)
        if chain.builtin:
            raise Refusal(f"{name} is a built-in chain")
        if chain.references:
            raise ConfigError("Too many links.")
        if chain.length:
            raise ConfigError("Directory not empty.")
        self._save_chains()
        del self.table.chains[name]
        self._touched.pop(chain, None)
        self.changed = True

    def rename(self, name: str, new: str) -> None:
        """Give a user's chain another name; rules that lead to it say the new one from now on."""
        if new in self.table.chains or new in _RESERVED:
            raise ExistsError("File exists.")
        chain = self.table.chains.get(name)
        if chain is None or chain.builtin:
            raise MissingError(_NO_CHAIN)
        if len(new) >= _NAME_LENGTH:
            raise Refusal(f"{new} is too long for a chain's name")
        self._save_chains()
        self.table.chains[new] = self.table.chains.pop(name)
        self._rename(chain, new)
        self._undo.append(lambda: self._rename(chain, name))
        self.changed = True

    def _rename(self, chain: Chain, name: str) -> None:
        chain.name, chain.jump = name, None
        if chain.references:
            for other in self.table.chains.values():
                for link in other:
                    if link.aim is chain:
                        rule: Rule = link.rule
                        link.rule = rule._replace(target=Jump(name, link.kind == GOTO))

    def policy(self, name: str, policy: str, counters: Counters | None = None) -> None:
        """Set the policy of a built-in chain, and with it its counters."""
        chain = self.table.chains.get(name)
        if chain is None or not chain.builtin:
            raise ConfigError("Bad built-in chain name.")
        verdict = _POLICIES.get(policy)
        if verdict is None:
            raise ConfigError("Bad policy name. Run `dmesg' for more information.")
        end, old = chain.end, chain.end.aim
        end.aim = verdict
        self._undo.append(lambda: setattr(end, "aim", old))
        self._declared.add(name)
        if counters is not None:
            self._policies[name] = counters
        self.changed = True

    def flush(self, name: str | None = None) -> None:
        """Take all rules of a chain away, of all chains if none is named."""
        for chain in [self.chain(name)] if name is not None else list(self.table.chains.values()):
            self._touch(chain)
            links = list(chain)
            for link in links:
                self._unlink(link)
            kept = (chain.first, chain.last, chain.length, chain.entered, chain.end.ended, chain.loose, chain.numbered)
            self._undo.append(lambda chain=chain, kept=kept: _unclear(chain, kept))  # type: ignore[misc]
            chain.clear()

    def clear(self) -> None:
        """Leave nothing but the built-in chains, empty, with their policies: where a restored table begins."""
        table = self.table
        chains, bases = table.chains, table.bases
        table.make_bases({chain.name: chain.end.aim for chain in chains.values() if chain.builtin})
        self._undo.append(lambda: table.put_back(chains, bases))
        self._chains_saved = True
        self._fresh = set(table.chains.values())
        self._unchecked.clear()
        self._forms.clear()
        self._tracking.clear()
        self._replaced = self.changed = True

    def zero(self, name: str | None = None, number: int = 0) -> None:
        """Set counters to zero: of one rule, of a chain, or of all."""
        for chain in [self.chain(name)] if name is not None else list(self.table.chains.values()):
            if number > chain.length:
                if self.table.nft:
                    continue
                raise MissingError("Index of counter too big.")
            kept = [(link, link.packets, link.bytes, link.offset) for link in (*chain, chain.end)]
            self._undo.append(lambda kept=kept: _unzero(kept))  # type: ignore[misc]
            chain.zero(number)
            if not number and (chain.length or chain.counts):
                self._declared.add(chain.name)
        self.changed = True

    # -- details -------------------------------------------------------------------------------------------------------

    def chain(self, name: str) -> Chain:
        """The chain called *name*; none is an error."""
        chain = self.table.chains.get(name)
        if chain is None:
            raise MissingError(_NO_CHAIN)
        return chain

    def _changed_chains(self) -> Collection[Chain]:
        return self.table.chains.values() if self._replaced else self._touched

    def _link(self, rule: Rule, counters: Counters) -> Link:
        target, chain = rule.target, None
        if isinstance(target, Jump):
            chain = self.table.chains.get(target.chain)
            if chain is None:
                raise MissingError(_NO_CHAIN)
            if chain.builtin:
                raise Refusal(f"{target.chain} is a built-in chain: nothing can jump there")
            chain.references += 1
        link = Link.of(rule, chain)
        link.packets, link.bytes = counters
        self._unchecked.append(link)
        return link

    def _remove(self, chain: Chain, number: int) -> None:
        self._touch(chain)
        link = chain.remove(number)
        self._unlink(link)
        self._undo.append(lambda: _unremove(chain, number, link))

    def _unlink(self, link: Link) -> None:
        self._gone.add(link)
        if link.kind == JUMP or link.kind == GOTO:
            link.aim.references -= 1

    def _touch(self, chain: Chain) -> None:
        self._touched[chain] = None
        self.changed = True

    def _save_chains(self) -> None:
        if not self._chains_saved:
            table, chains, bases = self.table, dict(self.table.chains), self.table.bases
            self._undo.append(lambda: table.put_back(chains, bases))
            self._chains_saved = True


def _cut(chain: Chain, last: Link | None, length: int, loose: int) -> None:
    """Let a chain end again where it did."""
    if last is None:
        chain.first = chain.end
    else:
        last.next = chain.end
    chain.last, chain.length, chain.loose = last, length, loose


def _unremove(chain: Chain, number: int, link: Link) -> None:
    offset = link.offset
    chain.insert(number, link)
    link.offset = offset
    before = chain.at(number - 1) if number > 1 else None
    if before is None:
        chain.entered += link.ended
    else:
        before.ended -= link.ended


def _unclear(chain: Chain, kept: tuple[Link, Link | None, int, int, int, int, bool]) -> None:
    chain.first, chain.last, chain.length, chain.entered, chain.end.ended, chain.loose, chain.numbered = kept


def _unzero(kept: list[tuple[Link, int, int, int]]) -> None:
    for link, packets, bytes, offset in kept:
        link.packets, link.bytes, link.offset = packets, bytes, offset
