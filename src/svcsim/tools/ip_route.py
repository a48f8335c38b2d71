"""
`ip route` and `ip rule`.

Behaviour of: iproute2 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.route import DEFAULT, LOCAL, MAIN, Route, RouteEntry, RouteKind, RouteRule, Routing
from svcsim.tools.command import Completed
from svcsim.tools.ip_words import Words, prefix_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["get_route", "route", "rule"]

_TABLES = {"local": LOCAL, "main": MAIN, "default": DEFAULT, "all": 0}
_TABLE_NAMES = {LOCAL: "local", MAIN: "main", DEFAULT: "default"}
_KINDS = {kind.value: kind for kind in RouteKind if kind is not RouteKind.NONE}
_VALUED = {
    "dev", "via", "src", "table", "metric", "scope", "proto", "protocol", "mtu", "preference", "priority", "type",
}  # fmt: skip
_NOT_MODELLED = {"tos", "nexthop", "encap", "mpath", "realm", "window", "rtt", "nhid"}
_ERRORS = {
    RouteKind.NONE: ("Network is unreachable", 2),
    RouteKind.UNREACHABLE: ("No route to host", 2),
    RouteKind.PROHIBIT: ("Permission denied", 2),
    RouteKind.BLACKHOLE: ("Invalid argument", 2),
}


def _table(text: str) -> int:
    if text in _TABLES:
        return _TABLES[text]
    if not (text.isdigit() and 0 < int(text) < 1 << 32):
        raise ConfigError(f'Error: argument "{text}" is wrong: "table" value is invalid', exit_code=255)
    return int(text)


def _number(option: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ConfigError(f'Error: argument "{text}" is wrong: "{option}" value is invalid', exit_code=255) from None


def route(node: Node, words: Words, family: Family | None) -> Completed:
    """``ip route {add|append|change|replace|del|show|flush} ...``."""
    verb = words.verb(("add", "append", "change", "replace", "delete", "show", "list", "flush"), default="show")
    kind = RouteKind.UNICAST
    if words.peek() in _KINDS:
        kind = _KINDS[words.take()]
    if words.peek() == "to":
        words.take()
    unknown = words.first_of(_NOT_MODELLED)
    if unknown:
        raise UnsupportedError(f"ip route {unknown}", instead="known: dev via src table metric scope proto mtu")
    given = words.options(_VALUED, positional="to", flags={"onlink"})
    gateway = parse_address(given["via"]) if "via" in given else None
    if family is None:
        family = gateway.family if gateway else None
    table = _table(given.get("table", "local" if kind in (RouteKind.LOCAL, RouteKind.BROADCAST) else "main"))
    if verb in ("show", "list"):
        return _show(node, given, family, table, filtered="table" in given)
    if verb == "flush":
        routing = node.routes[family or Family.IPV4]
        for entry in list(routing.entries(table)):
            if _selected(entry, given, family):
                routing.delete(entry.prefix, table, device=entry.device, gateway=entry.gateway)
        return Completed()
    if "to" not in given:
        raise ConfigError('Command line is not complete. Try option "help"', exit_code=255)
    prefix = prefix_of(given["to"], family)
    if verb != "delete" and prefix.length is not None:
        host = given["to"].partition("/")[0]
        if host not in ("default", "any", "all") and parse_address(host).value & ~prefix.mask:
            raise ConfigError("Error: Invalid prefix for given prefix length.", exit_code=2)
    routing = node.routes[prefix.family]
    if verb == "delete":
        routing.delete(prefix, table, device=given.get("dev", ""), gateway=gateway.value if gateway else 0)
        return Completed()
    entry = _entry(routing, prefix, kind, given, gateway.value if gateway else 0)
    routing.add(entry, table, replace=verb in ("replace", "change"))
    return Completed()


def _entry(routing: Routing, prefix: Prefix, kind: RouteKind, given: dict[str, str], gateway: int) -> RouteEntry:
    device = given.get("dev", "")
    if device and device not in routing.devices:
        raise MissingError(f'Cannot find device "{device}"')
    if kind is RouteKind.UNICAST and not device:
        if not gateway:
            raise ConfigError("RTNETLINK answers: No such device", exit_code=2)
        hop = routing.lookup(gateway)
        if hop.kind is not RouteKind.UNICAST or hop.gateway:
            raise ConfigError("Error: Nexthop has invalid gateway.", exit_code=2)
        device = hop.device
    if device and not routing.devices[device].up and kind is RouteKind.UNICAST:
        raise ConfigError("Error: Device for nexthop is not up.", exit_code=2)
    source = parse_address(given["src"]).value if "src" in given else 0
    if source and not routing.is_local(source):
        raise ConfigError("Error: Invalid prefsrc address.", exit_code=2)
    default_scope = "global" if gateway or kind is not RouteKind.UNICAST else "link"
    if kind is RouteKind.LOCAL:
        default_scope = "host"
    metric = _number("metric", given.get("metric", given.get("preference", given.get("priority", "0"))))
    return RouteEntry(
        prefix,
        kind,
        device,
        gateway,
        source,
        metric,
        given.get("scope", default_scope),
        given.get("proto", given.get("protocol", "boot")),
        _number("mtu", given.get("mtu", "0")),
    )


def _selected(entry: RouteEntry, given: dict[str, str], family: Family | None) -> bool:
    if "dev" in given and entry.device != given["dev"]:
        return False
    if given.get("proto", entry.protocol) != entry.protocol:
        return False
    return "to" not in given or entry.prefix == prefix_of(given["to"], family, default_family=entry.prefix.family)


def _show(node: Node, given: dict[str, str], family: Family | None, table: int, *, filtered: bool) -> Completed:
    routing = node.routes[family or Family.IPV4]
    if table not in routing.tables:
        return Completed(2, "", f"Error: ipv{int(routing.family)}: FIB table does not exist.\nDump terminated\n")
    lines = [_line(routing, e, "dev" in given) for e in routing.entries(table) if _selected(e, given, family)]
    return Completed(0, "".join(line + " \n" for line in lines))


def _line(routing: Routing, entry: RouteEntry, without_device: bool) -> str:
    family = routing.family
    words = [] if entry.kind is RouteKind.UNICAST else [entry.kind.value]
    length = entry.prefix.length
    host = format_address(family, entry.prefix.value)
    words.append("default" if length == 0 else host if length == family.bits else f"{host}/{length}")
    words += ["via", format_address(family, entry.gateway)] if entry.gateway else []
    words += ["dev", entry.device] if entry.device and not without_device else []
    words += ["proto", entry.protocol] if entry.protocol != "boot" else []
    words += ["scope", entry.scope] if entry.scope != "global" and family is Family.IPV4 else []
    words += ["src", format_address(family, entry.source)] if entry.source else []
    words += ["metric", str(entry.metric)] if entry.metric else []
    words += ["mtu", str(entry.mtu)] if entry.mtu else []
    words += ["pref", "medium"] if family is Family.IPV6 and entry.kind is RouteKind.UNICAST else []
    return " ".join(words)


def get_route(node: Node, words: Words, family: Family | None) -> Completed:
    """``ip route get ADDRESS [from ADDRESS] [iif DEV] [oif DEV] [mark MARK]``."""
    words.take()
    given = words.options({"from", "iif", "oif", "dev", "mark", "to", "tos", "uid"}, positional="to")
    if "to" not in given:
        raise ConfigError("need at least a destination address", exit_code=1)
    target = parse_address(given["to"].partition("/")[0])
    routing = node.routes[target.family]
    source = parse_address(given["from"]).value if "from" in given else 0
    mark = _number("mark", given.get("mark", "0"))
    outdev = given.get("oif", given.get("dev", ""))
    found = routing.lookup(target.value, source, mark, given.get("iif", ""), outdev)
    if found.kind in _ERRORS:
        text, code = _ERRORS[found.kind]
        return Completed(code, "", f"RTNETLINK answers: {text}\n")
    return Completed(0, _got(target.family, target.value, found, given))


def _got(family: Family, target: int, found: Route, given: dict[str, str]) -> str:
    words = [found.kind.value] if found.kind is not RouteKind.UNICAST else []
    words.append(format_address(family, target))
    words += ["from", given["from"]] if "from" in given else []
    words += ["via", format_address(family, found.gateway)] if found.gateway else []
    words += ["dev", found.device]
    words += ["table", _TABLE_NAMES.get(found.table, str(found.table))] if found.table not in (MAIN, LOCAL) else []
    words += ["src", format_address(family, found.source)] if found.source and "from" not in given else []
    words += ["mark", given["mark"]] if "mark" in given else []
    local = "<local> " if found.kind is RouteKind.LOCAL else ""
    return " ".join(words) + " uid 0 \n    cache " + local + "\n"


def rule(node: Node, words: Words, family: Family | None) -> Completed:
    """``ip rule {add|del|show|flush} [from P] [to P] [fwmark M[/MASK]] [iif D] [oif D] [pref N] [lookup T]``."""
    routing = node.routes[family or Family.IPV4]
    verb = words.verb(("add", "delete", "show", "list", "flush"), default="show")
    if verb in ("show", "list"):
        return Completed(0, "".join(_rule_line(routing.family, r) + "\n" for r in routing.rules))
    if verb == "flush":
        for held in [r for r in routing.rules if r.priority]:
            routing.delete_rule(held)
        return Completed()
    kind = RouteKind.UNICAST
    if words.peek() in ("blackhole", "unreachable", "prohibit"):
        kind = _KINDS[words.take()]
    given = words.options(
        {
            "from",
            "to",
            "fwmark",
            "iif",
            "dev",
            "oif",
            "pref",
            "preference",
            "priority",
            "order",
            "lookup",
            "table",
            "type",
        }
    )
    if "type" in given:
        kind = _KINDS.get(given["type"], RouteKind.UNICAST)
    for which in ("from", "to"):
        if given.get(which) in ("all", "any", "default"):
            del given[which]
    source = prefix_of(given["from"], family) if "from" in given else None
    target = prefix_of(given["to"], family) if "to" in given else None
    if family is None and (source or target):
        routing = node.routes[(source or target).family]  # type: ignore[union-attr]
    mark, mask = 0, 0
    if "fwmark" in given:
        value, slash, under = given["fwmark"].partition("/")
        mark, mask = _number("fwmark", value), _number("fwmark", under) if slash else 0xFFFFFFFF
    order = next((given[k] for k in ("pref", "preference", "priority", "order") if k in given), None)
    wanted = _table(given.get("lookup", given.get("table", "main")))
    fields = (source, target, mark, mask, given.get("iif", given.get("dev", "")), given.get("oif", ""), kind)
    if verb == "add":
        if order is None:
            second = next((r.priority for r in routing.rules if r.priority), 32766)
            order = str(max(second - 1, 0))
        routing.add_rule(RouteRule(_number("preference", order), wanted, *fields))
        return Completed()
    for held in routing.rules:
        same = fields == (held.source, held.destination, held.mark, held.mask, held.indev, held.outdev, held.kind)
        named = "lookup" in given or "table" in given
        if (not given or same or (order is not None and len(given) == 1)) and (not named or held.table == wanted):
            if order is None or held.priority == int(order):
                routing.delete_rule(held)
                return Completed()
    raise MissingError("RTNETLINK answers: No such file or directory", exit_code=2)


def _rule_line(family: Family, held: RouteRule) -> str:
    def shown(prefix: Prefix | None) -> str:
        if prefix is None:
            return "all"
        host = format_address(family, prefix.value)
        return host if prefix.length == family.bits else f"{host}/{prefix.length}"

    words = [f"{held.priority}:\tfrom", shown(held.source)]
    words += ["to", shown(held.destination)] if held.destination else []
    if held.mask:
        words += ["fwmark", f"{held.mark:#x}" + ("" if held.mask == 0xFFFFFFFF else f"/{held.mask:#x}")]
    words += ["iif", held.indev] if held.indev else []
    words += ["oif", held.outdev] if held.outdev else []
    if held.kind is RouteKind.UNICAST:
        words += ["lookup", _TABLE_NAMES.get(held.table, str(held.table))]
    else:
        words.append(held.kind.value)
    return " ".join(words)
