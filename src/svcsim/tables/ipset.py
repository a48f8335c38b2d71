"""
IP sets: named sets of addresses, ports, networks and interfaces that a rule asks with one look-up.

Behaviour of: ipset (kernel types ``hash:*`` and ``bitmap:*``); pinned by the corpus scenarios iptables-ipset-* and
iptables-settypes-*. In a set with networks the longest prefix that holds the packet decides, and ``nomatch`` makes it
an exception.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from svcsim.addr import Family, Prefix
from svcsim.clock import SECOND
from svcsim.errors import ConfigError, ExistsError, MissingError, UnsupportedError
from svcsim.hooks import HookState, Skb
from svcsim.tables.ipset_element import Element, Part, element_of_packet
from svcsim.tables.ipset_entry import COUNT, Counting, Entry
from svcsim.tables.ipset_text import ElementText, KernelRefusal, read_elements, text_of_element
from svcsim.tables.ipset_types import Item, SetOptions, SetType

if TYPE_CHECKING:
    from svcsim.tables.ipsets import IpSets

__all__ = ["IpSet"]

_ADDED = "Element cannot be added to the set: it's already added"
_NOT_THERE = "Element cannot be deleted from the set: it's not added"
_FULL = "Hash is full, cannot add more elements"
_OUTSIDE = "Element is out of the range of the set"
#: One word may not stand for more elements than this, unless the set is full before.
_MOST = 1 << 20
_BUCKET_HEADER, _COMMENT_HEADER, _BITMASK = 32, 17, 16
_ALL_MARKS = 0xFFFFFFFF


@attrs.define(eq=False)
class IpSet:
    """
    One set; *users* are what loaded rules look it up by, *lists* counts the sets of sets that it is a member of.

    >>> from svcsim.clock import Clock
    >>> from svcsim.tables.ipsets import IpSets
    >>> lan = IpSets(Clock()).create("lan", "hash:net")
    >>> lan.add("10.0.0.0/8"); lan.add("10.1.0.0/16", Entry(nomatch=True))
    >>> [lan.holds(text) for text in ("10.2.3.4", "10.1.2.3", "192.0.2.1")]
    [True, False, False]
    """

    name: str
    type: SetType
    options: SetOptions
    sets: IpSets
    entries: dict[Element, Entry] = attrs.field(factory=dict)
    lists: int = 0
    users: weakref.WeakSet[object] = attrs.field(factory=weakref.WeakSet)
    _lengths: dict[tuple[int, ...], int] = attrs.field(factory=dict)  # how many elements have these prefix lengths
    _order: tuple[tuple[int, ...], ...] = ()  # those lengths, longest first
    _plain: Entry = attrs.field(factory=Entry)  # shared by the elements of which nothing more is known

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return self.options.family

    @property
    def counts(self) -> bool:
        """Whether a look-up changes counters."""
        return self.options.counters

    @property
    def references(self) -> int:
        """How many rules and lists use it."""
        return self.lists + len(self.users)

    def __len__(self) -> int:
        return len(self.entries)

    # -- what commands do ----------------------------------------------------------------------------------------------

    def read(self, text: str) -> ElementText:
        """What the word *text* stands for here."""
        return read_elements(self.type, self.options, text)

    def add(
        self, text: str | ElementText, entry: Entry | None = None, *, exist: bool = False, timeout: int | None = None
    ) -> None:
        """
        Add what *text* says, each element with a copy of *entry*.

        With *exist* an element that is there is renewed instead of refused. What comes before a refused element stays.
        """
        elements = self.read(text) if isinstance(text, str) else text
        if timeout is not None and self.options.timeout is None:
            raise ConfigError("Timeout cannot be used: set was created without timeout support")
        self._check_single(elements, "add")
        self._check_size(elements, exist=exist)
        if self.type.name == "hash:ip,port" and self.sets.newest and elements.choices[0][0] == 0:
            raise KernelRefusal("Kernel error received: Invalid argument")
        if self.options.range is not None:
            for element in self._ends(elements):  # a range that is not all inside is refused whole
                self._check_range(element)
        for element in elements:
            own = attrs.evolve(entry) if entry is not None else None
            if not self.insert(self._trim(element), own, timeout, renew=exist) and not exist:
                raise ExistsError(_ADDED)

    def remove(self, text: str | ElementText, *, exist: bool = False) -> None:
        """Take out what *text* says."""
        elements = self.read(text) if isinstance(text, str) else text
        self._check_single(elements, "del")
        self._check_size(elements, exist=True)
        for element in elements:
            element = self._trim(element)
            self._check_range(element)
            if not self.discard(element) and not exist:
                raise MissingError(_NOT_THERE)

    def holds(self, text: str | ElementText, *, nomatch: bool = False) -> bool:
        """Whether the first element of *text* is in the set, as `ipset test` answers; *nomatch* asks for exceptions."""
        elements = self.read(text) if isinstance(text, str) else text
        self._check_single(elements, "test")
        entry = self._find(self._trim(elements.tested))
        return entry is not None and entry.nomatch == nomatch

    def flush(self) -> None:
        """Take everything out."""
        for element in list(self.entries):
            self.discard(element)

    def _check_size(self, elements: ElementText, *, exist: bool) -> None:
        unbounded = exist or self.options.bitmask is not None or self.options.maxelem > _MOST
        if unbounded and len(elements) > _MOST:
            raise UnsupportedError(f"more than {_MOST} elements by one word", instead="use several")

    @staticmethod
    def _ends(elements: ElementText) -> Iterator[Element]:
        """The first and the last element."""
        yield tuple(choices[0] for choices in elements.choices)
        yield tuple(choices[-1] for choices in elements.choices)

    def _check_single(self, elements: ElementText, command: str) -> None:
        """Refuse ranges where the tool does: not in a second network, in sets with a MAC for every command."""
        name = self.type.name
        if name in ("hash:ip", "hash:ip,mark") or (command != "test" and name != "hash:ip,mac"):
            return
        family = "unspec" if "bare port" in self.type.kinds else "inet" if self.family is Family.IPV4 else "inet6"
        for at, (kind, how) in enumerate(zip(self.type.kinds, elements.ranged, strict=False)):
            allowed = kind == "net" and (at or how == "IP/CIDR")
            if how and not allowed:
                raise ConfigError(
                    f"{how} range is not allowed in command {command} with set type {name} and family {family}"
                )

    def exchange_content(self, other: IpSet) -> None:
        """Exchange all but the name, and who uses it, with *other*."""
        if type(self) is not type(other):
            raise UnsupportedError(f"swapping {self.type.name} with {other.type.name}", instead="save and restore them")
        fields = [each.name for each in attrs.fields(type(self)) if each.name not in ("name", "sets", "lists", "users")]
        for field in fields:
            mine, others = getattr(self, field), getattr(other, field)
            setattr(self, field, others)
            setattr(other, field, mine)
        for each in (self, other):
            for element, entry in each.entries.items():
                if entry.timer is not None:
                    entry.timer.function, entry.timer.arguments = each.discard, (element,)

    # -- elements ------------------------------------------------------------------------------------------------------

    def insert(self, element: Element, entry: Entry | None, timeout: int | None = None, *, renew: bool = True) -> bool:
        """Put one element in, or *renew* it if it is there; whether it was new."""
        self._check_range(element)
        held = self._held(element)
        if held is not None and not renew:
            return False
        if held is None and len(self.entries) >= self.options.maxelem and self.type.method == "hash":
            raise ConfigError(_FULL)
        if held is not None:
            old, element = self.entries[held], held  # what an element is stays; what is kept beside it is new
            self.discard(held)
            if entry is None and old is not self._plain:
                entry = Entry()
            if entry is not None:  # what is not given anew goes on counting
                entry.packets, entry.bytes = entry.packets or old.packets, entry.bytes or old.bytes
                entry.wildcard = old.wildcard
        seconds = self.options.timeout if timeout is None else timeout
        if entry is None:
            entry = Entry() if seconds or self.options.counters else self._plain
        self.entries[element] = entry
        self._count(element, 1)
        if seconds:
            entry.timer = self.sets.clock.call_after(seconds * SECOND, self.discard, element)
        return held is None

    def discard(self, element: Element) -> bool:
        """Take one element out; whether it was there."""
        held = self._held(element)
        if held is None:
            return False
        entry = self.entries.pop(held)
        if entry.timer is not None:
            entry.timer.cancel()
        self._count(held, -1)
        return True

    def _held(self, element: Element) -> Element | None:
        """The element of this set that *element* is taken for."""
        return element if element in self.entries else None

    def _trim(self, element: Element) -> Element:
        """Apply the set's masks to addresses, networks and marks."""
        options = self.options
        if options.netmask is None and options.bitmask is None and options.markmask is None:
            return element
        mask = options.bitmask
        if mask is None:
            mask = self.family.all_ones if options.netmask is None else Prefix.mask_of(self.family, options.netmask)
        marks = _ALL_MARKS if options.markmask is None else options.markmask
        parts: list[Part] = []
        for kind, part in zip(self.type.kinds, element, strict=True):
            if kind == "ip" and isinstance(part, int):
                part &= mask
            elif kind == "mark" and isinstance(part, int):
                part &= marks
            elif kind == "net" and isinstance(part, tuple) and isinstance(part[0], int):
                part = (part[0] & mask, part[1])
            parts.append(part)
        return tuple(parts)

    def _check_range(self, element: Element) -> None:
        bounds = self.options.range
        if bounds is not None and isinstance(element[0], int) and not bounds[0] <= element[0] <= bounds[1]:
            raise ConfigError(_OUTSIDE)

    def _count(self, element: Element, by: int) -> None:
        lengths = self._lengths_of(element)
        if lengths:
            self._lengths[lengths] = self._lengths.get(lengths, 0) + by
            if not self._lengths[lengths]:
                del self._lengths[lengths]
            elif self._lengths[lengths] != by:
                return  # these lengths were in use before, and still are
            self._order = tuple(sorted(self._lengths, reverse=True))

    def _lengths_of(self, element: Element) -> tuple[int, ...]:
        if not self.type.has_networks:
            return ()
        return tuple(p[1] for k, p in zip(self.type.kinds, element, strict=True) if k == "net" and isinstance(p, tuple))

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
        """
        Whether *skb* is held; directions are True for ``src``. *nomatch*: an exception is a hit, and nothing else is.

        A set of another family, or of more dimensions than there are *directions*, holds nothing.
        """
        element = self._element_of(skb, state, directions)
        entry = self._find(element, counting, skb.length) if element is not None else None
        return entry is not None and entry.nomatch == nomatch

    def add_packet(
        self, skb: Skb, state: HookState, directions: tuple[bool, ...], *, exist: bool, timeout: int | None
    ) -> bool:
        """Add what *skb* is to this set (the SET target); whether that could be done."""
        element = self._element_to_change(skb, state, directions)
        if element is None:
            return False
        try:
            return self.insert(element, None, timeout, renew=exist) or exist
        except ConfigError:
            return False  # full or out of range: the packet goes on, as it does in the kernel

    def remove_packet(self, skb: Skb, state: HookState, directions: tuple[bool, ...]) -> bool:
        """Take out what *skb* is to this set (the SET target); whether it was there."""
        element = self._element_to_change(skb, state, directions)
        return element is not None and self.discard(element)

    def _element_of(self, skb: Skb, state: HookState, directions: tuple[bool, ...]) -> Element | None:
        kinds = self.type.kinds
        if len(directions) < len(kinds) or (kinds != ("bare port",) and skb.family is not self.family):
            return None
        element = element_of_packet(kinds, directions, skb, state, self.options.markmask or _ALL_MARKS)
        return None if element is None else self._trim(element)

    def _element_to_change(self, skb: Skb, state: HookState, directions: tuple[bool, ...]) -> Element | None:
        element = self._element_of(skb, state, directions)
        if element is None or not self._order:
            return element
        # A network is added with the longest prefix that the set holds already, else with full length.
        return self._cut(element, tuple(max(lengths) for lengths in zip(*self._order, strict=True)))

    def _find(self, element: Element, counting: Counting | None = None, length: int = 0) -> Entry | None:
        """The entry that *element* is held by; a packet of *length* is counted, and may count too much to be held."""
        whole = any(bits < self.family.bits for bits in self._lengths_of(element))
        for lengths in self._order or ((),):
            cut = element if whole else self._cut(element, lengths)  # a network is tested for itself only
            held = self._held(cut)
            if held is not None:
                entry = self.entries[held]
                if counting is None or not self.options.counters or counting.counts(entry, length):
                    return entry
            if whole or self._ends_search(cut):
                break
        return None

    def _ends_search(self, element: Element) -> bool:
        """Whether shorter prefixes than those of *element* are not asked although this one holds nothing."""
        return False

    def _cut(self, element: Element, lengths: tuple[int, ...]) -> Element:
        """The element with its networks cut to *lengths*."""
        if not lengths:
            return element
        parts: list[Part] = []
        nets = iter(lengths)
        for kind, part in zip(self.type.kinds, element, strict=True):
            if kind == "net" and isinstance(part, tuple) and isinstance(part[0], int):
                length = next(nets)
                part = (part[0] & Prefix.mask_of(self.family, length), length)
            parts.append(part)
        return tuple(parts)

    # -- text ----------------------------------------------------------------------------------------------------------

    def header(self) -> list[Item]:
        """The words of `ipset create` that make a set like this."""
        return self.options.items(self.type, self.sets.initval(self.name))

    def members(self) -> Iterable[tuple[str, list[Item]]]:
        """The elements as text with the words behind them; bitmaps in order, hashes in the order of adding."""
        now, options, bitmap = self.sets.clock.now, self.options, self.type.method == "bitmap"
        ordered = sorted(self.entries, key=lambda element: element[:1]) if bitmap else self.entries
        for element in ordered:
            yield text_of_element(self.type, self.family, element), self.entries[element].items(options, now)

    @property
    def memory(self) -> int:
        """
        The bytes that a listing names; the newest kernels keep a bitmask.

        A hash is taken to have each element in a bucket of its own: the kernel's key, and with it what meets, is chance.
        """
        empty, size = self.type.sizes[self.family is Family.IPV6]
        empty -= 0 if self.sets.newest or not self.type.late else _BITMASK
        wide, narrow = self.options.extension_size
        size = (-(-size // 8) * 8 + wide if wide else size) + narrow
        comments = sum(len(e.comment) + _COMMENT_HEADER for e in self.entries.values() if e.comment)
        if self.options.range is None:
            return empty + comments + len(self.entries) * (_BUCKET_HEADER + 2 * size)
        low, high = self.options.range
        places = (high - low + 1) >> (32 - self.options.netmask) if self.options.netmask else high - low + 1
        each = wide + -(-narrow // 4) * 4 + 8 * ("mac" in self.type.kinds)
        return empty + comments + -(-places // 64) * 8 + places * each
