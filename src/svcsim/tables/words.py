"""
Command lines told apart: which word is an option, which its value, and whose option it is.

Behaviour of: getopt_long as iptables 1.8.9 (legacy) uses it, abbreviations and bundled letters included.
"""

from __future__ import annotations

import abc

from svcsim.tables.command import FLAGS, GLOBAL, LONG_NAMES, OPTIONAL_CHAIN
from svcsim.tables.form import Plan
from svcsim.tables.options import Option
from svcsim.tables.parser import Parser, Use
from svcsim.tables.problems import UsageError
from svcsim.tables.unknown import Unknown

__all__ = ["Words"]


class Words(abc.ABC):
    """
    The words of one line, read one after the other; what a general option means is up to `option`.

    *at* is the place of the next word. *proto* is the protocol that the rule has named so far, *signs* the letters of
    options behind a ``!``. *uses* are the extensions in the order in which they were loaded, with the words given to
    them; together with *plan* they are what a form can be learned from afterwards.
    """

    def __init__(self, parser: Parser, words: list[str]) -> None:
        self.parser, self.words = parser, words
        self.at = 0
        self.inverted = False
        self.answered = False  # what was asked for is told without further ado
        self.signs: set[str] = set()
        self.proto = 0
        self.uses: list[Use] = []
        self.plan = Plan()
        self._loaded = False  # the match of the protocol, because of an option

    @abc.abstractmethod
    def option(self, letter: str, value: str | None) -> None:
        """Take one general option."""

    def scan(self) -> None:
        """Take all options."""
        words = self.words
        while self.at < len(words):
            word = words[self.at]
            self.at += 1
            if word == "!":
                if self.inverted:
                    raise UsageError("multiple consecutive ! not allowed")
                self.inverted = True
                continue
            if word == "--":
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._bundle(word)
            else:
                raise UsageError(f"Bad argument `{word}'", bare=True)
            self.inverted = False
            if self.answered:
                return
        if self.at < len(words):
            raise UsageError("unknown arguments found on commandline")

    def _long(self, word: str) -> None:
        """``--name``, ``--name=value``, or the beginning of a name that means one option only."""
        name, equals, attached = word.partition("=")
        letter = GLOBAL.get(name)
        if letter is None:
            found = self._own(name)
            if found is None and self.uses and issubclass(self.uses[-1].plugin, Unknown):
                implied = None if self._loaded else self.parser.implicit_match(self.proto)
                if implied is None or name not in implied.option_table:
                    self._kept_option(self.uses[-1], word)
                    return
            if found is None:
                letter, found = self._abbreviated(name)
            if found is not None:
                self._extension_option(*found, word, attached if equals else None)
                return
        if letter is None:
            self._unknown(word)
            return
        takes = letter not in FLAGS and letter not in OPTIONAL_CHAIN and letter != "w"
        if equals and not takes and letter not in OPTIONAL_CHAIN and letter != "w":
            raise UsageError(f'unknown option "{word}"')
        self.option(letter, attached if equals else self._argument(word) if takes else None)

    def _bundle(self, word: str) -> None:
        """``-x``, ``-nv``, or a letter with its value attached."""
        rest = word[1:]
        while rest:
            letter, rest = rest[0], rest[1:]
            if f"-{letter}" not in GLOBAL:
                raise UsageError(f'unknown option "{word}"')
            if letter in FLAGS:
                self.option(letter, None)
            elif letter in OPTIONAL_CHAIN or letter == "w":
                self.option(letter, rest or None)
                return
            else:
                self.option(letter, rest or self._argument(f"-{letter}"))
                return

    def _argument(self, word: str) -> str:
        """The next word, which belongs to the option *word*."""
        if self.at >= len(self.words):
            raise UsageError(f'option "{word}" requires an argument')
        self.at += 1
        return self.words[self.at - 1]

    def next_plain(self) -> str | None:
        """The next word if it is neither an option nor a ``!``; it is taken."""
        if self.at < len(self.words) and self.words[self.at][:1] not in ("-", "!"):
            self.at += 1
            return self.words[self.at - 1]
        return None

    def _own(self, name: str) -> tuple[Use, Option] | None:
        """The extension that knows an option, the one loaded last if there are several."""
        for use in reversed(self.uses):
            option = use.table.get(name)
            if option is not None:
                return use, option
        return None

    def _abbreviated(self, beginning: str) -> tuple[str | None, tuple[Use, Option] | None]:
        """What *beginning* is the beginning of: a general option's letter or an extension's option, if it is clear."""
        letters = {letter for name, letter in LONG_NAMES.items() if f"--{name}".startswith(beginning)}
        own: dict[tuple[int, str], tuple[Use, Option]] = {}
        for use in self.uses:
            for name, option in use.table.items():
                if name.startswith(beginning):
                    own[id(use), option.canonical] = (use, option)
        if len(letters) + len(own) != 1:
            return None, None
        return (letters.pop(), None) if letters else (None, next(iter(own.values())))

    def _unknown(self, word: str) -> None:
        """Load the match of the protocol, if that was not done yet, and try *word* again."""
        plugin = None if self._loaded else self.parser.implicit_match(self.proto)
        if plugin is None:
            raise UsageError(f'unknown option "{word}"')
        self._loaded = True
        self.uses.append(Use(plugin))
        self._long(word)

    def _kept_option(self, use: Use, word: str) -> None:
        """Keep an option of an extension that is not modelled, with all words up to the next option."""
        self.plan.plain = False
        use.words += [*(["!"] if self.inverted else []), word]
        while (value := self.next_plain()) is not None:
            use.words.append(value)

    def _extension_option(self, use: Use, option: Option, word: str, attached: str | None) -> None:
        """Note an option of an extension with its words."""
        if not use.words:
            use.proto = (self.proto, "p" in self.signs)
        if attached is not None or word not in use.table:
            self.plan.plain = False
        values = [] if attached is None else [attached]
        if attached is None and option.arity:
            values.append(self._argument(word))
        if option.arity == 2:
            second = self.next_plain()
            if second is None:
                raise UsageError(f"--{option.canonical} requires two args.")
            values.append(second)
        use.words += [*(["!"] if self.inverted else []), f"--{option.name}", *values]
        if option.arity == 1:
            self.plan.values[self.at - 1] = (use, len(use.words) - 1)
