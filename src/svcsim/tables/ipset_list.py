"""
Sets of sets.

Behaviour of: the set type ``list:set``. Members are asked in order; the first that answers decides.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from svcsim.clock import SECOND
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.hooks import HookState, Skb
from svcsim.tables.ipset import IpSet
from svcsim.tables.ipset_entry import COUNT, Counting, Entry
from svcsim.tables.ipset_types import Item

__all__ = ["ListSet", "Place"]

#: ``before`` or ``after``, and the member that is meant.
Place = tuple[str, str]

_ADDED = "Element cannot be added to the set: it's already added"
_NOT_THERE = "Element cannot be deleted from the set: it's not added"
_NO_MEMBER = "Set to be added/deleted/tested as element does not exist."
_NO_NEIGHBOUR = "The set to which you referred with 'before' or 'after' does not exist."
_NOT_BESIDE = "The set to which you referred with 'before' or 'after' is not added to the set."

_INSIDE = {True: COUNT, False: Counting(update=False)}


@attrs.define(eq=False)
class ListSet(IpSet):
    """
    A list of sets, by name; members keep what an element keeps.

    >>> from svcsim.clock import Clock
    >>> from svcsim.tables.ipsets import IpSets
    >>> sets = IpSets(Clock())
    >>> for name in ("a", "b"): _ = sets.create(name, "hash:ip")
    >>> both = sets.create("both", "list:set")
    >>> both.add_member("b"); both.add_member("a", place=("before", "b"))
    >>> [text for text, _ in both.members()]
    ['a', 'b']
    """

    _members: dict[IpSet, Entry] = attrs.field(factory=dict)

    @property
    def counts(self) -> bool:
        """Its members may count."""
        return True

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterable[IpSet]:
        return iter(self._members)

    def add_member(
        self,
        name: str,
        entry: Entry | None = None,
        *,
        place: Place | None = None,
        exist: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Add a set at the end, or at a *place*; one that is there is refused, or with *exist* renewed where it is."""
        member, beside = self._find_set(name), self._neighbour(place)
        if timeout is not None and self.options.timeout is None:
            raise ConfigError("Timeout cannot be used: set was created without timeout support")
        if beside is not None and beside not in self._members:
            raise MissingError(_NOT_BESIDE)
        order, is_new = list(self._members), member not in self._members
        if not is_new and not exist:
            raise ExistsError(_ADDED)
        old = self._members.get(member)
        if old is not None and old.timer is not None:
            old.timer.cancel()
        kept = entry or Entry()
        self._members[member] = kept
        seconds = self.options.timeout if timeout is None else timeout
        if seconds:
            kept.timer = self.sets.clock.call_after(seconds * SECOND, self.drop_member, member)
        if is_new:
            member.lists += 1
            at = len(order) if place is None or beside is None else order.index(beside) + (place[0] == "after")
            order.insert(at, member)
            self._members = {each: self._members[each] for each in order}

    def remove_member(self, name: str, *, place: Place | None = None, exist: bool = False) -> None:
        """Take a set off; one that does not stand at the *place* named is refused."""
        member, beside = self._find_set(name), self._neighbour(place)
        if member not in self._members:
            if exist:
                return
            raise MissingError(_NOT_THERE if place is None else _NOT_BESIDE)
        if not self._stands(member, place, beside):
            raise MissingError(_NOT_BESIDE)
        self.drop_member(member)

    def holds_member(self, name: str, place: Place | None = None) -> bool:
        """Whether a set is a member, next to the one that *place* names."""
        member, beside = self.sets.get(name), self._neighbour(place)
        return member in self._members and self._stands(member, place, beside)

    def drop_member(self, member: IpSet) -> None:
        """Take a member off."""
        entry = self._members.pop(member)
        if entry.timer is not None:
            entry.timer.cancel()
        member.lists -= 1

    def flush(self) -> None:
        """Take every member off."""
        for member in list(self._members):
            self.drop_member(member)

    def exchange(self, other: ListSet) -> None:
        """Exchange members with another list."""
        self._members, other._members = other._members, self._members
        for each in (self, other):
            for entry in each._members.values():
                if entry.timer is not None:
                    entry.timer.function = each.drop_member

    def _stands(self, member: IpSet | None, place: Place | None, beside: IpSet | None) -> bool:
        if place is None:
            return True
        order: list[IpSet | None] = list(self._members)
        at = order.index(member) + (1 if place[0] == "before" else -1)
        return 0 <= at < len(order) and order[at] is beside

    def _neighbour(self, place: Place | None) -> IpSet | None:
        return self._find_set(place[1], _NO_NEIGHBOUR) if place is not None else None

    def _find_set(self, name: str, problem: str = _NO_MEMBER) -> IpSet:
        found = self.sets.get(name)
        if found is None:
            raise MissingError(problem)
        if problem is _NO_MEMBER and isinstance(found, ListSet):
            raise ConfigError("Sets with list:set type cannot be added to the set.")
        return found

    # -- what packets do -----------------------------------------------------------------------------------------------

    def match(
        self,
        skb: Skb,
        state: HookState,
        directions: tuple[bool, ...],
        *,
        nomatch: bool = False,
        counting: Counting = COUNT,
    ) -> bool:
        """Whether a member holds *skb*, the first that does; limits are those of the list's own counters."""
        inside = _INSIDE[counting.update and counting.members]
        for member, entry in self._members.items():
            if member.match(skb, state, directions, nomatch=nomatch, counting=inside):
                if not self.options.counters or counting.counts(entry, skb.length):
                    return True
        return False

    def add_packet(
        self, skb: Skb, state: HookState, directions: tuple[bool, ...], *, exist: bool, timeout: int | None
    ) -> bool:
        """Add what *skb* is to the first member that takes it."""
        return any(member.add_packet(skb, state, directions, exist=exist, timeout=timeout) for member in self._members)

    def remove_packet(self, skb: Skb, state: HookState, directions: tuple[bool, ...]) -> bool:
        """Take what *skb* is out of the first member that has it."""
        return any(member.remove_packet(skb, state, directions) for member in self._members)

    # -- text ----------------------------------------------------------------------------------------------------------

    def members(self) -> Iterable[tuple[str, list[Item]]]:
        """The names of the members, with the words behind them."""
        now = self.sets.clock.now
        return [(member.name, entry.items(self.options, now)) for member, entry in self._members.items()]

    @property
    def memory(self) -> int:
        """The bytes that a listing names."""
        empty, size = self.type.sizes[0]
        comments = sum(len(e.comment) + 17 for e in self._members.values() if e.comment)
        return empty + comments + len(self._members) * (size + sum(self.options.extension_size))
