"""
The words and operators of a shell line.

Behaviour of: the POSIX shell's token recognition as dash does it: quotes, escapes, comments, here-documents,
redirections. What would have to be looked up outside the line - a command's output, a file's name - is refused by name.
"""

from __future__ import annotations

import re

import attrs

from svcsim.errors import UnsupportedError

__all__ = ["Part", "Redirect", "Token", "Word", "tokenize"]

_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")
_OPERATOR = re.compile(r"&&|\|\||;;|[;|&()]")
_REDIRECT = re.compile(r"(\d?)(<<-|<<<|<<|<&|<>|<|>>|>&|>\||>)|(&>>?)")
_PLAIN = re.compile(r"[^ \t\n|&;<>()'\"\\$`*?]+")
_PLAIN_IN_QUOTES = re.compile(r"[^\"\\$`]+")
_PLAIN_IN_DOCUMENT = re.compile(r"[^\\$`]+")
_NAME = re.compile(r"\$(?:([A-Za-z_][A-Za-z_0-9]*)|\{([A-Za-z_][A-Za-z_0-9]*)\})")
_UNTERMINATED = "Syntax error: Unterminated quoted string"


@attrs.frozen
class Part:
    """A piece of a word: *text* as it stands, or with *name* the value of the variable *text*; quoted or not."""

    text: str
    quoted: bool = False
    name: bool = False


@attrs.frozen
class Word:
    """
    A word before its variables have values.

    >>> Word((Part("a"), Part("b c", quoted=True))).literal
    'ab c'
    """

    parts: tuple[Part, ...]

    @property
    def literal(self) -> str:
        """The text of a word without variables."""
        return "".join(part.text for part in self.parts)

    @property
    def bare(self) -> str:
        """The text, if nothing of it was quoted; a keyword is only one where it is bare."""
        return "" if any(part.quoted or part.name for part in self.parts) else self.literal

    @property
    def names(self) -> list[str]:
        """The variables that it needs."""
        return [part.text for part in self.parts if part.name]


@attrs.define(eq=False)
class Redirect:
    """
    Where descriptor *fd* goes, both outputs if None: where *target* goes, to /dev/null if that is None.

    Descriptor 0 comes from the text *document*.
    """

    fd: int | None
    target: int | None = None
    document: Word | None = None


@attrs.define(eq=False)
class Token:
    """One piece of a line: *kind* is ``word``, ``operator``, ``redirect``, ``end``, or ``broken`` with a message."""

    kind: str
    text: str
    line: int
    word: Word = Word(())
    redirect: Redirect | None = None


class _Broken(Exception):
    """The text ends inside a quotation."""


def tokenize(text: str) -> list[Token]:
    """
    Cut *text* into tokens; the last is an ``end``, or ``broken`` where no shell could read on.

    >>> [token.text for token in tokenize("a 'b c' && d # e")]
    ['a', 'b c', '&&', 'd', '']
    """
    return _Tokenizer(text).tokens()


class _Tokenizer:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._documents: list[tuple[Redirect, str, bool, bool]] = []  # redirect, delimiter, quoted, tabs off
        self._line, self._counted = 1, 0  # the line's number, and up to where newlines have been counted

    def tokens(self) -> list[Token]:
        tokens: list[Token] = []
        try:
            while not tokens or tokens[-1].kind != "end":
                tokens.append(self._next())
        except _Broken:
            self._at = len(self._text)
            tokens.append(Token("broken", _UNTERMINATED, self._line_here()))
        return tokens

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _next(self) -> Token:
        text = self._text
        self._skip(_BLANKS)
        self._skip(_COMMENT)
        line = self._line_here()
        if self._at >= len(text):
            return Token("end", "", line)
        if text[self._at] == "\n":
            self._at += 1
            for redirect, delimiter, quoted, tabs_off in self._documents:
                redirect.document = self._document(delimiter, quoted, tabs_off)
            self._documents.clear()
            return Token("operator", "\n", line)
        redirection = _REDIRECT.match(text, self._at)
        if redirection:
            self._at = redirection.end()
            return Token("redirect", redirection[0], line, redirect=self._redirect(redirection))
        operator = _OPERATOR.match(text, self._at)
        if operator:
            self._at = operator.end()
            return Token("operator", operator[0], line)
        word = self._word()
        return Token("word", word.literal, line, word)

    def _redirect(self, match: re.Match[str]) -> Redirect:
        operator = match[2] or match[3]
        self._skip(_BLANKS)
        word = self._word()
        target = word.literal
        if operator.startswith("&>"):  # not the POSIX shell's, but many people's
            self._only_null(target)
            return Redirect(None)
        fd = int(match[1] or operator.startswith(">"))
        if fd > 2 or (fd == 0) != operator.startswith("<"):
            raise UnsupportedError(
                f"the redirection {match[0]!r}", instead="standard input, output and error are there"
            )
        if operator in ("<<", "<<-"):
            redirect = Redirect(0, document=Word(()))
            self._documents.append((redirect, target, any(part.quoted for part in word.parts), operator == "<<-"))
            return redirect
        if operator == ">&" and target in ("1", "2"):
            return Redirect(fd, int(target))
        if operator not in ("<", ">", ">>", ">|"):
            raise UnsupportedError(f"the redirection {operator + target!r}", instead="known: <<E 2>&1 >/dev/null")
        self._only_null(target)
        return Redirect(fd)

    @staticmethod
    def _only_null(target: str) -> None:
        if target != "/dev/null":
            raise UnsupportedError(
                f"the file {target!r} in a shell line", instead="only /dev/null can be redirected to"
            )

    def _word(self) -> Word:
        parts: list[Part] = []
        text = self._text
        while self._at < len(text) and text[self._at] not in " \t\n|&;<>()":
            plain = _PLAIN.match(text, self._at)
            if plain:
                parts.append(Part(plain[0]))
                self._at = plain.end()
                continue
            c = text[self._at]
            if c == "'":
                close = text.find("'", self._at + 1)
                if close < 0:
                    raise _Broken
                parts.append(Part(text[self._at + 1 : close], quoted=True))
                self._at = close + 1
            elif c == '"':
                self._at += 1
                parts.append(Part("", quoted=True))
                parts += self._until('"', _PLAIN_IN_QUOTES, escapable='"\\$`')
            elif c == "\\":
                following = text[self._at + 1 : self._at + 2]
                self._at += 2
                if following != "\n":
                    parts.append(Part(following or "\\", quoted=True))
            elif c in "*?":
                raise UnsupportedError(f"the pattern character {c!r} in a shell line", instead="quote it")
            else:
                parts.append(self._dollar(quoted=False))
        if parts and parts[0].text.startswith("~") and not parts[0].quoted:
            raise UnsupportedError("a home directory in a shell line", instead="quote the ~")
        return Word(tuple(parts))

    def _until(self, close: str, plain: re.Pattern[str], escapable: str) -> list[Part]:
        """What stands in double quotes, or in a document (*close* is empty: to the end of the text)."""
        parts: list[Part] = []
        text = self._text
        while self._at < len(text):
            match = plain.match(text, self._at)
            if match:
                parts.append(Part(match[0], quoted=True))
                self._at = match.end()
                continue
            c, following = text[self._at], text[self._at + 1 : self._at + 2]
            if c == close:
                self._at += 1
                return parts
            if c == "\\":
                self._at += 2 if following else 1
                if following != "\n":
                    known = following and following in escapable
                    parts.append(Part(following if known else c + following, quoted=True))
            else:
                parts.append(self._dollar(quoted=True))
        if close:
            raise _Broken
        return parts

    def _dollar(self, *, quoted: bool) -> Part:
        """A ``$`` or a backquote: a variable, the character itself, or what is not modelled."""
        match = _NAME.match(self._text, self._at)
        if match:
            self._at = match.end()
            return Part(match[1] or match[2], quoted=quoted, name=True)
        following = self._text[self._at + 1 : self._at + 2]
        if self._text[self._at] == "`" or (following and following in "({@*#?$!-0123456789"):
            raise UnsupportedError("substitution in a shell line", instead="write the value out")
        self._at += 1
        return Part("$", quoted=True)

    def _document(self, delimiter: str, quoted: bool, tabs_off: bool) -> Word:
        """The here-document that begins here; one without its end goes to the end of the text."""
        text, start = self._text, self._at
        if tabs_off:
            lines = []
            while self._at < len(text):
                stop = text.find("\n", self._at) + 1 or len(text)
                line = text[self._at : stop].lstrip("\t")
                self._at = stop
                if line.removesuffix("\n") == delimiter:
                    break
                lines.append(line)
            body = "".join(lines)
        elif text.startswith(f"{delimiter}\n", start) or text[start:] == delimiter:
            body, self._at = "", start + len(delimiter) + 1
        else:
            stop = text.find(f"\n{delimiter}\n", start)
            if stop < 0 and text.endswith(f"\n{delimiter}"):
                stop = max(len(text) - len(delimiter) - 1, start)
            body = text[start : stop + 1] if stop >= 0 else text[start:]
            self._at = stop + len(delimiter) + 2 if stop >= 0 else len(text)
        self._at = min(self._at, len(text))
        if quoted:
            return Word((Part(body, quoted=True),))
        return Word(tuple(_Tokenizer(body)._until("", _PLAIN_IN_DOCUMENT, escapable="\\$`")))
