"""
An explanation as a piece of HTML: it stands by itself, and every text in it is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from svcsim.explain.words import Line, hops_of, told_of
from svcsim.hooks import Hook
from svcsim.trace import Delivered, Dropped, Left, Rewritten, Routed, Scheduled, Stage, TraceEvent

if TYPE_CHECKING:
    from svcsim.explain.explanation import Explanation

__all__ = ["page_of"]

_FONT = "font-family:ui-monospace,monospace;font-size:90%"
_RED, _GREEN, _BLUE, _GREY = "#b00020", "#1b6e3c", "#1a4f8b", "#666"


def page_of(story: Explanation) -> str:
    """The line, outcomes with their probabilities, each hook with what mattered there, and behind a fold everything."""
    return f'<div style="max-width:80em">{"".join(_parts(story))}</div>'


def _parts(story: Explanation) -> Iterator[str]:
    came = f"{story.iface} receives" if story.iface else "this host sends"
    colour = _RED if story.dropped_by else _GREY if story.outcome.unknown else _GREEN
    yield f"<p>{escape(came)} <b>{escape(str(story.packet))}</b></p>"
    yield f'<p style="color:{colour}">{escape(story.fate)}</p>'
    if story.branches is not None:
        rows = [
            (str(share) if share.assumes else share.fate, f"{float(share.probability):.4g}", str(share.branches))
            for share in story.branches.by_fate()
        ]
        yield _table(("outcome", "probability", "branches"), rows)
        if story.branches.cut:
            yield f"<p>{escape(story.branches.cut)}</p>"
    for hook, lines in groupby(told_of(story.trace), key=lambda line: line.hook):
        yield _hook(hook, lines)
    full = "\n".join(hops_of(story.trace, full=True))
    yield f'<details><summary>everything</summary><pre style="{_FONT}">{escape(full)}</pre></details>'
    for answer in story.answers:
        yield f"<details><summary>the answer</summary>{page_of(answer)}</details>"
    if story.remark:
        yield f"<p>{escape(story.remark)}</p>"


def _hook(hook: Hook | None, lines: Iterable[Line]) -> str:
    told = "".join(f'<li style="color:{_colour(line.event)}">{escape(line.text)}</li>' for line in lines)
    listed = f'<ul style="{_FONT};margin:0">{told}</ul>'
    return listed if hook is None else f"<details open><summary>{escape(hook.name)}</summary>{listed}</details>"


def _colour(event: TraceEvent) -> str:
    match event:
        case Dropped() | Stage():
            return _RED
        case Left() | Delivered():
            return _GREEN
        case Rewritten() | Scheduled():
            return _BLUE
        case Routed():
            return _GREY
    return "inherit"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = "".join(f'<th style="text-align:left">{escape(word)}</th>' for word in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table style="{_FONT}"><tr>{cells}</tr>{body}</table>'
