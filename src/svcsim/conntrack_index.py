"""
Two side indexes of the connection table, each made only when somebody first asks: by source, and by hash bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from svcsim.packet import ConnTuple

__all__ = ["BucketIndex", "SourceIndex"]

T = TypeVar("T")


class SourceIndex(Generic[T]):
    """
    Connections by protocol and original source, newest first: NAT gives one source one mapping where it can.

    >>> index = SourceIndex[str]()
    >>> index.add((4, 17, 1, 2, 5000, 53), "first"); index.add((4, 17, 1, 3, 5000, 53), "second")
    >>> list(index.of((4, 17, 1, 9, 5000, 80)))
    ['second', 'first']
    """

    def __init__(self) -> None:
        self._by_source: dict[ConnTuple, dict[T, None]] = {}

    @staticmethod
    def _key(tuple: ConnTuple) -> ConnTuple:
        family, proto, src, _, sport, _ = tuple
        return (family, proto, src, 0, sport, 0)

    def add(self, tuple: ConnTuple, item: T) -> None:
        """Enter *item* under the source of *tuple*."""
        self._by_source.setdefault(self._key(tuple), {})[item] = None

    def discard(self, tuple: ConnTuple, item: T) -> None:
        """Take *item* out again, if it is there."""
        key = self._key(tuple)
        items = self._by_source.get(key)
        if items is not None:
            items.pop(item, None)
            if not items:
                del self._by_source[key]

    def of(self, tuple: ConnTuple) -> Iterable[T]:
        """What was entered under the source of *tuple*, newest first."""
        return reversed(self._by_source.get(self._key(tuple), {}))


class BucketIndex(Generic[T]):
    """
    Connections by hash bucket, as a full table looks at them.

    The kernel's hash is keyed at boot, so which connections share a bucket is chance; *key* stands for that draw.
    """

    #: How many buckets a full table looks through for something to give up (NF_CT_EVICTION_RANGE).
    RANGE = 8

    def __init__(self, key: int, size: int) -> None:
        self._key = key
        self._size = size
        self._buckets: dict[int, dict[T, None]] = {}

    def _bucket(self, tuple: ConnTuple) -> int:
        return (hash((self._key, tuple)) & 0xFFFFFFFF) * self._size >> 32

    def add(self, tuple: ConnTuple, item: T) -> None:
        """Enter *item* where *tuple* hashes to."""
        self._buckets.setdefault(self._bucket(tuple), {})[item] = None

    def discard(self, tuple: ConnTuple, item: T) -> None:
        """Take *item* out again, if it is there."""
        bucket = self._bucket(tuple)
        items = self._buckets.get(bucket)
        if items is not None:
            items.pop(item, None)
            if not items:
                del self._buckets[bucket]

    def first_with(self, tuple: ConnTuple, wanted: Callable[[T], bool]) -> list[T]:
        """All *wanted* items of the first bucket that has any, among `RANGE` of them from *tuple*'s own on."""
        start = self._bucket(tuple)
        for bucket in range(start, start + self.RANGE):
            items = [item for item in self._buckets.get(bucket % self._size, ()) if wanted(item)]
            if items:
                return items
        return []
