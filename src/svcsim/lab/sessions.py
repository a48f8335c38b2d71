"""
Clients at work: connections, each with the requests that it carries.

A balancer of connections never sees a request: with keep-alive and HTTP/2 one connection carries many, and how many
differs greatly. So what is even in connections need not be so in requests, and both are counted.
"""

from __future__ import annotations

import attrs

from svcsim.addr import parse_address
from svcsim.errors import ConfigError
from svcsim.rng import Streams

__all__ = ["Session", "make_sessions"]

_CLIENTS = parse_address("198.51.100.1").value
_MOST_CLIENTS = 1 << 24
_FIRST_PORT, _PORTS = 32768, 28233  # net.ipv4.ip_local_port_range
#: How fast the tail of the requests falls off: long ones are rare, but carry much of the whole.
_TAIL = 1.2


@attrs.frozen
class Session:
    """
    One connection from *client* (an address) and *port*.

    It carries so many *requests*, and stays open while *held* others arrive.
    """

    client: int
    port: int
    requests: int = 1
    held: int = 0

    def __attrs_post_init__(self) -> None:
        if self.requests < 1 or self.held < 0:
            raise ConfigError(f"a session has a request and no negative numbers, not {self.requests}, {self.held}")


def make_sessions(
    count: int, *, clients: int = 250, held: int = 60, most_requests: int = 1000, seed: int = 0
) -> list[Session]:
    """
    So many sessions of a number of *clients*, drawn evenly; each stays for 0 to *held* arrivals.

    The requests have a heavy tail, P(requests >= r) = r^-1.2 up to *most_requests*, as web traffic has. Source: Crovella
    and Bestavros, "Self-Similarity in World Wide Web Traffic", IEEE/ACM Transactions on Networking 5, 1997.

    >>> [session.requests for session in make_sessions(8, seed=5)]
    [3, 1, 1, 4, 1, 2, 2, 31]
    """
    if count < 0 or not 1 <= clients <= _MOST_CLIENTS or held < 0 or most_requests < 1:
        raise ConfigError(f"sessions want 1 to {_MOST_CLIENTS} clients, a request each, and no negative numbers")
    streams = Streams(seed)
    who, lives, work = (streams[f"sessions {name}"] for name in ("clients", "lives", "requests"))
    found = []
    for number in range(count):
        chance = (work.u64() + 1) * 2.0**-64
        requests = min(most_requests, int(chance ** (-1 / _TAIL)))
        found.append(
            Session(_CLIENTS + who.below(clients), _FIRST_PORT + number % _PORTS, requests, lives.below(held + 1))
        )
    return found
