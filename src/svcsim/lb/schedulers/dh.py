"""
Destination hashing.

Behaviour of: ip_vs_dh (`ipvsadm -s dh`); pinned by the corpus scenarios ipvs-dh-*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings, fold, slot_hash

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["DestinationHashing"]

_BITS = 8  # CONFIG_IP_VS_DH_TAB_BITS, as every distribution has it


@SCHEDULERS.register("dh")
@attrs.define(eq=False)
class DestinationHashing(Scheduler):
    """
    Look the destination address up in a table of 256 slots that the destinations share in turn.

    It is meant for transparent caches behind a firewall mark; with one virtual address one destination gets everything.
    Weights are not looked at when slots are dealt out. A slot whose destination is quiesced or overloaded refuses.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("dh", [1, 9]).picks(4)
    [1, 1, 1, 1]
    """

    slots: list[Destination] = attrs.field(factory=list, init=False)
    _hash: Callable[[int], int] = attrs.field(default=slot_hash((6, 18), _BITS), init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        self._hash = slot_hash(host.kernel, _BITS)
        self._deal(service)

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        if not self.slots:
            return None
        destination = self.slots[self._hash(fold(skb.dst))]
        return destination if destination.weight > 0 and not destination.overloaded else None

    def destination_added(self, service: VirtualService, destination: Destination) -> None:
        self._deal(service)

    def destination_removed(self, service: VirtualService, destination: Destination, index: int) -> None:
        self._deal(service)

    def _deal(self, service: VirtualService) -> None:
        destinations = service.destinations
        self.slots = [destinations[i % len(destinations)] for i in range(1 << _BITS)] if destinations else []
