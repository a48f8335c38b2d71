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
from svcsim.errors import ConfigError, ExistsError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.conntrack_args import read_request
from svcsim.tools.conntrack_formats import XML_END, XML_START, saved_line, xml_flow
from svcsim.tools.conntrack_request import Request

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["conntrack"]

_SAYS = "conntrack v1.4.7 (conntrack-tools)"
_USAGE = """Command line interface for the connection tracking system. Version 1.4.7
Usage: conntrack [commands] [options]
Commands: -L [table], -G, -D, -I, -A, -U, -F [table], -C [table], -R -, -S, -V
Options: -s -d -r -q ADDRESS[/LENGTH]  -p PROTOCOL  -f FAMILY  -n -g -j [ADDRESS]  -m MARK[/MASK]  -u STATUS
         -t SECONDS  -o extended,id,save,xml  -z  and those of the protocol (--sport, --dport, --state, --icmp-type ...)
"""
_NOT_SUPPORTED = "Operation failed: Operation not supported"
#: What a file of commands may say.
_LOADABLE = frozenset({"-A", "--add", "-D", "--delete", "-F", "--flush", "-I", "--create", "-U", "--update"})
_FAILED = "Operation failed: such conntrack doesn't exist"


def conntrack(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``conntrack -L|-G|-D|-I|-U|-F|-C|-S [TABLE] [OPTIONS]``."""
    table = node.conntrack
    try:
        request = read_request(args)
        if request.kind == "load":
            return _load(node, request, stdin)
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
    if request.kind in ("delete", "get"):
        raise ConfigError(_FAILED.replace("conntrack", "expectation"))
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
    outputs = request.outputs
    now = table.clock.now - (1 if "timeout" in request.given else 0)  # what was set this moment shows whole
    if "save" in outputs:
        command = "-D" if done == "deleted" else "-A"
        lines = [saved_line(conn, now, command) for conn in conns]
    elif "xml" in outputs:
        lines = [xml_flow(conn, now, use=use) for conn in conns]
    else:
        extended, with_id = "extended" in outputs, "id" in outputs
        lines = [format_conn(conn, now, extended=extended, with_id=with_id, use=use) + "\n" for conn in conns]
    text = "".join(lines)
    if "xml" in outputs and lines and done == "shown":
        text = f"{XML_START}{text}{XML_END}"
    failed = not lines and done in ("deleted", "updated")
    return Completed(int(failed), text, f"{_SAYS}: {len(lines)} flow entries have been {done}.\n")


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


def _make(table: Conntrack, request: Request) -> None:
    """Make the entry that *request* tells."""
    orig, reply = request.tuples()
    status = request.status or 0
    if status & Status.EXPECTED:
        raise ConfigError("Operation failed: Device or resource busy")
    status |= Status.SRC_NAT | Status.SRC_NAT_DONE if request.given.get("src-nat") else 0
    status |= Status.DST_NAT | Status.DST_NAT_DONE if request.given.get("dst-nat") else 0
    line = ConnLine(orig, reply, request.seconds(), status, request.given.get("state", ""), request.mark or 0)
    try:
        conn = line.install(table)
    except ExistsError as error:
        raise ExistsError(f"Operation failed: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"Operation failed: {error}") from None
    if isinstance(conn.state, SctpState):
        conn.state.tags = request.tags()


def _create(table: Conntrack, request: Request) -> Completed:
    _make(table, request)
    return Completed(0, "", f"{_SAYS}: 1 flow entries have been created.\n")


def _add(table: Conntrack, request: Request) -> Completed:
    """Make an entry unless it is there."""
    try:
        _make(table, request)
    except ExistsError:
        return Completed(0, "", f"{_SAYS}: 0 flow entries have been added.\n")
    return Completed(0, "", f"{_SAYS}: 1 flow entries have been added.\n")


def _update(table: Conntrack, request: Request) -> Completed:
    """Change the entries that are not as they should be; the kernel must be told a family."""
    found = [conn for conn in table if request.fits(conn) and _would_change(conn, request)]
    if found and request.family is None and not request.prefixes:
        raise ConfigError(_NOT_SUPPORTED)
    state = request.state()
    for conn in found:
        conn.mark = _new_mark(conn, request)
        conn.status |= request.status or 0
        if "timeout" in request.given:
            table.refresh(conn, request.seconds() * SECOND)
        if isinstance(state, TcpState) and isinstance(conn.state, TcpState):
            conn.state.phase = state.phase
    return _listed(table, request, found, "updated", use=2)


def _new_mark(conn: Conn, request: Request) -> int:
    return conn.mark if request.mark is None else conn.mark & ~request.mark_mask & 0xFFFFFFFF | request.mark


def _would_change(conn: Conn, request: Request) -> bool:
    label = request.given.get("state")
    return (
        "timeout" in request.given
        or _new_mark(conn, request) != conn.mark
        or bool((request.status or 0) & ~conn.status)
        or (label is not None and conn.state is not None and conn.state.label != label)
    )


def _load(node: Node, request: Request, stdin: str) -> Completed:
    """``-R -``: the lines of ``-o save`` from standard input; the first that fails ends it."""
    if request.file not in ("-", "/dev/null"):
        raise UnsupportedError(f"conntrack --load-file {request.file}", instead="use - and standard input")
    for line in stdin.splitlines() if request.file == "-" else ():
        words = line.split()
        words = words[1:] if words[:1] == ["conntrack"] else words
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in _LOADABLE:
            shown = words[0] if words[0].startswith("-") else "unknown"
            text = f"Cannot use command `{shown}' with --load-file\nTry `conntrack -h' or 'conntrack --help'"
            raise ConfigError(f"{text} for more information.", exit_code=2)
        each = read_request(words)
        _COMMANDS[each.kind](node.conntrack, each)
    return Completed()


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
    "add": _add,
    "update": _update,
    "flush": _flush,
    "count": _count,
    "stats": _stats,
}
