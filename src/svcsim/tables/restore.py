"""
Whole tables out of a text.

Behaviour of: iptables-restore 1.8.9 (legacy). Each table of a text is a transaction: it takes effect
at its COMMIT or not at all, and one that was committed stays although a later one fails.
"""

from __future__ import annotations

import gc
import re
from typing import TYPE_CHECKING

from svcsim.errors import ConfigError, ExistsError, MissingError, RulesetError, UnsupportedError
from svcsim.tables.edit import Edit
from svcsim.tables.execute import execute
from svcsim.tables.grammar import next_line, split_line, word_columns
from svcsim.tables.problems import UsageError
from svcsim.tables.reader import Reading, read_counters

if TYPE_CHECKING:
    from svcsim.tables.table import Ruleset

__all__ = ["RestoreError", "restore"]

_NAME_LENGTH = 29
#: So many lines are taken at once at the most.
_LONGEST_REACH = 4096
#: The line of a user's chain as it is always written.
_NEW_CHAIN = re.compile(
    r":(?!(?:ACCEPT|DROP|QUEUE|RETURN) )([!-,.-~][!-~]{0,27}) - \[[0-9]{1,20}:[0-9]{1,20}\]\n"
).match


class RestoreError(RulesetError):
    """
    A text that cannot be restored; *cause* is what was wrong with its line, *printed* what lines before it printed.

    Of a `UsageError` the tool tells all; of anything else no more than that the line failed.
    """

    def __init__(
        self,
        message: str,
        line: int,
        *,
        cause: ConfigError,
        column: int | None = None,
        text: str = "",
        printed: str = "",
    ) -> None:
        self.cause, self.printed = cause, printed
        super().__init__(message, line=line, column=column, text=text, exit_code=cause.exit_code)


def restore(
    rules: Ruleset,
    text: str,
    *,
    flush: bool = True,
    counters: bool = False,
    test: bool = False,
    only: str | None = None,
    verbose: bool = False,
) -> str:
    """Load *text* table by table; see `Ruleset.restore`."""
    collecting = gc.isenabled()
    gc.disable()  # nothing of what is made here can be garbage: looking for it would take as long as the work
    try:
        return _Restore(rules, flush, counters, test, only, verbose).run(text)
    finally:
        if collecting:
            gc.enable()


class _Restore:
    """One text being restored."""

    def __init__(
        self, rules: Ruleset, flush: bool, counters: bool, test: bool, only: str | None, verbose: bool
    ) -> None:
        self.rules, self.parser = rules, rules.parser
        self.flush, self.counters, self.test, self.only, self.verbose = flush, counters, test, only, verbose
        self.edit: Edit | None = None
        self.skipping = False  # a table that is left out
        self.printed: list[str] = []
        self.reach = _LONGEST_REACH  # lines taken at once, fewer where some of them turn out to be special

    def run(self, text: str) -> str:
        """Read line by line; whatever goes wrong undoes the table that is being read."""
        number, at, line = 0, 0, ""
        try:
            while at < len(text):
                if self.edit is not None and not self.verbose:
                    passed, at = self._rules(self.edit, text, at)
                    number += passed
                    if at == len(text):
                        break
                number += 1
                line, at, whole = next_line(text, at)
                if line and line[0] != "#":
                    self._line(line, number, whole=whole)
            if self.edit is not None:
                number, line = number + 1, ""
                raise ConfigError(f"COMMIT expected at line {number}")
        except UnsupportedError:
            self._abandon()
            raise
        except ConfigError as error:
            self._abandon()
            column = None
            if isinstance(error, UsageError) and error.word is not None:
                columns = word_columns(line)
                column = columns[error.word][1] if error.word < len(columns) else len(line) + 1
            message = error.message if isinstance(error, UsageError) else str(error)
            printed = "".join(self.printed)
            raise RestoreError(message, number, column=column, text=line, cause=error, printed=printed) from error
        return "".join(self.printed)

    def _rules(self, edit: Edit, text: str, at: int) -> tuple[int, int]:
        """Read lines from a place on as long as each declares a new chain or is a rule of a form; how many, and where."""
        passed = 0
        while True:
            names, end = _declared(text, at, self.reach if self.flush else 0)
            if names:
                done, lines = edit.declare(names), len(names)
            else:
                stretch = edit.table.forms.stretch(text, at, self.reach)
                done, lines, end = edit.add(stretch, self.counters), len(stretch.forms), stretch.end
            if done:
                if not lines:
                    return passed, at
                at = end
                passed += lines
                self.reach = min(2 * self.reach, _LONGEST_REACH)
            elif self.reach > 1:
                self.reach = 1  # find out which line it is
            else:
                return passed, at

    def _abandon(self) -> None:
        if self.edit is not None:
            self.edit.roll_back()
            self.edit = None

    def _line(self, line: str, number: int, *, whole: bool) -> None:
        """Any line; one that is not *whole* ends without a line end, and COMMIT is none then."""
        edit = self.edit
        if edit is None:
            if line[0] == "*":
                self._begin(line, number)
            elif not self.skipping:
                raise ConfigError(f"line {number} failed")
        elif line[0] == ":":
            self._chain(edit, line, number)
        elif line == "COMMIT" and whole:
            self.edit = None
            if self.test:
                edit.roll_back()
            else:
                edit.commit()
        else:
            self._command(edit, line, number)

    def _begin(self, line: str, number: int) -> None:
        names = line[1:].split()
        if not names:
            raise UsageError(f"iptables-restore: line {number} table name invalid")
        name = names[0]
        self.skipping = self.only is not None and name != self.only
        if self.skipping:
            return
        try:
            table = self.rules[name]
        except MissingError as error:
            raise UsageError(f"iptables-restore: unable to initialize table '{name}'") from error
        self.edit = table.edit()
        if self.flush:
            if self.verbose:
                self.printed += [f"Flushing chain `{chain.name}'\n" for chain in table.listed()]
                self.printed += [f"Deleting chain `{chain.name}'\n" for chain in table.listed() if not chain.builtin]
            self.edit.clear()

    def _chain(self, edit: Edit, line: str, number: int) -> None:
        """``:NAME POLICY [packets:bytes]``: a built-in chain's policy, or a user's chain that shall be there, empty."""
        words = line[1:].split()
        if not words:
            raise UsageError(f"iptables-restore: line {number} chain name invalid")
        name = words[0]
        if len(name) >= _NAME_LENGTH:
            raise UsageError(f"Invalid chain name `{name}' ({_NAME_LENGTH - 1} chars max)")
        held = edit.table.chains.get(name)
        if held is None or not held.builtin:
            if held is not None and not self.flush:
                edit.flush(name)
            else:
                try:
                    edit.create(name)
                except ExistsError as error:
                    raise UsageError(f"error creating chain '{name}':File exists") from error
        if len(words) < 2:
            raise UsageError(f"iptables-restore: line {number} policy invalid")
        policy = words[1]
        if policy == "-":
            return
        counts = (0, 0)
        if self.counters:
            found = _counters(words[2]) if len(words) > 2 else None
            if found is None:
                raise UsageError(f"invalid policy counters for chain '{name}'")
            counts = found
        try:
            edit.policy(name, policy, counts)
        except ConfigError as error:
            reason = str(error).partition(".")[0]
            raise UsageError(f"Can't set policy `{policy}' on `{name}' line {number}: {reason}", exit_code=1) from error

    def _command(self, edit: Edit, line: str, number: int) -> None:
        """Any other command, with counters before it perhaps."""
        counters, rest = None, line
        if line[0] == "[":
            counts, bracket, rest = line[1:].partition("]")
            if not bracket:
                raise UsageError(f"Bad line {number}: need ]")
            packets, colon, size = counts.partition(":")
            if not colon:
                raise UsageError(f"Bad line {number}: need :")
            if self.counters:
                counters = read_counters(packets, size)
        chains = edit.table.chains
        try:
            words = split_line(rest + "\n", 3 if counters else 0)
            reading = Reading(self.parser, words, lambda table: chains, edit.table.name, restoring=True)
            command = reading.read()
        except UsageError as error:
            if error.word is not None and rest is not line:
                error.word += 1  # the counters were a word of the line
            raise
        if command.other_family:
            return
        if counters is not None:
            if "c" in command.given:
                raise UsageError("multiple -c flags not allowed")
            command.counters = counters
        command.verbose += self.verbose
        self.printed.append(execute(command, edit))
        if command.verb == "A" and len(command.rules) == 1:
            rule, held = command.rules[0], edit.table.chains
            edit.table.forms.learn(self.parser, rest.strip(), reading.words, reading.plan, reading.uses, rule, held)


def _declared(text: str, at: int, most: int) -> tuple[list[str], int]:
    """The names of new chains in the lines from a place on, at most so many, and where they end."""
    names: list[str] = []
    while len(names) < most and (found := _NEW_CHAIN(text, at)) is not None:
        names.append(found[1])
        at = found.end()
    return names, at


def _counters(text: str) -> tuple[int, int] | None:
    packets, colon, size = text.strip("[]").partition(":")
    if not (text.startswith("[") and text.endswith("]") and colon and packets.isdigit() and size.isdigit()):
        return None
    return int(packets), int(size)
