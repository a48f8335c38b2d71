"""
The list behind ``-m recent``: addresses, each with the times when it was seen.

Behaviour of: xt_recent's tables. Times are timer ticks of 4 ms. A list holds a hundred addresses and forgets the one
that was touched longest ago; an address keeps as many times as the rules that name the list can ask for.
"""

from __future__ import annotations

import attrs

from svcsim.clock import SECOND, Clock

__all__ = ["RecentEntry", "RecentList"]

_HZ = 250
_TICK = SECOND // _HZ
#: How many addresses a list holds (module parameter ip_list_tot).
_SIZE = 100
#: How many times are kept for a rule that asks for no number of hits; for another, the next power of two.
_USUAL_STAMPS = 32


@attrs.define(eq=False)
class RecentEntry:
    """An address's time to live and the ticks when it was seen, the oldest first."""

    ttl: int
    stamps: list[int]


@attrs.define(eq=False)
class RecentList:
    """One list; the first address is the one touched longest ago."""

    name: str
    clock: Clock
    mask: int
    room: int = 0
    entries: dict[int, RecentEntry] = attrs.field(factory=dict)

    def need(self, hits: int) -> None:
        """Make room for *hits* times in each entry (0: as many as usual); a list that had less is emptied."""
        room = 1 << (hits - 1).bit_length() if hits else _USUAL_STAMPS
        if room > self.room:
            self.entries.clear()
            self.room = room

    def _now(self) -> int:
        return self.clock.now // _TICK

    def find(self, key: int, ttl: int | None) -> RecentEntry | None:
        """The entry of an address, if *ttl* is None or its own."""
        entry = self.entries.get(key)
        return None if entry is None or (ttl is not None and entry.ttl != ttl) else entry

    def add(self, key: int, ttl: int) -> None:
        """Enter an address as seen now."""
        self.entries.pop(key, None)
        if len(self.entries) >= _SIZE:
            del self.entries[next(iter(self.entries))]
        self.entries[key] = RecentEntry(ttl, [self._now()])

    def touch(self, key: int, ttl: int) -> None:
        """Note that an address was seen again; it becomes the last to be forgotten."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return
        entry.ttl = ttl
        entry.stamps.append(self._now())
        del entry.stamps[: -self.room]
        self.entries[key] = entry

    def remove(self, key: int) -> None:
        """Forget an address."""
        del self.entries[key]

    def has_hits(self, entry: RecentEntry, seconds: int, hits: int) -> bool:
        """Whether the address was seen *hits* times (at least once) within *seconds* (0: ever)."""
        oldest = self._now() - seconds * _HZ
        counted = sum(not seconds or stamp >= oldest for stamp in entry.stamps)
        return counted >= max(hits, 1)

    def reap(self, seconds: int, *, spare: RecentEntry | None) -> None:
        """Forget the address touched longest ago if that was more than *seconds* ago."""
        key = next(iter(self.entries))
        entry = self.entries[key]
        if entry is not spare and entry.stamps[-1] < self._now() - seconds * _HZ:
            del self.entries[key]
