"""
A connection through a cluster, and what became of it: who answered, whom it saw, and why, hop by hop.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import format_address
from svcsim.cluster.naming import Directory
from svcsim.connection import Answer, Connection
from svcsim.explain.explanation import Explanation
from svcsim.kube.state import host_port
from svcsim.network import Journey
from svcsim.packet import Packet

__all__ = ["Call"]


@attrs.define(eq=False)
class Call:
    """
    What *source* did, on its *connection*; *journeys* holds each step: the opening, and whatever was asked later.

    *backend* is the host that took its first packet, empty if none did; *seen* is that packet as it got there, so its
    source is the client as the backend sees it.
    """

    source: str
    connection: Connection
    directory: Directory
    journeys: list[Journey] = attrs.field(factory=list)

    @property
    def heard(self) -> Answer:
        """What the client heard last: an answer, a refusal, or nothing."""
        return self.connection.heard

    @property
    def backend(self) -> str:
        """The pod or node that took it."""
        return self.connection.backend

    @property
    def endpoint(self) -> str:
        """The backend's address and port, empty if none took it."""
        seen = self.seen
        return host_port(format_address(seen.family, seen.dst), seen.dport) if seen is not None else ""

    @property
    def seen(self) -> Packet | None:
        """The first packet as the backend got it."""
        return self.connection.seen

    @property
    def seen_from(self) -> str:
        """The client's address as the backend sees it."""
        seen = self.seen
        return format_address(seen.family, seen.src) if seen is not None else ""

    @property
    def dropped_by(self) -> str:
        """What dropped its first packet, empty if nothing did; the cluster has to have been asked to trace."""
        return next((told.dropped_by for _, told in self.explanations() if told.dropped_by), "")

    @property
    def journey(self) -> Journey:
        """How it was opened."""
        return self.journeys[0]

    def opened(self) -> None:
        """Open the connection."""
        self.journeys.append(self.connection.open())

    def request(self, payload: bytes = b"request") -> Answer:
        """Ask something on the open connection."""
        self.journeys.append(self.connection.request(payload))
        return self.heard

    def wait(self, seconds: float) -> Answer:
        """Let time pass, and listen."""
        self.journeys.append(self.connection.wait(seconds))
        return self.heard

    def close(self) -> None:
        """End it."""
        self.journeys.append(self.connection.close())

    def explanations(self) -> Iterator[tuple[str, Explanation]]:
        """Each hop of the opening with its host's explanation; the cluster has to have been asked to trace."""
        for hop in self.journey.hops:
            if hop.packet is not None and hop.outcome.trace is not None:
                yield hop.host, Explanation(hop.packet, hop.device, hop.outcome)

    def explain(self, *, full: bool = False) -> str:
        """The whole journey, hop by hop; with *full* everything that each host did."""
        told = []
        for host, explanation in self.explanations():
            told.append(f"{self.directory.name_of(host)}:")
            told += [f"    {line}" for line in (explanation.full() if full else explanation.hops()).splitlines()]
        told += [str(lost) for lost in self.journey.lost]
        return "\n".join([*told, str(self)])

    def __str__(self) -> str:
        connection = self.connection
        what = f"{self.source} -> {connection.target} {connection.protocol}: {connection.heard.value}"
        if not self.backend:
            return what
        who = f" by {self.endpoint} on {self.directory.home_of(self.backend)}"
        return f"{what}{who if self.heard is Answer.ANSWERED else f', taken{who}'}, which saw {self.seen_from}"
