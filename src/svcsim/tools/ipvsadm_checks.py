"""
Which options of ``ipvsadm`` go with which command, and with each other.

Behaviour of: ipvsadm 1.31's own checks, made before the kernel is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from svcsim.packet import Proto
from svcsim.tools.popt import UsageError

if TYPE_CHECKING:
    from svcsim.tools.ipvsadm_args import Request

__all__ = ["TUNNEL_TYPES", "check"]

_SERVICE = {"scheduler", "persistent", "netmask", "ops", "pe", "sched-flags"}
_TUNNEL = ("tun-port", "tun-nocsum", "tun-csum", "tun-remcsum")
_SERVER = {"forwarding-method", "weight", "u-threshold", "l-threshold", "tun-type", *_TUNNEL}
_DAEMON = {"mcast-interface", "syncid", "mcast-group", "mcast-port", "mcast-ttl", "sync-maxlen"}
_LISTINGS = {"stats", "rate", "thresholds", "persistent-conn", "nosort", "syncid", "exact", "tun-info"}
_LISTED = ("connection", "service-address", "timeout", "daemon")

#: By command: what complaints call it, what it must be given, and what it may be given besides.
_COMMANDS: dict[str, tuple[str, set[str], set[str]]] = {
    "add-service": ("add-service", {"service-address"}, _SERVICE),
    "edit-service": ("edit-service", {"service-address"}, _SERVICE),
    "delete-service": ("delete-service", {"service-address"}, set()),
    "clear": ("flush", set(), set()),
    "list": ("list", set(), {"numeric", *_LISTED, *_LISTINGS}),
    "add-server": ("add-server", {"service-address", "real-server"}, _SERVER),
    "edit-server": ("edit-server", {"service-address", "real-server"}, _SERVER),
    "delete-server": ("delete-server", {"service-address", "real-server"}, set()),
    "set": ("set", set(), set()),
    "start-daemon": ("start-daemon", set(), _DAEMON),
    "stop-daemon": ("stop-daemon", set(), {"syncid"}),
    "restore": ("restore", set(), set()),
    "save": ("save", set(), {"numeric"}),
    "zero": ("zero", set(), {"service-address"}),
}

#: By tunnel type: what it must be given, and what it may be given besides.
TUNNEL_TYPES: dict[str, tuple[set[str], set[str]]] = {
    "ipip": (set(), set()),
    "gue": ({"tun-port"}, {"tun-nocsum", "tun-csum", "tun-remcsum"}),
    "gre": (set(), {"tun-nocsum", "tun-csum"}),
}


def check(request: Request, labels: Iterable[str]) -> None:
    """Refuse what is missing, unwelcome or contradictory; *labels* is the order in which the tool looks at options."""
    name, needed, welcome = _COMMANDS[request.command]
    one_of = _LISTED if request.command == "list" else ()
    _check_options(request.given, labels, needed, welcome, one_of, f"'{name}' command")
    if request.command == "list":
        _check_listing(request.given)
    elif request.command in ("add-service", "edit-service"):
        _check_service(request)
    elif request.command in ("add-server", "edit-server", "delete-server"):
        _check_server(request)


def _check_options(
    given: set[str], labels: Iterable[str], needed: set[str], welcome: set[str], one_of: Iterable[str], what: str
) -> None:
    """Complain of the first option that is missing, not welcome, or the second where there may be *one_of* some."""
    earlier = ""
    for label in labels:
        if label not in given:
            if label in needed:
                raise UsageError(f"You need to supply the '{label}' option for the {what}")
        elif label not in needed and label not in welcome:
            raise UsageError(f"Illegal '{label}' option with the {what}")
        elif label in one_of:
            if earlier:
                raise UsageError(f"The option '{label}' conflicts with the '{earlier}' option in the {what}")
            earlier = label


def _check_listing(given: set[str]) -> None:
    counters = {"stats", "rate", "thresholds"}
    if "connection" not in given:
        counters.add("persistent-conn")
    if given & {"connection", "timeout", "daemon"} and given & counters:
        raise UsageError("options conflicts in the list command")


def _check_service(request: Request) -> None:
    if not request.fwmark and not request.port and not request.timeout:
        raise UsageError("Zero port specified for non-persistent service")
    if "ops" in request.given and not request.fwmark and request.protocol != Proto.UDP:
        raise UsageError("One-Packet Scheduling is only for UDP virtual services")


def _check_server(request: Request) -> None:
    if request.family is not request.server_family and request.method != "ipip":
        raise UsageError("Different address family is allowed only for tunneling servers")
    if request.method != "ipip":
        if request.given & {"tun-type", *_TUNNEL}:
            raise UsageError("Tunnel options conflict with forward method")
        return
    needed, welcome = TUNNEL_TYPES[request.tun_type]
    _check_options(request.given, _TUNNEL, needed, welcome, _TUNNEL[1:], f"'{request.tun_type}' tunnel type")
