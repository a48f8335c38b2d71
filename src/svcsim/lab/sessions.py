"""
Clients at work: connections, each with the requests that it carries.

A balancer of connections never sees a request: with keep-alive and HTTP/2 one connection carries many, and how many
differs greatly. So what is even in connections need not be so in requests, and both are counted.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from svcsim.addr import parse_address
from svcsim.errors import ConfigError
from svcsim.hooks import Skb
from svcsim.lb.bench import Bench
from svcsim.lb.service import Destination
from svcsim.packet import Packet
from svcsim.rng import Streams

__all__ = ["Session", "make_sessions", "place_sessions"]

_SERVICE = parse_address("10.96.0.10").value
_CLIENTS = parse_address("198.51.100.1").value
_MOST = 1 << 24  # clients, and addresses
_FIRST_PORT, _PORTS = 32768, 28233  # net.ipv4.ip_local_port_range
#: How fast the tail of the requests falls off: long ones are rare, but carry much of the whole.
_TAIL = 1.2


@attrs.frozen
class Session:
    """
    One connection from *client* (an address) and *port* to the address *to*.

    It carries so many *requests*, and stays open while *held* others arrive.
    """

    client: int
    port: int
    requests: int = 1
    held: int = 0
    to: int = _SERVICE

    def __attrs_post_init__(self) -> None:
        if self.requests < 1 or self.held < 0:
            raise ConfigError(f"a session has a request and no negative numbers, not {self.requests}, {self.held}")


def make_sessions(
    count: int,
    *,
    clients: int = 250,
    addresses: int = 1,
    held: int = 60,
    most_requests: int = 1000,
    seed: int = 0,
) -> list[Session]:
    """
    So many sessions of a number of *clients*, drawn evenly; each stays for 0 to *held* arrivals.

    They ask for 10.96.0.10, or for any of so many *addresses* from there on, as behind a firewall mark: dh, lblc and lblcr
    look at nothing else.

    The requests have a heavy tail, P(requests >= r) = r^-1.2 up to *most_requests*, as web traffic has. Source: Crovella
    and Bestavros, "Self-Similarity in World Wide Web Traffic", IEEE/ACM Transactions on Networking 5, 1997.

    >>> [session.requests for session in make_sessions(8, seed=5)]
    [3, 1, 1, 4, 1, 2, 2, 31]
    """
    if count < 0 or not 1 <= clients <= _MOST or not 1 <= addresses <= _MOST or held < 0 or most_requests < 1:
        raise ConfigError(f"sessions want 1 to {_MOST} clients and addresses, a request each, and no negative numbers")
    streams = Streams(seed)
    who, whither, lives, work = (streams[f"sessions {name}"] for name in ("clients", "addresses", "lives", "requests"))
    found = []
    for number in range(count):
        chance = (work.u64() + 1) * 2.0**-64
        requests = min(most_requests, int(chance ** (-1 / _TAIL)))
        client, to = _CLIENTS + who.below(clients), _SERVICE + whither.below(addresses)
        found.append(Session(client, _FIRST_PORT + number % _PORTS, requests, lives.below(held + 1), to))
    return found


def place_sessions(bench: Bench, sessions: Iterable[Session]) -> list[Destination | None]:
    """
    Let *sessions* come and go at the service on *bench*; where each went. Those still open at the end are closed.

    >>> for place in place_sessions(Bench("lc", [1, 1]), [Session(1, 1, held=2), Session(2, 2), Session(3, 3)]):
    ...     print(place)
    10.244.0.3:8080
    10.244.0.2:8080
    10.244.0.2:8080
    """
    ends: dict[int, list[Destination]] = {}
    skb = Skb(Packet.tcp("198.51.100.1:40000", "10.96.0.10:80"))
    found = []
    for now, session in enumerate(sessions):
        for destination in ends.pop(now, ()):
            bench.disconnect(destination)
        skb.src, skb.sport, skb.dst = session.client, session.port, session.to
        chosen = bench.take(skb)
        found.append(chosen)
        if chosen is not None:
            ends.setdefault(now + 1 + session.held, []).append(chosen)
    for left in ends.values():
        for destination in left:
            bench.disconnect(destination)
    return found
