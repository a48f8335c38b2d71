"""
One virtual service on a bench: its scheduler chooses, connections come and go, and no packet is carried.

For learning what a scheduler does, and for measuring it. The counting is the director's: what an active connection is,
when a destination is overloaded, in which order the list stands.
"""

from __future__ import annotations

from collections.abc import Iterable

from svcsim.addr import Family, parse_address
from svcsim.clock import Clock
from svcsim.hooks import Skb
from svcsim.lb.scheduler import Scheduler, make_scheduler
from svcsim.lb.service import Destination, ServiceKey, VirtualService
from svcsim.lb.sysctls import PARAMETERS
from svcsim.packet import Packet, Proto
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls

__all__ = ["Bench"]

_FIRST = {Family.IPV4: parse_address("10.244.0.2").value, Family.IPV6: parse_address("fd00:10:244::2").value}
_SERVICE = {
    family: ServiceKey(family, Proto.TCP, parse_address(address).value, 80)
    for family, address in ((Family.IPV4, "10.96.0.10"), (Family.IPV6, "fd00:10:96::a"))
}
#: The first client and the service, as the ends of a connection.
_ENDS = {
    Family.IPV4: ("198.51.100.1:40000", "10.96.0.10:80"),
    Family.IPV6: ("[2001:db8::1]:40000", "[fd00:10:96::a]:80"),
}


class Bench:
    """
    The service 10.96.0.10:80 (IPv6: fd00:10:96::a) with a scheduler, and a destination for each of *weights*, in order.

    The scheduler is a registered name, or a class that need not be registered.

    >>> bench = Bench("sed", [1, 3])
    >>> bench.picks(8)
    [1, 1, 1, 0, 1, 1, 1, 0]
    >>> bench.shares()
    [2, 6]
    >>> print(bench.connect())
    10.244.0.3:8080
    """

    def __init__(
        self,
        scheduler: str | type[Scheduler],
        weights: Iterable[int] = (),
        *,
        family: Family = Family.IPV4,
        flags: int = 0,
        kernel: tuple[int, ...] = (6, 18),
        seed: int = 0,
    ) -> None:
        self.clock = Clock()
        self.streams = Streams(seed)
        self.sysctls = Sysctls(PARAMETERS)
        self.kernel = kernel
        self.service = VirtualService(_SERVICE[family], self._made(scheduler), flags)
        self.service.scheduler.bind(self.service, self)
        self.destinations: list[Destination] = []  # those that are there, in the order of adding
        self.served: dict[Destination, int] = {}
        self._added = 0
        for weight in weights:
            self.add(weight)

    def add(self, weight: int = 1, *, upper_threshold: int = 0, lower_threshold: int = 0) -> Destination:
        """Add a destination; it becomes the first of the service's list."""
        destination = Destination(
            self.service.key.family,
            _FIRST[self.service.key.family] + self._added,
            8080,
            weight,
            upper_threshold=upper_threshold,
            lower_threshold=lower_threshold,
        )
        self._added += 1
        destination.service = self.service
        self.destinations.append(destination)
        self.served[destination] = 0
        self.service.destinations.insert(0, destination)
        self.service.scheduler.destination_added(self.service, destination)
        return destination

    def edit(self, destination: Destination, weight: int) -> None:
        """Give a destination another weight; 0 lets it finish what it has."""
        destination.weight = weight
        destination.last_weight = weight or destination.last_weight
        self.service.scheduler.destination_updated(self.service, destination)

    def remove(self, destination: Destination) -> None:
        """Take a destination away."""
        index = self.service.destinations.index(destination)
        del self.service.destinations[index]
        self.destinations.remove(destination)
        destination.available = False
        self.service.scheduler.destination_removed(self.service, destination, index)

    def _made(self, scheduler: str | type[Scheduler]) -> Scheduler:
        return make_scheduler(scheduler, self.kernel) if isinstance(scheduler, str) else scheduler()

    def exchange(self, scheduler: str | type[Scheduler]) -> None:
        """Give the service another scheduler, as ``ipvsadm -E -s`` does."""
        made = self._made(scheduler)
        self.service.scheduler.unbind(self.service)
        self.service.scheduler = made
        made.bind(self.service, self)

    def connect(self, client: str = "", to: str = "", *, active: bool = True) -> Destination | None:
        """
        Open a connection, *active* like TCP's or not, like UDP's; where it went, None if nowhere.

        Without ends it is from 198.51.100.1:40000 (IPv6: [2001:db8::1]:40000) to the service's address.
        """
        first, service = _ENDS[self.service.key.family]
        return self.take(Skb(Packet.tcp(client or first, to or service)), active=active)

    def picks(self, count: int, *, active: bool = True) -> list[int | None]:
        """
        Open *count* connections, each from another client, 198.51.100.1 (IPv6: 2001:db8::1) and on.

        Where each went, as the number of its destination in the order of adding; None if nowhere.
        """
        numbers = {destination: number for number, destination in enumerate(self.destinations)}
        skb = Skb(Packet.tcp(*_ENDS[self.service.key.family]))
        found = []
        for _ in range(count):
            chosen = self.take(skb, active=active)
            skb.src += 1
            found.append(None if chosen is None else numbers[chosen])
        return found

    def take(self, skb: Skb, *, active: bool = True) -> Destination | None:
        """Open the connection of *skb*."""
        destination = self.service.scheduler.schedule(self.service, skb)
        if destination is not None:
            self.count(destination, active=active)
        return destination

    def count(self, destination: Destination, *, active: bool = True) -> None:
        """Count a connection that went to *destination*."""
        self.served[destination] += 1
        if active:
            destination.active += 1
        else:
            destination.inactive += 1
        destination.judge_load()

    def disconnect(self, destination: Destination, *, active: bool = True) -> None:
        """End a connection of *destination*."""
        if active:
            destination.active -= 1
        else:
            destination.inactive -= 1
        destination.judge_load()

    def shares(self) -> list[int]:
        """How many connections each destination that is there was given, in the order of adding."""
        return [self.served[destination] for destination in self.destinations]
