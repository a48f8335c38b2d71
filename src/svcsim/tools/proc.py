"""
`cat` of the kernel's own files: what of /proc is modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from svcsim.conntrack_text import proc_nf_conntrack
from svcsim.errors import ConfigError
from svcsim.lb.ipvs_proc import proc_ip_vs, proc_ip_vs_conn, proc_ip_vs_stats
from svcsim.tools.command import Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["cat", "read_proc"]

_FILES: dict[str, Callable[[Node], str]] = {
    "/proc/net/nf_conntrack": lambda node: proc_nf_conntrack(node.conntrack),
    "/proc/net/ip_vs": lambda node: proc_ip_vs(node.ipvs),
    "/proc/net/ip_vs_conn": lambda node: proc_ip_vs_conn(node.ipvs),
    "/proc/net/ip_vs_stats": lambda node: proc_ip_vs_stats(node.ipvs),
}


def read_proc(node: Node, path: str) -> str | None:
    """The text of a file under /proc, None if there is no such file here."""
    if path.startswith("/proc/sys/"):
        try:
            return node.sysctls.read(path.removeprefix("/proc/sys/")) + "\n"
        except ConfigError:
            return None
    reader = _FILES.get(path)
    return reader(node) if reader is not None else None


def cat(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """The files named, one after another; standard input for ``-`` or none."""
    out: list[str] = []
    errors: list[str] = []
    for path in args or ["-"]:
        text = stdin if path == "-" else read_proc(node, path)
        stdin = "" if path == "-" else stdin
        if text is None:
            errors.append(f"cat: {path}: No such file or directory\n")
        else:
            out.append(text)
    return Completed(1 if errors else 0, "".join(out), "".join(errors))
