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
        usable = [d for d in service.destinations if d.weight > 0 and not d.overloaded]
        if not usable:
            return None
        chances = [destination.weight for destination in usable]
        chances[0] += 1
        first, second = usable[self.stream.pick(chances)], usable[self.stream.pick(chances)]
        # The kernel multiplies in 32 bits with sign; the products wrap around.
        busy_first = _signed(second.weight * ((first.active << 8) + first.inactive))
        busy_second = _signed(first.weight * ((second.active << 8) + second.inactive))
        return second if busy_first > busy_second else first


def _signed(value: int) -> int:
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000
