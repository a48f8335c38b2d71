"""
Weighted least connection.

Behaviour of: ip_vs_wlc (`ipvsadm -s wlc`, the tool's default); pinned by the corpus scenarios ipvs-wlc-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["WeightedLeastConnection", "least_loaded"]


def least_loaded(destinations: list[Destination]) -> Destination | None:
    """
    Return the usable destination with the smallest overhead per weight; a tie goes to the earlier one.

    The overhead of a destination is 256 for an active connection and 1 for an inactive one.
    """
    best = None
    least = best_weight = 0
    for destination in destinations:
        weight = destination.weight
        if weight > 0 and not destination.overloaded:
            overhead = (destination.active << 8) + destination.inactive
            # Fractions are compared by cross-multiplication: exact, and no division by a weight.
            if best is None or least * weight > overhead * best_weight:
                best, least, best_weight = destination, overhead, weight
    return best


@SCHEDULERS.register("wlc")
@attrs.define(eq=False)
class WeightedLeastConnection(Scheduler):
    """
    Pick the destination with the least to do for its weight (see `least_loaded`).

    >>> from svcsim.lb.bench import Bench
    >>> Bench("wlc", [1, 2]).picks(6)
    [1, 0, 1, 1, 0, 1]
    """

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        return least_loaded(service.destinations)
