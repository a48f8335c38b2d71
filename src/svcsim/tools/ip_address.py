"""
`ip address`.

Behaviour of: iproute2 6.1. A broadcast address is always the last one of its subnet, and not shown; the link-local
addresses that a kernel draws for its devices are not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from svcsim.addr import Family, format_address, parse_address
from svcsim.device import Device, DeviceAddress
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.ip_link import brief_line, device_lines, find_device, shown_devices
from svcsim.tools.ip_words import Words, prefix_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["address"]

_REFUSED = frozenset({"peer", "anycast", "label", "metric", "home", "mngtmpaddr", "noprefixroute", "autojoin", "proto"})
_SCOPES = {"global": "global", "universe": "global", "link": "link", "host": "host", "0": "global"}
_FOREVER = "       valid_lft forever preferred_lft forever"
_WILDCARD = """\
Warning: Executing wildcard deletion to stay compatible with old scripts.
         Explicitly specify the prefix length ({0}/32) to avoid this warning.
         This special behaviour is likely to disappear in further releases,
         fix your scripts!
"""


def address(node: Node, words: Words, family: Family | None, *, oneline: bool, brief: bool) -> Completed:
    """``ip addr {add|replace|del} ADDR dev D [scope S]``, ``ip addr {show|flush} [dev D] [scope S] [to PREFIX]``."""
    verbs = ("add", "change", "replace", "delete", "show", "lst", "list", "flush")
    verb = words.verb("address", verbs, default="show")
    if verb in ("show", "lst", "list", "flush"):
        refused = {"label", "master", "nomaster", "vrf", "permanent", "dynamic", "secondary", "primary", "tentative"}
        some = bool(words)
        given = words.options(
            {"dev", "scope", "to", "type"}, positional="dev", flags={"up"}, refused=refused, command="addr show"
        )
        if verb == "flush" and not some:
            raise ConfigError("Flush requires arguments.")
        chosen = _Selection(given, family)
        devices = shown_devices(node, given)
        if verb == "flush":
            for device in devices:
                for held in list(chosen.of(device)):
                    if held in device.addresses:  # it may have gone with its primary one
                        _remove(node, device, held)
            return Completed()
        return Completed(0, "".join(_shown(device, chosen, oneline=oneline, brief=brief) for device in devices))
    given = words.options(
        {"dev", "local", "scope", "brd", "broadcast", "valid_lft", "preferred_lft"},
        positional="local",
        flags={"nodad"},
        refused=_REFUSED,
        command=f"addr {verb}",
    )
    device_name = given.get("dev")
    if device_name is None or "local" not in given:
        what = "dev" if device_name is None else "local"
        raise ConfigError(f'Not enough information: "{what}" argument is required.')
    wanted = _wanted(given, family)
    device = find_device(node, given)
    if verb == "delete":
        return _delete(node, device, wanted, given["local"])
    if verb in ("replace", "change"):
        for held in device.of_family(wanted.family):
            if (held.address, held.length) == (wanted.address, wanted.length):
                return Completed()
    node.routes[wanted.family].add_address(device, wanted)
    return Completed()


def _wanted(given: dict[str, str], family: Family | None) -> DeviceAddress:
    text = given["local"]
    prefix = prefix_of(text, family)
    value = parse_address(text.partition("/")[0]).value if text not in ("default", "any", "all") else 0
    for lifetime in ("valid_lft", "preferred_lft"):
        if given.get(lifetime, "forever") != "forever":
            raise UnsupportedError(f"an address with {lifetime}", instead="leave it out")
    loopback = prefix.family is Family.IPV4 and value >> 24 == 127
    scope = given.get("scope", "host" if loopback else "global")
    if scope not in _SCOPES:
        raise ConfigError(f'Error: argument "{scope}" is wrong: invalid scope value.\n', exit_code=255)
    assert prefix.length is not None
    made = DeviceAddress(prefix.family, value, prefix.length, _SCOPES[scope])
    broadcast = given.get("brd", given.get("broadcast", "+"))
    if broadcast != "+" and (made.broadcast is None or broadcast != format_address(made.family, made.broadcast)):
        raise UnsupportedError(f"the broadcast address {broadcast!r}", instead="say brd +")
    return made


def _delete(node: Node, device: Device, wanted: DeviceAddress, text: str) -> Completed:
    wildcard = wanted.family is Family.IPV4 and "/" not in text
    for held in device.of_family(wanted.family):
        if held.address == wanted.address and (wildcard or held.length == wanted.length):
            _remove(node, device, held)
            return Completed(0, "", _WILDCARD.format(text) if wildcard else "")
    raise MissingError("RTNETLINK answers: Cannot assign requested address", exit_code=2)


def _remove(node: Node, device: Device, held: DeviceAddress) -> None:
    """Take an address away; a primary IPv4 one takes those of its subnet with it (promote_secondaries is off)."""
    gone = [held]
    if held.family is Family.IPV4 and not held.secondary:
        gone += [a for a in device.of_family(Family.IPV4) if a.secondary and a.subnet == held.subnet]
    for each in gone:
        node.remove_address(device.name, f"{format_address(each.family, each.address)}/{each.length}")


class _Selection:
    """Which addresses a ``show`` or ``flush`` is about."""

    def __init__(self, given: dict[str, str], family: Family | None) -> None:
        self.within = prefix_of(given["to"], family) if "to" in given else None
        self.family = self.within.family if self.within is not None else family
        self.scope = given.get("scope")
        if self.scope is not None and self.scope not in _SCOPES:
            raise ConfigError(f'Error: argument "{self.scope}" is wrong: invalid "scope"\n', exit_code=255)

    def of(self, device: Device) -> Iterator[DeviceAddress]:
        """Those of a device: IPv4 first, of these the primary ones."""
        for held in sorted(device.addresses, key=lambda a: (a.family, a.secondary)):
            if (
                self.family in (None, held.family)
                and (self.scope is None or held.scope == _SCOPES[self.scope])
                and (self.within is None or held.address in self.within)
            ):
                yield held


def _shown(device: Device, chosen: _Selection, *, oneline: bool, brief: bool) -> str:
    held = list(chosen.of(device))
    if not held and (oneline or chosen.family is not None or chosen.scope is not None):
        return ""
    if brief:
        return brief_line(device, "".join(f"{format_address(a.family, a.address)}/{a.length} " for a in held))
    if oneline:
        return "".join(f"{device.index}: {device.name}    {_words(a, device.name)}\\{_FOREVER}\n" for a in held)
    lines = device_lines(device, mode=False)
    if chosen.family is not None:
        del lines[1:]
    for each in held:
        lines += [f"    {_words(each, device.name)}", _FOREVER]
    return "\n".join(lines) + "\n"


def _words(held: DeviceAddress, device: str) -> str:
    host = f"{format_address(held.family, held.address)}/{held.length}"
    if held.family is Family.IPV6:
        return f"inet6 {host} scope {held.scope} "
    return f"inet {host} scope {held.scope}{' secondary' if held.secondary else ''} {device}"
