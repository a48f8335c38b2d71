"""
Power of two choices.

Behaviour of: ip_vs_twos (`ipvsadm -s twos`); judged by distribution, because the kernel draws at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings
from svcsim.rng import Stream, Streams

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["PowerOfTwoChoices"]


@SCHEDULERS.register("twos")
@attrs.define(eq=False)
class PowerOfTwoChoices(Scheduler):
    """
    Draw two destinations at random by weight and take the one with the smaller overhead per weight, the first at a tie.

    Both draws come from ``0 .. total weight``, both ends included, so the first usable destination has one chance more
    than its weight, as in the kernel. The draws are those of the host's stream ``ipvs twos`` and the service's name.
    """

    since = (5, 13)

    stream: Stream = attrs.field(factory=lambda: Streams()["ipvs twos"], init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        self.stream = host.streams[f"ipvs twos {service.key}"]

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        destinations = service.destinations
        total = 0
        for destination in destinations:
            if destination.weight > 0 and not destination.overloaded:
                total += destination.weight
        if total == 0:
            return None
        left, right = self.stream.below(total + 1), self.stream.below(total + 1)
        first = second = None
        for destination in destinations:
            weight = destination.weight
            if weight > 0 and not destination.overloaded:
                left -= weight
                right -= weight
                if left <= 0 and first is None:
                    first = destination
                if right <= 0 and second is None:
                    second = destination
        assert first is not None
        assert second is not None
        # The kernel multiplies in 32 bits with sign; the products wrap around.
        busy_first = _signed(second.weight * ((first.active << 8) + first.inactive))
        busy_second = _signed(first.weight * ((second.active << 8) + second.inactive))
        return second if busy_first > busy_second else first


def _signed(value: int) -> int:
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000
