"""
Locality-based least connection with replication.

Behaviour of: ip_vs_lblcr (`ipvsadm -s lblcr`); pinned by the corpus scenarios ipvs-lblcr-*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.clock import SECOND
from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings, slot_hash
from svcsim.lb.schedulers.lblc import LocalityMap, is_busy
from svcsim.lb.schedulers.wlc import least_loaded

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["LocalityLeastConnectionReplicated"]

_BITS = 10


@attrs.define(eq=False)
class _Replicas:
    """The destinations that one address goes to, the newest first, and when that set was last changed and used."""

    members: list[Destination]
    last_change: int
    last_use: int

    def least_busy(self) -> Destination | None:
        best = None
        least = best_weight = 0
        for member in self.members:
            weight = member.weight
            if weight > 0 and member.available and not member.overloaded:
                overhead = (member.active << 8) + member.inactive
                if best is None or least * weight > overhead * best_weight:
                    best, least, best_weight = member, overhead, weight
        return best

    def busiest(self) -> Destination | None:
        worst = None
        most = worst_weight = 0
        for member in self.members:
            weight = member.weight
            if weight > 0:
                overhead = (member.active << 8) + member.inactive
                if worst is None or most * weight < overhead * worst_weight:
                    worst, most, worst_weight = member, overhead, weight
        return worst


@SCHEDULERS.register("lblcr")
@attrs.define(eq=False)
class LocalityLeastConnectionReplicated(Scheduler):
    """
    Send a destination address to the least busy of a set of destinations, which grows when that one is too busy.

    A set that has not changed for ``lblcr_expiration`` seconds gives up its busiest member, so that popularity passes.
    """

    map: LocalityMap[_Replicas] = attrs.field(init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        sysctls = host.sysctls
        self.map = LocalityMap(
            host.clock, lambda: sysctls["net.ipv4.vs.lblcr_expiration"], slot_hash(host.kernel, _BITS)
        )

    def unbind(self, service: VirtualService) -> None:
        self.map.close()

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        entries, now = self.map.entries, self.map.clock.now
        entry = entries.get(skb.dst)
        if entry is not None:
            entry.last_use = now
            known = entry.least_busy()
            if len(entry.members) > 1 and now > entry.last_change + self.map.expiration() * SECOND:
                worst = entry.busiest()
                if worst is not None:
                    entry.members.remove(worst)
                    entry.last_change = now
            # What was found before the removal is used even if it is what was removed.
            if known is not None and not is_busy(known, service.destinations):
                return known
        chosen = least_loaded(service.destinations)
        if chosen is not None:
            if entry is None:
                entries[skb.dst] = _Replicas([chosen], now, now)
            elif chosen not in entry.members:
                entry.members.insert(0, chosen)
                entry.last_change = now
        return chosen

    def holds(self, destination: Destination) -> bool:
        return any(destination in entry.members for entry in self.map.entries.values())
