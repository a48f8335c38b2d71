"""
What a command on a node is: words and standard input in; exit code, output and error text out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from svcsim.registry import Registry

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["TOOLS", "Completed", "Tool"]


@attrs.frozen
class Completed:
    """
    How a command ended, as `subprocess.CompletedProcess` tells it.

    >>> Completed(stdout="ok\\n").returncode
    0
    """

    returncode: int = 0
    stdout: str = ""
    stderr: str = ""


class Tool(Protocol):
    """A command: *args* are the words behind its name, *name* the name that it was called by."""

    def __call__(self, node: Node, name: str, args: list[str], stdin: str) -> Completed: ...


#: The commands by name; strangers register through the entry point ``svcsim.tools``.
TOOLS: Registry[Tool] = Registry("command", "svcsim.tools")
