"""
Sets whose elements are more than their key: interfaces with wildcards, addresses that learn their MAC.

Behaviour of: the set types ``hash:net,iface`` and ``bitmap:ip,mac``; pinned by the corpus scenarios iptables-settypes-*.
"""

from __future__ import annotations

import attrs

from svcsim.tables.ipset import IpSet
from svcsim.tables.ipset_element import Element
from svcsim.tables.ipset_entry import Counting, Entry
from svcsim.tables.ipset_types import SetType

__all__ = ["set_of_type"]


@attrs.define(eq=False)
class KeyedSet(IpSet):
    """A set in which an element may be taken for another of the same key."""

    _by_key: dict[object, dict[Element, None]] = attrs.field(factory=dict)

    def _count(self, element: Element, by: int) -> None:
        IpSet._count(self, element, by)
        key = self._key(element)
        alike = self._by_key.setdefault(key, {})
        if by > 0:
            alike[element] = None
        else:
            del alike[element]
            if not alike:
                del self._by_key[key]

    def _held(self, element: Element) -> Element | None:
        alike = self._by_key.get(self._key(element), ())
        return next((held for held in alike if self._is_taken_for(element, held)), None)

    def _key(self, element: Element) -> object:
        return element[0]

    def _is_taken_for(self, element: Element, held: Element) -> bool:
        return True


@attrs.define(eq=False)
class InterfaceSet(KeyedSet):
    """
    ``hash:net,iface``: a wildcard stands for every interface whose name begins so.

    The first network that holds the address, on a bridge's port or not, ends the search, whatever interfaces it has.
    """

    def _key(self, element: Element) -> object:
        network, interface = element
        assert isinstance(interface, tuple)
        return network, interface[1]

    def _is_taken_for(self, element: Element, held: Element) -> bool:
        (name, _), (asked, _) = held[1], element[1]  # type: ignore[misc]
        return name == asked or (self.entries[held].wildcard and str(asked).startswith(str(name)))

    def _ends_search(self, element: Element) -> bool:
        return self._key(element) in self._by_key


@attrs.define(eq=False)
class MacSet(KeyedSet):
    """``bitmap:ip,mac``: an address is there once; without its MAC it takes the first that it is given."""

    def insert(self, element: Element, entry: Entry | None, timeout: int | None = None, *, renew: bool = True) -> bool:
        """Put an address in; one without MAC that is given one counts as new."""
        held = self._held(element)
        if held is not None and held[1] is None and element[1] is not None:
            self.discard(held)
        return KeyedSet.insert(self, element, entry, timeout, renew=renew)

    def _find(self, element: Element, counting: Counting | None = None, length: int = 0) -> Entry | None:
        held = self._held(element)
        differs = held is None or (element[1] is not None and held[1] not in (None, element[1]))
        return None if held is None or differs else self.entries[held]


def set_of_type(kind: SetType) -> type[IpSet]:
    """The class of sets of this kind, but lists."""
    return {"hash:net,iface": InterfaceSet, "bitmap:ip,mac": MacSet}.get(kind.name, IpSet)
