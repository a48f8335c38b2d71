"""
Every error that svcsim raises on purpose.

A dropped packet is a verdict, never an exception. An exception means that somebody wrote something wrong
(`ConfigError`, `PacketError`) or asked for what is not modelled (`UnsupportedError`). An `AssertionError` is our own
bug. A refused change leaves everything as it was.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "ExistsError",
    "MissingError",
    "MissingExtraError",
    "PacketError",
    "RulesetError",
    "SvcsimError",
    "UnknownNameError",
    "UnsupportedError",
]


class SvcsimError(Exception):
    """The root of them all."""


class ConfigError(SvcsimError, ValueError):
    """
    Something configured is wrong; it was noticed before any packet moved.

    *exit_code* is what the real tool would exit with, where a tool is spoken of.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class RulesetError(ConfigError):
    """
    A text of rules cannot be read or may not be loaded: *line* and *column* count from 1, *text* is the line.

    >>> str(RulesetError("Bad argument `x'", line=3, column=7, text="-A FORWARD x"))
    "line 3, column 7: Bad argument `x': -A FORWARD x"
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        text: str = "",
        exit_code: int = 2,
    ) -> None:
        self.message, self.line, self.column, self.text = message, line, column, text
        places = [f"{name} {at}" for name, at in (("line", line), ("column", column)) if at is not None]
        where = ", ".join(places) + ": " if places else ""
        shown = text if len(text) <= 200 else text[:197] + "..."
        super().__init__(f"{where}{message}{': ' + shown if shown else ''}", exit_code=exit_code)


class UnknownNameError(ConfigError):
    """
    No plug-in of this *kind* answers to *name*; `known` lists those that do.

    >>> raise UnknownNameError("scheduler", "rrr", ["rr", "sed"])
    Traceback (most recent call last):
    svcsim.errors.UnknownNameError: unknown scheduler 'rrr'; did you mean 'rr'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        close = difflib.get_close_matches(name, self.known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.known)}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class ExistsError(ConfigError):
    """What should be made is there already; the message is the real tool's."""


class MissingError(ConfigError):
    """What should be used, changed or removed is not there; the message is the real tool's."""


class PacketError(SvcsimError, ValueError):
    """These bytes are no packet, or these values cannot be one: *offset* is the byte where it was noticed, if known."""

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        self.offset = offset
        super().__init__(message if offset is None else f"{message} (byte {offset})")


class MissingExtraError(SvcsimError, ImportError):
    """An optional library is not installed; the message says how to get it."""


class UnsupportedError(SvcsimError, NotImplementedError):
    """
    The real thing does this and svcsim does not; *instead* says what can be done.

    >>> str(UnsupportedError("conntrack zones", instead="leave out --zone"))
    'conntrack zones: not modelled; leave out --zone'
    """

    def __init__(self, what: str, *, instead: str = "") -> None:
        self.what, self.instead = what, instead
        super().__init__(f"{what}: not modelled{'; ' + instead if instead else ''}")
