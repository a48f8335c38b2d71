"""
`sysctl`: kernel parameters read and written by name.

Behaviour of: sysctl (procps-ng 4.0.2). A parameter that a kernel has and svcsim has not is refused by name; any other
is answered as one that is not there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.regex import Expression

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["refuse_elsewhere", "sysctl"]

_LONG = {
    "--all": "a", "--ignore": "e", "--names": "N", "--values": "n", "--quiet": "q", "--write": "w", "--binary": "b",
    "--pattern": "r",
}  # fmt: skip
_USAGE = "\nUsage:\n sysctl [options] [variable[=value] ...]\n"
_NO_NAMES = "sysctl: no variables specified\nTry `sysctl --help' for more information.\n"
#: Where a kernel keeps what svcsim does not have: whole trees, and families of names.
_ELSEWHERE = re.compile(
    r"(abi|crypto|debug|dev|fs|kernel|sunrpc|user|vm|xen)(\.|$)"
    r"|net\.(bridge|core|ieee802154|iw_cm|mptcp|mpls|rds|sctp|smc|sunrpc|tls|unix|x25)(\.|$)"
    r"|net\.ipv[46]\.(neigh|route)(\.|$)"
    r"|net\.ipv[46]\.(tcp|udp|igmp|mld|raw|xfrm[46]|inet_peer|cipso|calipso|ping|fib|nexthop|seg6|ioam6|idgen)_"
    r"|net\.ipv[46]\.(icmp\.|icmp_|ip_|ipfrag_|ip6frag_|max_|auto_|anycast_|flowlabel_|fwmark_|bindv6only|conf\.[^.]+\.)"
    r"|net\.netfilter\.(nf_log|nf_flowtable_|nf_hooks_|nf_conntrack_(gre|frag6|timestamp|helper|expect))"
    r"|net\.ipv4\.vs\."
)


def refuse_elsewhere(node: Node, name: str) -> None:
    """Refuse the parameter *name* if a kernel has it, or may have it, and svcsim has not."""
    device = re.match(r"net\.ipv[46]\.(?:conf|neigh)\.([^.]+)\.", name)
    if device is not None and device[1] not in ("all", "default", *node.devices):
        return  # no device, no parameters
    if _ELSEWHERE.match(name):
        raise UnsupportedError(f"the kernel parameter {name!r}", instead="see `sysctl -a` for those that are there")


def sysctl(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``sysctl [-q] [-n|-N|-b] [-e] [-w] NAME[=VALUE] ...``, ``sysctl -a [-r PATTERN]``; the code counts failures."""
    run = _Run(node)
    words = run.options(args)
    if not words and not run.all:
        return Completed(1, "", _NO_NAMES) if args else Completed(1, _USAGE)
    if run.all:
        words = [each for each in node.sysctls if run.pattern is None or run.pattern.search(each)]
    for word in words:
        run.one(word)
    return Completed(run.failures, "".join(run.stdout), "".join(run.stderr))


class _Run:
    """One call: its options, and what has come out so far."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.flags: set[str] = set()
        self.pattern: Expression | None = None
        self.failures = 0
        self.stdout: list[str] = []
        self.stderr: list[str] = []

    def options(self, args: list[str]) -> list[str]:
        """Take the options out of *args*."""
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += words
            elif not word.startswith("-") or word == "-":
                rest.append(word)
            elif word.startswith("--") and word not in _LONG:
                raise UnsupportedError(f"sysctl {word}", instead=f"known: {', '.join(_LONG)}")
            else:
                for letter in _LONG.get(word, word[1:]):
                    if letter == "r":
                        self.pattern = Expression([next(words, "")], extended=True)
                    elif letter in "aAXeNnqwbox":
                        self.flags.add(letter)
                    else:
                        raise UnsupportedError(f"sysctl -{letter}", instead="known: -a -b -e -n -N -q -r -w")
        return rest

    @property
    def all(self) -> bool:
        """Whether every parameter is asked for."""
        return bool(self.flags & {"a", "A", "X"})

    def one(self, word: str) -> None:
        """Write or read what one word names."""
        key, equals, value = word.partition("=")
        key = key.strip()
        name = key.replace("/", ".") if "/" in key else key
        if not equals and "w" in self.flags and not self.all:
            self._fail("sysctl: command line(0): invalid syntax, continuing...")
        elif not equals and (within := [each for each in self.node.sysctls if each.startswith(f"{name}.")]):
            for each in within:
                self._show(each, self.node.sysctls.read(each))
        else:
            try:
                self._do(name, value.strip() if equals else None)
            except MissingError as error:
                refuse_elsewhere(self.node, name)
                if "e" not in self.flags:
                    self._fail(str(error))
            except ConfigError as error:
                self._fail(str(error))

    def _do(self, name: str, value: str | None) -> None:
        if value is None:
            self._show(name, self.node.sysctls.read(name))
            return
        self.node.sysctls.write(name, value)
        if "q" not in self.flags:
            self._show(name, value)

    def _show(self, name: str, text: str) -> None:
        if "b" in self.flags:
            self.stdout.append(text)
        elif "n" in self.flags:
            self.stdout.append(f"{text}\n")
        else:
            self.stdout.append(f"{name}\n" if "N" in self.flags else f"{name} = {text}\n")

    def _fail(self, message: str) -> None:
        self.failures += 1
        self.stderr.append(f"{message}\n")
