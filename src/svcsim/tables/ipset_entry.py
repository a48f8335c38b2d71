"""
What IP sets keep beside their elements, and how a look-up counts what it finds.

Behaviour of: ipset's extensions: timeout, counters, comment, skbinfo.
"""

from __future__ import annotations

import attrs

from svcsim.clock import SECOND, Timer
from svcsim.tables.ipset_types import Item, SetOptions

__all__ = ["COUNT", "Counting", "Entry"]

_ALL_MARKS = 0xFFFFFFFF


@attrs.define(eq=False)
class Entry:
    """What a set keeps beside an element; mark, priority and queue (skbinfo) are kept, and no packet is given them."""

    packets: int = 0
    bytes: int = 0
    comment: str = ""
    nomatch: bool = False
    wildcard: bool = False
    mark: tuple[int, int] = (0, 0)
    priority: int = 0
    queue: int = 0
    timer: Timer | None = None

    def items(self, options: SetOptions, now: int) -> list[Item]:
        """The words behind an element, in the order in which the tool prints them."""
        found: list[Item] = []
        if options.timeout is not None:
            left = 0 if self.timer is None or self.timer.deadline is None else self.timer.deadline - now
            found.append(("timeout", str(max(left // SECOND, 1) if left else 0)))
        found += [("nomatch", None)] if self.nomatch else []
        found += [("wildcard", None)] if self.wildcard else []
        found += [("packets", str(self.packets)), ("bytes", str(self.bytes))] if options.counters else []
        found += [("comment", f'"{self.comment}"')] if self.comment else []
        mark, mask = self.mark
        if mark or mask:
            found.append(("skbmark", f"{mark:#x}" if mask == _ALL_MARKS else f"{mark:#x}/{mask:#x}"))
        found += [("skbprio", f"{self.priority >> 16:x}:{self.priority & 0xFFFF:x}")] if self.priority else []
        found += [("skbqueue", str(self.queue))] if self.queue else []
        return found


@attrs.frozen
class Counting:
    """
    How a rule counts what it finds: whether elements *update*, whether those of *members* of a list do, and *limits*.

    A limit is ``packets`` or ``bytes``, ``eq``, ``lt`` or ``gt``, the number, and whether the opposite is wanted.
    """

    update: bool = True
    members: bool = True
    limits: tuple[tuple[str, str, int, bool], ...] = ()

    def counts(self, entry: Entry, length: int) -> bool:
        """Count a packet, and say whether the element's counters are then as they should be."""
        if self.update:
            entry.packets += 1
            entry.bytes += length
        for what, how, number, inverted in self.limits:
            value = entry.packets if what == "packets" else entry.bytes
            if {"eq": value == number, "lt": value < number, "gt": value > number}[how] is inverted:
                return False
        return True


COUNT = Counting()
