"""
The small commands of a shell line: grep, wc, sort, head, tail, echo, true, false.

Each does what the POSIX tool does for the options listed here, and refuses another option by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from svcsim.errors import UnsupportedError
from svcsim.tools.command import Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["echo", "false", "grep", "head", "sort", "tail", "true", "wc"]


def _split(name: str, args: list[str], flags: str, valued: str = "") -> tuple[set[str], dict[str, str], list[str]]:
    """Sort *args* into flags, options with a value, and operands."""
    seen: set[str] = set()
    values: dict[str, str] = {}
    operands: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            operands.extend(words)
        elif not word.startswith("-") or word == "-":
            operands.append(word)
        elif word[1:].isdigit() and "n" in valued:
            values["n"] = word[1:]
        else:
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in flags:
                    seen.add(letter)
                elif letter in valued:
                    values[letter] = letters or next(words, "")
                    letters = ""
                else:
                    raise UnsupportedError(f"{name} -{letter}", instead=f"known: {flags + valued}")
    return seen, values, operands


def _refuse_files(name: str, operands: list[str]) -> None:
    if operands and operands != ["-"]:
        raise UnsupportedError(f"{name} of the file {operands[0]!r}", instead="pipe into it")


def _joined(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines)


def grep(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """
    Lines that match: ``-v -E -F -c -q -i -o -w -x -e PATTERN``.

    A basic expression's ``\\|``, ``\\(``, ``\\{``, ``\\+``, ``\\?`` and an extended one's bare forms mean the same.
    """
    flags, values, operands = _split(name, args, "vEFcqiowx", "e")
    pattern = values["e"] if "e" in values else (operands.pop(0) if operands else None)
    if pattern is None:
        return Completed(2, "", "Usage: grep [OPTION]... PATTERNS [FILE]...\n")
    _refuse_files(name, operands)
    if "F" in flags:
        pattern = re.escape(pattern)
    elif "E" not in flags:
        pattern = re.sub(r"\\([|(){}+?])|([|(){}+?])", lambda m: m[1] or "\\" + m[2], pattern)
    if "w" in flags:
        pattern = rf"\b(?:{pattern})\b"
    if "x" in flags:
        pattern = f"^(?:{pattern})$"
    try:
        expression = re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
    except re.error as error:
        return Completed(2, "", f"grep: {error}\n")
    kept = [line for line in stdin.splitlines() if bool(expression.search(line)) != ("v" in flags)]
    code = 0 if kept else 1
    if "q" in flags:
        return Completed(code)
    if "c" in flags:
        return Completed(code, f"{len(kept)}\n")
    if "o" in flags:
        kept = [match[0] for line in kept for match in expression.finditer(line) if match[0]]
    return Completed(code, _joined(kept))


def wc(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """Counts: ``-l`` lines, ``-w`` words, ``-c`` bytes."""
    flags, _, operands = _split(name, args, "lwc")
    _refuse_files(name, operands)
    counts = {"l": stdin.count("\n"), "w": len(stdin.split()), "c": len(stdin.encode())}
    shown = [counts[letter] for letter in "lwc" if letter in (flags or "lwc")]
    width = 1 if len(shown) == 1 else 7
    return Completed(0, " ".join(f"{count:{width}d}" for count in shown) + "\n")


def sort(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """Lines in byte order: ``-r`` reversed, ``-n`` by leading number, ``-u`` each once."""
    flags, _, operands = _split(name, args, "rnu")
    _refuse_files(name, operands)

    def number(line: str) -> tuple[int, str]:
        match = re.match(r"\s*-?\d+", line)
        return (int(match[0]) if match else 0, line)

    lines = stdin.splitlines()
    lines = sorted(set(lines) if "u" in flags else lines)
    if "n" in flags:
        lines.sort(key=number)
    return Completed(0, _joined(reversed(lines) if "r" in flags else lines))


def _count(name: str, values: dict[str, str]) -> int:
    text = values.get("n", "10")
    if not text.isdigit():
        raise UnsupportedError(f"{name} -n {text}", instead="give a number of lines")
    return int(text)


def head(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """The first lines: ``-n N``."""
    _, values, operands = _split(name, args, "", "n")
    _refuse_files(name, operands)
    return Completed(0, _joined(stdin.splitlines()[: _count(name, values)]))


def tail(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """The last lines: ``-n N``, or ``-n +N`` from line N on."""
    _, values, operands = _split(name, args, "", "n")
    _refuse_files(name, operands)
    lines = stdin.splitlines()
    if values.get("n", "").startswith("+"):
        return Completed(0, _joined(lines[max(_count(name, {"n": values["n"][1:]}) - 1, 0) :]))
    count = _count(name, values)
    return Completed(0, _joined(lines[-count:] if count else []))


def echo(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """The words, and a newline unless ``-n``."""
    bare = args[:1] == ["-n"]
    return Completed(0, " ".join(args[1:] if bare else args) + ("" if bare else "\n"))


def true(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """Nothing, successfully."""
    return Completed()


def false(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """Nothing, unsuccessfully."""
    return Completed(1)
