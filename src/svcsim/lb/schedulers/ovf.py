"""
Weighted overflow.

Behaviour of: ip_vs_ovf (`ipvsadm -s ovf`); pinned by the corpus scenarios ipvs-ovf-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["WeightedOverflow"]


@SCHEDULERS.register("ovf")
@attrs.define(eq=False)
class WeightedOverflow(Scheduler):
    """
    Fill the destination of the largest weight first, then the next: the weight is how many active connections it takes.

    A destination that has as many active connections as its weight still gets one more; one with more is full. When
    all are full there is none to be had.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("ovf", [1, 2]).picks(6)
    [1, 1, 1, 0, 0, None]
    """

    since = (4, 3)

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        best = None
        heaviest = 0
        for destination in service.destinations:
            weight = destination.weight
            if weight > heaviest and destination.active <= weight and not destination.overloaded:
                best, heaviest = destination, weight
        return best
