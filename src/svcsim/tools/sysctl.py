"""
`sysctl`: kernel parameters read and written by name.

Behaviour of: sysctl (procps-ng 4.0). A parameter that is not declared here is refused as one that the kernel lacks.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tools.command import Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["sysctl"]

_FLAGS = {"-q": "quiet", "--quiet": "quiet", "-n": "values", "--values": "values", "-N": "names", "-e": "ignore"}
_WRITE = {"-w", "--write", "-qw", "-wq"}


def sysctl(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``sysctl [-q] [-n] [-a] [-w] NAME[=VALUE] ...``."""
    flags: set[str] = set()
    words: list[str] = []
    for word in args:
        if word in _WRITE:
            flags.update({"quiet"} if "q" in word else ())
        elif word in _FLAGS:
            flags.add(_FLAGS[word])
        elif word in ("-a", "-A", "--all"):
            words.extend(node.sysctls)
        elif word.startswith("-"):
            raise UnsupportedError(f"sysctl {word}", instead="known: -w -q -n -N -e -a")
        else:
            words.append(word)
    if not words:
        return Completed(1, "", "sysctl: no variables specified\nTry `sysctl --help' for more information.\n")
    out: list[str] = []
    errors: list[str] = []
    code = 0
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().replace("/", ".") if "/" in key else key.strip()
        names = [n for n in node.sysctls if fnmatchcase(n, key)] if any(c in key for c in "*?[") else [key]
        for each in names:
            try:
                if equals:
                    node.sysctls.write(each, value.strip())
                text = node.sysctls.read(each)
            except ConfigError as error:
                if "ignore" not in flags:
                    errors.append(f"{error}\n")
                    code = error.exit_code
                continue
            if not (equals and "quiet" in flags):
                shown = {"values": text, "names": each}
                out.append(next((shown[f] for f in shown if f in flags), f"{each} = {text}") + "\n")
    return Completed(code, "".join(out), "".join(errors))
