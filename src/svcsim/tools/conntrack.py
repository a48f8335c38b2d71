"""
`conntrack`: the connection table listed, counted, changed and emptied.

Behaviour of: conntrack-tools 1.4.7. Entries go to standard output, how many there were to standard error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from svcsim.clock import SECOND
from svcsim.conntrack import Conn, Conntrack, Status
from svcsim.conntrack_sctp import SctpState
from svcsim.conntrack_tcp import TcpState
from svcsim.conntrack_text import ConnLine, format_conn
from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.conntrack_args import Request, read_request

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["conntrack"]

_SAYS = "conntrack v1.4.7 (conntrack-tools)"
_USAGE = """Command line interface for the connection tracking system. Version 1.4.7
Usage: conntrack [commands] [options]
Commands: -L [table], -G, -D, -I, -U, -F [table], -C [table], -S, -V
Options: -s -d -r -q ADDRESS[/LENGTH]  -p PROTOCOL  -f FAMILY  -n -g -j [ADDRESS]  -m MARK[/MASK]  -u STATUS
         -t SECONDS  -o extended,id  -z  and those of the protocol (--sport, --dport, --state, --icmp-type ...)
"""
_FAILED = "Operation failed: such conntrack doesn't exist"


def conntrack(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``conntrack -L|-G|-D|-I|-U|-F|-C|-S [TABLE] [OPTIONS]``."""
    table = node.conntrack
    try:
        request = read_request(args)
        if request.kind in ("", "help"):
            return Completed(0, _USAGE)
        if request.kind == "version":
            return Completed(0, f"{_SAYS}\n")
        if request.kind == "event":
            raise UnsupportedError("conntrack -E", instead="trace the packets, or list the table")
        if request.table != "conntrack":
            return _other_table(request)
        return _COMMANDS[request.kind](table, request)
    except UnsupportedError:
        raise
    except ConfigError as error:
        return Completed(error.exit_code, "", f"{_SAYS}: {error}\n")


def _other_table(request: Request) -> Completed:
    """The tables that are always empty here: no helper expects anything, no entry lingers."""
    if request.kind == "count":
        return Completed(0, "0\n")
    if request.kind == "stats":
        return Completed(0, "cpu=0   \texpect_new=0 expect_create=0 expect_delete=0 \n")
    if request.kind == "flush":
        return Completed(0, "", f"{_SAYS}: expectation table has been emptied.\n")
    if request.kind == "list":
        what = "expectations" if request.table == "expect" else "flow entries"
        return Completed(0, "", f"{_SAYS}: 0 {what} have been shown.\n")
    raise UnsupportedError(f"conntrack --{request.kind} {request.table}", instead="there are no expectations here")


def _listed(table: Conntrack, request: Request, conns: Iterable[Conn], done: str, *, use: int = 1) -> Completed:
    """Show *conns* and say what was done to them; having done nothing is a failure, except to list nothing."""
    extended, with_id = "extended" in request.outputs, "id" in request.outputs
    now = table.clock.now - (1 if "timeout" in request.given else 0)  # what was set this moment shows whole
    lines = [format_conn(conn, now, extended=extended, with_id=with_id, use=use) + "\n" for conn in conns]
    failed = not lines and done in ("deleted", "updated")
    return Completed(int(failed), "".join(lines), f"{_SAYS}: {len(lines)} flow entries have been {done}.\n")


def _list(table: Conntrack, request: Request) -> Completed:
    found = [conn for conn in table if request.fits(conn)]
    shown = _listed(table, request, found, "shown")
    if "zero" in request.given:
        for conn in found:
            conn.counters = None if conn.counters is None else [0, 0, 0, 0]
    return shown


def _get(table: Conntrack, request: Request) -> Completed:
    if request.proto is None:
        raise ConfigError(_FAILED)
    found = table.find(request.tuples()[0])
    if found is None:
        raise ConfigError(_FAILED)
    return _listed(table, request, [found[0]], "shown", use=2)


def _delete(table: Conntrack, request: Request) -> Completed:
    found = [conn for conn in table if request.fits(conn)]
    shown = _listed(table, request, found, "deleted")
    for conn in found:
        table.delete(conn)
    return shown


def _create(table: Conntrack, request: Request) -> Completed:
    orig, reply = request.tuples()
    status = request.status or 0
    status |= Status.SRC_NAT | Status.SRC_NAT_DONE if request.given.get("src-nat") else 0
    status |= Status.DST_NAT | Status.DST_NAT_DONE if request.given.get("dst-nat") else 0
    line = ConnLine(orig, reply, request.seconds(), status, request.given.get("state", ""), request.mark or 0)
    try:
        conn = line.install(table)
    except ConfigError as error:
        raise ConfigError(f"Operation failed: {error}") from None
    if isinstance(conn.state, SctpState):
        conn.state.tags = request.tags()
    return Completed(0, "", f"{_SAYS}: 1 flow entries have been created.\n")


def _update(table: Conntrack, request: Request) -> Completed:
    found = [conn for conn in table if request.fits(conn)]
    changes = {"mark", "timeout", "status", "state"} & request.given.keys()
    if not changes:
        found = []
    for conn in found:
        if request.mark is not None:
            conn.mark = conn.mark & ~request.mark_mask & 0xFFFFFFFF | request.mark
        conn.status |= request.status or 0
        if "timeout" in changes:
            table.refresh(conn, request.seconds() * SECOND)
        state = request.state()
        if isinstance(state, TcpState) and isinstance(conn.state, TcpState):
            conn.state.phase = state.phase
    return _listed(table, request, found, "updated", use=2)


def _flush(table: Conntrack, request: Request) -> Completed:
    table.flush()
    return Completed(0, "", f"{_SAYS}: connection tracking table has been emptied.\n")


def _count(table: Conntrack, request: Request) -> Completed:
    return Completed(0, f"{len(table)}\n")


def _stats(table: Conntrack, request: Request) -> Completed:
    counts = attrs.asdict(table.statistics)
    return Completed(0, "cpu=0   \t" + "".join(f"{name}={value} " for name, value in counts.items()) + "\n")


_COMMANDS = {
    "list": _list,
    "get": _get,
    "delete": _delete,
    "create": _create,
    "update": _update,
    "flush": _flush,
    "count": _count,
    "stats": _stats,
}
