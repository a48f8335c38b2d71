"""
`ip route get`: the decision for one packet.

Behaviour of: iproute2 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family, format_address
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.route import LOCAL, MAIN, Route, RouteEntry, RouteKind, Routing
from svcsim.tools.command import Completed
from svcsim.tools.ip_route import table_name
from svcsim.tools.ip_words import Words, address_of, number_of, prefix_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["get_route"]

#: What `ip route get` says where there is no way.
_ERRORS = {
    RouteKind.NONE: "Network is unreachable",
    RouteKind.UNREACHABLE: "No route to host",
    RouteKind.PROHIBIT: "Permission denied",
    RouteKind.BLACKHOLE: "Invalid argument",
}


def get_route(node: Node, words: Words, family: Family | None) -> Completed:
    """``ip route get ADDRESS [from ADDRESS] [iif DEV] [oif DEV] [mark MARK]``."""
    words.take()  # the verb
    given = words.options(
        {"from", "iif", "oif", "dev", "mark", "to", "ipproto", "sport", "dport"},
        positional="to",
        refused={"tos", "dsfield", "uid", "vrf", "fibmatch", "as", "connected", "notify"},
        command="route get",
    )
    if "to" not in given:
        raise ConfigError("need at least a destination address")
    prefix_of(given["to"], family)
    target = address_of(given["to"].partition("/")[0], family)
    routing = node.routes[target.family]
    source = address_of(given["from"].partition("/")[0], target.family).value if "from" in given else 0
    mark = number_of("mark", given.get("mark", "0"))
    outdev, indev = given.get("oif", given.get("dev", "")), given.get("iif", "")
    for device in (outdev, indev):
        if device and device not in routing.devices:
            raise MissingError(f'Cannot find device "{device}"')
    four = target.family is Family.IPV4
    if indev and four and "from" not in given:
        return Completed(2, "", "RTNETLINK answers: Invalid argument\n")
    if four and source and not indev and not routing.is_local(source):
        return Completed(2, "", "RTNETLINK answers: Network is unreachable\n")
    found = routing.lookup(target.value, source, mark, indev, outdev)
    if found.kind in _ERRORS:
        return Completed(2, "", f"RTNETLINK answers: {_ERRORS[found.kind]}\n")
    if found.kind is RouteKind.MULTICAST or routing.address_type(target.value) is RouteKind.MULTICAST:
        raise UnsupportedError("ip route get of a multicast address", instead="ask for a unicast one")
    answer = _got_ipv4 if four else _got_ipv6
    return Completed(0, answer(routing, target.value, found, given, mark))


def _beginning(target: int, found: Route, given: dict[str, str], family: Family) -> list[str]:
    words = [] if found.kind is RouteKind.UNICAST else [found.kind.value]
    words.append(format_address(family, target))
    if "from" in given or family is Family.IPV6:
        words += ["from", given.get("from", "::")]
    words += ["via", format_address(family, found.gateway)] if found.gateway else []
    words += ["dev", found.device]
    usual = (MAIN, LOCAL) if family is Family.IPV4 else (MAIN,)
    return words + (["table", table_name(found.table)] if found.table not in usual else [])


def _got_ipv4(routing: Routing, target: int, found: Route, given: dict[str, str], mark: int) -> str:
    words = _beginning(target, found, given, Family.IPV4)
    words += ["src", format_address(4, found.source)] if found.source and "from" not in given else []
    words += ["mark", f"{mark:#x}" if mark >= 16 else str(mark)] if mark else []
    cache = {RouteKind.LOCAL: "<local> ", RouteKind.BROADCAST: "<local,brd> "}.get(found.kind, "")
    entry = _entry_behind(routing, target, found)
    if entry is not None and entry.mtu:
        cache += f"mtu {entry.mtu} "
    if "iif" in given:
        cache += f"<redirect> iif {given['iif']} " if given["iif"] == found.device else f"iif {given['iif']} "
    else:
        words += ["uid", "0"]
    return " ".join(words) + f" \n    cache {cache}\n"


def _got_ipv6(routing: Routing, target: int, found: Route, given: dict[str, str], mark: int) -> str:
    words = _beginning(target, found, given, Family.IPV6)
    entry = _entry_behind(routing, target, found)
    if entry is not None:
        words += ["proto", entry.protocol] if entry.protocol != "boot" else []
        words += ["src", format_address(6, found.source)] if found.source and "iif" not in given else []
        words += ["metric", str(entry.metric)]
        words += ["mtu", str(entry.mtu)] if entry.mtu else []
    words += ["mark", f"{mark:#x}" if mark >= 16 else str(mark)] if mark else []
    words += ["iif", given["iif"]] if "iif" in given else []
    return " ".join(words) + " pref medium\n"


def _entry_behind(routing: Routing, target: int, found: Route) -> RouteEntry | None:
    """The line of a table that an answer came from."""
    for entry in routing.tables[found.table].candidates(target):
        if entry.kind is found.kind and entry.gateway == found.gateway:
            if entry.kind is RouteKind.LOCAL or entry.device == found.device:
                return entry
    return None
