"""
What the command line prints with: tables and progress, prettier where rich is installed, plain where it is not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["story", "table", "track"]

T = TypeVar("T")


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table; numbers (and what begins with a digit) stand to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    if _is_terminal():
        try:
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            pass
        else:
            pretty = Table(*head, title=title or None)
            for row in cells:
                pretty.add_row(*row)
            Console().print(pretty)
            return
    if title:
        print(title)
    widths = [max(len(cell) for cell in column) for column in zip(head, *cells, strict=True)]
    right = [bool(cells) and all(row[i][:1].isdigit() for row in cells) for i in range(len(head))]
    for row in ([*head], *cells):
        words = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        print("  ".join(words).rstrip())


#: What is coloured in a story: a line's first word or words, and how.
_STYLES = (
    (re.compile(r"\s*(=> )?dropped|.*: dropped"), "red"),
    (re.compile(r"\s*(=> )?not known|.*not modelled"), "yellow"),
    (re.compile(r"\s*(sent by|delivered to|answered by)"), "green"),
    (re.compile(r".*  =>  "), "blue"),
    (re.compile(r"\s*chance: |.* with 0?\.\d"), "magenta"),
    (re.compile(r"[A-Z_]+$|\d+ branch"), "bold"),
)


def story(text: str) -> None:
    """Print lines; on a terminal that can show them, with what matters in colour."""
    if _is_terminal():
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            console = Console(highlight=False)
            for line in text.splitlines():
                style = next((style for pattern, style in _STYLES if pattern.match(line)), "")
                console.print(Text(line, style), soft_wrap=True)
            return
    print(text)


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """Yield *items* with a progress bar, on a terminal that can show one."""
    if _is_terminal():
        try:
            from rich.progress import track as rich_track
        except ImportError:
            pass
        else:
            yield from rich_track(items, what, transient=True)
            return
    yield from items
