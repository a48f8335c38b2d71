"""
A copy of a thing that can be put back to how the thing was, as often as one likes.

To put it back, each slot, item and entry is compared with what it held, by identity; that is done for all objects of a
class in one sweep, so that a node of thousands of rules is back within a millisecond or two.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain, compress
from operator import attrgetter, is_, is_not, ne
from typing import Any, Generic, TypeVar

from svcsim.explain.copying import CHANGEABLE, Copier, slots_of

__all__ = ["World"]

T = TypeVar("T")

_OTHERS = (set, weakref.WeakSet, weakref.WeakValueDictionary)


class World(Generic[T]):
    """
    A copy of a thing that can be put back to how the thing was, again and again.

    To put it back costs a small part of a copy: only what has changed is written. *instead* makes a copy of another kind
    of what is of one class exactly; it gets the state of the original. *settled* names slots of a class that whoever uses
    the copy does not change, so that nobody needs to look.

    >>> counts = {"a": 1}
    >>> world = World([counts])
    >>> world.copy[0]["a"] += 1; world.copy.append("more")
    >>> world.rewind(); world.copy, counts
    ([{'a': 1}], {'a': 1})
    """

    def __init__(
        self,
        thing: T,
        instead: Mapping[type, Callable[[Any], Any]] | None = None,
        settled: Mapping[type, Collection[str]] | None = None,
    ) -> None:
        copier = Copier(instead or {})
        self.copy: T = copier.copy_all(thing)
        owners: dict[tuple[type, str], list[Any]] = {}
        self._empty: list[tuple[Any, str]] = []
        for made in copier.shells:
            for name in () if isinstance(made, CHANGEABLE) else slots_of(made.__class__):
                if hasattr(made, name):
                    owners.setdefault((made.__class__, name), []).append(made)
                else:
                    self._empty.append((made, name))
        for kind, names in (settled or {}).items():
            for name in names:
                owners.pop((kind, name), None)
        self._slots = [_Slots(name, objects) for (_, name), objects in owners.items()]
        self._lists = _Lists([made for made in copier.shells if isinstance(made, list | deque)])
        dicts = [made for made in copier.shells if isinstance(made, dict)]
        dicts += [made.__dict__ for made in copier.shells if hasattr(made, "__dict__")]
        self._dicts = [(made, dict(made)) for made in dicts]
        self._others = [(made, _content_of(made)) for made in copier.shells if isinstance(made, _OTHERS)]

    def rewind(self) -> None:
        """Put the copy back."""
        for slots in self._slots:
            slots.rewind()
        for made, name in self._empty:
            if hasattr(made, name):
                object.__delattr__(made, name)
        self._lists.rewind()
        for now, before in self._dicts:
            if not _same(now, before):
                now.clear()
                now.update(before)
        for held, kept in self._others:
            held.clear()
            held.update(kept)


def _content_of(made: Any) -> Any:
    return dict(made) if isinstance(made, weakref.WeakValueDictionary) else tuple(made)


class _Slots:
    """One slot of many *objects*, and what it held."""

    def __init__(self, name: str, objects: list[Any]) -> None:
        self._name, self._objects, self._get = name, objects, attrgetter(name)
        self._kept = list(map(self._get, objects))

    def rewind(self) -> None:
        changed = map(is_not, map(self._get, self._objects), self._kept)
        for made, value in compress(zip(self._objects, self._kept, strict=True), changed):
            object.__setattr__(made, self._name, value)


class _Lists:
    """Lists and queues, and what they held."""

    def __init__(self, lists: list[Any]) -> None:
        self._lists = lists
        self._kept = [tuple(made) for made in lists]
        self._lengths = list(map(len, lists))
        self._owners = [at for at, length in enumerate(self._lengths) for _ in range(length)]
        self._items = list(chain.from_iterable(self._kept))

    def rewind(self) -> None:
        """Lengths first: then all items stand one behind the other as they stood."""
        self._refill(compress(range(len(self._lists)), map(ne, map(len, self._lists), self._lengths)))
        changed = map(is_not, chain.from_iterable(self._lists), self._items)
        self._refill(dict.fromkeys(list(compress(self._owners, changed))))

    def _refill(self, places: Iterable[int]) -> None:
        for at in places:
            self._lists[at].clear()
            self._lists[at].extend(self._kept[at])


def _same(now: dict[Any, Any], before: dict[Any, Any]) -> bool:
    """Whether two mappings hold the same things in the same order, without asking what equals what."""
    return len(now) == len(before) and all(map(is_, now, before)) and all(map(is_, now.values(), before.values()))
