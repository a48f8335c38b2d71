"""
What is configured of IPVS: services, destinations, timeouts; and the counters that are read back.

Behaviour of: ip_vs_ctl. The errors are those that ipvsadm prints. A deleted destination goes to the trash with its
counters, and comes out of it when it is added again to a service of the same name.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator

import attrs

from svcsim.addr import Family
from svcsim.clock import SECOND, Timer
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.hooks import HookEntry, Host
from svcsim.lb.conn import ConnTable
from svcsim.lb.scheduler import Scheduler, make_scheduler
from svcsim.lb.service import Destination, ForwardingMethod, ServiceFlags, ServiceKey, TunnelType, VirtualService
from svcsim.lb.states import TCP_TABLE, TCP_TIMEOUTS, UDP_TIMEOUT
from svcsim.lb.stats import INTERVAL, Stats
from svcsim.lb.sysctls import PARAMETERS
from svcsim.lb.table import ServiceTable
from svcsim.route import RouteKind

__all__ = ["Control"]

_KERNEL_SAYS = 255  # the exit code of ipvsadm after an error of the kernel
_INVALID = "Invalid operation.  Possibly wrong module version, address not unicast, ..."
_TRASH_PERIOD, _TRASH_IDLE = 60 * SECOND, 120 * SECOND
_MAX_WEIGHT = 2**31 - 1
_LINK_LOCAL = 0x3FA  # fe80::/10, the first ten bits
_ESTABLISHED, _FIN_WAIT = 1, 4
_FTP = 21
_AT_HAND = ("backup_only", "conntrack", "nat_icmp_send", "snat_reroute")


def _exists(text: str) -> ExistsError:
    return ExistsError(text, exit_code=_KERNEL_SAYS)


def _missing(text: str) -> MissingError:
    return MissingError(text, exit_code=_KERNEL_SAYS)


@attrs.define(eq=False)
class _Trashed:
    destination: Destination
    key: ServiceKey
    idle_since: int | None = None


class Control(abc.ABC):
    """The configuration of the load balancer of one host."""

    conns: ConnTable

    def __init__(self, host: Host) -> None:
        self.host = host
        self.clock = host.clock
        self.sysctls = host.sysctls
        self.sysctls.declare([p for p in PARAMETERS if host.kernel >= (6, 2) or ".est_" not in p.name])
        self.table = ServiceTable()
        self.stats = Stats()  # of everything
        self.tcp_timeouts = [seconds * SECOND for seconds in TCP_TIMEOUTS]
        self.udp_timeout = UDP_TIMEOUT * SECOND
        self.tcp_table = TCP_TABLE
        self.passive = self.tracks = self.nat_icmp_send = False
        self.reroutes = True
        self.next_estimate = INTERVAL
        self._trash: list[_Trashed] = []
        self._trash_timer: Timer | None = None
        self._registered: dict[Family, tuple[HookEntry, ...]] = {}
        for name in _AT_HAND:
            self.sysctls.on_write(f"net.ipv4.vs.{name}", self._parameters_written)

    @abc.abstractmethod
    def entries(self) -> tuple[HookEntry, ...]:
        """The hook functions."""

    # -- services -----------------------------------------------------------------------------------------------------

    @property
    def services(self) -> Iterator[VirtualService]:
        """The services in the order of a kernel dump."""
        return iter(self.table)

    def service(self, key: ServiceKey) -> VirtualService:
        """The service of this key."""
        found = self.table.get(key)
        if found is None:
            raise _missing("No such service")
        return found

    def add_service(
        self,
        key: ServiceKey,
        scheduler: str = "wlc",
        *,
        flags: int = 0,
        timeout: int = 0,
        netmask: int | None = None,
    ) -> VirtualService:
        """
        Add a service; *timeout* in seconds and *netmask* (IPv6: prefix length) matter with the PERSISTENT flag.

        The first service of a family hangs IPVS at the hooks.
        """
        if self.table.get(key) is not None:
            raise _exists("Service already exists")
        made = self._scheduler(scheduler)
        if netmask is None:
            netmask = 0xFFFFFFFF if key.family is Family.IPV4 else 128
        if key.family is Family.IPV6 and not 1 <= netmask <= 128:
            raise ConfigError(_INVALID, exit_code=_KERNEL_SAYS)
        service = VirtualService(key, made, flags | ServiceFlags.HASHED, timeout, netmask)
        made.bind(service, self.host)
        self.table.unprivileged = self.sysctls.values.get("net.ipv4.ip_unprivileged_port_start", 1024)  # type: ignore[assignment]
        self.table.add(service)
        if key.family not in self._registered:
            self._registered[key.family] = self.entries()
            self.host.hooks[key.family].register(*self._registered[key.family])
        return service

    def edit_service(
        self,
        key: ServiceKey,
        scheduler: str = "wlc",
        *,
        flags: int = 0,
        timeout: int = 0,
        netmask: int | None = None,
    ) -> VirtualService:
        """Replace what a service says; the scheduler starts anew only if it is another one."""
        service = self.service(key)
        if scheduler != service.scheduler.name:
            made = self._scheduler(scheduler)
            service.scheduler.unbind(service)
            service.scheduler = made
            service.flags = flags | ServiceFlags.HASHED
            made.bind(service, self.host)
        service.flags = flags | ServiceFlags.HASHED
        service.timeout = timeout
        service.netmask = netmask if netmask is not None else (0xFFFFFFFF if key.family is Family.IPV4 else 128)
        return service

    def _scheduler(self, name: str) -> Scheduler:
        try:
            return make_scheduler(name, self.host.kernel)
        except MissingError as error:
            raise _missing(str(error)) from error

    def delete_service(self, key: ServiceKey) -> None:
        """Delete a service; its connections stay until their time is up, without a destination to go to."""
        self._remove(self.service(key))

    def flush(self) -> None:
        """Delete every service."""
        for service in list(self.table):
            self._remove(service)

    def _remove(self, service: VirtualService) -> None:
        self.table.remove(service)
        service.scheduler.unbind(service)
        for destination in list(service.destinations):
            destination.available = False
            self._discard(service, destination)
        service.destinations.clear()
        family = service.key.family
        if service.needs_tracking:
            self.host.tracking[family].disable()
        if not any(other.key.family is family for other in self.table):
            self.host.hooks[family].unregister(*self._registered.pop(family))
        self._flush_nodest()

    # -- destinations -------------------------------------------------------------------------------------------------

    def add_destination(
        self,
        key: ServiceKey,
        address: int,
        port: int,
        *,
        weight: int = 1,
        method: ForwardingMethod = ForwardingMethod.MASQ,
        upper_threshold: int = 0,
        lower_threshold: int = 0,
        family: Family | None = None,
        tunnel: TunnelType = TunnelType.IPIP,
        tunnel_port: int = 0,
        tunnel_checksum: str = "nocsum",
    ) -> Destination:
        """Add a destination at the head of a service's list; one that is in the trash comes back with its counters."""
        service = self._defined(key)
        family = family or key.family
        self._check(weight, upper_threshold, lower_threshold)
        if service.find(family, address, port) is not None:
            raise _exists("Destination already exists")
        mixed = family is not key.family and method is not ForwardingMethod.TUNNEL
        kind = self.host.routes[family].address_type(address)
        odd = family is Family.IPV6 and kind is RouteKind.UNICAST and (address == 0 or address >> 118 == _LINK_LOCAL)
        unicast = kind in (RouteKind.LOCAL, RouteKind.UNICAST) and not odd
        if mixed or not unicast or (tunnel is TunnelType.GUE and not tunnel_port):
            raise ConfigError(_INVALID, exit_code=_KERNEL_SAYS)
        destination = self._revived(service, family, address, port)
        if destination is None:
            destination = Destination(family, address, port)
        destination.service = service
        destination.available = True
        destination.last_weight = weight
        self._set(service, destination, weight, method, upper_threshold, lower_threshold)
        destination.tunnel, destination.tunnel_port, destination.tunnel_checksum = tunnel, tunnel_port, tunnel_checksum
        service.destinations.insert(0, destination)
        service.scheduler.destination_added(service, destination)
        return destination

    def edit_destination(
        self,
        key: ServiceKey,
        address: int,
        port: int,
        *,
        weight: int = 1,
        method: ForwardingMethod = ForwardingMethod.MASQ,
        upper_threshold: int = 0,
        lower_threshold: int = 0,
        family: Family | None = None,
        tunnel: TunnelType = TunnelType.IPIP,
        tunnel_port: int = 0,
        tunnel_checksum: str = "nocsum",
    ) -> Destination:
        """Replace what a destination says; its place in the list, its counters and its connections stay."""
        service = self._defined(key)
        self._check(weight, upper_threshold, lower_threshold)
        destination = self._found(service, family or key.family, address, port)
        self._set(service, destination, weight, method, upper_threshold, lower_threshold)
        destination.tunnel, destination.tunnel_port, destination.tunnel_checksum = tunnel, tunnel_port, tunnel_checksum
        service.scheduler.destination_updated(service, destination)
        return destination

    def delete_destination(self, key: ServiceKey, address: int, port: int, *, family: Family | None = None) -> None:
        """Take a destination out of a service's list; its connections go on as the sysctls say."""
        service = self._defined(key)
        destination = self._found(service, family or key.family, address, port)
        index = service.destinations.index(destination)
        destination.available = False
        del service.destinations[index]
        service.scheduler.destination_removed(service, destination, index)
        self._discard(service, destination)
        self._flush_nodest()

    def _defined(self, key: ServiceKey) -> VirtualService:
        found = self.table.get(key)
        if found is None:
            raise _missing("Service not defined")
        return found

    @staticmethod
    def _found(service: VirtualService, family: Family, address: int, port: int) -> Destination:
        found = service.find(family, address, port)
        if found is None:
            raise _missing("No such destination")
        return found

    @staticmethod
    def _check(weight: int, upper: int, lower: int) -> None:
        if not 0 <= weight <= _MAX_WEIGHT or lower > upper:
            raise ConfigError("Numerical result out of range", exit_code=_KERNEL_SAYS)

    def _set(
        self,
        service: VirtualService,
        destination: Destination,
        weight: int,
        method: ForwardingMethod,
        upper: int,
        lower: int,
    ) -> None:
        if method is ForwardingMethod.MASQ and service.key.port == _FTP and not service.needs_tracking:
            service.needs_tracking = True
            self.host.tracking[service.key.family].enable()
        if weight:
            destination.last_weight = weight
        destination.weight = weight
        destination.method = method
        destination.upper_threshold, destination.lower_threshold = upper, lower
        destination.judge_load()

    # -- the trash ----------------------------------------------------------------------------------------------------

    def _discard(self, service: VirtualService, destination: Destination) -> None:
        self._trash.append(_Trashed(destination, service.key))
        if self._trash_timer is None or not self._trash_timer.pending:
            self._trash_timer = self.clock.call_after(_TRASH_PERIOD, self._empty_trash)

    def _revived(self, service: VirtualService, family: Family, address: int, port: int) -> Destination | None:
        for trashed in self._trash:
            old = trashed.destination
            if trashed.key == service.key and (old.family, old.address, old.port) == (family, address, port):
                self._trash.remove(trashed)
                if old.service is not service:
                    old.stats.reset()
                return old
        return None

    def _empty_trash(self) -> None:
        now, kept = self.clock.now, []
        for trashed in self._trash:
            if trashed.destination.references or self._remembered(trashed.destination):
                kept.append(trashed)
                continue
            if trashed.idle_since is None:
                trashed.idle_since = now
            if now - trashed.idle_since < _TRASH_IDLE:
                kept.append(trashed)
        self._trash = kept
        if kept:
            self._trash_timer = self.clock.call_after(_TRASH_PERIOD, self._empty_trash)

    def _remembered(self, destination: Destination) -> bool:
        return any(service.scheduler.holds(destination) for service in self.table)

    def _flush_nodest(self) -> None:
        """With expire_nodest_conn, the connections of destinations that are gone go too, before the next packet."""
        if not self.sysctls["net.ipv4.vs.expire_nodest_conn"]:
            return
        for conn in self.conns:
            if conn.dest is not None and not conn.dest.available and not conn.controlled:
                self.conns.delete(conn)
                if conn.control is not None and not conn.control.controlled:
                    self.conns.delete(conn.control)

    # -- timeouts, counters -------------------------------------------------------------------------------------------

    def set_timeouts(self, tcp: int = 0, tcp_fin: int = 0, udp: int = 0) -> None:
        """Set the timeouts (seconds) of ESTABLISHED, FIN_WAIT and UDP; 0 keeps one. They apply from the next packet."""
        if tcp:
            self.tcp_timeouts[_ESTABLISHED] = tcp * SECOND
        if tcp_fin:
            self.tcp_timeouts[_FIN_WAIT] = tcp_fin * SECOND
        if udp:
            self.udp_timeout = udp * SECOND

    @property
    def timeouts(self) -> tuple[int, int, int]:
        """The timeouts (seconds) of ESTABLISHED, FIN_WAIT and UDP."""
        tcp = self.tcp_timeouts
        return tcp[_ESTABLISHED] // SECOND, tcp[_FIN_WAIT] // SECOND, self.udp_timeout // SECOND

    def zero(self, key: ServiceKey | None = None) -> None:
        """Zero the counters of one service and its destinations, or of all."""
        self.estimate()
        chosen = list(self.table) if key is None else [self.service(key)]
        for service in chosen:
            for destination in service.destinations:
                destination.stats.zero()
            service.stats.zero()
        if key is None:
            self.stats.zero()

    def estimate(self) -> None:
        """Let the estimator's periods end that have ended by now."""
        now = self.clock.now
        if now < self.next_estimate:
            return
        periods = (now - self.next_estimate) // INTERVAL + 1
        self.next_estimate += periods * INTERVAL
        if not self.sysctls["net.ipv4.vs.run_estimation"]:
            return
        self.stats.estimate(periods)
        for service in self.table:
            service.stats.estimate(periods)
            for destination in service.destinations:
                destination.stats.estimate(periods)

    def _parameters_written(self) -> None:
        """Keep at hand what is looked at for every packet or connection."""
        values = {name: self.sysctls[f"net.ipv4.vs.{name}"] for name in _AT_HAND}
        self.passive = bool(values["backup_only"])
        self.tracks = bool(values["conntrack"])
        self.nat_icmp_send = bool(values["nat_icmp_send"])
        self.reroutes = bool(values["snat_reroute"])
