"""
Least connection.

Behaviour of: ip_vs_lc (`ipvsadm -s lc`); pinned by the corpus scenarios ipvs-lc-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["LeastConnection"]


@SCHEDULERS.register("lc")
@attrs.define(eq=False)
class LeastConnection(Scheduler):
    """
    Pick the destination with the least to do; weights count only as 0 or not 0.

    An active connection weighs as much as 256 inactive ones. A tie goes to the earlier destination in the list.

    >>> from svcsim.lb.bench import Bench
    >>> bench = Bench("lc", [1, 1])
    >>> bench.destinations[1].active = 2
    >>> bench.picks(4)
    [0, 0, 1, 0]
    """

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        best = None
        least = 0
        for destination in service.destinations:
            if destination.weight > 0 and not destination.overloaded:
                overhead = (destination.active << 8) + destination.inactive
                if best is None or overhead < least:
                    best, least = destination, overhead
        return best
