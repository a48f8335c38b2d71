r"""
Texts of iptables-restore cut into lines, and lines into words.

Behaviour of: the tokenizer of iptables-restore 1.8.9. Only blanks and tabs part words. A double quote begins a stretch
in which they do not, and a backslash takes the next character as it is; the closing quote ends the word. Its buffers
are of a fixed size: a longer line goes on as a line of its own, a longer word and too many words are errors.
"""

from __future__ import annotations

from svcsim.tables.problems import UsageError

__all__ = ["LONGEST_LINE", "MOST_WORDS", "next_line", "split_line", "word_columns"]

_BLANK = " \t\n"
#: So many bytes are a line, its end included; so many are a word.
LONGEST_LINE, _LONGEST_WORD = 10239, 1023
#: So many words the tool takes besides its own name and the table's.
MOST_WORDS = 251


def next_line(text: str, at: int) -> tuple[str, int, bool]:
    """
    The line at a place of *text*, where the next one begins, and whether it has an end.

    What is too long is cut, between two characters.
    """
    stop = text.find("\n", at, at + LONGEST_LINE)
    line = text[at : stop if stop >= 0 else at + LONGEST_LINE]
    if not line.isascii():
        while (more := _size(line) + (stop >= 0) - LONGEST_LINE) > 0:
            line, stop = line[: -((more + 3) // 4)], -1
    return line, at + len(line) + (stop >= 0), stop >= 0


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))


def split_line(line: str, taken: int = 0) -> list[str]:
    r"""
    The words of a line, where so many were *taken* already.

    >>> split_line('-m comment --comment "a \\"b\\" c" -j ACCEPT')
    ['-m', 'comment', '--comment', 'a "b" c', '-j', 'ACCEPT']
    >>> split_line('a"b c"d')
    ['ab c', 'd']
    """
    words = [word for word, _ in word_columns(line)]
    for place, word in enumerate(words):
        if place >= MOST_WORDS - taken or _size(word) > _LONGEST_WORD:
            many = place >= MOST_WORDS - taken
            error = UsageError("Parser cannot handle more arguments" if many else "Parameter too long!")
            error.word = place
            raise error
    return words


def word_columns(line: str) -> list[tuple[str, int]]:
    """The words of a line, each with the column (from 1) where it begins."""
    words: list[tuple[str, int]] = []
    word: list[str] = []
    begin = 0
    quoted = escaped = False
    for column, c in enumerate(line, 1):
        if not word and not quoted:
            begin = column
        if quoted:
            if escaped:
                word.append(c)
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                quoted = False
                words.append(("".join(word), begin))
                word.clear()
            else:
                word.append(c)
        elif c == '"':
            quoted = True
        elif c not in _BLANK:
            word.append(c)
        elif word:
            words.append(("".join(word), begin))
            word.clear()
    if word:
        words.append(("".join(word), begin))
    return words
