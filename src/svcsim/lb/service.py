"""
Virtual services and their destinations, as values and state.

Behaviour of: struct ip_vs_service and struct ip_vs_dest. A service's list of destinations has the newest first, which
is the order that every scheduler walks.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from svcsim.addr import Family, format_address
from svcsim.lb.stats import Stats
from svcsim.packet import Proto

if TYPE_CHECKING:
    from svcsim.lb.scheduler import Scheduler

__all__ = ["Destination", "ForwardingMethod", "ServiceFlags", "ServiceKey", "TunnelType", "VirtualService"]


class ForwardingMethod(enum.IntEnum):
    """How packets reach a destination; *label* is what a listing says."""

    MASQ = 0
    LOCAL = 1
    TUNNEL = 2
    ROUTE = 3
    BYPASS = 4

    @property
    def label(self) -> str:
        """The word in a listing."""
        return self.name.capitalize()


class TunnelType(enum.IntEnum):
    """What a tunnelled packet is wrapped in."""

    IPIP = 0
    GUE = 1
    GRE = 2


class ServiceFlags:
    """The bits of a service's flags; plain integers, because they are tested for each new connection."""

    PERSISTENT = 0x01
    HASHED = 0x02
    ONE_PACKET = 0x04
    SCHED1 = 0x08
    SCHED2 = 0x10
    SCHED3 = 0x20


@attrs.frozen
class ServiceKey:
    """
    What names a service: protocol, address and port, or a firewall mark.

    >>> print(ServiceKey(Family.IPV4, Proto.TCP, 0x0A60000A, 80), ServiceKey.of_mark(16), sep=" | ")
    TCP 10.96.0.10:80 | FWM 16
    """

    family: Family
    proto: int
    address: int
    port: int
    fwmark: int = 0

    @classmethod
    def of_mark(cls, mark: int, family: Family = Family.IPV4) -> ServiceKey:
        """The key of the service of a firewall mark."""
        return cls(family, Proto.TCP, 0, 0, mark)

    def __str__(self) -> str:
        if self.fwmark:
            return f"FWM {self.fwmark}" + (" IPv6" if self.family is Family.IPV6 else "")
        host = format_address(self.family, self.address)
        return f"{Proto(self.proto).name} " + (f"[{host}]" if self.family == 6 else host) + f":{self.port}"


@attrs.define(eq=False)
class Destination:
    """
    A real server of one service.

    *active* and *inactive* count its connections, *persistent* its persistence templates. Once *upper_threshold* is
    reached it is *overloaded* until the load has fallen below *lower_threshold* (or, where that is 0, three quarters
    of the upper); `judge_load` says so whenever a connection comes or goes, and whenever somebody sets the thresholds.

    >>> print(Destination(Family.IPV4, 0x0AF40002, 8080, weight=3))
    10.244.0.2:8080
    """

    family: Family
    address: int
    port: int
    weight: int = 1
    method: ForwardingMethod = ForwardingMethod.MASQ
    upper_threshold: int = 0
    lower_threshold: int = 0
    tunnel: TunnelType = TunnelType.IPIP
    tunnel_port: int = 0
    tunnel_checksum: str = "nocsum"
    last_weight: int = attrs.field(init=False)
    tunnel_mtu: int = attrs.field(
        default=0, init=False
    )  # of the way there when something last went in; 0 once it is narrower
    active: int = attrs.field(default=0, init=False)
    inactive: int = attrs.field(default=0, init=False)
    persistent: int = attrs.field(default=0, init=False)
    references: int = attrs.field(default=0, init=False)  # connections and templates bound to it
    available: bool = attrs.field(default=True, init=False)
    overloaded: bool = attrs.field(default=False, init=False)
    service: VirtualService | None = attrs.field(default=None, init=False, repr=False)
    stats: Stats = attrs.field(factory=Stats, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.last_weight = self.weight

    def judge_load(self) -> None:
        """Be overloaded, or no more, as the thresholds say; between them nothing changes."""
        upper, lower, load = self.upper_threshold, self.lower_threshold, self.active + self.inactive
        if upper and load >= upper:
            self.overloaded = True
        elif not upper or (load < lower if lower else load * 4 < upper * 3):
            self.overloaded = False

    def __str__(self) -> str:
        host = format_address(self.family, self.address)
        return (f"[{host}]" if self.family == 6 else host) + f":{self.port}"


@attrs.define(eq=False)
class VirtualService:
    """
    A service: its *scheduler* chooses among *destinations* (newest first) for each new connection.

    *timeout* (seconds) and *netmask* matter with the PERSISTENT flag alone.
    """

    key: ServiceKey
    scheduler: Scheduler
    flags: int = 0
    timeout: int = 0
    netmask: int = 0xFFFFFFFF
    destinations: list[Destination] = attrs.field(factory=list)
    stats: Stats = attrs.field(factory=Stats, repr=False)
    needs_tracking: bool = False  # for FTP behind masquerading, from the first such destination on

    @property
    def persistent(self) -> bool:
        """Whether a client keeps its destination."""
        return bool(self.flags & ServiceFlags.PERSISTENT)

    @property
    def one_packet(self) -> bool:
        """Whether every datagram is scheduled for itself."""
        return bool(self.flags & ServiceFlags.ONE_PACKET)

    def find(self, family: Family, address: int, port: int) -> Destination | None:
        """The destination at an address and port."""
        for destination in self.destinations:
            if destination.address == address and destination.port == port and destination.family is family:
                return destination
        return None

    def __str__(self) -> str:
        return f"{self.key} {self.scheduler.name}"
