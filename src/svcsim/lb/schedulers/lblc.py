"""
Locality-based least connection.

Behaviour of: ip_vs_lblc (`ipvsadm -s lblc`); pinned by the corpus scenarios ipvs-lblc-*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import attrs

from svcsim.clock import SECOND, Clock, Timer
from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings, fold, slot_hash
from svcsim.lb.schedulers.wlc import least_loaded

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["LocalityLeastConnection", "LocalityMap", "is_busy"]

_BITS = 10  # the kernel's map has so many buckets, 1024
_MAX_ENTRIES = 16 << _BITS
_CHECK_INTERVAL = 60 * SECOND
_SURPLUS_IDLE = 6 * 60 * SECOND  # in a map that is too large, entries idle for so long may go
_FULL_CHECK_EVERY = 30  # checks


def is_busy(destination: Destination, destinations: list[Destination]) -> bool:
    """Whether *destination* has more active connections than weight while another has fewer than half of its own."""
    if destination.active <= destination.weight:
        return False
    for other in destinations:  # noqa: SIM110 - a loop costs less than a generator
        if 2 * other.active < other.weight:
            return True
    return False


class _Entry(Protocol):
    last_use: int


E = TypeVar("E", bound=_Entry)


@attrs.define(eq=False)
class LocalityMap(Generic[E]):
    """
    What lblc and lblcr remember of destination addresses, and the collection of what has not been used for long.

    Once a minute the map is looked at. If it has more than 16384 entries, some of those idle for six minutes go, a
    few buckets at a time; every thirtieth time all go that have been idle for *expiration* seconds.
    """

    clock: Clock
    expiration: Callable[[], int]
    hash: Callable[[int], int]
    entries: dict[int, E] = attrs.field(factory=dict, init=False)
    _checks: int = attrs.field(default=1, init=False)
    _rover: int = attrs.field(default=0, init=False)
    _timer: Timer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._timer = self.clock.call_after(_CHECK_INTERVAL, self._check)

    def close(self) -> None:
        """Forget everything and look no more."""
        self._timer.cancel()
        self.entries.clear()

    def _check(self) -> None:
        self._timer.reset(self.clock.now + _CHECK_INTERVAL)
        if self._checks % _FULL_CHECK_EVERY == 0:
            oldest = self.clock.now - self.expiration() * SECOND
            self.entries = {key: entry for key, entry in self.entries.items() if entry.last_use > oldest}
            self._checks = 1
        elif len(self.entries) <= _MAX_ENTRIES:
            self._checks += 1
        else:
            self._shrink(min((len(self.entries) - _MAX_ENTRIES) * 4 // 3, _MAX_ENTRIES // 2))

    def _shrink(self, goal: int) -> None:
        """Go on where the last time ended, bucket by bucket, until *goal* entries are gone or all were looked at."""
        mask = (1 << _BITS) - 1
        oldest = self.clock.now - _SURPLUS_IDLE
        idle: dict[int, list[int]] = {}
        for key, entry in self.entries.items():
            if entry.last_use <= oldest:
                idle.setdefault(self.hash(fold(key)), []).append(key)
        for _ in range(1 << _BITS):
            self._rover = self._rover + 1 & mask
            for key in idle.get(self._rover, ()):
                del self.entries[key]
                goal -= 1
            if goal <= 0:
                break


@attrs.define(eq=False)
class _Assignment:
    destination: Destination
    last_use: int


@SCHEDULERS.register("lblc")
@attrs.define(eq=False)
class LocalityLeastConnection(Scheduler):
    """
    Send a destination address where it went last; choose by weighted least connection when that one is gone or busy.

    It is meant for transparent caches behind a firewall mark. The remembered destination is used even when it has
    reached its upper threshold, as in the kernel, but not when its weight is 0.
    """

    map: LocalityMap[_Assignment] = attrs.field(init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        sysctls = host.sysctls
        self.map = LocalityMap(
            host.clock, lambda: sysctls["net.ipv4.vs.lblc_expiration"], slot_hash(host.kernel, _BITS)
        )

    def unbind(self, service: VirtualService) -> None:
        self.map.close()

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        entries = self.map.entries
        entry = entries.get(skb.dst)
        if entry is not None:
            entry.last_use = self.map.clock.now
            known = entry.destination
            if known.available and known.weight > 0 and not is_busy(known, service.destinations):
                return known
        chosen = least_loaded(service.destinations)
        if chosen is not None:
            if entry is None:
                entries[skb.dst] = _Assignment(chosen, self.map.clock.now)
            else:
                entry.destination = chosen
        return chosen

    def holds(self, destination: Destination) -> bool:
        return any(entry.destination is destination for entry in self.map.entries.values())
