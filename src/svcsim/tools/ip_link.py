"""
`ip link`, and how a device is shown.

Behaviour of: iproute2 6.1. A device has no link layer here, so the link address of a ``dummy`` is made of its number.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from svcsim.device import Device
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.ip_words import Words, number_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["brief_line", "device_lines", "find_device", "link", "shown_devices"]

_OTHER_KINDS = frozenset(
    "amt bareudp bond bond_slave bridge bridge_slave dsa erspan geneve gre gretap gtp ifb ip6erspan ip6gre "
    "ip6gretap ip6tnl ipip ipoib ipvlan ipvtap macsec macvlan macvtap netdevsim nlmon rmnet sit team team_slave "
    "vcan veth vlan vrf vti vxcan vxlan wwan xfrm virt_wifi".split()
)
_NOT_SETTABLE = frozenset(
    "address addrgenmode alias allmulticast arp broadcast brd carrier dynamic gso_max_size link-netnsid "
    "master multicast name netns nomaster numrxqueues numtxqueues promisc protodown qlen trailers txqlen txqueuelen "
    "type vf vrf xdp".split()
)
#: Below this a device speaks no IPv6 (RFC 8200, 5).
_IPV6_MINIMUM = 1280


def link(node: Node, words: Words, *, oneline: bool, brief: bool) -> Completed:
    """``ip link {add NAME type dummy | set DEV [up|down] [mtu N] | del DEV | show [DEV] [up] [type T]}``."""
    verb = words.verb("link", ("add", "set", "change", "show", "list", "lst", "delete"), default="show")
    if verb == "add":
        return _add(node, words)
    if verb in ("set", "change"):
        return _set(node, words)
    if verb == "delete":
        given = words.options({"dev"}, positional="dev", refused={"type", "group"}, command="link del")
        device = find_device(node, given, exit_code=255)
        if device.kind == "loopback":
            raise ConfigError("RTNETLINK answers: Operation not supported", exit_code=2)
        node.remove_interface(device.name)
        return Completed()
    refused = {"master", "nomaster", "vrf", "group"}
    given = words.options({"dev", "type"}, positional="dev", flags={"up"}, refused=refused, command="link show")
    devices = shown_devices(node, given)
    if brief:
        return Completed(0, "".join(brief_line(d, f"{_address(d)}<{_flags(d)}> ") for d in devices))
    join = "\\" if oneline else "\n"
    return Completed(0, "".join(join.join(device_lines(device, mode=True)) + "\n" for device in devices))


def _add(node: Node, words: Words) -> Completed:
    refused = _NOT_SETTABLE - {"name", "type"} | {"index", "link", "peer"}
    given = words.options(
        {"name", "dev", "type", "mtu"}, positional="name", flags={"up", "down"}, refused=refused, command="link add"
    )
    kind = given.get("type")
    if kind is None:
        raise ConfigError('Not enough information: "type" argument is required')
    if kind in _OTHER_KINDS:
        raise UnsupportedError(f"a link of type {kind!r}", instead="known: dummy; Node.add_interface makes links out")
    if kind != "dummy":
        raise ConfigError("Error: Unknown device type.", exit_code=2)
    name = given.get("name", given.get("dev"))
    if name is None:
        name = next(free for free in (f"dummy{number}" for number in count()) if free not in node.devices)
    mtu = number_of("mtu", given.get("mtu", "1500"))
    node.add_interface(name, kind="dummy", mtu=mtu)
    node.set_link(name, up="up" in given)
    return Completed()


def _set(node: Node, words: Words) -> Completed:
    given = words.options(
        {"dev", "mtu", "group"}, positional="dev", flags={"up", "down"}, refused=_NOT_SETTABLE, command="link set"
    )
    device = find_device(node, given, exit_code=255)
    if "mtu" in given:
        mtu = number_of("mtu", given["mtu"])
        if mtu < 68 and device.kind != "loopback":
            raise ConfigError("Error: mtu less than device minimum.", exit_code=2)
        if mtu > 65535 and device.kind == "tun":
            raise ConfigError("Error: mtu greater than device maximum.", exit_code=2)
        device.mtu = mtu
        if mtu < _IPV6_MINIMUM:
            node.forget_ipv6_addresses(device.name)
        for routing in node.routes.values():
            routing.changed()
    if "group" in given:
        device.group = 0 if given["group"] == "default" else number_of("group", given["group"])
    if "down" in given:
        node.set_link(device.name, up=False)
    elif "up" in given:
        node.set_link(device.name, up=True)
    return Completed()


def find_device(node: Node, given: dict[str, str], *, exit_code: int = 1) -> Device:
    """The device that a command must name."""
    if "dev" not in given:
        raise ConfigError('Not enough information: "dev" argument is required.', exit_code=exit_code)
    return node.devices[given["dev"]]


def shown_devices(node: Node, given: dict[str, str]) -> list[Device]:
    """The devices that a ``show`` is about."""
    name, kind = given.get("dev"), given.get("type")
    if name is not None and name not in node.devices:
        raise MissingError(f'Device "{name}" does not exist.')
    return [
        device
        for device in node.devices.values()
        if name in (None, device.name) and kind in (None, device.kind) and (device.up or "up" not in given)
    ]


def _flags(device: Device) -> str:
    kinds = {"loopback": "LOOPBACK", "dummy": "BROADCAST,NOARP"}
    return kinds.get(device.kind, "POINTOPOINT,MULTICAST,NOARP") + (",UP,LOWER_UP" if device.up else "")


def _address(device: Device) -> str:
    """The link address with a space behind it, nothing for a device that has none."""
    if device.kind == "loopback":
        return "00:00:00:00:00:00 "
    if device.kind == "dummy":
        return f"02:00:00:00:{device.index >> 8 & 255:02x}:{device.index & 255:02x} "
    return ""


def brief_line(device: Device, text: str) -> str:
    """The line of ``ip -br``."""
    return f"{device.name:<16} {'UNKNOWN' if device.up else 'DOWN':<14} {text}\n"


def device_lines(device: Device, *, mode: bool) -> list[str]:
    """The two lines that `ip link` (with the link's *mode*) and `ip addr` begin with."""
    queue = "pfifo_fast" if device.kind == "tun" else "noqueue"
    if device.kind == "dummy" and not device.up:
        queue = "noop"
    state = "UNKNOWN" if device.up else "DOWN"
    length = 500 if device.kind == "tun" else 1000
    head = f"{device.index}: {device.name}: <{_flags(device)}> mtu {device.mtu} qdisc {queue} state {state}"
    head += f"{' mode DEFAULT' if mode else ''} group {device.group or 'default'} qlen {length}"
    if device.kind == "loopback":
        return [head, "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00"]
    if device.kind == "dummy":
        return [head, f"    link/ether {_address(device)}brd ff:ff:ff:ff:ff:ff"]
    return [head, "    link/none "]
