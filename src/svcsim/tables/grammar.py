r"""
Lines of iptables-restore cut into words.

Behaviour of: the tokenizer of iptables-restore 1.8.9. Only blanks and tabs part words. A double quote begins a stretch
in which they do not, and a backslash takes the next character as it is; the closing quote ends the word.
"""

from __future__ import annotations

__all__ = ["split_line", "word_columns"]

_BLANK = " \t\n"


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
