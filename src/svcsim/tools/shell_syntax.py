"""
The grammar of a shell line: lists, pipelines, simple commands, ``for`` over words.

Behaviour of: the POSIX shell's grammar as dash reads it, one line after another, so that what stands before an error
is still run. Other compound commands, functions and assignments are refused by name.
"""

from __future__ import annotations

import re

import attrs

from svcsim.errors import UnsupportedError
from svcsim.tools.shell_words import Redirect, Token, Word, tokenize

__all__ = ["Command", "Loop", "Pipeline", "Program", "parse"]

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z_0-9]*=")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_COMPOUND = frozenset({"if", "while", "until", "case", "{"})
_STRAY = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}", "!"})
#: Loops within each other; the reader of a loop calls itself for the next one.
_MAX_DEPTH = 16


@attrs.frozen
class Command:
    """A simple command at a *line* of the text."""

    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    line: int


@attrs.frozen
class Loop:
    """``for NAME in WORDS; do BODY; done``."""

    name: str
    words: tuple[Word, ...]
    body: tuple[Pipeline, ...]
    redirects: tuple[Redirect, ...]


@attrs.frozen
class Pipeline:
    """Commands joined by ``|``; *after* is the operator before them: ``;``, ``&&`` or ``||``."""

    commands: tuple[Command | Loop, ...]
    after: str = ";"
    negated: bool = False


@attrs.frozen
class Program:
    """The *lines* that can be run, in order, and the *error* at which the shell would stop reading."""

    lines: tuple[tuple[Pipeline, ...], ...]
    error: str = ""


class _SyntaxError(Exception):
    pass


def parse(text: str) -> Program:
    """
    Read *text*.

    >>> program = parse("a 'b c' | wc -l && d")
    >>> [(p.after, [[w.literal for w in c.words] for c in p.commands]) for p in program.lines[0]]
    [(';', [['a', 'b c'], ['wc', '-l']]), ('&&', [['d']])]
    >>> parse("a\\nb &&").error
    'sh: 2: Syntax error: end of file unexpected'
    """
    return _Parser(tokenize(text)).program()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._at = tokens, 0
        self._names: set[str] = set()
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *operators: str) -> bool:
        return self._token.kind == "operator" and self._token.text in operators

    def _keyword(self) -> str:
        return self._token.word.bare if self._token.kind == "word" else ""

    def _take(self) -> Token:
        token = self._token
        if token.kind not in ("end", "broken"):
            self._at += 1
        return token

    def _newlines(self) -> None:
        while self._is("\n"):
            self._at += 1

    def _unexpected(self, expected: str = "") -> _SyntaxError:
        token = self._token
        what = f'"{token.text}"'
        if token.kind == "end":
            what = "end of file"
        elif token.kind == "redirect":
            what = "redirection"
        elif token.text == "\n":
            what = "newline"
        elif token.kind == "word" and self._keyword() not in _STRAY:
            what = "word"
        message = token.text if token.kind == "broken" else f"Syntax error: {what} unexpected"
        suffix = f' (expecting "{expected}")' if expected and token.kind != "broken" else ""
        return _SyntaxError(f"sh: {token.line}: {message}{suffix}")

    def program(self) -> Program:
        lines: list[tuple[Pipeline, ...]] = []
        try:
            while self._token.kind != "end":
                if self._is("\n"):
                    self._at += 1
                    continue
                pipelines = self._list(within_loop=False)
                if not self._is("\n") and self._token.kind != "end":
                    raise self._unexpected()
                lines.append(tuple(pipelines))
        except _SyntaxError as error:
            return Program(tuple(lines), str(error))
        return Program(tuple(lines))

    def _list(self, *, within_loop: bool) -> list[Pipeline]:
        """Pipelines up to the end of the line, or of the loop's body."""
        pipelines = []
        after = ";"
        while True:
            pipelines.append(self._pipeline(after))
            if self._is("&&", "||"):
                after = self._take().text
                self._newlines()
                continue
            if self._is("&"):
                raise UnsupportedError("a command in the background", instead="leave the & out")
            after = ";"
            if self._is(";"):
                self._at += 1
            elif not (within_loop and self._is("\n")):
                return pipelines
            if within_loop:
                self._newlines()
                if self._keyword() == "done":
                    return pipelines
            elif self._is("\n") or self._token.kind == "end":
                return pipelines

    def _pipeline(self, after: str) -> Pipeline:
        negated = self._keyword() == "!"
        self._at += negated
        commands = [self._command()]
        while self._is("|"):
            self._at += 1
            self._newlines()
            commands.append(self._command())
        return Pipeline(tuple(commands), after, negated)

    def _command(self) -> Command | Loop:
        keyword = self._keyword()
        if keyword == "for":
            return self._loop()
        if keyword in _COMPOUND:
            raise UnsupportedError(f"the shell's {keyword!r}", instead="write the commands out")
        if self._is("("):
            raise UnsupportedError("a subshell", instead="write the commands out")
        if keyword in _STRAY:
            raise self._unexpected()
        line = self._token.line
        words: list[Word] = []
        redirects: list[Redirect] = []
        while self._token.kind in ("word", "redirect"):
            token = self._take()
            if token.redirect is not None:
                self._bound(token.redirect.document)
                redirects.append(token.redirect)
                continue
            if not words and token.word.parts and not token.word.parts[0].quoted and _ASSIGNMENT.match(token.text):
                raise UnsupportedError("a shell variable", instead="write its value out")
            self._bound(token.word)
            words.append(token.word)
        if not words and not redirects:
            raise self._unexpected()
        if self._is("("):
            raise UnsupportedError("a shell function", instead="write the commands out")
        return Command(tuple(words), tuple(redirects), line)

    def _bound(self, word: Word | None) -> None:
        for name in word.names if word is not None else ():
            if name not in self._names:
                raise UnsupportedError(f"the shell variable {name!r}", instead="only a loop's own is there")

    def _loop(self) -> Loop:
        self._at += 1
        if self._depth >= _MAX_DEPTH:
            raise UnsupportedError(f"more than {_MAX_DEPTH} loops within each other", instead="write them out")
        name = self._take()
        if name.kind != "word" or not _NAME.fullmatch(name.word.bare):
            raise _SyntaxError(f"sh: {name.line}: Syntax error: Bad for loop variable")
        self._newlines()
        if self._keyword() != "in":
            raise UnsupportedError("a loop over the shell's own arguments", instead="for NAME in WORDS")
        self._at += 1
        words = []
        while self._token.kind == "word":
            self._bound(self._token.word)
            words.append(self._take().word)
        if not self._is(";", "\n"):
            raise self._unexpected()
        self._at += 1
        self._newlines()
        if self._keyword() != "do":
            raise self._unexpected("do")
        self._at += 1
        self._newlines()
        self._names.add(name.text)
        self._depth += 1
        body = self._list(within_loop=True)
        self._depth -= 1
        if self._keyword() != "done":
            raise self._unexpected("done")
        self._at += 1
        redirects = []
        while self._token.redirect is not None:
            redirects.append(self._token.redirect)
            self._at += 1
        return Loop(name.text, tuple(words), tuple(body), tuple(redirects))
