"""
`ipset`: sets made, filled, listed and exchanged.

Behaviour of: ipset 7.17, its words, texts and exit codes; pinned by the corpus scenarios iptables-settypes-* and
iptables-settext-*.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tables.ipset_list import ListSet
from svcsim.tables.ipset_text import KernelRefusal
from svcsim.tables.ipset_types import find_type
from svcsim.tools.command import Completed
from svcsim.tools.ipset_args import Switches, read_added, read_create, read_switches, usage_error
from svcsim.tools.ipset_listing import listed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["ipset"]

_SAYS = "ipset v7.17: "
_VERSION = "ipset v7.17, protocol version: 7\n"
_VERBS = {
    alias: verb
    for verb, aliases in {
        "create": "-N --create c n", "add": "-A --add a", "del": "-D --del d", "test": "-T --test t",
        "list": "-L --list l", "save": "-S --save s", "restore": "-R --restore r", "flush": "-F --flush f",
        "destroy": "-X --destroy x", "rename": "-E --rename e", "swap": "-W --swap w",
        "version": "-V --version v -v", "help": "-H -h --help h", "quit": "q",
    }.items()
    for alias in (verb, *aliases.split())
}  # fmt: skip
#: How many words a command needs, and how many it takes; None: any number.
_COUNTS: dict[str, tuple[int, int | None]] = {
    "create": (2, None), "add": (2, None), "del": (2, None), "test": (2, None), "list": (0, 1), "save": (0, 1),
    "restore": (0, 0), "flush": (0, 1), "destroy": (0, 1), "rename": (2, 2), "swap": (2, 2),
}  # fmt: skip


def ipset(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``ipset [-exist] [-q] COMMAND [SET] [words]``."""
    switches = Switches()
    session = _Session(node)
    try:
        words = read_switches(args, switches)
        if not words:
            raise usage_error("No command specified.")
        verb = session.verb(words[0])
        if switches.file not in ("", "/dev/null"):
            raise UnsupportedError(f"ipset -file {switches.file}", instead="use standard input and output")
        if verb == "restore":
            session.take_words(verb, words[1:])
            code = session.restore(stdin if not switches.file else "", switches)
        else:
            code = session.run(verb, words[1:], switches)
    except UnsupportedError:
        raise
    except ConfigError as error:
        code = error.exit_code
        session.stderr.append(f"{_SAYS}{error}\n")
    stdout = "" if switches.file else "".join(session.stdout)
    return Completed(code, stdout, "" if switches.quiet else "".join(session.stderr))


@attrs.define(eq=False)
class _Session:
    """A run of the tool: what it has said so far, and in `restore` the changes that are not made yet."""

    node: Node
    stdout: list[str] = attrs.field(factory=list)
    stderr: list[str] = attrs.field(factory=list)
    _pending: list[tuple[int, Callable[[], None]]] = attrs.field(factory=list)
    _pending_for: tuple[str, str] = ("", "")

    @staticmethod
    def verb(word: str) -> str:
        """The command that *word* names."""
        verb = _VERBS.get(word)
        if verb is None:
            raise usage_error(f"No command specified: unknown argument {word}")
        return verb

    @staticmethod
    def take_words(verb: str, words: list[str]) -> None:
        """Refuse too few words and too many."""
        least, most = _COUNTS[verb]
        if len(words) < least:
            raise usage_error(f"Missing {'second ' if words else ''}mandatory argument to command {verb}")
        if most is not None and len(words) > most:
            raise usage_error(f"Unknown argument {words[most]}")

    def run(self, verb: str, words: list[str], switches: Switches) -> int:
        """Do one command; the exit code."""
        if verb == "version":
            self.stdout.append(_VERSION)
            return 0
        if verb == "help":
            return self._help(words)
        if verb == "quit":
            return 0
        self.take_words(verb, words)
        if verb in ("list", "save"):
            self._list(verb, words, switches)
        elif verb == "test":
            return self._test(words)
        elif verb in ("add", "del"):
            self._change(verb, words, switches)()
        else:
            self._manage(verb, words, switches)
        return 0

    def _help(self, words: list[str]) -> int:
        if words and find_type(words[0]) is None:
            raise usage_error(f"Unknown settype: `{words[0]}'")
        raise UnsupportedError("ipset help", instead="see the manual page ipset(8)")

    def _list(self, verb: str, words: list[str], switches: Switches) -> None:
        sets = self.node.ipsets
        chosen = [sets[words[0]]] if words else list(sets)
        if verb == "save" and not switches.output_given:
            switches = attrs.evolve(switches, output="save")
        self.stdout.append(listed(chosen, switches))

    def _manage(self, verb: str, words: list[str], switches: Switches) -> None:
        sets = self.node.ipsets
        if verb == "create":
            options, warning = read_create(words[1], words[2:], newest=sets.newest)
            sets.create(words[0], words[1], options, exist=switches.exist)
            self.stderr.append(warning)
        elif verb == "flush":
            for each in [sets[words[0]]] if words else list(sets):
                each.flush()
        elif verb == "destroy":
            sets.destroy(words[0] if words else None)
        elif verb == "rename":
            sets.rename(*words)
        else:
            sets.swap(*words)

    def _change(self, verb: str, words: list[str], switches: Switches) -> Callable[[], None]:
        """What `add` or `del` is going to do, all its words read."""
        held, exist = self.node.ipsets[words[0]], switches.exist
        if isinstance(held, ListSet):
            added = read_added(held, words[2:], verb)
            if verb == "del":
                return lambda: held.remove_member(words[1], place=added.place, exist=exist)
            return lambda: held.add_member(words[1], added.entry, place=added.place, exist=exist, timeout=added.timeout)
        try:
            elements = held.read(words[1])
        except KernelRefusal as refusal:
            read_added(held, words[2:], verb)  # the tool reads all words before the kernel is asked
            return partial(_refuse, refusal)
        added = read_added(held, words[2:], verb)
        if verb == "del":
            return lambda: held.remove(elements, exist=exist)
        return lambda: held.add(elements, added.entry, exist=exist, timeout=added.timeout)

    def _test(self, words: list[str]) -> int:
        held = self.node.ipsets[words[0]]
        if isinstance(held, ListSet):
            added = read_added(held, words[2:], "test")
            shown = f"{words[1]} after {added.place[1]}" if added.place else words[1]
            found = held.holds_member(words[1], added.place)
        else:
            try:
                elements = held.read(words[1])
                added = read_added(held, words[2:], "test")
                shown, found = elements.shown, held.holds(elements, nomatch=added.nomatch)
            except KernelRefusal:
                read_added(held, words[2:], "test")
                shown, found = words[1], False
        text = f"Warning: {shown} is in set {held.name}.\n" if found else f"{shown} is NOT in set {held.name}.\n"
        self.stderr.append(text)
        return 0 if found else 1

    # -- restore -------------------------------------------------------------------------------------------------------

    def restore(self, text: str, switches: Switches) -> int:
        """
        Run the lines of `ipset save`.

        Additions to one set are sent to the kernel together. A line that cannot be read ends it, and those not sent
        yet are lost; a line that the kernel refuses ends it, and what was done before it stays.
        """
        for number, line in enumerate(text.splitlines(), 1):
            words = _words(line)
            if not words or words[0].startswith("#"):
                continue
            if words == ["COMMIT"]:
                self._send()
                continue
            own = attrs.evolve(switches)
            try:
                words = read_switches(words, own)
                if not words:
                    raise usage_error("No command specified.")
                verb = self.verb(words[0])
                if verb in ("add", "del"):
                    self._put_off(number, verb, words[1:], own)
                    continue
                if verb == "restore":
                    raise usage_error("Command `restore' is invalid in restore mode.")
                if verb == "quit":
                    return 0  # what was not sent yet never is
                self._send()
                self.run(verb, words[1:], own)
            except UnsupportedError:
                raise
            except ConfigError as error:
                raise _of_line(number, error) from None
        self._send()
        return 0

    def _put_off(self, number: int, verb: str, words: list[str], switches: Switches) -> None:
        self.take_words(verb, words)
        change = self._change(verb, words, switches)
        if self._pending_for != (verb, words[0]):
            self._send()
            self._pending_for = (verb, words[0])
        self._pending.append((number, change))

    def _send(self) -> None:
        pending, self._pending, self._pending_for = self._pending, [], ("", "")
        for number, change in pending:
            try:
                change()
            except UnsupportedError:
                raise
            except ConfigError as error:
                raise _of_line(number, error) from None


def _refuse(refusal: KernelRefusal) -> None:
    raise refusal


def _of_line(number: int, error: ConfigError) -> ConfigError:
    """The same error with the line that it was found in; where the tool itself found it, it does not say."""
    text = str(error)
    named = error.exit_code == 1 and "\n" not in text and not text.startswith("Error in line")
    return ConfigError(f"Error in line {number}: {text}", exit_code=1) if named else error


def _words(line: str) -> list[str]:
    """Split at blanks outside double quotes; a quotation that is not closed is left out."""
    words = []
    pieces = line.split('"')
    for at, piece in enumerate(pieces[: len(pieces) - (len(pieces) + 1) % 2]):
        words += [piece] if at % 2 else piece.split()
    return words
