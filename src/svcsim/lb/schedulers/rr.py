"""
Round robin.

Behaviour of: ip_vs_rr (`ipvsadm -s rr`); pinned by the corpus scenarios ipvs-rr-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["RoundRobin"]


@SCHEDULERS.register("rr")
@attrs.define(eq=False)
class RoundRobin(Scheduler):
    """
    Take the destinations in turn; weights count only as 0 or not 0.

    A turn begins with the newest destination. One that is added in the middle of a turn stands at the head of the
    list, so it is served when the turn that runs is over.

    *position* is where the last choice stands in the list, -1 if that is before the first destination.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("rr", [1, 1, 0, 5]).picks(6)
    [3, 1, 0, 3, 1, 0]
    """

    position: int = attrs.field(default=-1, init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        self.position = -1

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        destinations = service.destinations
        after = self.position + 1
        for index in range(after, len(destinations)):
            destination = destinations[index]
            if destination.weight > 0 and not destination.overloaded:
                self.position = index
                return destination
        for index in range(after):
            destination = destinations[index]
            if destination.weight > 0 and not destination.overloaded:
                self.position = index
                return destination
        return None

    def destination_added(self, service: VirtualService, destination: Destination) -> None:
        if self.position >= 0:
            self.position += 1

    def destination_removed(self, service: VirtualService, destination: Destination, index: int) -> None:
        # Where the last choice itself goes, the one before it takes its part, so that the turn goes on behind it.
        if index <= self.position:
            self.position -= 1
