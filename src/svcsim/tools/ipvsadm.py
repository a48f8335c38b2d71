"""
`ipvsadm`, `ipvsadm-save` and `ipvsadm-restore`: the administrator's way to a node's IPVS.

Behaviour of: ipvsadm 1.31. Listings are numeric (``-n``): a node has no resolver, so what the tool would print with the
names of hosts and services is refused. Persistence engines are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.lb.ipvsadm import LISTINGS, connection_listing, listing, saved
from svcsim.lb.service import ForwardingMethod, ServiceFlags, ServiceKey, TunnelType
from svcsim.lb.sync import Daemon
from svcsim.packet import Proto
from svcsim.tools.command import Completed
from svcsim.tools.ipvsadm_args import Request, option_names, read_request, usage_hint
from svcsim.tools.popt import UsageError

if TYPE_CHECKING:
    from svcsim.lb.director import Director
    from svcsim.node import Node

__all__ = ["ipvsadm", "ipvsadm_restore", "ipvsadm_save"]

_VERSION = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"
_KERNEL_SAYS = 255  # the exit code after an error of the kernel
_METHODS = {
    "masquerading": ForwardingMethod.MASQ,
    "ipip": ForwardingMethod.TUNNEL,
    "gatewaying": ForwardingMethod.ROUTE,
}


def ipvsadm(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """
    Run one command; without words, list the services.

    >>> from svcsim.node import Node
    >>> node = Node()
    >>> ipvsadm(node, "ipvsadm", "-A -t 10.96.0.10:80 -s sed".split(), "").returncode
    0
    >>> print(ipvsadm(node, "ipvsadm", ["-Sn"], "").stdout, end="")
    -A -t 10.96.0.10:80 -s sed
    """
    try:
        request = read_request(name, args) if args else Request("list")
        if request.command == "restore":
            return _restore(node, name, stdin)
        return _run(node, name, request)
    except UsageError as error:
        return Completed(error.exit_code, "", f"{error}\n")


def ipvsadm_save(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``ipvsadm-save -n``: the commands that would make the table again."""
    if any(arg.startswith("-") and arg != "-n" for arg in args):
        return Completed(1, "", f"usage: {name} [-n]\n")
    return ipvsadm(node, "ipvsadm", ["-S", *(["-n"] if "-n" in args else [])], "")


def ipvsadm_restore(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``ipvsadm-restore``: clear the table, then run the lines of standard input but those that begin with ``#``."""
    lines = [line for line in stdin.splitlines() if not line.startswith("#")]
    node.ipvs.flush()
    return ipvsadm(node, "ipvsadm", ["-R"], "\n".join(lines))


def _restore(node: Node, name: str, text: str) -> Completed:
    """Run each line as a command of its own: wrong words end it, what the kernel refuses does not."""
    code, out, errors = 0, "", ""
    for line in text.split("\n"):
        words = [word for word in line.split() if word != "ipvsadm"]
        if not words:
            continue
        try:
            request = read_request(name, words)
            if request.command == "restore":  # it would read the lines that are being read
                raise UsageError(usage_hint(name), _KERNEL_SAYS)
            done = _run(node, name, request)
        except UsageError as error:
            return Completed(error.exit_code, out, f"{errors}{error}\n")
        code, out, errors = done.returncode, out + done.stdout, errors + done.stderr
        if request.command in ("help", "version"):
            break
    return Completed(code, out, errors)


def _run(node: Node, name: str, request: Request) -> Completed:
    command = request.command
    if command == "version":
        return Completed(0, _VERSION)
    if command == "help":
        return Completed(0, _VERSION + "".join(f"  {option}\n" for option in option_names()))
    director = node.ipvs
    if command == "list":
        return Completed(0, _list(director, request))
    if command == "save":
        if "numeric" not in request.given:
            _refuse_names(director.services, "-S")
        return Completed(0, saved(director.services))
    try:
        if request.role:
            _daemon(node, request)
        else:
            _change(director, request)
    except ConfigError as error:
        return Completed(_KERNEL_SAYS, "", f"{error}\n")
    return Completed()


def _daemon(node: Node, request: Request) -> None:
    sync = node.ipvs.sync
    if request.command == "stop-daemon":
        sync.stop(request.role)
        return
    asked = {
        "syncid": request.syncid,
        "maxlen": request.sync_maxlen,
        "group": request.mcast_group,
        "port": request.mcast_port,
        "ttl": request.mcast_ttl,
    }
    daemon = Daemon(request.mcast_interface, **{name: value for name, value in asked.items() if value})  # type: ignore[arg-type]
    sync.start(request.role, daemon, request.mcast_interface in node.devices)


def _change(director: Director, request: Request) -> None:
    command = request.command
    if command == "clear":
        director.flush()
    elif command == "set":
        director.set_timeouts(*request.timeouts)
    elif command == "zero":
        director.zero(_key(request) if "service-address" in request.given else None)
    elif command == "delete-service":
        director.delete_service(_key(request))
    elif command in ("add-service", "edit-service"):
        if request.engine == "sip":
            raise UnsupportedError("the persistence engine 'sip'", instead="leave out --pe")
        if request.engine:
            raise ConfigError("Scheduler or persistence engine not found")
        flags = request.flags
        flags |= ServiceFlags.PERSISTENT if request.timeout else 0
        flags |= ServiceFlags.ONE_PACKET if "ops" in request.given else 0
        change = director.add_service if command == "add-service" else director.edit_service
        change(_key(request), request.scheduler, flags=flags, timeout=request.timeout, netmask=request.netmask)
    else:
        _change_destination(director, request)


def _change_destination(director: Director, request: Request) -> None:
    key, address, port = _key(request), request.server_address, request.server_port
    # Without masquerading the port cannot be another: packets keep theirs.
    bound = request.method != "masquerading" and request.command != "delete-server" and not key.fwmark
    if port is None or bound:
        port = key.port
    if request.command == "delete-server":
        director.delete_destination(key, address, port, family=request.server_family)
        return
    change = director.add_destination if request.command == "add-server" else director.edit_destination
    checksums = [label for label in ("csum", "remcsum") if f"tun-{label}" in request.given]
    change(
        key,
        address,
        port,
        family=request.server_family,
        weight=request.weight,
        method=_METHODS[request.method],
        upper_threshold=request.u_threshold,
        lower_threshold=request.l_threshold,
        tunnel=TunnelType[request.tun_type.upper()],
        tunnel_port=request.tun_port,
        tunnel_checksum=checksums[0] if checksums else "nocsum",
    )


def _key(request: Request) -> ServiceKey:
    if request.fwmark:
        return ServiceKey.of_mark(request.fwmark, request.family)
    return ServiceKey(request.family, Proto(request.protocol), request.address, request.port)


def _list(director: Director, request: Request) -> str:
    given = request.given
    if "timeout" in given:
        return "Timeout (tcp tcpfin udp): {} {} {}\n".format(*director.timeouts)
    if "daemon" in given:
        return director.sync.listed()
    if "connection" in given:
        if "numeric" not in given:
            _refuse_names(director.connections(), "-L -c")
        return connection_listing(director.connections(), director.clock.now, engines="persistent-conn" in given)
    director.estimate()
    services = list(director.services)
    if "service-address" in given:
        try:
            services = [director.service(_key(request))]
        except ConfigError as error:
            raise UsageError(str(error), 1) from None
    if "numeric" not in given:
        _refuse_names(services, "-L")
    kind = next((kind for kind in LISTINGS if kind in given), "plain")
    size = {"table_size": None} if "service-address" in given else {}
    return listing(services, kind, exact="exact" in given, sort="nosort" not in given, **size)


def _refuse_names(entries: Iterable[object], option: str) -> None:
    if any(True for _ in entries):
        raise UnsupportedError(f"ipvsadm {option} with the names of hosts and services", instead="add -n")
