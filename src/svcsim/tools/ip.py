"""
`ip`: addresses, links, routes and policy rules.

Behaviour of: iproute2 6.1, as far as svcsim has such things: no neighbours, no network namespaces, no tunnels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family, format_address, parse_address
from svcsim.device import Device, DeviceAddress
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.ip_route import get_route, route, rule
from svcsim.tools.ip_words import Words, prefix_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["ip"]

_OBJECTS = (
    "address",
    "link",
    "route",
    "rule",
    "neighbour",
    "netns",
    "tunnel",
    "maddress",
    "monitor",
    "xfrm",
    "nexthop",
)
_KINDS = ("dummy", "tun", "veth")


def ip(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``ip [-4|-6] [-o] [-br] {addr|link|route|rule} ...``; objects and verbs may be cut short."""
    words = Words(args)
    family: Family | None = None
    brief = oneline = False
    while words.peek().startswith("-"):
        option = words.take()
        if option in ("-4", "-6"):
            family = Family(int(option[1]))
        elif option in ("-o", "-oneline"):
            oneline = True
        elif option in ("-br", "-brief"):
            brief = True
        elif option == "-V":
            return Completed(0, "ip utility, iproute2-6.1.0, libbpf 1.1.2\n")
        elif option not in ("-n", "-c", "-color=never", "-d", "-details", "-s"):
            raise UnsupportedError(f"ip {option}", instead="known: -4 -6 -o -br")
    word = words.take()
    thing = next((o for o in _OBJECTS if word and o.startswith(word)), None)
    try:
        if thing == "address":
            return _address(node, words, family, oneline=oneline, brief=brief)
        if thing == "link":
            return _link(node, words, oneline=oneline, brief=brief)
        if thing == "route":
            if words.peek() in ("get", "g"):
                return get_route(node, words, family)
            return route(node, words, family)
        if thing == "rule":
            return rule(node, words, family)
    except IndexError:
        return Completed(255, "", 'Command line is not complete. Try option "help"\n')
    if thing is not None:
        raise UnsupportedError(f"ip {thing}", instead="known: ip addr, ip link, ip route, ip rule")
    return Completed(1, "", f'Object "{word}" is unknown, try "ip help".\n')


def _address(node: Node, words: Words, family: Family | None, *, oneline: bool, brief: bool) -> Completed:
    verb = words.verb(("add", "change", "replace", "delete", "show", "list", "flush"), default="show")
    if verb in ("show", "list"):
        given = words.options({"dev", "scope", "to"}, positional="dev")
        return Completed(0, _shown(node, given.get("dev"), family, addresses=True, oneline=oneline, brief=brief))
    if verb == "flush":
        given = words.options({"dev", "scope"}, positional="dev")
        device = _device(node, given.get("dev", ""))
        for held in list(device.addresses):
            if family in (None, held.family):
                node.remove_address(device.name, format_address(held.family, held.address) + f"/{held.length}")
        return Completed()
    given = words.options(
        {"dev", "scope", "brd", "broadcast", "label", "peer", "valid_lft", "preferred_lft"},
        positional="local",
        flags={"nodad", "noprefixroute", "home"},
    )
    if "local" not in given:
        raise ConfigError("Error: any valid prefix is expected rather than nothing.")
    device = _device(node, given.get("dev", ""))
    prefix = prefix_of(given["local"], family)
    address = parse_address(given["local"].partition("/")[0])
    length = prefix.length
    if length is None:
        raise ConfigError(f'Error: any valid prefix is expected rather than "{given["local"]}".')
    if verb == "delete":
        node.remove_address(device.name, given["local"] if "/" in given["local"] else str(address))
        return Completed()
    scope = given.get("scope", "host" if address.family is Family.IPV4 and address.value >> 24 == 127 else "global")
    if verb in ("replace", "change") and any(a.address == address.value for a in device.of_family(address.family)):
        return Completed()
    node.routes[address.family].add_address(device, DeviceAddress(address.family, address.value, length, scope))
    return Completed()


def _device(node: Node, name: str) -> Device:
    if not name:
        raise ConfigError('Not enough information: "dev" argument is required.', exit_code=255)
    return node.devices[name]


def _link(node: Node, words: Words, *, oneline: bool, brief: bool) -> Completed:
    verb = words.verb(("add", "delete", "set", "show", "list"), default="show")
    if verb in ("show", "list"):
        given = words.options({"dev", "type"}, positional="dev", flags={"up"})
        return Completed(0, _shown(node, given.get("dev"), None, addresses=False, oneline=oneline, brief=brief))
    if verb == "add":
        given = words.options({"name", "dev", "type", "mtu", "link"}, positional="name", stop="type")
        kind = given.get("type", "")
        if kind not in _KINDS:
            if kind:
                raise UnsupportedError(f"a link of type {kind!r}", instead=f"known: {', '.join(_KINDS)}")
            raise ConfigError('Not enough information: "type" argument is required', exit_code=255)
        node.add_interface(given.get("name") or given.get("dev", ""), kind=kind, mtu=int(given.get("mtu", "1500")))
        return Completed()
    if verb == "delete":
        given = words.options({"dev", "type"}, positional="dev")
        node.remove_interface(_device(node, given.get("dev", "")).name)
        return Completed()
    given = words.options(
        {"dev", "mtu", "name", "txqueuelen", "qlen", "address", "alias"}, positional="dev", flags={"up", "down"}
    )
    device = _device(node, given.get("dev", ""))
    unknown = given.keys() & {"name", "address", "alias"}
    if unknown:
        raise UnsupportedError(f"ip link set {unknown.pop()}", instead="known: up, down, mtu")
    if "mtu" in given:
        if not (given["mtu"].isdigit() and 68 <= int(given["mtu"]) <= 65536):
            raise ConfigError("Error: mtu greater than device maximum.", exit_code=2)
        device.mtu = int(given["mtu"])
    if "up" in given or "down" in given:
        node.set_link(device.name, up="up" in given)
    for routing in node.routes.values():
        routing.changed()
    return Completed()


def _shown(node: Node, name: str | None, family: Family | None, *, addresses: bool, oneline: bool, brief: bool) -> str:
    if name is not None and name not in node.devices:
        raise MissingError(f'Device "{name}" does not exist.')
    chosen = [d for d in node.devices.values() if name in (None, d.name)]
    if brief:
        return "".join(_brief(device, family, addresses) for device in chosen)
    if oneline and addresses:
        return "".join(
            f"{d.index}: {d.name}    {_address_words(a, d.name)}\\       valid_lft forever preferred_lft forever\n"
            for d in chosen
            for a in d.addresses
            if family in (None, a.family)
        )
    return "".join(_described(device, family, addresses) for device in chosen)


def _brief(device: Device, family: Family | None, addresses: bool) -> str:
    state = "UNKNOWN" if device.up else "DOWN"
    held = [f"{format_address(a.family, a.address)}/{a.length}" for a in device.addresses if family in (None, a.family)]
    tail = " ".join(held) if addresses else ""
    return f"{device.name:<16} {state:<14} {tail} \n"


def _described(device: Device, family: Family | None, addresses: bool) -> str:
    flags = {
        "loopback": "LOOPBACK",
        "dummy": "BROADCAST,NOARP",
        "veth": "BROADCAST,MULTICAST",
    }.get(device.kind, "POINTOPOINT,MULTICAST,NOARP")
    flags += ",UP,LOWER_UP" if device.up else ""
    state = "UNKNOWN" if device.up else "DOWN"
    queue = "noqueue" if device.kind in ("loopback", "dummy") else "fq_codel"
    mode = "" if addresses else "mode DEFAULT "
    head = f"{device.index}: {device.name}: <{flags}> mtu {device.mtu} qdisc {queue if device.up else 'noop'} "
    text = head + f"state {state} {mode}group default qlen 1000\n"
    link = {"loopback": "loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00", "tun": "none "}.get(device.kind)
    text += f"    link/{link}\n" if link else "    link/ether\n"
    if addresses:
        for held in device.addresses:
            if family in (None, held.family):
                text += f"    {_address_words(held, device.name)}\n       valid_lft forever preferred_lft forever\n"
    return text


def _address_words(held: DeviceAddress, device: str) -> str:
    host = f"{format_address(held.family, held.address)}/{held.length}"
    if held.family is Family.IPV6:
        return f"inet6 {host} scope {held.scope} "
    secondary = " secondary" if held.secondary else ""
    return f"inet {host} scope {held.scope}{secondary} {device}"
