"""
Scripts: what administrators and clients do to a service on a bench, as values that can be kept, drawn and run again.

A destination is meant by a number, and numbers wrap around, so that every script fits every bench: of three destinations,
number 4 is the second. Where there is none, the event does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from svcsim.clock import SECOND
from svcsim.hooks import Skb
from svcsim.lb.bench import Bench
from svcsim.lb.service import Destination
from svcsim.packet import Packet, Proto

__all__ = ["Add", "Connect", "Disconnect", "Edit", "Event", "Rebind", "Remove", "Wait", "run_script"]


@attrs.frozen
class Add:
    """Add a destination."""

    weight: int = 1
    upper_threshold: int = 0
    lower_threshold: int = 0

    def apply(self, bench: Bench) -> None:
        """Do it."""
        bench.add(self.weight, upper_threshold=self.upper_threshold, lower_threshold=self.lower_threshold)


@attrs.frozen
class Remove:
    """Remove the destination of this number, in the order of adding."""

    number: int

    def apply(self, bench: Bench) -> None:
        """Do it."""
        if bench.destinations:
            bench.remove(bench.destinations[self.number % len(bench.destinations)])


@attrs.frozen
class Edit:
    """Give the destination of this number another weight."""

    number: int
    weight: int

    def apply(self, bench: Bench) -> None:
        """Do it."""
        if bench.destinations:
            bench.edit(bench.destinations[self.number % len(bench.destinations)], self.weight)


@attrs.frozen
class Connect:
    """Open the connection of *packet*: an active one if it is of TCP."""

    packet: Packet

    def apply(self, bench: Bench) -> Destination | None:
        """Do it; where it went."""
        return bench.take(Skb(self.packet), active=self.active)

    @property
    def active(self) -> bool:
        """Whether the connection counts as active."""
        return self.packet.proto == Proto.TCP


@attrs.frozen
class Disconnect:
    """End a connection of the destination of this number, counted among those that have one."""

    number: int

    def apply(self, bench: Bench) -> None:
        """Do it."""
        held = [destination for destination in bench.destinations if destination.active + destination.inactive]
        if held:
            destination = held[self.number % len(held)]
            bench.disconnect(destination, active=destination.active > 0)


@attrs.frozen
class Wait:
    """Let time pass."""

    seconds: int

    def apply(self, bench: Bench) -> None:
        """Do it."""
        bench.clock.advance(self.seconds * SECOND)


@attrs.frozen
class Rebind:
    """Begin anew with another scheduler of the same kind, as when a service is deleted and made again."""

    def apply(self, bench: Bench) -> None:
        """Do it."""
        bench.exchange(type(bench.service.scheduler))


Event = Add | Remove | Edit | Connect | Disconnect | Wait | Rebind


def run_script(bench: Bench, script: Iterable[Event]) -> list[Destination | None]:
    """
    Let *script* happen on *bench*; where each of its connections went.

    >>> web = Connect(Packet.tcp("192.0.2.9:40000", "10.96.0.10:80"))
    >>> for place in run_script(Bench("rr"), [Add(1), Add(1), web, web, Remove(0), web, Edit(0, weight=0), web]):
    ...     print(place)
    10.244.0.3:8080
    10.244.0.2:8080
    10.244.0.3:8080
    None
    """
    found = []
    for event in script:
        if isinstance(event, Connect):
            found.append(event.apply(bench))
        else:
            event.apply(bench)
    return found
