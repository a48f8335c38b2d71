"""
kube-proxy's first balancer: round robin over a shuffled list, with affinity of clients.

Behaviour of: LoadBalancerRR of kube-proxy's userspace mode. It neither reads a clock nor sends anything: time, in
nanoseconds, is an argument.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import attrs

from svcsim.clock import SECOND
from svcsim.rng import Stream

__all__ = ["DEFAULT_AFFINITY_SECONDS", "RoundRobin"]

#: How long a client is remembered unless a service says otherwise: three hours.
DEFAULT_AFFINITY_SECONDS = 10800


@attrs.define
class _Affinity:
    """The endpoint that a client got, and when it last asked."""

    endpoint: str
    last_used: int


@attrs.define
class _Entry:
    """One service port: its endpoints in the order of service, and the clients that are remembered."""

    seconds: int
    affinity: bool = False
    endpoints: list[str] = attrs.field(factory=list)
    index: int = 0
    clients: dict[str, _Affinity] = attrs.field(factory=dict)

    def remembers(self, known: _Affinity, now: int) -> bool:
        return (now - known.last_used) // SECOND < self.seconds


class RoundRobin:
    """
    The endpoints of service ports, and whose turn it is.

    A service port has any hashable name; endpoints are texts. What is asked for a name that nobody declared, or that has
    no endpoints, is answered by None.

    >>> from svcsim.rng import Streams
    >>> balancer = RoundRobin(Streams(seed=1)["shuffle"])
    >>> balancer.serve("web", affinity=False)
    >>> balancer.set_endpoints("web", ["10.244.0.5:80", "10.244.0.6:80"])
    >>> [balancer.next("web", "192.0.2.9", now=0) for _ in range(3)]
    ['10.244.0.6:80', '10.244.0.5:80', '10.244.0.6:80']
    """

    def __init__(self, shuffles: Stream) -> None:
        self._shuffles = shuffles
        self._entries: dict[Hashable, _Entry] = {}

    def serve(self, name: Hashable, *, affinity: bool, seconds: int = 0) -> None:
        """
        Declare a service port, with *affinity* of clients for so many *seconds* (0: `DEFAULT_AFFINITY_SECONDS`).

        The time is that of the first declaration and stays so; endpoints that came earlier declared the default.
        """
        self._entry(name, seconds).affinity = affinity

    def forget(self, name: Hashable) -> None:
        """Take a service port away with all that is known of it."""
        self._entries.pop(name, None)

    def set_endpoints(self, name: Hashable, endpoints: Iterable[str]) -> None:
        """
        Say who serves *name*.

        Only another set counts: it is shuffled and begun from its start, and clients of endpoints that are gone are
        forgotten.
        """
        new = list(dict.fromkeys(endpoints))
        entry = self._entry(name)
        if set(new) == set(entry.endpoints):
            return
        for last in range(len(new) - 1, 0, -1):
            other = self._shuffles.below(last + 1)
            new[last], new[other] = new[other], new[last]
        entry.endpoints, entry.index = new, 0
        kept = set(new)
        entry.clients = {client: known for client, known in entry.clients.items() if known.endpoint in kept}

    def endpoints(self, name: Hashable) -> tuple[str, ...]:
        """The endpoints of *name* in the order of their turns, the next one first."""
        entry = self._entries.get(name)
        return tuple(entry.endpoints[entry.index :] + entry.endpoints[: entry.index]) if entry is not None else ()

    def next(self, name: Hashable, client: str, now: int, *, reset: bool = False) -> str | None:
        """The endpoint for *client*, None if there is none; *reset* takes the next one whatever is remembered."""
        entry = self._entries.get(name)
        if entry is None or not entry.endpoints:
            return None
        known = entry.clients.get(client) if entry.affinity and not reset else None
        if known is not None and entry.remembers(known, now):
            known.last_used = now
            return known.endpoint
        endpoint = entry.endpoints[entry.index]
        entry.index = (entry.index + 1) % len(entry.endpoints)
        if entry.affinity:
            entry.clients[client] = _Affinity(endpoint, now)
        return endpoint

    def expire(self, now: int) -> None:
        """Forget clients that have not come back in time; done at each sync."""
        for entry in self._entries.values():
            entry.clients = {client: known for client, known in entry.clients.items() if entry.remembers(known, now)}

    def _entry(self, name: Hashable, seconds: int = 0) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = _Entry(seconds or DEFAULT_AFFINITY_SECONDS)
        return entry
