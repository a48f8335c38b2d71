r"""
Lines of iptables-restore cut into words.

Behaviour of: the tokenizer of iptables-restore 1.8.9. Only blanks and tabs part words. A double quote begins a stretch
in which they do not, and a backslash takes the next character as it is; the closing quote ends the word.
"""

from __future__ import annotations

import re

__all__ = ["is_plain", "split_line", "split_plain", "word_columns"]

_BLANK = " \t\n"
_ODD = re.compile(r"[\x0b-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


def split_line(line: str) -> list[str]:
    r"""
    The words of a line.

    >>> split_line('-m comment --comment "a \\"b\\" c" -j ACCEPT')
    ['-m', 'comment', '--comment', 'a "b" c', '-j', 'ACCEPT']
    >>> split_line('a"b c"d')
    ['ab c', 'd']
    """
    return [word for word, _ in word_columns(line)]


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


def is_plain(text: str) -> bool:
    """Whether `split_plain` may be used for the lines of *text*: blanks, tabs and line ends are all that parts words."""
    return not _ODD.search(text)


def split_plain(line: str) -> list[str]:
    """What `split_line` answers, quicker, for a line of a plain text."""
    if '"' not in line:
        return line.split()
    parts = line.split('"')
    if "\\" in line or not len(parts) & 1:
        return split_line(line)
    words: list[str] = []
    inside = False
    for part in parts:
        if inside:
            words.append(part)
        else:
            words += part.split()
        inside = not inside
    for part in parts[:-1:2]:
        if part and part[-1] not in _BLANK:
            return split_line(line)  # the quote stands in the middle of a word
    return words
