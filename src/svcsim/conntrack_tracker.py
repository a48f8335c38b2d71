"""
What a protocol's tracker is: it sees each packet of a connection, keeps its state and says how long it lives.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from svcsim.clock import SECOND
from svcsim.conntrack import Conn, Conntrack, Status
from svcsim.packet import Header
from svcsim.sysctl import Sysctl

__all__ = ["ACCEPT", "INVALID", "REOPEN", "Outcome", "Tracker"]

_MOST_SECONDS = (2**31 - 1) // 1000  # the kernel counts in ticks, which fit 32 bits
_FIXED = Status.FIXED_TIMEOUT


class Outcome(enum.Enum):
    """What a tracker says of a packet."""

    ACCEPT = "it belongs to the connection"
    INVALID = "it does not, though its tuple does"
    REOPEN = "it begins another connection of the same tuple; the old one is gone"


# For each packet: looking an enumeration's member up takes longer than to compare it.
ACCEPT, INVALID, REOPEN = Outcome


class Tracker:
    """
    Base of the trackers; *PARAMETERS* are those that it reads, under ``net.netfilter.nf_conntrack_``, with defaults.

    Most are times in seconds, and are kept ready in nanoseconds.
    """

    PREFIX: ClassVar = "net.netfilter.nf_conntrack_"
    PARAMETERS: ClassVar[dict[str, int]] = {}
    LIMITS: ClassVar[dict[str, int]] = {}  # of parameters that are no times

    def __init__(self, table: Conntrack) -> None:
        self._table = table
        self._clock = table.clock
        for name, default in self.PARAMETERS.items():
            most = self.LIMITS.get(name, _MOST_SECONDS)
            table.sysctls.declare([Sysctl(self.PREFIX + name, default, maximum=most)])
            table.sysctls.on_write(self.PREFIX + name, self.read_parameters)
        self.read_parameters()

    def read_parameters(self) -> None:
        """Take over what the parameters say now; called again whenever one is written."""

    def seconds(self, name: str) -> int:
        """A parameter that is a time, in nanoseconds."""
        return self.value(name) * SECOND

    def value(self, name: str) -> int:
        """A parameter of this tracker."""
        return self._table.sysctls[self.PREFIX + name]

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """
        Judge a packet of *conn*, in reply direction or not; *payload* is what follows *header*, *length* the IP length.

        A connection that is not confirmed sees its first packet. Whether a reply was seen says `Conn.status` as it was
        before this packet.
        """
        raise NotImplementedError

    def keep(self, conn: Conn, lifetime: int, is_reply: bool, length: int) -> None:
        """Let *conn* live on for *lifetime* nanoseconds, and account for the packet."""
        timer = conn.timer
        if timer is None:
            conn.lifetime = lifetime
        elif not conn.status & _FIXED:
            timer.reset(self._clock.now + lifetime)
        counters = conn.counters
        if counters is not None:
            at = 2 if is_reply else 0
            counters[at] += 1
            counters[at + 1] += length
