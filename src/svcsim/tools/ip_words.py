"""
Reading the words of an `ip` command: verbs that may be cut short, options with values, prefixes.

Behaviour of: iproute2 6.1. Its exit code is 255 for words that make no command and 1 for values that are none.
"""

from __future__ import annotations

from collections.abc import Collection

from svcsim.addr import Address, Family, Prefix, parse_address
from svcsim.errors import ConfigError, UnsupportedError

__all__ = ["Words", "address_of", "number_of", "prefix_of"]

_INCOMPLETE = 'Command line is not complete. Try option "help"'


class Words:
    """
    The words of a command, taken from the front.

    >>> words = Words(["a", "10.0.0.1/8", "dev", "eth0"])
    >>> words.verb("address", ("add", "show"), default="show"), words.options({"dev"}, positional="local")
    ('add', {'local': '10.0.0.1/8', 'dev': 'eth0'})
    """

    def __init__(self, words: list[str]) -> None:
        self._words = list(words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def peek(self) -> str:
        """The next word, empty at the end."""
        return self._words[0] if self._words else ""

    def take(self) -> str:
        """Take the next word; there must be one."""
        if not self._words:
            raise ConfigError(_INCOMPLETE, exit_code=255)
        return self._words.pop(0)

    def verb(self, thing: str, verbs: tuple[str, ...], *, default: str) -> str:
        """Take one of *verbs*, of which a beginning suffices; *default* where no word is left."""
        if not self._words:
            return default
        word = self.take()
        if word == "help":
            raise UnsupportedError(f"ip {thing} help", instead="see the manual page ip(8)")
        for verb in verbs:
            if verb.startswith(word):
                return verb
        raise ConfigError(f'Command "{word}" is unknown, try "ip {thing} help".', exit_code=255)

    def options(
        self,
        valued: Collection[str],
        *,
        positional: str = "",
        flags: Collection[str] = (),
        refused: Collection[str] = (),
        command: str = "",
    ) -> dict[str, str]:
        """
        Take the rest: *valued* words with the word behind each, *flags*, and at most one bare word as *positional*.

        What *command* has besides and svcsim does not model are the *refused* words.
        """
        given: dict[str, str] = {}
        while self._words:
            word = self.take()
            if word in refused:
                raise UnsupportedError(f"ip {command} {word}", instead=f"known: {', '.join(sorted({*valued, *flags}))}")
            if word in valued:
                given[word] = self.take()
            elif word in flags:
                given[word] = ""
            elif positional and positional not in given:
                given[positional] = word
            else:
                message = f'Error: either "{positional}" is duplicate, or "{word}" is a garbage.'
                raise ConfigError(message, exit_code=255)
        return given


def number_of(option: str, text: str, *, most: int = 2**32 - 1) -> int:
    """
    The number of an option, in decimal or with ``0x``.

    >>> number_of("mark", "0x10")
    16
    """
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= most or not text.isascii() or "_" in text:
        raise ConfigError(f'Error: argument "{text}" is wrong: "{option}" value is invalid\n', exit_code=255)
    return value


def address_of(text: str, family: Family | None) -> Address:
    """An address, of *family* if that is known."""
    name = "inet" if family in (None, Family.IPV4) else "inet6"
    try:
        address = parse_address(text)
    except ConfigError:
        address = None
    if address is None or family not in (None, address.family):
        raise ConfigError(f'Error: {name} address is expected rather than "{text}".')
    return address


def prefix_of(text: str, family: Family | None, *, default_family: Family = Family.IPV4) -> Prefix:
    """Read a prefix as iproute2 does: ``default``, ``10.1.2.3``, ``10.0.0.0/8``."""
    if text in ("default", "any", "all"):
        return Prefix(family or default_family, 0, 0)
    try:
        prefix = Prefix.parse(text)
    except ConfigError:
        prefix = None
    if prefix is None or prefix.length is None:
        raise ConfigError(f'Error: any valid prefix is expected rather than "{text}".')
    if family is not None and prefix.family is not family:
        raise ConfigError(f'Error: {"inet" if family == 4 else "inet6"} prefix is expected rather than "{text}".')
    return prefix
