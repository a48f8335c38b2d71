"""
The small commands of a shell line: grep, wc, sort, head, tail, echo, sleep, true, false.

Behaviour of: GNU coreutils 9 and grep 3.8, and dash's own echo, in the C locale. An option that is not listed here is
refused by name, and so is a file: they read what is piped into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.regex import Expression

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["echo", "false", "grep", "head", "sleep", "sort", "tail", "true", "wc"]

_LONG = {
    "grep": {
        "invert-match": "v", "extended-regexp": "E", "basic-regexp": "G", "fixed-strings": "F", "count": "c",
        "quiet": "q", "silent": "q", "ignore-case": "i", "only-matching": "o", "word-regexp": "w", "line-regexp": "x",
        "regexp": "e", "max-count": "m",
    },
    "wc": {"lines": "l", "words": "w", "bytes": "c"},
    "sort": {"reverse": "r", "numeric-sort": "n", "unique": "u"},
    "head": {"lines": "n"},
    "tail": {"lines": "n"},
}  # fmt: skip
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NUMBER = re.compile(r"[ \t]*(-?)([0-9]*)(?:\.([0-9]*))?")
_ECHO_ESCAPE = re.compile(r"\\(?:0([0-7]{0,3})|([abcfnrtv\\]))")
_ECHO_MEANS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ALL = 10**9  # as good as any larger number of lines
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _options(
    name: str, args: list[str], flags: str, valued: str = ""
) -> tuple[set[str], dict[str, list[str]], list[str]]:
    """Sort *args* into flags, the values of options that have one, and operands."""
    seen: set[str] = set()
    values: dict[str, list[str]] = {}
    operands: list[str] = []
    words = iter(args)

    def value_of(letter: str, attached: str | None) -> None:
        text = attached if attached is not None else next(words, None)
        if text is None:
            raise ConfigError(
                f"{name}: option requires an argument -- '{letter}'", exit_code=2 if name == "grep" else 1
            )
        values.setdefault(letter, []).append(text)

    for word in words:
        if word == "--":
            operands.extend(words)
        elif word.startswith("--"):
            long, equals, text = word[2:].partition("=")
            letter = _LONG.get(name, {}).get(long, "")
            if letter and letter in valued:
                value_of(letter, text if equals else None)
            elif letter and not equals:
                seen.add(letter)
            else:
                raise UnsupportedError(f"{name} {word}", instead=f"known: {', '.join('-' + c for c in flags + valued)}")
        elif not word.startswith("-") or word == "-":
            operands.append(word)
        elif word[1:].isdecimal() and name in ("head", "tail"):
            values["n"] = [word[1:]]
        else:
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in valued:
                    value_of(letter, letters or None)
                    letters = ""
                elif letter in flags:
                    seen.add(letter)
                else:
                    known = ", ".join(f"-{c}" for c in flags + valued)
                    raise UnsupportedError(f"{name} -{letter}", instead=f"known: {known}")
    return seen, values, operands


def _refuse_files(name: str, operands: list[str]) -> None:
    if operands and operands != ["-"]:
        raise UnsupportedError(f"{name} of the file {operands[0]!r}", instead="pipe into it")


def _lines(text: str) -> list[str]:
    """The lines of a text; only a newline ends one."""
    return text.removesuffix("\n").split("\n") if text else []


def _joined(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines)


def grep(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``grep [-v] [-E|-F] [-c] [-q] [-i] [-o] [-w] [-x] [-m N] [-e] PATTERN``: the lines that have a match."""
    flags, values, operands = _options("grep", args, "vEGFcqioswxhan", "em")
    if "n" in flags:
        raise UnsupportedError("grep -n", instead="leave it out")
    patterns = values.get("e") or [operands.pop(0)] if operands or "e" in values else []
    if not patterns:
        return Completed(2, "", "Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.\n")
    _refuse_files(name, operands)
    expression = Expression(
        [line for pattern in patterns for line in pattern.split("\n")],
        extended="E" in flags or name == "egrep",
        fixed="F" in flags or name == "fgrep",
        ignore_case="i" in flags,
        whole_words="w" in flags,
        whole_lines="x" in flags,
    )
    most = values.get("m", [""])[-1]
    if most and not most.isdecimal():
        raise ConfigError("grep: invalid max count", exit_code=2)
    kept = [line for line in _lines(stdin) if expression.search(line) != ("v" in flags)]
    kept = kept[: int(most) if len(most) < 10 else _ALL] if most else kept
    code = 0 if kept else 1
    if "q" in flags:
        return Completed(code)
    if "c" in flags:
        return Completed(code, f"{len(kept)}\n")
    if "o" in flags:
        kept = [] if "v" in flags else [match for line in kept for match in expression.find_all(line)]
    return Completed(code, _joined(kept))


def wc(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``wc [-l] [-w] [-c]``: lines, words, bytes."""
    flags, _, operands = _options(name, args, "lwc")
    _refuse_files(name, operands)
    counts = {"l": stdin.count("\n"), "w": len(stdin.split()), "c": len(stdin.encode())}
    shown = [counts[letter] for letter in "lwc" if letter in (flags or "lwc")]
    width = 1 if len(shown) == 1 else 7
    return Completed(0, " ".join(f"{count:{width}d}" for count in shown) + "\n")


def _number(line: str) -> Decimal:
    """The number that a line begins with, 0 where there is none."""
    match = _NUMBER.match(line)
    assert match is not None
    return Decimal(f"{match[1]}{match[2] or 0}.{match[3] or 0}")


def sort(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``sort [-r] [-n] [-u]``: lines in byte order, by leading number, reversed, of equal ones the first."""
    flags, _, operands = _options(name, args, "rnu")
    _refuse_files(name, operands)
    lines = _lines(stdin)
    reverse, unique = "r" in flags, "u" in flags
    if not unique:
        lines.sort(reverse=reverse)
    if "n" in flags:
        lines.sort(key=_number, reverse=reverse)
    elif unique:
        lines.sort(reverse=reverse)
    if unique:
        lines = [next(same) for _, same in groupby(lines, _number if "n" in flags else None)]
    return Completed(0, _joined(lines))


def _count(name: str, values: dict[str, list[str]]) -> tuple[str, int]:
    """The sign and the number of ``-n``, ten by default."""
    text = values.get("n", ["10"])[-1]
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if not (digits.isascii() and digits.isdecimal()):
        raise ConfigError(f"{name}: invalid number of lines: '{text}'")
    return sign, int(digits) if len(digits) < 10 else _ALL


def head(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``head [-n N]``: the first lines; with ``-n -N`` all but the last."""
    _, values, operands = _options(name, args, "", "n")
    _refuse_files(name, operands)
    sign, count = _count(name, values)
    lines = _LINE.findall(stdin)
    return Completed(0, "".join(lines[: max(len(lines) - count, 0)] if sign == "-" else lines[:count]))


def tail(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``tail [-n N]``: the last lines; with ``-n +N`` those from line N on."""
    _, values, operands = _options(name, args, "", "n")
    _refuse_files(name, operands)
    sign, count = _count(name, values)
    lines = _LINE.findall(stdin)
    return Completed(0, "".join(lines[max(count - 1, 0) :] if sign == "+" else lines[max(len(lines) - count, 0) :]))


def echo(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``echo [-n] WORDS``: dash's, which reads escapes (``\\n``, ``\\t``, ``\\0101``; ``\\c`` ends the output)."""
    bare = args[:1] == ["-n"]
    text = " ".join(args[1:] if bare else args)
    out: list[str] = []
    at = 0
    for match in _ECHO_ESCAPE.finditer(text):
        out.append(text[at : match.start()])
        if match[2] == "c":
            return Completed(0, "".join(out))
        out.append(_ECHO_MEANS[match[2]] if match[2] else chr(int(match[1] or "0", 8) & 0xFF))
        at = match.end()
    return Completed(0, "".join(out) + text[at:] + ("" if bare else "\n"))


def sleep(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``sleep N[smhd] ...``: time passes."""
    if not args:
        raise ConfigError("sleep: missing operand\nTry 'sleep --help' for more information.")
    total = 0.0
    for text in args:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([smhd]?)", text)
        if match is None or len(text) > 15:
            raise ConfigError(f"sleep: invalid time interval '{text}'\nTry 'sleep --help' for more information.")
        total += float(match[1]) * _SECONDS[match[2]]
    node.advance(total)
    return Completed()


def true(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """Nothing, successfully."""
    return Completed()


def false(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """Nothing, unsuccessfully."""
    return Completed(1)
