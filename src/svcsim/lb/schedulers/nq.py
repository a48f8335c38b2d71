"""
Never queue.

Behaviour of: ip_vs_nq (`ipvsadm -s nq`); pinned by the corpus scenarios ipvs-nq-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["NeverQueue"]


@SCHEDULERS.register("nq")
@attrs.define(eq=False)
class NeverQueue(Scheduler):
    """
    Pick the first idle destination, however slow; if none is idle, where one more connection would wait least.

    Idle means without active connections, so every connection of a UDP service goes to the first usable destination.
    The expected delay is that of `ShortestExpectedDelay`.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("nq", [1, 3]).picks(5)
    [1, 0, 1, 1, 1]
    """

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        best = None
        least = best_weight = 0
        for destination in service.destinations:
            weight = destination.weight
            if weight > 0 and not destination.overloaded:
                active = destination.active
                if active == 0:
                    return destination
                if best is None or least * weight > (active + 1) * best_weight:
                    best, least, best_weight = destination, active + 1, weight
        return best
