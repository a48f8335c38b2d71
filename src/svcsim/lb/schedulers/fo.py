"""
Weighted failover.

Behaviour of: ip_vs_fo (`ipvsadm -s fo`); pinned by the corpus scenarios ipvs-fo-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["WeightedFailover"]


@SCHEDULERS.register("fo")
@attrs.define(eq=False)
class WeightedFailover(Scheduler):
    """
    Pick the usable destination of the largest weight, always; a tie goes to the earlier one in the list.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("fo", [1, 3, 2]).picks(3)
    [1, 1, 1]
    """

    since = (3, 18)

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        best = None
        heaviest = 0
        for destination in service.destinations:
            if destination.weight > heaviest and not destination.overloaded:
                best, heaviest = destination, destination.weight
        return best
