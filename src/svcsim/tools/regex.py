"""
POSIX regular expressions, basic and extended, as `grep` reads them.

Behaviour of: GNU grep 3.8 without back-references. An expression becomes a set of states that are followed all at once,
so no expression and no text makes it slow, and the longest of the leftmost matches is found as POSIX asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tools.regex_syntax import Assertion, CharSet, Node, parse_expression

__all__ = ["Expression"]

_MAX_STATES = 20_000
_MAX_TRANSITIONS = 200_000
_MAX_LINE = 20_000  # for `find_all`, which may look at each place of a line once for each before it
#: What stands beside a place in the text.
_EDGE, _WORD, _OTHER = range(3)


def _kind(c: str) -> int:
    if not c:
        return _EDGE
    return _WORD if c == "_" or c.isalnum() else _OTHER


#: Whether an assertion holds between a character of one kind and one of another.
_HOLDS: dict[Assertion, Callable[[int, int], bool]] = {
    Assertion.LINE_START: lambda before, after: before == _EDGE,
    Assertion.LINE_END: lambda before, after: after == _EDGE,
    Assertion.WORD_START: lambda before, after: before != _WORD and after == _WORD,
    Assertion.WORD_END: lambda before, after: before == _WORD and after != _WORD,
    Assertion.BOUNDARY: lambda before, after: (before == _WORD) != (after == _WORD),
    Assertion.NO_BOUNDARY: lambda before, after: (before == _WORD) == (after == _WORD),
    Assertion.NO_WORD_BEFORE: lambda before, after: before != _WORD,
    Assertion.NO_WORD_AFTER: lambda before, after: after != _WORD,
}


@attrs.define(eq=False)
class _State:
    """A state: it waits for a character of *accepts*, or is left at once for *after* where *holds* says so."""

    accepts: CharSet | None = None
    holds: Callable[[int, int], bool] | None = None
    after: tuple[_State, ...] = ()


class _Step(dict[str, tuple["_Step", bool]]):
    """Where each character leads from a set of states, and whether a match has ended before it; made when needed."""

    def __init__(self, states: frozenset[_State], before: int) -> None:
        self.states, self.before = states, before


class Expression:
    """
    What a line is searched for: *patterns* are alternatives.

    >>> digits = Expression(["[0-9]+"], extended=True)
    >>> digits.search("no"), digits.find_all("10 and 2")
    (False, ['10', '2'])
    """

    def __init__(
        self,
        patterns: Iterable[str],
        *,
        extended: bool = False,
        ignore_case: bool = False,
        fixed: bool = False,
        whole_words: bool = False,
        whole_lines: bool = False,
    ) -> None:
        options = []
        for pattern in patterns:
            node = Node.literal(pattern) if fixed else parse_expression(pattern, extended=extended)
            if whole_lines:
                node = node.between(Assertion.LINE_START, Assertion.LINE_END)
            elif whole_words:
                if node.may_be_empty:
                    raise UnsupportedError("grep -w of an expression that matches nothing", instead="leave -w out")
                node = node.between(Assertion.NO_WORD_BEFORE, Assertion.NO_WORD_AFTER)
            options.append(node)
        if not options:
            raise ConfigError("no expression", exit_code=2)
        self._ignore_case = ignore_case
        self._count = 0
        self._end = _State()
        self._start = self._build(Node.any_of(options), self._end)
        self._steps: dict[tuple[frozenset[_State], int], _Step] = {}
        self._transitions = 0

    def search(self, line: str) -> bool:
        """Whether *line* has a match anywhere."""
        if self._ignore_case:
            line = line.lower()
        step = self._step(frozenset((self._start,)), _EDGE)
        for c in line:
            step, matched = step.get(c) or self._follow(step, c)
            if matched:
                return True
        return self._follow(step, "")[1]

    def find_all(self, line: str) -> list[str]:
        """The matches that are not empty, from left to right, each as long as can be."""
        if len(line) > _MAX_LINE:
            raise UnsupportedError(f"grep -o in a line of more than {_MAX_LINE} characters", instead="cut it")
        found = []
        at = 0
        while at < len(line):
            end = self._longest(line.lower() if self._ignore_case else line, at)
            if end > at:
                found.append(line[at:end])
            at = max(end, at + 1)
        return found

    def _longest(self, line: str, at: int) -> int:
        """Where the longest match that begins at *at* ends, -1 if none does."""
        found = -1
        before = _kind(line[at - 1 : at])
        states = frozenset((self._start,))
        for end in range(at, len(line) + 1):
            c = line[end : end + 1]
            closed = self._close(states, before, _kind(c))
            if self._end in closed:
                found = end
            states = self._accepting(closed, c)
            if not states or not c:
                break
            before = _kind(c)
        return found

    def _build(self, node: Node, after: _State) -> _State:
        """States for *node* that lead to *after*; the first of them."""
        self._count += 1
        if self._count > _MAX_STATES:
            raise UnsupportedError("so large a regular expression", instead="use a simpler one")
        match node.kind:
            case "set":
                return _State(accepts=node.chars, after=(after,))
            case "assertion":
                assert node.assertion is not None
                return _State(holds=_HOLDS[node.assertion], after=(after,))
            case "sequence":
                for part in reversed(node.parts):
                    after = self._build(part, after)
                return after
            case "any of":
                return _State(after=tuple(self._build(part, after) for part in node.parts))
        (part,) = node.parts
        if node.most is None:
            loop = _State()
            loop.after = (self._build(part, loop), after)
            after = loop
        else:
            for _ in range(node.most - node.least):
                after = _State(after=(self._build(part, after), after))
        for _ in range(node.least):
            after = self._build(part, after)
        return after

    def _close(self, states: Iterable[_State], before: int, following: int) -> set[_State]:
        """Every state that can be reached without a character, between two of these kinds."""
        closed: set[_State] = set()
        todo = list(states)
        while todo:
            state = todo.pop()
            if state not in closed:
                closed.add(state)
                if state.accepts is None and (state.holds is None or state.holds(before, following)):
                    todo.extend(state.after)
        return closed

    def _accepting(self, closed: set[_State], c: str) -> frozenset[_State]:
        """The states behind those that take *c*."""
        if not c:
            return frozenset()
        ignore = self._ignore_case
        return frozenset(s.after[0] for s in closed if s.accepts is not None and s.accepts.has(c, ignore_case=ignore))

    def _step(self, states: frozenset[_State], before: int) -> _Step:
        step = self._steps.get((states, before))
        if step is None:
            step = self._steps[states, before] = _Step(states, before)
        return step

    def _follow(self, step: _Step, c: str) -> tuple[_Step, bool]:
        closed = self._close(step.states, step.before, _kind(c))
        after = self._accepting(closed, c) | {self._start}
        self._transitions += 1
        if self._transitions > _MAX_TRANSITIONS:
            self._steps.clear()
            self._transitions = 0
        made = step[c] = (self._step(after, _kind(c)), self._end in closed)
        return made
