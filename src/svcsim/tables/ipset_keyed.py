"""
Sets whose elements are more than their key: interfaces with wildcards, addresses that learn their MAC.

Behaviour of: the set types ``hash:net,iface`` and ``bitmap:ip,mac``; pinned by the corpus scenarios iptables-settypes-*.
"""

from __future__ import annotations

import attrs

from svcsim.tables.ipset import Counting, Entry, IpSet
from svcsim.tables.ipset_element import Element, Part
from svcsim.tables.ipset_types import SetType

__all__ = ["set_of_type"]


@attrs.define(eq=False)
class KeyedSet(IpSet):
    """A set in which an element may be taken for another of the same first dimension."""

    _by_first: dict[Part, dict[Element, None]] = attrs.field(factory=dict)

    def _count(self, element: Element, by: int) -> None:
        IpSet._count(self, element, by)
        alike = self._by_first.setdefault(element[0], {})
        if by > 0:
            alike[element] = None
        else:
            del alike[element]
            if not alike:
                del self._by_first[element[0]]

    def _held(self, element: Element) -> Element | None:
        alike = self._by_first.get(element[0], ())
        return next((held for held in alike if self._is_taken_for(element, held)), None)

    def _is_taken_for(self, element: Element, held: Element) -> bool:
        raise NotImplementedError


@attrs.define(eq=False)
class InterfaceSet(KeyedSet):
    """
    ``hash:net,iface``: a wildcard stands for every interface whose name begins so.

    The first network that holds the address ends the search, whatever interfaces it is there with.
    """

    def _is_taken_for(self, element: Element, held: Element) -> bool:
        (name, physdev), (asked, of_bridge) = held[1], element[1]  # type: ignore[misc]
        begins = self.entries[held].wildcard and str(asked).startswith(str(name))
        return physdev == of_bridge and (begins or name == asked)

    def _ends_search(self, element: Element) -> bool:
        return element[0] in self._by_first


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

    def _is_taken_for(self, element: Element, held: Element) -> bool:
        return True


def set_of_type(kind: SetType) -> type[IpSet]:
    """The class of sets of this kind, but lists."""
    return {"hash:net,iface": InterfaceSet, "bitmap:ip,mac": MacSet}.get(kind.name, IpSet)
