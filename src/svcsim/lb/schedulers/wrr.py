"""
Weighted round robin.

Behaviour of: ip_vs_wrr (`ipvsadm -s wrr`); pinned by the corpus scenarios ipvs-wrr-*.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["WeightedRoundRobin"]


@SCHEDULERS.register("wrr")
@attrs.define(eq=False)
class WeightedRoundRobin(Scheduler):
    """
    Take the destinations in turn, each as often in a full cycle as its share of the weights says.

    A cycle is a series of passes over the list. Each pass has a threshold, *current_weight*, and serves the
    destinations that weigh as much; from pass to pass it falls by *step*, the greatest common divisor of the weights,
    from *max_weight* down to the last value above 0. The threshold survives the adding of destinations, so a service
    that is built one by one begins in the middle of a cycle.

    *position* is where the last choice stands in the list, -1 if there is none.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("wrr", [1, 2, 3]).picks(6)
    [2, 1, 0, 2, 2, 1]
    """

    position: int = attrs.field(default=-1, init=False)
    current_weight: int = attrs.field(default=0, init=False)
    max_weight: int = attrs.field(default=0, init=False)
    step: int = attrs.field(default=1, init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        self._measure(service)
        self.current_weight = self.max_weight

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        if self.max_weight == 0:
            return None
        destinations = service.destinations
        weight, step, last = self.current_weight, self.step, self.position
        begin, stop = last + 1, -1
        last_pass = restarted = False
        while True:
            for index in range(begin, len(destinations)):
                destination = destinations[index]
                if destination.weight >= weight and not destination.overloaded:
                    self.position, self.current_weight = index, weight
                    return destination
                if index == stop:
                    self.position, self.current_weight = index, weight
                    return None
            weight -= step
            if weight <= 0:
                weight = self.max_weight
                if last_pass or last < 0:
                    self.position, self.current_weight = -1, weight
                    return None
                restarted = True
            elif begin == 0:
                weight = self._next_fruitful(destinations, weight)
            begin = 0
            last_pass = weight <= step
            if last_pass and restarted and last >= 0:
                stop = last

    def destination_added(self, service: VirtualService, destination: Destination) -> None:
        self._change(service)

    def destination_removed(self, service: VirtualService, destination: Destination, index: int) -> None:
        self._change(service)

    def destination_updated(self, service: VirtualService, destination: Destination) -> None:
        self._change(service)

    def _measure(self, service: VirtualService) -> None:
        weights = [d.weight for d in service.destinations if d.weight > 0]
        self.position = -1
        self.step = gcd(*weights) or 1
        self.max_weight = max(weights, default=0) - (self.step - 1)

    def _change(self, service: VirtualService) -> None:
        self._measure(service)
        if self.current_weight > self.max_weight or self.current_weight == 0:
            self.current_weight = self.max_weight
        elif self.step > 1:
            self.current_weight = self.current_weight // self.step * self.step + 1

    def _next_fruitful(self, destinations: list[Destination], weight: int) -> int:
        """Leave out the passes in which all that weigh enough are overloaded: there may be a great many of them."""
        step = self.step
        heaviest = max((d.weight for d in destinations if not d.overloaded), default=0)
        if heaviest >= weight:
            return weight
        empty = (weight - heaviest + step - 1) // step
        return weight - min(empty, (weight - 1) // step) * step
