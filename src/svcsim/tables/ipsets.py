"""
All IP sets of a host, by name: made, destroyed, renamed, exchanged.

Behaviour of: ipset (kernel module ip_set). A set has a place, which the next one made after its end takes.
"""

from __future__ import annotations

from collections.abc import Iterator

from svcsim.clock import Clock
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.tables.ipset import IpSet
from svcsim.tables.ipset_keyed import set_of_type
from svcsim.tables.ipset_list import ListSet
from svcsim.tables.ipset_types import SetOptions, find_type

__all__ = ["IpSets"]

_NAME_LENGTH = 31
_MOST_PLACES = 65536
_MOST_SETS = 65534


def _places(low: int, high: int, netmask: int | None) -> int:
    """How many elements a bitmap has room for; with a netmask, all networks of the shortest prefix that holds both."""
    if netmask is None:
        return high - low + 1
    common = next((bits for bits in range(31, -1, -1) if high >> (32 - bits) << (32 - bits) == low), 32)
    if netmask <= common:
        raise ConfigError("Element is out of the range of the set")
    return 1 << (netmask - common)


class IpSets:
    """
    The sets of one host; *newest*: its kernel has the newest revision of each type, those of 6.2.

    >>> sets = IpSets(Clock())
    >>> for name in "abc": _ = sets.create(name, "hash:ip")
    >>> sets.destroy("a"); _ = sets.create("d", "bitmap:port", SetOptions(range=(0, 80)))
    >>> [each.name for each in sets]
    ['d', 'b', 'c']
    """

    def __init__(self, clock: Clock, *, newest: bool = True) -> None:
        self.clock = clock
        self.newest = newest
        self._by_name: dict[str, IpSet] = {}
        self._places: list[IpSet | None] = []

    def create(self, name: str, type: str, options: SetOptions | None = None, *, exist: bool = False) -> IpSet:
        """Make a set; with *exist* one of the same name, type and options is returned instead of refused."""
        kind = find_type(type)
        if kind is None:
            raise ConfigError(f"Syntax error: typename '{type}' is unknown")
        if len(name) > _NAME_LENGTH:
            raise ConfigError(f"Syntax error: setname '{name}' is longer than {_NAME_LENGTH} characters")
        options = options or SetOptions()
        if options.range is not None:
            if _places(*options.range, options.netmask) > _MOST_PLACES:
                raise ConfigError("The range you specified exceeds the size limit of the set type")
        elif kind.method == "bitmap":
            raise ConfigError(
                "Mandatory option `range' is missing\nTry `ipset help' for more information.", exit_code=2
            )
        same = self._by_name.get(name)
        if same is not None:
            if exist and (same.type, same.options.agreed) == (kind, options.agreed):
                return same
            raise ExistsError("Set cannot be created: set with the same name already exists")
        if len(self._by_name) >= _MOST_SETS:
            raise ConfigError("Kernel error received: maximal number of sets reached, cannot create more.")
        made = (ListSet if kind.method == "list" else set_of_type(kind))(name, kind, options, self)
        self._by_name[name] = made
        if None in self._places:
            self._places[self._places.index(None)] = made
        else:
            self._places.append(made)
        return made

    def destroy(self, name: str | None = None) -> None:
        """Take away one set, or all; if a rule or a list uses one of them, nothing goes."""
        gone = [self[name]] if name is not None else list(self._by_name.values())
        if any(each.references for each in gone):
            raise ConfigError("Set cannot be destroyed: it is in use by a kernel component")
        for each in gone:
            each.flush()
            del self._by_name[each.name]
            self._places[self._places.index(each)] = None

    def rename(self, old: str, new: str) -> None:
        """Give a set another name."""
        renamed = self[old]
        if renamed.references:
            raise ConfigError("Set cannot be renamed: it is in use by another system")
        if new in self._by_name:
            raise ExistsError("Set cannot be renamed: a set with the new name already exists")
        if len(new) > _NAME_LENGTH:
            raise ConfigError(f"Syntax error: setname '{new}' is longer than {_NAME_LENGTH} characters")
        self._by_name[new] = self._by_name.pop(old)
        renamed.name = new

    def swap(self, one: str, other: str) -> None:
        """Exchange the content of two sets; rules go on asking the same name and so meet the other content."""
        a, b = self[one], self._by_name.get(other)
        if b is None:
            raise MissingError("Sets cannot be swapped: the second set does not exist")
        if (a.type.features, a.family) != (b.type.features, b.family):
            raise ConfigError("The sets cannot be swapped: their type does not match")
        if isinstance(a, ListSet) and isinstance(b, ListSet):
            a.exchange(b)
            a.options, b.options = b.options, a.options
        elif a is not b:
            a.exchange_content(b)

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
        """The sets in the order of their places; lists of sets come last, as `ipset save` has them."""
        held = [each for each in self._places if each is not None]
        return iter(sorted(held, key=lambda each: isinstance(each, ListSet)))

    def __len__(self) -> int:
        return len(self._by_name)
