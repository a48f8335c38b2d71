"""
The routing decision: policy rules, tables, longest prefix.

Behaviour of: the kernel's FIB (`ip rule`, `ip route`). The local table is asked first, so an address of this host wins
over any route; a table without an answer passes the question to the next rule. Answers are kept until a change.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator

import attrs

from svcsim.addr import Family, Prefix, format_address
from svcsim.device import Device, DeviceAddress, Devices
from svcsim.errors import ConfigError, ExistsError, MissingError

__all__ = ["DEFAULT", "LOCAL", "MAIN", "Route", "RouteEntry", "RouteKind", "RouteRule", "Routing"]

LOCAL, MAIN, DEFAULT = 255, 254, 253

#: More answers than this are forgotten at once rather than kept.
_CACHE_SIZE = 1 << 16
#: What a route that names no metric gets: IPv6 says 1024.
_IPV6_METRIC = 1024
_LIMITED_BROADCAST = 0xFFFFFFFF


class RouteKind(enum.Enum):
    """What a route says of a destination; NONE where there is no route at all."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    MULTICAST = "multicast"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"
    THROW = "throw"
    NONE = "none"


@attrs.frozen
class Route:
    """
    An answer: go by *device*, over *gateway* (0: the destination is on the link), from *source* where none is chosen.

    *scope* is ``host``, ``link`` or ``global`` (has a gateway), as `ip route` prints it.
    """

    kind: RouteKind
    device: str = ""
    gateway: int = 0
    source: int = 0
    mtu: int = 65535
    scope: str = "global"
    table: int = MAIN

    @property
    def is_local(self) -> bool:
        """Whether the packet is for this host."""
        return self.kind is RouteKind.LOCAL

    def __str__(self) -> str:
        if self.kind is RouteKind.UNICAST:
            family = Family.IPV6 if max(self.gateway, self.source) >> 32 else Family.IPV4
            return (f"via {format_address(family, self.gateway)} " if self.gateway else "") + f"dev {self.device}"
        return f"{self.kind.value} dev {self.device}" if self.device else str(self.kind.value)


@attrs.frozen
class RouteEntry:
    """One line of a table: *prefix* and what to do with it; *source* 0 leaves the choice to the device's addresses."""

    prefix: Prefix
    kind: RouteKind = RouteKind.UNICAST
    device: str = ""
    gateway: int = 0
    source: int = 0
    metric: int = 0
    scope: str = "link"
    protocol: str = "boot"
    mtu: int = 0


@attrs.frozen(order=True)
class RouteRule:
    """A policy rule: packets that fit its selectors ask *table*. *mark* is compared under *mask*."""

    priority: int
    table: int
    source: Prefix | None = None
    destination: Prefix | None = None
    mark: int = 0
    mask: int = 0
    indev: str = ""
    outdev: str = ""
    kind: RouteKind = RouteKind.UNICAST

    def fits(self, src: int, dst: int, mark: int, indev: str, outdev: str) -> bool:
        """Whether a packet is the rule's business."""
        return (
            (self.source is None or src in self.source)
            and (self.destination is None or dst in self.destination)
            and mark & self.mask == self.mark
            and (not self.indev or self.indev == indev)
            and (not self.outdev or self.outdev == outdev)
        )


class _Table:
    """Routes by prefix length and prefix."""

    def __init__(self) -> None:
        self.by_mask: dict[int, dict[int, list[RouteEntry]]] = {}
        self.masks: tuple[int, ...] = ()  # longest first

    def add(self, entry: RouteEntry) -> None:
        same = self.by_mask.setdefault(entry.prefix.mask, {}).setdefault(entry.prefix.value, [])
        at = sum(1 for e in same if e.metric <= entry.metric)
        same.insert(at, entry)
        self.masks = tuple(sorted(self.by_mask, reverse=True))

    def remove(self, entry: RouteEntry) -> None:
        values = self.by_mask[entry.prefix.mask]
        values[entry.prefix.value].remove(entry)
        if not values[entry.prefix.value]:
            del values[entry.prefix.value]
        if not values:
            del self.by_mask[entry.prefix.mask]
            self.masks = tuple(sorted(self.by_mask, reverse=True))

    def candidates(self, dst: int) -> Iterator[RouteEntry]:
        for mask in self.masks:
            yield from self.by_mask[mask].get(dst & mask, ())

    def __contains__(self, entry: RouteEntry) -> bool:
        return entry in self.by_mask.get(entry.prefix.mask, {}).get(entry.prefix.value, ())

    def __iter__(self) -> Iterator[RouteEntry]:
        for mask in sorted(self.by_mask):
            for value in sorted(self.by_mask[mask]):
                yield from self.by_mask[mask][value]


class Routing:
    """
    The routes of one family on one host.

    >>> devices = Devices()
    >>> routing = Routing(Family.IPV4, devices)
    >>> eth0 = devices.add("eth0")
    >>> routing.add_address(eth0, DeviceAddress(Family.IPV4, 0xC0000201, 24))
    >>> routing.add(RouteEntry(Prefix.parse("0.0.0.0/0"), device="eth0", gateway=0xC00002FE, scope="global"))
    >>> print(routing.lookup(0xC0000209)); print(routing.lookup(0x08080808)); print(routing.lookup(0xC0000201))
    dev eth0
    via 192.0.2.254 dev eth0
    local dev lo
    """

    def __init__(self, family: Family, devices: Devices) -> None:
        self.family = family
        self.devices = devices
        self.tables: dict[int, _Table] = {LOCAL: _Table(), MAIN: _Table(), DEFAULT: _Table()}
        self.rules: list[RouteRule] = [RouteRule(0, LOCAL), RouteRule(32766, MAIN)]
        if family is Family.IPV4:
            self.rules.append(RouteRule(32767, DEFAULT))
        self.on_change: list[Callable[[], None]] = []  # told of every change, so that others can keep answers too
        self._cache: dict[int | tuple[int, int, int, str, str], Route] = {}
        self.has_custom_local = False  # somebody added a local route of their own, once
        self._plain = True  # no rule looks at anything but the destination
        self._connected: dict[tuple[str, DeviceAddress], list[tuple[int, RouteEntry]]] = {}
        self._owned: Counter[int] = Counter()
        self._held: dict[tuple[str, Prefix], set[int]] = {}  # the addresses in each subnet of a device
        for address in devices["lo"].of_family(family):
            self._connect(devices["lo"], address)

    def lookup(self, dst: int, src: int = 0, mark: int = 0, indev: str = "", outdev: str = "") -> Route:
        """Decide where *dst* goes; *outdev* restricts the answer to one device."""
        key = dst if self._plain and not outdev else (dst, src, mark, indev, outdev)
        route = self._cache.get(key)
        if route is None:
            route = self._resolve(dst, src, mark, indev, outdev)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[key] = route
        return route

    def _resolve(self, dst: int, src: int, mark: int, indev: str, outdev: str) -> Route:
        rule, entry = self.decide(dst, src, mark, indev, outdev)
        if rule is None:
            return Route(RouteKind.NONE)
        if entry is None:  # an "unreachable" rule is answered as if there were no route
            return Route(RouteKind.NONE if rule.kind is RouteKind.UNREACHABLE else rule.kind)
        return self._answer(entry, dst, rule.table, self.devices.get(entry.device))

    def decide(
        self, dst: int, src: int = 0, mark: int = 0, indev: str = "", outdev: str = ""
    ) -> tuple[RouteRule | None, RouteEntry | None]:
        """The policy rule that decides where *dst* goes, and the entry of its table if it is a table that does."""
        for rule in self.rules:
            if not rule.fits(src, dst, mark, indev, outdev):
                continue
            if rule.kind is not RouteKind.UNICAST:
                return rule, None
            table = self.tables.get(rule.table)
            if table is None:
                continue
            for entry in table.candidates(dst):
                if entry.kind is RouteKind.THROW:
                    break
                device = self.devices.get(entry.device)
                if entry.device and (device is None or (not device.up and entry.kind is not RouteKind.LOCAL)):
                    continue
                if outdev and entry.device != outdev:
                    continue
                return rule, entry
        return None, None

    def _answer(self, entry: RouteEntry, dst: int, table: int, device: Device | None) -> Route:
        if entry.kind is RouteKind.LOCAL:
            return Route(RouteKind.LOCAL, "lo", 0, entry.source or dst, 65536, "host", table)
        if device is None:
            return Route(entry.kind, table=table)
        source = entry.source or self.select_source(entry.device, entry.gateway or dst)
        if dst == _LIMITED_BROADCAST and self.family is Family.IPV4:
            return Route(RouteKind.BROADCAST, entry.device, 0, source, device.mtu, "link", table)
        return Route(entry.kind, entry.device, entry.gateway, source, entry.mtu or device.mtu, entry.scope, table)

    def add(self, entry: RouteEntry, table: int = MAIN, *, replace: bool = False) -> None:
        """Add a route; one of the same prefix and metric is refused, or with *replace* replaced."""
        if entry.prefix.family is not self.family:
            raise ConfigError("Error: any valid prefix is expected rather than this.")
        if entry.device and entry.device not in self.devices:
            raise MissingError(f'Cannot find device "{entry.device}"')
        if entry.metric == 0 and self.family is Family.IPV6 and table != LOCAL:
            entry = attrs.evolve(entry, metric=_IPV6_METRIC)
        self.has_custom_local = self.has_custom_local or entry.kind is RouteKind.LOCAL
        routes = self.tables.setdefault(table, _Table())
        for same in routes.by_mask.get(entry.prefix.mask, {}).get(entry.prefix.value, ()):
            if same.metric == entry.metric and table != LOCAL:
                if not replace:
                    raise ExistsError("RTNETLINK answers: File exists", exit_code=2)
                routes.remove(same)
                break
        routes.add(entry)
        self.changed()

    def delete(self, prefix: Prefix, table: int = MAIN, *, device: str = "", gateway: int = 0) -> None:
        """Delete the first route to *prefix* that fits what else is given."""
        routes = self.tables.get(table)
        for entry in routes or ():
            fits = (not device or entry.device == device) and (not gateway or entry.gateway == gateway)
            if entry.prefix == prefix and fits and routes is not None:
                routes.remove(entry)
                self.changed()
                return
        raise MissingError("RTNETLINK answers: No such process", exit_code=2)

    def entries(self, table: int = MAIN) -> Iterator[RouteEntry]:
        """The routes of a table, shortest prefix first."""
        return iter(self.tables.get(table, ()))

    def add_rule(self, rule: RouteRule) -> None:
        """Add a policy rule behind those of its priority."""
        if rule in self.rules:
            raise ExistsError("RTNETLINK answers: File exists", exit_code=2)
        self.rules.insert(sum(1 for r in self.rules if r.priority <= rule.priority), rule)
        self.changed()

    def delete_rule(self, rule: RouteRule) -> None:
        """Delete a policy rule."""
        if rule not in self.rules:
            raise MissingError("RTNETLINK answers: No such file or directory", exit_code=2)
        self.rules.remove(rule)
        self.changed()

    def changed(self) -> None:
        """Forget answers: something they rest on has changed."""
        self._cache.clear()
        for tell in self.on_change:
            tell()
        basic = (0, LOCAL), (32766, MAIN), (32767, DEFAULT)
        self._plain = all((r.priority, r.table) in basic and r == RouteRule(r.priority, r.table) for r in self.rules)

    @property
    def has_custom_rules(self) -> bool:
        """Whether a policy rule was added or taken away."""
        return not self._plain or len(self.rules) != (3 if self.family is Family.IPV4 else 2)

    def add_address(self, device: Device, address: DeviceAddress) -> None:
        """Put an address on a device: it becomes local, and its subnet connected."""
        neighbours = self._held.get((device.name, address.subnet), ())
        if address.address in neighbours:
            raise ExistsError("RTNETLINK answers: File exists", exit_code=2)
        if neighbours and self.family is Family.IPV4:
            address = attrs.evolve(address, secondary=True)
        device.addresses.append(address)
        self._connect(device, address)
        self.changed()

    def remove_address(self, device: Device, address: int, length: int | None = None) -> DeviceAddress:
        """Take an address off a device, with the routes that it brought."""
        for held in device.of_family(self.family):
            if held.address == address and length in (None, held.length):
                device.addresses.remove(held)
                self._disconnect(device, held)
                if self.family is Family.IPV4 and not any(device.of_family(self.family)):
                    self._forget_routes_by(device)  # a device without addresses speaks IPv4 no more
                self.changed()
                return held
        raise MissingError("RTNETLINK answers: Cannot assign requested address", exit_code=2)

    def add_device(self, device: Device) -> None:
        """Know a new device: in IPv6 each is a way to every multicast group, the first one is taken."""
        if self.family is Family.IPV6 and device.kind != "loopback":
            groups = Prefix(self.family, 0xFF << 120, 0xFF << 120)
            self.tables[LOCAL].add(RouteEntry(groups, RouteKind.MULTICAST, device.name, 0, 0, 256, "global", "kernel"))
            self.changed()

    def remove_device(self, device: Device) -> None:
        """Forget every route by a device that has gone."""
        for held in list(device.of_family(self.family)):
            self._disconnect(device, held)
        self._forget_routes_by(device)
        self.changed()

    def forget_added_routes(self, device: Device) -> None:
        """Forget the routes by a device that somebody added; what its addresses brought stays."""
        for table in self.tables.values():
            for entry in [e for e in table if e.device == device.name and e.protocol != "kernel"]:
                if entry.kind is not RouteKind.LOCAL:
                    table.remove(entry)

    def _forget_routes_by(self, device: Device) -> None:
        for table in self.tables.values():
            for entry in [e for e in table if e.device == device.name]:
                table.remove(entry)

    def _connect(self, device: Device, address: DeviceAddress) -> None:
        brought: list[tuple[int, RouteEntry]] = []
        host = Prefix(self.family, address.address, self.family.all_ones)
        source = address.address if self.family is Family.IPV4 else 0
        local = RouteEntry(host, RouteKind.LOCAL, device.name, 0, source, 0, "host", "kernel")
        brought.append((LOCAL, local))
        if device.kind == "loopback" and self.family is Family.IPV4:
            brought.append((LOCAL, attrs.evolve(local, prefix=address.subnet)))
        elif address.length < self.family.bits and not address.secondary:
            metric = 0 if self.family is Family.IPV4 else 256
            connected = RouteEntry(address.subnet, RouteKind.UNICAST, device.name, 0, source, metric, "link", "kernel")
            brought.append((MAIN, connected))
        if address.broadcast is not None and not address.secondary:
            last = Prefix(self.family, address.broadcast, self.family.all_ones)
            brought.append((LOCAL, attrs.evolve(local, prefix=last, kind=RouteKind.BROADCAST, scope="link")))
        for table, entry in brought:
            self.tables[table].add(entry)
        self._connected[device.name, address] = brought
        self._held.setdefault((device.name, address.subnet), set()).add(address.address)
        self._owned[address.address] += 1

    def _disconnect(self, device: Device, address: DeviceAddress) -> None:
        self._held[device.name, address.subnet].discard(address.address)
        self._owned[address.address] -= 1
        if not self._owned[address.address]:
            del self._owned[address.address]
        for table, entry in self._connected.pop((device.name, address), ()):
            if entry in self.tables[table]:
                self.tables[table].remove(entry)

    def address_type(self, address: int, device: str = "") -> RouteKind:
        """What an address is to this host by its local table alone; anything not found there is UNICAST."""
        if self.family is Family.IPV4:
            if address == 0xFFFFFFFF or address == 0:
                return RouteKind.BROADCAST
            if address >> 28 == 0xE:
                return RouteKind.MULTICAST
        elif address >> 120 == 0xFF:
            return RouteKind.MULTICAST
        for entry in self.tables[LOCAL].candidates(address):
            if not device or entry.device == device:
                return entry.kind
        return RouteKind.UNICAST

    def is_local(self, address: int, device: str = "") -> bool:
        """Whether *address* belongs to this host (to *device*, if one is named)."""
        return self.address_type(address, device) is RouteKind.LOCAL

    def owns(self, address: int) -> bool:
        """Whether *address* is on one of this host's devices; of 127/8 only that of ``lo`` itself is."""
        return address in self._owned

    def holder(self, address: int) -> str:
        """The device that has *address*, empty if none has."""
        for entry in self.tables[LOCAL].candidates(address):
            return entry.device
        return ""

    def first_address(self, device: str) -> int:
        """The first address of *device*, 0 if it has none."""
        held = self.devices.get(device)
        return next((a.address for a in held.of_family(self.family)), 0) if held is not None else 0

    def select_source(self, device: str, next_hop: int) -> int:
        """
        The address that this host would use on *device* towards *next_hop*; 0 if it has none at all.

        The first primary address whose subnet holds the next hop, else the first primary one of global scope, else one
        of another device.
        """
        held = self.devices.get(device)
        first = 0
        if held is not None:
            for address in held.of_family(self.family):
                if address.secondary or address.scope == "host" or (self._is_link_local(address) and first):
                    continue
                if next_hop in address.subnet:
                    return address.address
                first = first or address.address
        if first:
            return first
        for other in self.devices.values():
            for address in other.of_family(self.family):
                if address.scope == "global" and not address.secondary:
                    return address.address
        return 0

    def _is_link_local(self, address: DeviceAddress) -> bool:
        return self.family is Family.IPV6 and address.address >> 118 == 0x3FA
