"""
A chain of rules: a linked list.

Behaviour of: the chains of ip_tables. Whatever is looked for in a chain - by a packet or by an administrator - is found
by going from link to link; `Chain.steps` counts the links that administration has passed.

A link carries the one destination that its rule asks for as its *key*, so that a packet runs past rules for other
destinations with nothing but comparisons of numbers. They are floats: Python compares two of them in a third less time
than two integers of more than 30 bits, and every IPv4 address is one exactly. Several IPv6 addresses may be the same
float, so that rules for one ask for it once more. A rule that asks otherwise has a key that equals everything, and so
has the end of the chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from svcsim.errors import ConfigError
from svcsim.hooks import Verdict
from svcsim.tables.extension import Loader, Test
from svcsim.tables.native import forgiving, is_native
from svcsim.tables.rule import Jump, Rule
from svcsim.tables.target import Target

__all__ = ["ANYTHING", "CONTINUE", "END", "GOTO", "JUMP", "POLICY", "RETURN", "RUN", "VERDICT", "Chain", "Link"]

# What a link does with a packet that fits it.
CONTINUE, JUMP, GOTO, RETURN, VERDICT, RUN, END, POLICY = range(8)


class _Anything:
    """
    A key that equals every destination.

    `callable` is False for a number, and being built in it answers "different?" quicker than a function could.
    """

    __slots__ = ()
    __ne__ = callable  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Any = _Anything()


class Link:
    """
    A rule in its place: what to ask, what to do, and how often that happened.

    *aim* is a chain, a verdict, or what to call, as *kind* says. *packets* and *bytes* count matches. *ended* counts the
    walks that went no further than here, less those that came back behind it; `Chain` makes of it how often each rule
    was asked (*offset* is what makes that 0 when the rule comes). *number* is kept by `Chain.renumber`.
    """

    # Python lays slots out by name. The first six share a line of the processor's cache with the type, so that whoever
    # only passes, and looks at `key` and `next`, waits for memory once.
    __slots__ = (
        *("aim", "bytes", "ended", "key", "kind", "next", "number", "offset", "packets", "rule", "sample", "tests"),
    )

    def __init__(
        self, rule: Any, kind: int, aim: Any, key: Any = ANYTHING, tests: Any = None, sample: Rule | None = None
    ) -> None:
        self.rule = rule
        self.kind = kind
        self.aim = aim
        self.key = key
        self.tests = tests  # a tuple of tests once it is loaded
        self.sample = sample  # if it matters from which hooks it is reached: a rule to ask, which others may share
        self.next: Any = None
        self.packets = self.bytes = self.ended = self.offset = self.number = 0

    @classmethod
    def of(cls, rule: Rule, chain: Any = None) -> Link:
        """The link of *rule*, not loaded yet; *chain* is what it jumps to."""
        target = rule.target
        if target is None:
            return cls(rule, CONTINUE, None)
        if isinstance(target, Jump):
            return cls(rule, GOTO if target.goto else JUMP, chain)
        if target.verdict is not None:
            return cls(rule, VERDICT, target.verdict)
        return cls(rule, RETURN if target.returns else RUN, None)

    def load(self, loader: Loader) -> None:
        """Make what the walk needs of the rule; its own state begins anew."""
        rule: Rule = self.rule
        key = rule.key
        self.key = ANYTHING if key is None else float(key)
        tests = rule.header_tests()
        unknown: tuple[Test, ...] = ()  # asked last of those that change nothing: the others may do without them
        for match in rule.matches:
            if match.unknown:
                unknown += (match.load(loader),)
            elif not match.always:
                if match.has_memory:
                    tests, unknown = tests + unknown, ()
                test = match.load(loader)
                tests += (forgiving(test, match) if loader.native and is_native(match) else test,)
        tests += unknown
        if self.kind == RUN:
            target = rule.target
            assert isinstance(target, Target)
            self.aim = target.load(loader)
        self.tests = tests


class Chain:
    """
    The rules of one chain; a built-in one has a *policy*.

    >>> chain = Chain("WEB")
    >>> for target in "ABC":
    ...     chain.append(Link.of(Rule(target=Jump(target))))
    >>> chain.insert(2, Link.of(Rule(target=Jump("X"))))
    >>> [str(link.rule) for link in chain], len(chain)
    (['-j A', '-j X', '-j B', '-j C'], 4)
    >>> chain.remove(1).rule.target.chain, chain.at(1).rule.target.chain
    ('A', 'X')
    """

    __slots__ = (
        *(
            "counts",
            "end",
            "entered",
            "first",
            "jump",
            "last",
            "length",
            "loose",
            "name",
            "numbered",
            "outline",
            "reached",
        ),
        *("references", "steps"),
    )

    def __init__(self, name: str, policy: Verdict | None = None) -> None:
        self.name = name
        self.jump: Jump | None = None  # what a rule that jumps here has for target, once there is one
        self.length = 0
        self.entered = 0  # walks that began with the first rule, less what removed rules had ended
        self.steps = 0
        self.references = 0  # rules that jump or go here
        self.loose = 0  # links that came one by one, and lie scattered in memory
        self.numbered = False
        self.counts = True  # what its policy decides; chains of nf_tables do not from the start
        self.outline: Any = None  # where it leads, and from which hooks one comes here: `check` keeps that
        self.reached = 0
        self.end = end = Link(None, END if policy is None else POLICY, policy, ANYTHING, ())
        self.first: Any = end
        self.last: Link | None = None

    @property
    def policy(self) -> Verdict | None:
        """What happens at the end of a built-in chain; None for a user's chain, where one goes back."""
        policy: Verdict | None = self.end.aim
        return policy

    @property
    def policy_counters(self) -> tuple[int, int]:
        """Packets and bytes that the policy has decided on."""
        return (self.end.packets, self.end.bytes) if self.counts else (0, 0)

    @property
    def builtin(self) -> bool:
        """Whether the table has it from the start."""
        return self.end.kind == POLICY

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Link]:
        link, end = self.first, self.end
        while link is not end:
            yield link
            link = link.next

    def __repr__(self) -> str:
        return f"<chain {self.name}: {self.length} rules>"

    # -- finding -------------------------------------------------------------------------------------------------------

    def _before(self, number: int) -> Link | None:
        """The link before place *number* (from 1), None before the first; passing it is counted."""
        self.steps += number
        before, link = None, self.first
        for _ in range(number - 1):
            before, link = link, link.next
        return before

    def at(self, number: int) -> Link:
        """The link in place *number*, counted from 1."""
        if not 1 <= number <= self.length:
            raise ConfigError(f"{self.name} has no rule {number}")
        before = self._before(number)
        link: Link = self.first if before is None else before.next
        return link

    def find(self, rule: Rule) -> int:
        """The place of the first rule that equals *rule*; 0 if there is none."""
        for number, link in enumerate(self, 1):
            self.steps += 1
            if link.rule == rule:
                return number
        return 0

    # -- changing ------------------------------------------------------------------------------------------------------

    def append(self, link: Link) -> None:
        """Hang *link* at the end."""
        if self.last is None:
            self.first = link
        else:
            self.last.next = link
        link.next = self.end
        self.last = link
        self.length += 1
        self.loose += 1
        self.numbered = False
        link.offset = -self.end.ended

    def insert(self, number: int, link: Link) -> None:
        """Hang *link* in place *number*; one more than there are rules is the end."""
        if number == self.length + 1:
            self.append(link)
            return
        self.steps += number
        before, behind, walks = None, self.first, self.entered
        for _ in range(number - 1):
            walks -= behind.ended
            before, behind = behind, behind.next
        link.offset = -walks
        link.next = behind
        if before is None:
            self.first = link
        else:
            before.next = link
        self.length += 1
        self.loose += 1
        self.numbered = False

    def remove(self, number: int) -> Link:
        """Take the link in place *number* away; what it counted of walks goes to the rule before it."""
        before = self._before(number)
        if before is None:
            link = self.first
            self.first = link.next
            self.entered -= link.ended
        else:
            link = before.next
            before.next = link.next
            before.ended += link.ended
        if link is self.last:
            self.last = before
        self.length -= 1
        self.numbered = False
        return link  # type: ignore[no-any-return]

    def replace(self, number: int, link: Link) -> Link:
        """Put *link* in place *number*; return the one that was there."""
        old = self.remove(number)
        self.insert(number, link)
        return old

    def clear(self) -> None:
        """Take all links away."""
        self.first, self.last = self.end, None
        self.length = self.entered = self.end.ended = self.loose = 0
        self.numbered = False

    def compact(self) -> list[tuple[Link, Link]]:
        """
        Make the links anew, one behind the other in memory; return each old one with the new.

        A walk finds them in the order in which it needs them then. Where they lie scattered it waits for memory at each
        of them, and takes three times as long.
        """
        moved: list[tuple[Link, Link]] = []
        before: Link | None = None
        for old in self:
            key = old.key if old.key is ANYTHING else old.key + 0.0  # a comparison looks at the number itself, too
            link = Link(old.rule, old.kind, old.aim, key, old.tests, old.sample)
            link.packets, link.bytes, link.ended, link.offset = old.packets, old.bytes, old.ended, old.offset
            if before is None:
                self.first = link
            else:
                before.next = link
            before = link
            moved.append((old, link))
        if before is not None:
            before.next = self.end
        self.last = before
        self.loose = 0
        self.numbered = False
        return moved

    def renumber(self) -> None:
        """Let every link know its place."""
        if not self.numbered:
            for number, link in enumerate(self, 1):
                link.number = number
            self.end.number = self.length + 1
            self.numbered = True

    # -- counting ------------------------------------------------------------------------------------------------------

    def asked(self) -> Iterator[tuple[Link, int]]:
        """
        Each link with the number of packets that its rule was asked about, whether they matched or not.

        A walk counts where it begins and where it ends, not at each rule that it passes; this adds it up. The end of the
        chain counts the walks that came so far.
        """
        walks = self.entered
        for link in self:
            yield link, walks + link.offset
            walks -= link.ended

    def zero(self, number: int = 0) -> None:
        """Set the counters of rule *number* to zero, of all rules and the policy if it is 0."""
        walks = self.entered
        for place, link in enumerate(self, 1):
            if number in (0, place):
                link.packets = link.bytes = 0
                link.offset = -walks
            walks -= link.ended
        if not number:
            self.end.packets = self.end.bytes = 0
