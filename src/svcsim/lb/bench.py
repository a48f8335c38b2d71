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
from svcsim.lb.scheduler import make_scheduler
from svcsim.lb.service import Destination, ServiceKey, VirtualService
from svcsim.lb.sysctls import PARAMETERS
from svcsim.packet import Packet, Proto
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls

__all__ = ["Bench"]

_FIRST = parse_address("10.244.0.2").value
_SERVICE = ServiceKey(Family.IPV4, Proto.TCP, parse_address("10.96.0.10").value, 80)


class Bench:
    """
    The service 10.96.0.10:80 with the scheduler named, and a destination for each of *weights* in the order of adding.

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
        scheduler: str,
        weights: Iterable[int] = (),
        *,
        flags: int = 0,
        kernel: tuple[int, ...] = (6, 18),
        seed: int = 0,
    ) -> None:
        self.clock = Clock()
        self.streams = Streams(seed)
        self.sysctls = Sysctls(PARAMETERS)
        self.kernel = kernel
        self.service = VirtualService(_SERVICE, make_scheduler(scheduler, kernel), flags)
        self.service.scheduler.bind(self.service, self)
        self.destinations: list[Destination] = []  # those that are there, in the order of adding
        self.served: dict[Destination, int] = {}
        self._added = 0
        for weight in weights:
            self.add(weight)

    def add(self, weight: int = 1, *, upper_threshold: int = 0, lower_threshold: int = 0) -> Destination:
        """Add a destination; it becomes the first of the service's list."""
        destination = Destination(
            Family.IPV4,
            _FIRST + self._added,
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

    def exchange(self, scheduler: str) -> None:
        """Give the service another scheduler, as ``ipvsadm -E -s`` does."""
        made = make_scheduler(scheduler, self.kernel)
        self.service.scheduler.unbind(self.service)
        self.service.scheduler = made
        made.bind(self.service, self)

    def connect(
        self, client: str = "198.51.100.1:40000", to: str = "10.96.0.10:80", *, active: bool = True
    ) -> Destination | None:
        """Open a connection, *active* like TCP's or not, like UDP's; where it went, None if nowhere."""
        return self.take(Skb(Packet.tcp(client, to)), active=active)

    def picks(self, count: int, *, active: bool = True) -> list[int | None]:
        """
        Open *count* connections, each from another client, 198.51.100.1 and on.

        Where each went, as the number of its destination in the order of adding; None if nowhere.
        """
        numbers = {destination: number for number, destination in enumerate(self.destinations)}
        skb = Skb(Packet.tcp("198.51.100.0:40000", "10.96.0.10:80"))
        found = []
        for _ in range(count):
            skb.src += 1
            chosen = self.take(skb, active=active)
            found.append(None if chosen is None else numbers[chosen])
        return found

    def take(self, skb: Skb, *, active: bool = True) -> Destination | None:
        """Open the connection of *skb*."""
        destination = self.service.scheduler.schedule(self.service, skb)
        if destination is not None:
            self.served[destination] += 1
            if active:
                destination.active += 1
            else:
                destination.inactive += 1
            destination.judge_load()
        return destination

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
