"""
Write a line about the packet to the kernel's log.

Behaviour of: xt_LOG, nf_log_syslog (`-j LOG`). There is no log here: the line goes to the packet's trace, if it has one.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.log_line import log_line
from svcsim.tables.options import Args, Option, c_integer
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target
from svcsim.tables.texts import quote
from svcsim.trace import Note

__all__ = ["LogTarget"]

_PREFIX_LENGTH = 29
_WARNING = 4
_LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")
_OTHER_LEVELS = {"panic": 0, "err": 3, "warn": 4}
_LISTED = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
_FLAGS = {"log-tcp-sequence": 1, "log-tcp-options": 2, "log-ip-options": 4, "log-uid": 8, "log-macdecode": 32}


@TARGETS.register("LOG")
@attrs.frozen
class LogTarget(Target):
    """``--log-prefix text``, ``--log-level level``, and what else the line shall say, as bits of *flags*."""

    options = (
        Option("log-level"),
        Option("log-prefix"),
        *(Option(name, arity=0) for name in _FLAGS),
    )

    prefix: str = ""
    level: int = _WARNING
    flags: int = 0

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read prefix, level and flags; a prefix that is too long is cut."""
        level = _WARNING
        if "log-level" in args:
            level = _read_level(args.text("log-level"))
        prefix = args.text("log-prefix")
        if "log-prefix" in args and not prefix:
            raise UsageError("Argument must have a minimum length of 1 characters", spaced=True)
        flags = sum(bit for name, bit in _FLAGS.items() if name in args)
        return cls(prefix[:_PREFIX_LENGTH], level, flags)

    def emit(self) -> str:
        """Prefix, level if it is not warning, flags."""
        parts = [f"--log-prefix {quote(self.prefix)}"] if self.prefix else []
        if self.level != _WARNING:
            parts.append(f"--log-level {self.level}")
        parts += [f"--{name}" for name, bit in _FLAGS.items() if self.flags & bit]
        return " ".join(parts)

    def describe(self, numeric: bool) -> str:
        """``LOG flags 0 level 4 prefix "x "``, or ``LOG level warn``."""
        if numeric:
            text = f"LOG flags {self.flags} level {self.level}"
        else:
            names = "".join(f" {name.removeprefix('log-')}" for name, bit in _FLAGS.items() if self.flags & bit)
            text = f"LOG level {_LISTED[self.level]}{names.replace('log-', '')}"
        return f'{text} prefix "{self.prefix}"' if self.prefix else text

    def apply(self, skb: Skb, state: HookState) -> None:
        """Note the line."""
        if skb.trace is not None:
            skb.trace.append(Note(self.prefix + log_line(skb, state, self.flags)))


def _read_level(text: str) -> int:
    level = c_integer(text, 0, 7)
    if level is not None:
        return level
    name = text.lower()
    if name in _LEVELS:
        return _LEVELS.index(name)
    if name not in _OTHER_LEVELS:
        raise UsageError(f'log level "{text}" unknown', spaced=True)
    return _OTHER_LEVELS[name]
