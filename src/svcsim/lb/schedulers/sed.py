"""
Shortest expected delay.

Behaviour of: ip_vs_sed (`ipvsadm -s sed`); pinned by the corpus scenarios ipvs-sed-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["ShortestExpectedDelay"]


@SCHEDULERS.register("sed")
@attrs.define(eq=False)
class ShortestExpectedDelay(Scheduler):
    """
    Pick the destination where one more connection would wait least.

    The expected delay is ``(active + 1) / weight``; a tie goes to the earlier destination in the list. Inactive
    connections do not count, so every connection of a UDP service goes to the first of the heaviest destinations.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("sed", [1, 3]).picks(4), Bench("sed", [1, 3]).picks(4, active=False)
    ([1, 1, 1, 0], [1, 1, 1, 1])
    """

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        best = None
        least = best_weight = 0
        for destination in service.destinations:
            weight = destination.weight
            if weight > 0 and not destination.overloaded:
                load = destination.active + 1
                if best is None or least * weight > load * best_weight:
                    best, least, best_weight = destination, load, weight
        return best
