"""
Source hashing.

Behaviour of: ip_vs_sh (`ipvsadm -s sh -b sh-fallback,sh-port`); pinned by the corpus scenarios ipvs-sh-*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings, fold, slot_hash
from svcsim.lb.service import ServiceFlags
from svcsim.packet import Proto

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["SourceHashing"]

_BITS = 8  # CONFIG_IP_VS_SH_TAB_BITS, as every distribution has it
_SLOTS = 1 << _BITS
_FALLBACK, _PORT = ServiceFlags.SCHED1, ServiceFlags.SCHED2
_PORTED = (Proto.TCP, Proto.UDP, Proto.SCTP)


@SCHEDULERS.register("sh")
@attrs.define(eq=False)
class SourceHashing(Scheduler):
    """
    Look the client's address up in a table of 256 slots, of which a destination has as many in a row as its weight.

    With the flag ``sh-port`` the client's port counts too. Where the slot's destination is quiesced or overloaded, the
    connection is refused, unless ``sh-fallback`` sends it to the next usable slot. A destination of weight 0 keeps one
    slot; one of weight 256 or more, first in the list, takes the whole table.

    >>> from svcsim.lb.bench import Bench
    >>> Bench("sh", [1, 2]).picks(8)
    [1, 0, 0, 1, 1, 1, 1, 1]
    """

    flag_names = ("sh-fallback", "sh-port", "flag-3")

    slots: list[Destination] = attrs.field(factory=list, init=False)
    _hash: Callable[[int], int] = attrs.field(default=slot_hash((6, 18), _BITS), init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        self._hash = slot_hash(host.kernel, _BITS)
        self._deal(service)

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        slots = self.slots
        if not slots:
            return None
        flags = service.flags
        key = fold(skb.src)
        if flags & _PORT and skb.proto in _PORTED:
            key = key + skb.sport & 0xFFFFFFFF
        first = self._hash(key)
        destination = slots[first]
        if destination.weight > 0 and not destination.overloaded:
            return destination
        if flags & _FALLBACK:
            # The search does not begin behind the slot that failed but at twice its number, as the kernel's does.
            for offset in range(_SLOTS):
                destination = slots[2 * first + offset & _SLOTS - 1]
                if destination.weight > 0 and not destination.overloaded:
                    return destination
        return None

    def destination_added(self, service: VirtualService, destination: Destination) -> None:
        self._deal(service)

    def destination_removed(self, service: VirtualService, destination: Destination, index: int) -> None:
        self._deal(service)

    def destination_updated(self, service: VirtualService, destination: Destination) -> None:
        self._deal(service)

    def _deal(self, service: VirtualService) -> None:
        slots: list[Destination] = []
        while service.destinations and len(slots) < _SLOTS:
            for destination in service.destinations:
                slots += [destination] * min(max(destination.weight, 1), _SLOTS - len(slots))
        self.slots = slots
