"""
`ip route`.

Behaviour of: iproute2 6.1. Several next hops, types of service and the options of a route's transport are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.route import DEFAULT, LOCAL, MAIN, RouteEntry, RouteKind, Routing
from svcsim.tools.command import Completed
from svcsim.tools.ip_words import Words, address_of, number_of, prefix_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["KINDS", "route", "table_name", "table_number"]

_TABLES = {"local": LOCAL, "main": MAIN, "default": DEFAULT}
_TABLE_NAMES = {number: name for name, number in _TABLES.items()}
_ALL_TABLES = 0
#: The types of route by their names.
KINDS = {kind.value: kind for kind in RouteKind if kind is not RouteKind.NONE}
_WITHOUT_DEVICE = (RouteKind.BLACKHOLE, RouteKind.UNREACHABLE, RouteKind.PROHIBIT, RouteKind.THROW)
_VALUED = frozenset({"dev", "oif", "via", "src", "table", "metric", "preference", "priority", "scope", "proto", "mtu"})
_REFUSED = frozenset(
    "advmss as congctl cwnd encap expires fastopen_no_cookie features hoplimit initcwnd initrwnd nexthop nhid pref "
    "quickack realms reordering rto_min rtt rttvar ssthresh tos dsfield ttl-propagate vrf weight window".split()
)
_SCOPES = frozenset({"global", "link", "host"})
_PROTOCOLS = frozenset({"kernel", "boot", "static", "ra", "dhcp", "bird", "zebra", "bgp", "ospf", "redirect"})


def table_number(text: str, *, what: str = '"table" value is invalid') -> int:
    """The number of a routing table, which may be named."""
    if text in _TABLES:
        return _TABLES[text]
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) < 1 << 32):
        raise ConfigError(f'Error: argument "{text}" is wrong: {what}\n', exit_code=255)
    return int(text)


def table_name(number: int) -> str:
    """The name of a routing table, or its number."""
    return _TABLE_NAMES.get(number, str(number))


def route(node: Node, words: Words, family: Family | None) -> Completed:
    """``ip route {add|append|change|replace|del|show|flush} [TYPE] PREFIX [via A] [dev D] [src A] [table T] ...``."""
    verbs = ("list", "show", "lst", "add", "append", "change", "chg", "replace", "delete", "get", "flush")
    verb = words.verb("route", verbs, default="show")
    if verb in ("list", "show", "lst"):
        return _show(node, words, family)
    if verb == "flush":
        return _flush(node, words, family)
    if not words:
        return Completed(255, "", "Usage: ip route { list | flush } SELECTOR\n")
    kind = KINDS.get(words.peek(), RouteKind.UNICAST)
    named = words.peek() in KINDS
    if named:
        words.take()
    if words.peek() == "to":
        words.take()
    given = words.options(_VALUED | {"protocol"}, positional="to", flags={"onlink"}, refused=_REFUSED, command="route")
    if "to" not in given:
        raise ConfigError('Command line is not complete. Try option "help"', exit_code=255)
    if "protocol" in given:
        given["proto"] = given.pop("protocol")
    if "oif" in given:
        given["dev"] = given.pop("oif")
    if family is None and "via" in given:
        family = address_of(given["via"], None).family
    prefix = prefix_of(given["to"], family)
    gateway = address_of(given["via"], prefix.family).value if "via" in given else 0
    in_local = kind in (RouteKind.LOCAL, RouteKind.BROADCAST)
    table = table_number(given.get("table", "local" if in_local else "main"))
    routing = node.routes[prefix.family]
    if verb == "delete":
        return _delete(routing, table, prefix, kind if named else None, gateway, given)
    host = given["to"].partition("/")[0]
    if prefix.length and parse_address(host).value & ~prefix.mask & prefix.family.all_ones:
        raise ConfigError("Error: Invalid prefix for given prefix length.", exit_code=2)
    entry = _entry(routing, prefix, kind, given, gateway)
    if verb in ("change", "chg") and _same(routing, entry, table) is None:
        raise MissingError("RTNETLINK answers: No such file or directory", exit_code=2)
    if verb == "append" and _same(routing, entry, table) is not None:
        raise UnsupportedError("a second route to the same network", instead="give it another metric")
    routing.add(entry, table, replace=verb in ("replace", "change", "chg"))
    return Completed()


def _same(routing: Routing, entry: RouteEntry, table: int) -> RouteEntry | None:
    """The route that *entry* would stand beside."""
    metric = entry.metric or (1024 if routing.family is Family.IPV6 else 0)
    return next((e for e in routing.entries(table) if (e.prefix, e.metric) == (entry.prefix, metric)), None)


def _entry(routing: Routing, prefix: Prefix, kind: RouteKind, given: dict[str, str], gateway: int) -> RouteEntry:
    family, device = prefix.family, given.get("dev", "")
    if device and device not in routing.devices:
        raise MissingError(f'Cannot find device "{device}"')
    if kind in _WITHOUT_DEVICE:
        if device or gateway:
            message = "Error: Gateway, device and multipath can not be specified for this route type."
            raise ConfigError(message, exit_code=2)
    elif gateway and kind is RouteKind.UNICAST and "onlink" not in given:
        device = _way_to(routing, gateway, device)
    if kind not in _WITHOUT_DEVICE and not device:
        raise ConfigError("RTNETLINK answers: No such device", exit_code=2)
    if device and not routing.devices[device].up and kind is not RouteKind.LOCAL:
        raise ConfigError("Error: Device for nexthop is not up.", exit_code=2)
    source = address_of(given["src"], family).value if "src" in given else 0
    if source and not routing.is_local(source):
        name = "prefsrc" if family is Family.IPV4 else "source"
        raise ConfigError(f"Error: Invalid {name} address.", exit_code=2)
    scope = given.get("scope")
    if scope is None:
        scope = "host" if kind is RouteKind.LOCAL else "global" if gateway or kind in _WITHOUT_DEVICE else "link"
    protocol = given.get("proto", "boot")
    if scope not in _SCOPES:
        raise ConfigError(f'Error: argument "{scope}" is wrong: "scope" value is invalid\n', exit_code=255)
    if protocol not in _PROTOCOLS and not (protocol.isascii() and protocol.isdigit()):
        raise ConfigError(f'Error: argument "{protocol}" is wrong: "protocol" value is invalid\n', exit_code=255)
    mtu = number_of("mtu", given.get("mtu", "0"))
    return RouteEntry(prefix, kind, device, gateway, source, _metric(given), scope, protocol, mtu)


def _metric(given: dict[str, str]) -> int:
    for word in ("metric", "preference", "priority"):
        if word in given:
            return number_of("metric", given[word])
    return 0


def _way_to(routing: Routing, gateway: int, device: str) -> str:
    """The device by which a gateway is reached without another gateway."""
    if device and not routing.devices[device].up:
        raise ConfigError("Error: Device for nexthop is not up.", exit_code=2)
    hop = routing.lookup(gateway)
    found = routing.holder(gateway) if hop.is_local else hop.device
    on_link = hop.is_local or (hop.kind is RouteKind.UNICAST and not hop.gateway)
    if not on_link or (device and found != device):
        six = routing.family is Family.IPV6
        message = "RTNETLINK answers: No route to host" if six else "Error: Nexthop has invalid gateway."
        raise ConfigError(message, exit_code=2)
    return found


def _delete(
    routing: Routing, table: int, prefix: Prefix, kind: RouteKind | None, gateway: int, given: dict[str, str]
) -> Completed:
    """Delete the first route that is all that is said of it."""
    source = address_of(given["src"], prefix.family).value if "src" in given else 0
    metric = _metric(given)
    for entry in _sorted(routing, table):
        if (
            entry.prefix == prefix
            and kind in (None, entry.kind)
            and gateway in (0, entry.gateway)
            and source in (0, entry.source)
            and metric in (0, entry.metric)
            and given.get("dev", entry.device) == entry.device
            and given.get("proto", entry.protocol) == entry.protocol
            and given.get("scope", entry.scope) == entry.scope
        ):
            routing.tables[table].remove(entry)
            routing.changed()
            return Completed()
    raise MissingError("RTNETLINK answers: No such process", exit_code=2)


def _sorted(routing: Routing, table: int) -> list[RouteEntry]:
    """
    The routes of a table that can be used, in the order in which the kernel lists them.

    IPv4 by network and then the longer prefix first, IPv6 every network behind those within it.
    """

    def order(entry: RouteEntry) -> tuple[int, int]:
        prefix = entry.prefix
        length = prefix.length or 0
        if routing.family is Family.IPV4:
            return prefix.value, -length
        return prefix.value | ~prefix.mask & routing.family.all_ones, -length

    def usable(entry: RouteEntry) -> bool:
        device = routing.devices.get(entry.device)
        return not entry.device or entry.kind is RouteKind.LOCAL or (device is not None and device.up)

    return sorted(filter(usable, routing.entries(table)), key=order)


class _Selector:
    """Which routes a ``show`` or ``flush`` is about."""

    def __init__(self, words: Words, family: Family | None, command: str) -> None:
        valued = {"dev", "oif", "via", "src", "table", "proto", "protocol", "scope", "type", "root", "match", "exact"}
        given = words.options(valued | {"to"}, positional="to", refused=_REFUSED | {"cloned"}, command=command)
        for alias, word in (("oif", "dev"), ("protocol", "proto")):
            if alias in given:
                given[word] = given.pop(alias)
        self.given = given
        via = address_of(given["via"], family) if "via" in given else None
        if family is None and via is not None:
            family = via.family
        networks = {word: prefix_of(given[word], family) for word in ("to", "exact", "root", "match") if word in given}
        self.exact = networks.get("to", networks.get("exact"))
        self.root, self.match = networks.get("root"), networks.get("match")
        self.via = via.value if via is not None else 0
        kind = given.get("type")
        if kind is not None and kind not in KINDS:
            raise ConfigError(f'Error: argument "{kind}" is wrong: node type value is invalid\n', exit_code=255)
        self.kind = KINDS[kind] if kind is not None else None
        self.family = family or next((network.family for network in networks.values()), None)
        text = given.get("table", "local" if self.kind in (RouteKind.LOCAL, RouteKind.BROADCAST) else "main")
        self.table = _ALL_TABLES if text == "all" else table_number(text, what="table id value is invalid")

    def has(self, entry: RouteEntry) -> bool:
        """Whether it is about *entry*."""
        prefix, given = entry.prefix, self.given
        return (
            (self.exact is None or prefix == self.exact)
            and (self.root is None or (prefix.value in self.root and prefix.mask >= self.root.mask))
            and (
                self.match is None or (self.match.value in prefix and (prefix.length or 0) <= (self.match.length or 0))
            )
            and self.kind in (None, entry.kind)
            and self.via in (0, entry.gateway)
            and given.get("dev", entry.device) == entry.device
            and given.get("proto", entry.protocol) == entry.protocol
            and given.get("scope", entry.scope) == entry.scope
            and ("src" not in given or given["src"] == format_address(prefix.family, entry.source))
        )


def _no_table(routing: Routing, verb: str) -> Completed:
    return Completed(2, "", f"Error: ipv{int(routing.family)}: FIB table does not exist.\n{verb} terminated\n")


def _show(node: Node, words: Words, family: Family | None) -> Completed:
    chosen = _Selector(words, family, "route show")
    families = [chosen.family or Family.IPV4] if chosen.family or chosen.table else list(Family)
    out = []
    for each in families:
        routing = node.routes[each]
        if chosen.table and chosen.table not in routing.tables:
            return _no_table(routing, "Dump")
        tables = [chosen.table] if chosen.table else [MAIN, *sorted(t for t in routing.tables if t != MAIN)]
        for table in tables:
            entries = [entry for entry in _sorted(routing, table) if chosen.has(entry)]
            shown = table if not chosen.table and table != MAIN else 0
            out += [_line(each, entry, chosen.given, shown) + "\n" for entry in entries]
    return Completed(0, "".join(out))


def _flush(node: Node, words: Words, family: Family | None) -> Completed:
    if not words:
        raise ConfigError('"ip route flush" requires arguments.')
    if words.peek() == "cache":
        return Completed()  # the kernel has none to flush either
    chosen = _Selector(words, family, "route flush")
    routing = node.routes[chosen.family or Family.IPV4]
    if chosen.table and chosen.table not in routing.tables:
        return _no_table(routing, "Flush")
    for number in [chosen.table] if chosen.table else list(routing.tables):
        for entry in list(filter(chosen.has, routing.entries(number))):
            routing.tables[number].remove(entry)
    routing.changed()
    return Completed()


def _line(family: Family, entry: RouteEntry, hidden: dict[str, str], table: int) -> str:
    """A route as it is listed; what it was chosen by is *hidden*."""
    four = family is Family.IPV4
    words = [] if entry.kind is RouteKind.UNICAST else [entry.kind.value]
    length = entry.prefix.length
    host = format_address(family, entry.prefix.value)
    words.append("default" if length == 0 else host if length == family.bits else f"{host}/{length}")
    words += ["via", format_address(family, entry.gateway)] if entry.gateway and "via" not in hidden else []
    device = entry.device or ("" if four else "lo")
    words += ["dev", device] if device and "dev" not in hidden else []
    words += ["table", table_name(table)] if table else []
    words += ["proto", entry.protocol] if entry.protocol != "boot" and "proto" not in hidden else []
    words += ["scope", entry.scope] if four and entry.scope != "global" and "scope" not in hidden else []
    words += ["src", format_address(family, entry.source)] if entry.source else []
    words += ["metric", str(entry.metric)] if entry.metric or not four else []
    words += ["mtu", str(entry.mtu)] if entry.mtu else []
    return " ".join(words) + (" " if four else " pref medium")
