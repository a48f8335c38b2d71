"""
`cat`, of standard input and of the kernel's own files: what of /proc is modelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.conntrack_text import proc_nf_conntrack, proc_stat_nf_conntrack
from svcsim.errors import MissingError, UnsupportedError
from svcsim.lb.ipvs_proc import proc_ip_vs, proc_ip_vs_app, proc_ip_vs_conn, proc_ip_vs_stats
from svcsim.tools.command import Completed
from svcsim.tools.sysctl import refuse_elsewhere

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["cat", "read_proc"]

_SYSCTL = "/proc/sys/"
_KNOWN = (
    "known: /proc/sys/... and, in /proc/net, nf_conntrack, stat/nf_conntrack, ip_vs, ip_vs_app, ip_vs_conn and "
    "ip_vs_stats"
)


def read_proc(node: Node, path: str) -> str:
    """The text of a file; `MissingError` if the kernel has none of this name, `UnsupportedError` if svcsim has not."""
    match path:
        case "/proc/net/stat/nf_conntrack":
            return proc_stat_nf_conntrack(node.conntrack)
        case "/proc/net/nf_conntrack_expect":
            return ""
        case "/proc/net/nf_conntrack":
            return proc_nf_conntrack(node.conntrack)
        case "/proc/net/ip_vs":
            return proc_ip_vs(node.ipvs)
        case "/proc/net/ip_vs_app":
            return proc_ip_vs_app()
        case "/proc/net/ip_vs_conn":
            return proc_ip_vs_conn(node.ipvs)
        case "/proc/net/ip_vs_stats":
            return proc_ip_vs_stats(node.ipvs)
    if not path.startswith(_SYSCTL):
        raise UnsupportedError(f"the file {path!r}", instead=_KNOWN)
    name = path.removeprefix(_SYSCTL).strip("/").replace("/", ".")
    try:
        return node.sysctls.read(name) + "\n"
    except MissingError:
        if any(each.startswith(f"{name}.") for each in node.sysctls):
            raise MissingError(f"cat: {path}: Is a directory") from None
        refuse_elsewhere(node, name)
        raise MissingError(f"cat: {path}: No such file or directory") from None


def cat(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``cat [FILE ...]``: the files one after another; standard input for ``-`` or none."""
    out: list[str] = []
    errors: list[str] = []
    for path in args or ["-"]:
        if path.startswith("-") and path != "-":
            raise UnsupportedError(f"cat {path}", instead="name files")
        if path == "-":
            out.append(stdin)
            stdin = ""  # it can be read once
            continue
        try:
            out.append(read_proc(node, path))
        except MissingError as error:
            errors.append(f"{error}\n")
    return Completed(1 if errors else 0, "".join(out), "".join(errors))
