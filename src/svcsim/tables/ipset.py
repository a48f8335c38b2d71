"""
IP sets: named sets of addresses, ports, networks and interfaces that a rule asks with one look-up.

Behaviour of: ipset (kernel types ``hash:*``, ``bitmap:*``, ``list:set``); pinned by the corpus scenarios
iptables-ipset-*. In a set with networks the longest prefix that holds the packet decides, and ``nomatch`` makes it an exception.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator

import attrs

from svcsim.addr import Family, Prefix, format_address
from svcsim.clock import SECOND, Clock, Timer
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.hooks import HookState, Skb
from svcsim.tables.ipset_element import DIMENSIONS, Element, Part, element_of_packet, elements_of_text, text_of_element

__all__ = ["Entry", "IpSet", "IpSets", "SetOptions"]

_NAME_LENGTH = 31
_ADDED = "Element cannot be added to the set: it's already added"
_NOT_THERE = "Element cannot be deleted from the set: it's not added"
_FULL = "Hash is full, cannot add more elements"
_OUTSIDE = "Element is out of the range of the set"


@attrs.frozen
class SetOptions:
    """What `ipset create` may say; times in seconds, *range* as first and last address or port."""

    family: Family = Family.IPV4
    hashsize: int = 1024
    maxelem: int = 65536
    bucketsize: int = 12
    netmask: int | None = None
    markmask: int | None = None
    timeout: int | None = None
    range: tuple[int, int] | None = None
    size: int = 8
    counters: bool = False
    comment: bool = False
    skbinfo: bool = False
    forceadd: bool = False


@attrs.define(eq=False)
class Entry:
    """What a set keeps beside an element; *extra* are skbinfo words, kept as they were given."""

    packets: int = 0
    bytes: int = 0
    comment: str = ""
    nomatch: bool = False
    wildcard: bool = False
    extra: str = ""
    timer: Timer | None = None
    permanent: bool = False


@attrs.define(eq=False)
class IpSet:
    """
    One set.

    >>> sets = IpSets(Clock())
    >>> lan = sets.create("lan", "hash:net")
    >>> lan.add("10.0.0.0/8"); lan.add("10.1.0.0/16", nomatch=True)
    >>> [lan.holds(text) for text in ("10.2.3.4", "10.1.2.3", "192.0.2.1")]
    [True, False, False]
    """

    name: str
    type: str
    options: SetOptions
    sets: IpSets
    entries: dict[Element, Entry] = attrs.field(factory=dict)
    members: list[IpSet] = attrs.field(factory=list)  # list:set
    lists: int = 0  # how many sets of sets it is a member of
    users: weakref.WeakSet[object] = attrs.field(factory=weakref.WeakSet)  # what loaded rules look it up by
    _lengths: dict[tuple[int, ...], int] = attrs.field(factory=dict)  # how many elements have these prefix lengths
    _order: tuple[tuple[int, ...], ...] = ()  # those lengths, longest first
    _wildcards: int = 0

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return self.options.family

    @property
    def counts(self) -> bool:
        """Whether it counts the packets that it holds; a set of sets leaves that to its members."""
        return self.options.counters or self.type == "list:set"

    @property
    def references(self) -> int:
        """How many rules and lists use it."""
        return self.lists + len(self.users)

    def add(
        self,
        text: str,
        *,
        exist: bool = False,
        timeout: int | None = None,
        nomatch: bool = False,
        wildcard: bool = False,
        comment: str = "",
        packets: int = 0,
        bytes: int = 0,
        extra: str = "",
    ) -> None:
        """Add what *text* says; with *exist* an element that is there is renewed instead of refused."""
        if self.type == "list:set":
            raise ConfigError("a set of sets takes members by add_member")
        if timeout is not None and self.options.timeout is None:
            raise ConfigError("Timeout cannot be used: set was created without timeout support")
        elements: Iterable[Element] = elements_of_text(self.type, self.family, text)
        if self.options.range is not None:
            elements = list(elements)
            for element in elements:  # a range that is not all inside is refused whole
                self._check_range(element)
        for element in elements:
            entry = Entry(packets, bytes, comment, nomatch, wildcard, extra)
            if not self.insert(self._trim(element), entry, timeout) and not exist:
                raise ExistsError(_ADDED)

    def insert(self, element: Element, entry: Entry, timeout: int | None = None) -> bool:
        """Put one element in, or renew it; whether it was new."""
        self._check_range(element)
        old = self.entries.get(element)
        if old is None and len(self.entries) >= self.options.maxelem and self.type.startswith("hash"):
            if not self.options.forceadd:
                raise ConfigError(_FULL)
            self.discard(next(iter(self.entries)))
        if old is not None:
            self.discard(element)
        self.entries[element] = entry
        self._count(element, 1)
        self._wildcards += entry.wildcard
        seconds = self.options.timeout if timeout is None else timeout
        if seconds:
            clock = self.sets.clock
            entry.timer = clock.call_after(seconds * SECOND, self.discard, element)
        return old is None

    def remove(self, text: str, *, exist: bool = False) -> None:
        """Take out what *text* says."""
        for element in elements_of_text(self.type, self.family, text):
            element = self._trim(element)
            self._check_range(element)
            if not self.discard(element) and not exist:
                raise MissingError(_NOT_THERE)

    def discard(self, element: Element) -> bool:
        """Take one element out; whether it was there."""
        entry = self.entries.pop(element, None)
        if entry is None:
            return False
        if entry.timer is not None:
            entry.timer.cancel()
        self._wildcards -= entry.wildcard
        self._count(element, -1)
        return True

    def flush(self) -> None:
        """Take everything out."""
        for element in list(self.entries):
            self.discard(element)
        for member in self.members:
            member.lists -= 1
        self.members.clear()

    def holds(self, text: str) -> bool:
        """Whether the element of *text* is in the set, as `ipset test` answers; but for ``hash:ip``, a range is refused."""
        self._check_single(text)
        for element in elements_of_text(self.type, self.family, text):
            element = self._trim(element)
            self._check_range(element)
            entry = self._find(element)
            return entry is not None and not entry.nomatch
        return False

    def _check_single(self, text: str) -> None:
        if self.type == "hash:ip":
            return
        family = "unspec" if self.type == "bitmap:port" else "inet" if self.family is Family.IPV4 else "inet6"
        for kind, word in zip(DIMENSIONS[self.type], text.split(","), strict=False):
            what = ""
            if "-" in word and kind in ("port", "bare port"):
                what = "" if word.rpartition(":")[2] in ("echo-request", "echo-reply") else "FROM-TO port"
            elif "-" in word and kind in ("ip", "net"):
                what = "FROM-TO IP"
            elif "/" in word and kind == "ip":
                what = "IP/CIDR"
            if what:
                raise ConfigError(
                    f"{what} range is not allowed in command test with set type {self.type} and family {family}"
                )

    def match(self, skb: Skb, state: HookState, directions: tuple[bool, ...], *, nomatch: bool = False) -> Entry | None:
        """
        The entry that holds *skb*; directions are True for ``src``. *nomatch*: an exception counts as a hit.

        A set of another family, or of more dimensions than there are *directions*, holds nothing.
        """
        if self.type == "list:set":
            for member in self.members:
                found = member.match(skb, state, directions, nomatch=nomatch)
                if found is not None:
                    return found
            return None
        if len(directions) < len(DIMENSIONS[self.type]):
            return None
        if self.type != "bitmap:port" and skb.family is not self.family:
            return None
        element = element_of_packet(self.type, directions, skb, state, self.options.markmask or 0xFFFFFFFF)
        entry = self._find(self._trim(element)) if element is not None else None
        return entry if entry is not None and entry.nomatch == nomatch else None

    def add_packet(
        self, skb: Skb, state: HookState, directions: tuple[bool, ...], *, exist: bool, timeout: int | None
    ) -> None:
        """Add what *skb* is to this set (the SET target)."""
        if self.type == "list:set":
            for member in self.members:
                member.add_packet(skb, state, directions, exist=exist, timeout=timeout)
                return
        element = self._element_to_change(skb, state, directions)
        if element is None or (element in self.entries and not exist):
            return
        try:
            self.insert(element, Entry(), timeout)
        except ConfigError:
            return  # full or out of range: the packet goes on, as it does in the kernel

    def remove_packet(self, skb: Skb, state: HookState, directions: tuple[bool, ...]) -> None:
        """Take out what *skb* is to this set (the SET target)."""
        if self.type == "list:set":
            for member in self.members:
                member.remove_packet(skb, state, directions)
            return
        element = self._element_to_change(skb, state, directions)
        if element is not None:
            self.discard(element)

    def _element_to_change(self, skb: Skb, state: HookState, directions: tuple[bool, ...]) -> Element | None:
        if len(directions) < len(DIMENSIONS[self.type]) or (
            self.type != "bitmap:port" and skb.family is not self.family
        ):
            return None
        element = element_of_packet(self.type, directions, skb, state, self.options.markmask or 0xFFFFFFFF)
        if element is None:
            return None
        # A network is added with the longest prefix that the set holds already, else with full length.
        lengths = self._order[0] if self._order else ()
        return self._cut(self._trim(element), lengths) if lengths else self._trim(element)

    def _find(self, element: Element) -> Entry | None:
        entries = self.entries
        if not self._order:
            return entries.get(element)
        asked = self._asked_lengths(element)
        if any(length < self.family.bits for length in asked):
            return entries.get(element)  # a network is tested for itself, not for what holds it
        for lengths in self._order:
            cut = self._cut(element, lengths)
            entry = entries.get(cut)
            if entry is None and self._wildcards:
                entry = self._find_wildcard(cut)
            if entry is not None:
                return entry
        return None

    def _find_wildcard(self, element: Element) -> Entry | None:
        for held, entry in self.entries.items():
            if entry.wildcard and held[0] == element[0]:
                (name, physdev), (asked, asked_physdev) = held[1], element[1]  # type: ignore[misc]
                if physdev == asked_physdev and str(asked).startswith(str(name)):
                    return entry
        return None

    def _asked_lengths(self, element: Element) -> tuple[int, ...]:
        kinds = DIMENSIONS[self.type]
        return tuple(p[1] for k, p in zip(kinds, element, strict=True) if k == "net" and isinstance(p, tuple))

    def _cut(self, element: Element, lengths: tuple[int, ...]) -> Element:
        """The element with its networks cut to *lengths*."""
        parts: list[Part] = []
        nets = iter(lengths)
        for kind, part in zip(DIMENSIONS[self.type], element, strict=True):
            if kind == "net" and isinstance(part, tuple) and isinstance(part[0], int):
                length = next(nets)
                parts.append((part[0] & Prefix.mask_of(self.family, length), length))
            else:
                parts.append(part)
        return tuple(parts)

    def _trim(self, element: Element) -> Element:
        """Apply the set's netmask to addresses."""
        netmask = self.options.netmask
        if netmask is None:
            return element
        mask = Prefix.mask_of(self.family, netmask)
        kinds = DIMENSIONS[self.type]
        return tuple(p & mask if k == "ip" and isinstance(p, int) else p for k, p in zip(kinds, element, strict=True))

    def _check_range(self, element: Element) -> None:
        bounds = self.options.range
        if bounds is not None and isinstance(element[0], int) and not bounds[0] <= element[0] <= bounds[1]:
            raise ConfigError(_OUTSIDE)

    def _count(self, element: Element, by: int) -> None:
        lengths = self._asked_lengths(element)
        if lengths:
            self._lengths[lengths] = self._lengths.get(lengths, 0) + by
            if not self._lengths[lengths]:
                del self._lengths[lengths]
            self._order = tuple(sorted(self._lengths, reverse=True))

    def add_member(
        self, name: str, *, exist: bool = False, before: str | None = None, after: str | None = None
    ) -> None:
        """Add a set to this list of sets, at its end or beside another member."""
        member = self._member(name)
        if member.type == "list:set":
            raise ConfigError("Sets with list:set type cannot be added to the set.")
        if member in self.members:
            if exist:
                return
            raise ExistsError(_ADDED)
        at = len(self.members)
        beside = before or after
        if beside is not None:
            other = self._member(beside)
            if other not in self.members:
                raise MissingError("Reference element for before/after is not added")
            at = self.members.index(other) + (after is not None)
        self.members.insert(at, member)
        member.lists += 1

    def remove_member(self, name: str, *, exist: bool = False) -> None:
        """Take a set off this list."""
        member = self._member(name)
        if member not in self.members:
            if exist:
                return
            raise MissingError(_NOT_THERE)
        self.members.remove(member)
        member.lists -= 1

    def _member(self, name: str) -> IpSet:
        if name not in self.sets:
            raise MissingError("Set to be added/deleted/tested as element does not exist.")
        return self.sets[name]

    # -- text ---------------------------------------------------------------------------------------------------------

    def header(self) -> str:
        """The options as `ipset save` prints them behind the type."""
        options, words = self.options, []
        if self.type == "list:set":
            words.append(f"size {options.size}")
        elif self.type.startswith("bitmap"):
            assert options.range is not None
            port = self.type == "bitmap:port"
            ends = [str(end) if port else format_address(Family.IPV4, end) for end in options.range]
            words.append(f"range {ends[0]}-{ends[1]}")
            words += [f"netmask {options.netmask}"] if options.netmask is not None else []
        else:
            family = "inet" if options.family is Family.IPV4 else "inet6"
            words.append(f"family {family}" if self.type != "hash:mac" else "")
            if options.markmask is not None:
                words.append(f"markmask 0x{options.markmask:08x}")
            words.append(f"hashsize {options.hashsize} maxelem {options.maxelem}")
            words += [f"netmask {options.netmask}"] if options.netmask is not None else []
        words += [f"timeout {options.timeout}"] if options.timeout is not None else []
        words += [word for word in ("counters", "comment", "skbinfo", "forceadd") if getattr(options, word)]
        if self.type.startswith("hash"):
            words.append(f"bucketsize {options.bucketsize} initval 0x{self.sets.initval(self.name):08x}")
        return " ".join(word for word in words if word)

    def lines(self) -> Iterator[str]:
        """The elements as `ipset save` prints them; bitmaps in order, hashes in the order of adding."""
        if self.type == "list:set":
            yield from (member.name for member in self.members)
            return
        ordered: list[Element] = list(self.entries)
        if self.type.startswith("bitmap"):
            ordered.sort(key=lambda element: element[0])
        now = self.sets.clock.now
        for element in ordered:
            entry = self.entries[element]
            words = [text_of_element(self.type, self.family, element)]
            if self.options.timeout is not None:
                left = 0 if entry.timer is None or entry.timer.deadline is None else entry.timer.deadline - now
                words.append(f"timeout {max(left // SECOND, 1) if left else 0}")
            words += ["nomatch"] if entry.nomatch else []
            words += ["wildcard"] if entry.wildcard else []
            words += [f"packets {entry.packets} bytes {entry.bytes}"] if self.options.counters else []
            words += [f'comment "{entry.comment}"'] if entry.comment else []
            words += [entry.extra] if entry.extra else []
            yield " ".join(words)


def _features(type: str) -> tuple[str, ...]:
    """What sets must have in common to be exchanged: the same kinds of dimensions, with or without exceptions."""
    kinds = tuple({"net": "ip", "bare port": "port"}.get(kind, kind) for kind in DIMENSIONS[type])
    return (*kinds, "nomatch") if "net" in DIMENSIONS[type] else kinds


class IpSets:
    """The sets of one host, by name."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._by_name: dict[str, IpSet] = {}

    def create(self, name: str, type: str, options: SetOptions | None = None, *, exist: bool = False) -> IpSet:
        """Make a set; with *exist* one of the same name, type and options is returned instead of refused."""
        if type not in DIMENSIONS:
            raise ConfigError(f"Syntax error: typename '{type}' is unknown")
        if len(name) > _NAME_LENGTH:
            raise ConfigError(f"Syntax error: setname '{name}' is longer than {_NAME_LENGTH} characters")
        options = options or SetOptions()
        if type.startswith("bitmap") and options.range is None:
            raise ConfigError("Mandatory option `range' is missing", exit_code=2)
        if options.range is not None and not 0 <= options.range[1] - options.range[0] < 65536:
            raise ConfigError("The range you specified exceeds the size limit of the set type")
        same = self._by_name.get(name)
        if same is not None:
            if exist and (same.type, same.options) == (type, options):
                return same
            raise ExistsError("Set cannot be created: set with the same name already exists")
        made = self._by_name[name] = IpSet(name, type, options, self)
        return made

    def destroy(self, name: str | None = None) -> None:
        """Take away one set, or all; one that a rule or a list uses stays, and then nothing goes."""
        gone = [self[name]] if name is not None else list(self._by_name.values())
        inside = {id(member): sum(member in g.members for g in gone) for each in gone for member in each.members}
        if any(s.references - (inside.get(id(s), 0) if name is None else 0) > 0 for s in gone):
            raise ConfigError("Set cannot be destroyed: it is in use by a kernel component")
        for each in gone:
            each.flush()
            del self._by_name[each.name]

    def rename(self, old: str, new: str) -> None:
        """Give a set another name."""
        renamed = self[old]
        if new in self._by_name:
            raise ExistsError("Set cannot be renamed: a set with the new name already exists")
        if renamed.references:
            raise ConfigError("Set cannot be renamed: it is in use by another system")
        self._by_name[new] = self._by_name.pop(old)
        renamed.name = new

    def swap(self, one: str, other: str) -> None:
        """Exchange the content of two sets; rules go on asking the same name and so meet the other content."""
        a, b = self[one], self[other]
        if (_features(a.type), a.family) != (_features(b.type), b.family):
            raise ConfigError("The sets cannot be swapped: their type does not match")
        kept = ("type", "options", "entries", "members", "_lengths", "_order", "_wildcards")
        for field in kept:
            x, y = getattr(a, field), getattr(b, field)
            setattr(a, field, y)
            setattr(b, field, x)
        for each in (a, b):
            for element, entry in each.entries.items():
                if entry.timer is not None:
                    entry.timer.function, entry.timer.arguments = each.discard, (element,)

    def initval(self, name: str) -> int:
        """The hash key that a listing shows; the kernel draws it, here it follows from the name."""
        value = 0x9E3779B9
        for byte in name.encode():
            value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
        return value

    def get(self, name: str) -> IpSet | None:
        """The set of this name, if there is one."""
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> IpSet:
        found = self._by_name.get(name)
        if found is None:
            raise MissingError("The set with the given name does not exist")
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[IpSet]:
        """The sets in the order of making; lists of sets come last, as `ipset save` has them."""
        ordered = sorted(self._by_name.values(), key=lambda s: s.type == "list:set")
        return iter(ordered)

    def __len__(self) -> int:
        return len(self._by_name)
