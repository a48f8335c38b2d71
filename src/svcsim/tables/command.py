"""
What one line of iptables asks for.

Behaviour of: the command lines of iptables 1.8.9 (legacy), which iptables-restore reads as well.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from svcsim.tables.problems import UsageError
from svcsim.tables.rule import Rule

__all__ = ["FLAGS", "GLOBAL", "LONG_NAMES", "OPTIONAL_CHAIN", "VERBS", "Command"]

#: The commands, with the options that each may not have: n s d p j v x i o 0 (line numbers) c f.
VERBS: Mapping[str, str] = {
    "A": "nx0",
    "C": "nx0c",
    "D": "nx0c",
    "I": "nx0",
    "R": "nx0",
    "L": "sdpjiocf",
    "S": "nsdpjxio0cf",
    "F": "nsdpjxio0cf",
    "Z": "nsdpjxio0cf",
    "N": "nsdpjxio0cf",
    "X": "nsdpjxio0cf",
    "P": "nsdpjxio0f",
    "E": "nsdpjxio0cf",
    "D#": "nsdpjxio0cf",
}

#: Options by their long names; a verb's is a capital.
LONG_NAMES: Mapping[str, str] = {
    "append": "A",
    "delete": "D",
    "check": "C",
    "insert": "I",
    "replace": "R",
    "list": "L",
    "list-rules": "S",
    "flush": "F",
    "zero": "Z",
    "new-chain": "N",
    "delete-chain": "X",
    "rename-chain": "E",
    "policy": "P",
    "source": "s",
    "destination": "d",
    "src": "s",
    "dst": "d",
    "protocol": "p",
    "in-interface": "i",
    "jump": "j",
    "table": "t",
    "match": "m",
    "numeric": "n",
    "out-interface": "o",
    "verbose": "v",
    "wait": "w",
    "wait-interval": "W",
    "exact": "x",
    "fragments": "f",
    "version": "V",
    "help": "h",
    "line-numbers": "0",
    "modprobe": "M",
    "set-counters": "c",
    "goto": "g",
    "ipv4": "4",
    "ipv6": "6",
}

#: Letters that stand for flags, without a value; a verb with an optional chain takes one only if it is attached.
FLAGS = frozenset("nvxfVh046")
#: Verbs whose chain may be left out.
OPTIONAL_CHAIN = frozenset("LSFZX")
#: Words that are an option, whole, with its letter.
GLOBAL: Mapping[str, str] = {
    **{f"-{letter}": letter for letter in LONG_NAMES.values() if letter != "0"},
    **{f"--{name}": letter for name, letter in LONG_NAMES.items()},
}


@attrs.define
class Command:
    """
    One line, read: *verb* is the command's letter; what it does not take is empty.

    *rules* are several if ``-s a,b`` or ``-d a,b`` stood for as many. *number* is 0 where none was given. *given* are
    the letters of all options. *also_zero*: ``-L -Z`` and ``-S -Z``.
    """

    verb: str = ""
    table: str = "filter"
    chain: str | None = None
    number: int = 0
    new_name: str = ""
    policy: str = ""
    rules: list[Rule] = attrs.field(factory=list)
    counters: tuple[int, int] = (0, 0)
    given: set[str] = attrs.field(factory=set)
    verbose: int = 0
    also_zero: bool = False
    by_number: bool = False
    other_family: bool = False  # -4 or -6 for the other one
    warnings: list[str] = attrs.field(factory=list)

    def begin(self, verb: str) -> None:
        """Take *verb* for the command; only a listing and ``-Z`` may stand together."""
        if (verb == "Z" and self.verb in ("L", "S")) or (verb in ("L", "S") and self.verb == "Z"):
            self.verb = verb if self.verb == "Z" else self.verb
            self.also_zero = True
            return
        if self.verb:
            raise UsageError(f"Cannot use -{verb} with -{self.verb}")
        self.verb = verb

    def check_options(self) -> None:
        """Complain about an option that the command does not have."""
        forbidden = VERBS["D#" if self.by_number else self.verb]
        for letter in "nsdpjvxio0cf":
            if letter in self.given and letter in forbidden:
                raise UsageError(f"Illegal option `-{letter}' with this command")
