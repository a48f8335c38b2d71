"""
Reading POSIX regular expressions, basic and extended.

Behaviour of: GNU grep 3.8: its escapes (``\\w \\b \\<`` and so on) and its readings of what POSIX leaves open.
Back-references are refused by name.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

import attrs

from svcsim.errors import ConfigError, UnsupportedError

__all__ = ["Assertion", "CharSet", "Node", "parse_expression"]

_MAX_DEPTH = 100
_MAX_REPEAT = 32767  # RE_DUP_MAX
_INTERVAL = re.compile(r"([0-9]*)(?:(,)([0-9]*))?")
_CLASSES: dict[str, Callable[[str], bool]] = {
    "alpha": str.isalpha,
    "digit": lambda c: "0" <= c <= "9",
    "alnum": lambda c: c.isalpha() or "0" <= c <= "9",
    "upper": str.isupper,
    "lower": str.islower,
    "space": lambda c: c in " \t\n\r\f\v",
    "blank": lambda c: c in " \t",
    "punct": lambda c: c.isprintable() and not c.isalnum() and c != " ",
    "print": str.isprintable,
    "graph": lambda c: c.isprintable() and c != " ",
    "cntrl": lambda c: c < " " or c == "\x7f",
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}


class Assertion(enum.Enum):
    """What can be asked of a place between two characters."""

    LINE_START = "^"
    LINE_END = "$"
    WORD_START = "\\<"
    WORD_END = "\\>"
    BOUNDARY = "\\b"
    NO_BOUNDARY = "\\B"
    NO_WORD_BEFORE = "no word character before"
    NO_WORD_AFTER = "no word character after"


def _is_word(c: str) -> bool:
    return c == "_" or c.isalnum()


_ESCAPES = {a.value[1]: a for a in Assertion if len(a.value) == 2} | {
    "`": Assertion.LINE_START,
    "'": Assertion.LINE_END,
}
_ESCAPED_CLASSES: dict[str, tuple[Callable[[str], bool], bool]] = {
    "w": (_is_word, False),
    "W": (_is_word, True),
    "s": (str.isspace, False),
    "S": (str.isspace, True),
}
_KNOWN_ESCAPES = [f"\\{c}" for c in sorted([*_ESCAPES, *_ESCAPED_CLASSES]) if c.isalpha()]


@attrs.frozen
class CharSet:
    """Characters: *ranges* of them and *classes*, or all others."""

    ranges: tuple[tuple[str, str], ...] = ()
    classes: tuple[Callable[[str], bool], ...] = ()
    negated: bool = False

    def has(self, c: str, *, ignore_case: bool = False) -> bool:
        """Whether *c* belongs to it, in either case if that does not matter."""
        found = self._holds(c)
        if not found and ignore_case:
            found = self._holds(c.upper()) or self._holds(c.lower())
        return found != self.negated

    def _holds(self, c: str) -> bool:
        return any(low <= c <= high for low, high in self.ranges) or any(test(c) for test in self.classes)


@attrs.frozen
class Node:
    """A part of an expression: a ``set``, an ``assertion``, a ``sequence``, ``any of`` or ``repeat`` of *parts*."""

    kind: str
    parts: tuple[Node, ...] = ()
    chars: CharSet | None = None
    assertion: Assertion | None = None
    least: int = 1
    most: int | None = 1

    @property
    def may_be_empty(self) -> bool:
        """Whether it matches where there is nothing."""
        match self.kind:
            case "set":
                return False
            case "sequence":
                return all(part.may_be_empty for part in self.parts)
            case "any of":
                return any(part.may_be_empty for part in self.parts)
            case "repeat":
                return self.least == 0 or self.parts[0].may_be_empty
        return True

    @classmethod
    def char(cls, c: str) -> Node:
        """This one character."""
        return cls("set", chars=CharSet(((c, c),)))

    @classmethod
    def literal(cls, text: str) -> Node:
        """These characters in order."""
        return cls("sequence", tuple(cls.char(c) for c in text))

    @classmethod
    def any_of(cls, parts: list[Node]) -> Node:
        """One of *parts*."""
        return parts[0] if len(parts) == 1 else cls("any of", tuple(parts))

    def between(self, before: Assertion, after: Assertion) -> Node:
        """This, where two assertions hold at its ends."""
        return Node("sequence", (Node("assertion", assertion=before), self, Node("assertion", assertion=after)))


def _broken(message: str) -> ConfigError:
    return ConfigError(f"grep: {message}", exit_code=2)


def parse_expression(pattern: str, *, extended: bool = False) -> Node:
    """
    Read a basic or an *extended* expression; `ConfigError` with grep's words for what is none.

    >>> parse_expression("a|b*", extended=True).may_be_empty
    True
    >>> parse_expression("[a")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: grep: Unmatched [, [^, [:, [., or [=
    """
    reader = _Reader(pattern, extended)
    node = reader.alternatives(0)
    if reader.at < len(pattern):
        if extended:
            raise UnsupportedError("a ) without its ( in an expression", instead="escape it")
        raise _broken("Unmatched ) or \\)")
    return node


class _Reader:
    """
    A pattern being read.

    An operator is its bare character in an extended expression and the escaped one in a basic one; ``*``, ``[``, ``.``,
    ``^`` and ``$`` are bare in both.
    """

    def __init__(self, pattern: str, extended: bool) -> None:
        self.pattern, self.extended, self.at = pattern, extended, 0

    def special(self) -> str:
        """The operator that comes next, empty if an ordinary character does."""
        c = self.pattern[self.at : self.at + 1]
        if c and c in "*[.^$":
            return c
        if self.extended:
            return c if c and c in "()|{}+?" else ""
        following = self.pattern[self.at + 1 : self.at + 2]
        return following if c == "\\" and following and following in "()|{}+?" else ""

    def skip(self) -> None:
        """Pass the operator that comes next."""
        self.at += 2 if self.pattern[self.at] == "\\" else 1

    def alternatives(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise UnsupportedError(f"groups within more than {_MAX_DEPTH} others", instead="use a simpler expression")
        options = [self.sequence(depth)]
        while self.special() == "|":
            self.skip()
            options.append(self.sequence(depth))
        return Node.any_of(options)

    def sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self.at < len(self.pattern):
            special = self.special()
            if special in ("|", ")"):
                break
            node = self.atom(special, depth, first=not parts)
            anchored = node.assertion is Assertion.LINE_START and not self.extended  # a basic ^* is a * at the start
            parts.append(node if anchored else self.repeated(node))
        return Node("sequence", tuple(parts))

    def atom(self, special: str, depth: int, *, first: bool) -> Node:
        c = self.pattern[self.at]
        if special == "(":
            self.skip()
            node = self.alternatives(depth + 1)
            if self.special() != ")":
                raise _broken("Unmatched ( or \\(")
            self.skip()
            return node
        if special == "[":
            self.at += 1
            return Node("set", chars=self.bracket())
        if special == ".":
            self.at += 1
            return Node("set", chars=CharSet(negated=True))
        if (special == "^" and (self.extended or first)) or (special == "$" and (self.extended or self.at_end())):
            self.at += 1
            return Node("assertion", assertion=Assertion.LINE_START if special == "^" else Assertion.LINE_END)
        if special in ("*", "+", "?", "{"):
            if self.extended:
                raise UnsupportedError(f"the operator {special!r} behind nothing in an expression", instead="escape it")
            self.skip()
            return Node.char(special)
        if special or c != "\\":
            self.skip()
            return Node.char(special or c)
        return self.escape()

    def at_end(self) -> bool:
        """Whether a basic expression's ``$`` stands at the end of a branch."""
        rest = self.pattern[self.at + 1 :]
        return not rest or rest.startswith(("\\)", "\\|"))

    def escape(self) -> Node:
        c = self.pattern[self.at + 1 : self.at + 2]
        if not c:
            raise _broken("Trailing backslash")
        self.at += 2
        if c in "123456789":
            raise UnsupportedError(f"the back-reference \\{c}", instead="use an expression without one")
        if c in _ESCAPES:
            return Node("assertion", assertion=_ESCAPES[c])
        if c in _ESCAPED_CLASSES:
            test, negated = _ESCAPED_CLASSES[c]
            return Node("set", chars=CharSet(classes=(test,), negated=negated))
        if c.isalnum():
            raise UnsupportedError(f"the escape \\{c} in an expression", instead="known: " + " ".join(_KNOWN_ESCAPES))
        return Node.char(c)

    def repeated(self, node: Node) -> Node:
        operators = 0
        while (special := self.special()) in ("*", "+", "?", "{"):
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (1, 1)}[special]
            if special == "{":
                least, most = self.interval()
            else:
                self.skip()
            if node.assertion is not None:
                raise UnsupportedError(
                    f"{special!r} behind {node.assertion.value!r} in an expression", instead="leave it out"
                )
            operators += 1
            if operators > _MAX_DEPTH:
                raise UnsupportedError(f"more than {_MAX_DEPTH} repetitions of one thing", instead="leave some out")
            node = Node("repeat", (node,), least=least, most=most)
        return node

    def interval(self) -> tuple[int, int | None]:
        """Take ``{n,m}``."""
        self.skip()
        match = _INTERVAL.match(self.pattern, self.at)
        assert match is not None
        self.at = match.end()
        closed = self.special() == "}"
        if not closed or not (match[1] or match[2]):
            if self.extended:
                raise UnsupportedError("a { that begins no interval in an expression", instead="escape it")
            raise _broken("Invalid content of \\{\\}" if closed else "Unmatched { or \\{")
        self.skip()
        if max(len(match[1]), len(match[3] or "")) > len(str(_MAX_REPEAT)):
            raise _broken("Regular expression too big")
        least = int(match[1] or 0)
        most = (int(match[3]) if match[3] else None) if match[2] else least
        if max(least, most or 0) > _MAX_REPEAT:
            raise _broken("Regular expression too big")
        if most is not None and most < least:
            raise _broken("Invalid content of \\{\\}")
        return least, most

    def bracket(self) -> CharSet:
        """What stands behind a ``[``; a ``]`` that comes first and a backslash mean themselves."""
        text = self.pattern
        if text.startswith(":", self.at) and re.match(r":[^\]]*:\]", text[self.at :]):
            raise _broken("character class syntax is [[:space:]], not [:space:]")
        negated = text.startswith("^", self.at)
        self.at += negated
        ranges: list[tuple[str, str]] = []
        classes: list[Callable[[str], bool]] = []
        start = self.at
        while not text.startswith("]", self.at) or self.at == start:
            if text.startswith("[:", self.at):
                classes.append(self.character_class())
                continue
            low = self.element()
            high = low
            if text.startswith("-", self.at) and not text.startswith("-]", self.at):
                self.at += 1
                high = self.element()
            if high < low:
                raise _broken("Invalid range end")
            ranges.append((low, high))
        self.at += 1
        return CharSet(tuple(ranges), tuple(classes), negated)

    def character_class(self) -> Callable[[str], bool]:
        stop = self.pattern.find(":]", self.at + 2)
        name = self.pattern[self.at + 2 : stop]
        if stop < 0:
            raise _broken("Unmatched [, [^, [:, [., or [=")
        if name not in _CLASSES:
            raise _broken("Invalid character class name")
        self.at = stop + 2
        return _CLASSES[name]

    def element(self) -> str:
        """One character of a bracket, also as ``[.c.]`` or ``[=c=]``."""
        text = self.pattern
        if self.at >= len(text):
            raise _broken("Unmatched [, [^, [:, [., or [=")
        for mark in ".=":
            if text.startswith(f"[{mark}", self.at):
                if text[self.at + 3 : self.at + 5] != f"{mark}]":
                    raise _broken("Invalid collation character")
                self.at += 5
                return text[self.at - 3]
        self.at += 1
        return text[self.at - 1]
