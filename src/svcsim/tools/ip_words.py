"""
Reading the words of an `ip` command: verbs that may be cut short, options with values, prefixes.
"""

from __future__ import annotations

from collections.abc import Collection

from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError

__all__ = ["Words", "prefix_of"]


class Words:
    """
    The words of a command, taken from the front.

    >>> words = Words(["a", "10.0.0.1/8", "dev", "eth0"])
    >>> words.verb(("add", "show"), default="show"), words.options({"dev"}, positional="local")
    ('add', {'local': '10.0.0.1/8', 'dev': 'eth0'})
    """

    def __init__(self, words: list[str]) -> None:
        self._words = list(words)

    def peek(self) -> str:
        """The next word, empty at the end."""
        return self._words[0] if self._words else ""

    def take(self) -> str:
        """Take the next word, empty at the end."""
        return self._words.pop(0) if self._words else ""

    def first_of(self, words: Collection[str]) -> str:
        """The first of the words left that is one of *words*, empty if none is."""
        return next((word for word in self._words if word in words), "")

    def verb(self, verbs: tuple[str, ...], *, default: str) -> str:
        """Take one of *verbs*, of which a beginning suffices; *default* where no word is left."""
        if not self._words:
            return default
        word = self.take()
        for verb in verbs:
            if verb.startswith(word):
                return verb
        raise ConfigError(f'Command "{word}" is unknown, try "ip help".', exit_code=255)

    def options(
        self, valued: Collection[str], *, positional: str = "", flags: Collection[str] = (), stop: str = ""
    ) -> dict[str, str]:
        """
        Take the rest: *valued* words with the word behind each, *flags*, and at most one bare word as *positional*.

        What stands behind the value of *stop* is another grammar's and must be empty.
        """
        given: dict[str, str] = {}
        while self._words:
            word = self.take()
            if word in valued:
                if not self._words:
                    raise ConfigError('Command line is not complete. Try option "help"', exit_code=255)
                given[word] = self.take()
                if word == stop and self._words:
                    raise ConfigError(
                        f'Error: either "{stop}" is duplicate, or "{self.peek()}" is a garbage.', exit_code=255
                    )
            elif word in flags:
                given[word] = ""
            elif positional and positional not in given:
                given[positional] = word
            else:
                raise ConfigError(
                    f'Error: either "{positional}" is duplicate, or "{word}" is a garbage.', exit_code=255
                )
        return given


def prefix_of(text: str, family: Family | None, *, default_family: Family = Family.IPV4) -> Prefix:
    """Read a prefix as iproute2 does: ``default``, ``10.1.2.3``, ``10.0.0.0/8``."""
    if text in ("default", "any", "all"):
        chosen = family or default_family
        return Prefix(chosen, 0, 0)
    try:
        prefix = Prefix.parse(text)
    except ConfigError:
        raise ConfigError(f'Error: any valid prefix is expected rather than "{text}".') from None
    if family is not None and prefix.family is not family:
        raise ConfigError(f'Error: {"inet" if family == 4 else "inet6"} prefix is expected rather than "{text}".')
    return prefix
