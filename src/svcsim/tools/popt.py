"""
Options as the popt library reads them: words in, options with their values out.

Behaviour of: popt 1.19. Short options may be bundled and hold their value (``-t10.0.0.1:80``), long ones take it behind
``=`` or as the next word; ``--`` ends them. A long name must be whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from svcsim.errors import ConfigError

__all__ = ["NONE", "OPTIONAL", "REQUIRED", "Option", "UsageError", "split_words"]

#: Whether an option takes a value.
NONE, REQUIRED, OPTIONAL = range(3)

_POPT_SAYS = 255  # the exit code of ipvsadm after an error of popt


class UsageError(ConfigError):
    """The words of a command are wrong: the message is what the tool prints, *exit_code* its exit code."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message, exit_code=exit_code)


@attrs.frozen
class Option:
    """An option's *short* names, each a letter, whether it takes a value, and the *label* that complaints use."""

    short: str = ""
    kind: int = NONE
    label: str = ""


def split_words(
    words: list[str], options: Mapping[str, Option], stray: list[str]
) -> Iterator[tuple[str, str | None, str]]:
    """
    Yield each option as (long name, value, the word that held it); words that are none go to *stray*.

    >>> options = {"all": Option("a"), "size": Option("s", REQUIRED)}
    >>> stray = []
    >>> list(split_words(["-as5", "--size=6", "x"], options, stray)), stray
    ([('all', None, '-as5'), ('size', '5', '-as5'), ('size', '6', '--size=6')], ['x'])
    """
    names = {letter: name for name, option in options.items() for letter in option.short}
    queue = list(reversed(words))
    while queue:
        word = queue.pop()
        if word == "--":
            stray += reversed(queue)
            return
        if len(word) < 2 or word[0] != "-":
            stray.append(word)
        elif word.startswith("--"):
            name, equals, attached = word[2:].partition("=")
            if name not in options:
                raise UsageError(f"{word}: unknown option", _POPT_SAYS)
            yield name, _value(options[name].kind, attached if equals else None, queue, word), word
        else:
            letters = word[1:]
            while letters:
                name, letters = names.get(letters[0], ""), letters[1:]
                if not name:
                    raise UsageError(f"{word}: unknown option", _POPT_SAYS)
                kind = options[name].kind
                if kind == NONE and not letters.startswith("="):
                    yield name, None, word
                    continue
                yield name, _value(kind, letters.removeprefix("=") if letters else None, queue, word), word
                break


def _value(kind: int, attached: str | None, queue: list[str], word: str) -> str | None:
    """The value of an option: what is attached to it, or the next word in *queue*."""
    if kind == NONE and attached is not None:
        raise UsageError(f"{word}: option does not take an argument", _POPT_SAYS)
    if kind == NONE or attached is not None:
        return attached
    if kind == OPTIONAL and (not queue or queue[-1].startswith("-")):
        return None
    if not queue:
        raise UsageError(f"{word}: missing argument", _POPT_SAYS)
    return queue.pop()
