"""
Options of matches and targets: how they are declared, and what was given.

Behaviour of: libxtables' guided option parser. An extension declares its options; the parser of command lines tells
words apart by that; the extension reads its values from `Args`, which knows the tool's complaints.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache, partial
from itertools import repeat
from operator import and_

import attrs

from svcsim.addr import Family, Prefix, parse_address
from svcsim.errors import ConfigError
from svcsim.tables.names import port_number
from svcsim.tables.problems import UsageError

__all__ = ["ALL_BITS", "Args", "Option", "c_integer", "plain_ipv4", "read_network", "read_networks"]

#: A mark's mask that leaves nothing out.
ALL_BITS = 0xFFFFFFFF

_DIGITS = r"\s*\+?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)"
_C_INTEGER = re.compile(_DIGITS)
_MARK = re.compile(rf"(?P<value>{_DIGITS})(?:/(?P<mask>{_DIGITS}))?(?!/[^0-9])")


def c_integer(text: str, low: int = 0, high: int = ALL_BITS) -> int | None:
    """
    Read an integer as C's strtoul does with base 0; None if it is none, or out of range.

    >>> [c_integer(text) for text in ("80", "0x50", "0120", "80 ", "-1")]
    [80, 80, 80, None, None]
    """
    if text.isdecimal() and text.isascii() and (text[0] != "0" or len(text) == 1):
        value = int(text) if len(text) <= 20 else high + 1
    else:
        if len(text) > 40 or not _C_INTEGER.fullmatch(text):
            return None
        digits = text.strip().lstrip("+")
        value = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits, 8 if digits[0] == "0" else 10)
    return value if low <= value <= high else None


# Nearly all networks are written so; nothing but decimal numbers without zeros before them.
_OCTETS = {str(octet): octet for octet in range(256)}
_prefix = partial(tuple.__new__, Prefix)  # without a call in Python
_MASKS = {str(length): Prefix.mask_of(Family.IPV4, length) for length in range(33)}


def plain_ipv4(text: str) -> int | None:
    """The address ``a.b.c.d``, None if it is written otherwise, or is none."""
    network, _, host = text.rpartition(".")
    try:
        return _upper_octets(network) | _OCTETS[host]
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=1 << 12)
def _upper_octets(text: str) -> int:
    """Neighbours share ``a.b.c``."""
    a, b, c = text.split(".")
    return _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8


@attrs.frozen
class Option:
    """
    One option: its *name* without dashes, and how it may stand.

    *arity* words follow it. *invert*: a ``!`` may stand before it. *once* is the complaint if it comes twice, where that
    is not the usual one. *same* names the option that this one is another spelling of.
    """

    name: str
    arity: int = 1
    invert: bool = False
    required: bool = False
    excludes: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    once: str = ""
    repeat: bool = False
    same: str = ""

    @property
    def canonical(self) -> str:
        """The name that it is known by."""
        return self.same or self.name


Value = tuple[bool, tuple[str, ...]]


class Args:
    """
    The options that one extension was given: by canonical name, whether inverted, and the words that followed.

    *proto* is the protocol that the rule had named when the first option came (0: none), *proto_inverted* whether by
    ``! -p``.
    """

    __slots__ = ("extension", "family", "given", "proto", "proto_inverted")

    def __init__(
        self,
        extension: str,
        family: Family,
        options: Mapping[str, Option],
        words: Iterable[tuple[str, bool, tuple[str, ...]]],
        proto: int = 0,
        proto_inverted: bool = False,
    ) -> None:
        self.extension, self.family = extension, family
        self.proto, self.proto_inverted = proto, proto_inverted
        self.given: dict[str, Value] = {}
        for name, inverted, values in words:
            option = options[f"--{name}"]
            if name in self.given and not option.repeat:
                raise (
                    self.problem(f'option "--{name}" can only be used once.')
                    if not option.once
                    else UsageError(option.once)
                )
            if inverted and not option.invert:
                raise self.problem(f'option "--{name}" cannot be inverted.')
            self.given[name] = (inverted, values)
        for option in options.values():
            if not option.same:
                self._check(option)

    def _check(self, option: Option) -> None:
        """Complain if *option* is missing, or stands beside what it may not, or without what it needs."""
        name = option.name
        if name not in self.given:
            if option.required:
                raise self.problem(f'option "--{name}" must be specified')
            return
        for other in option.requires:
            if other not in self.given:
                raise self.problem(f'option "--{name}" also requires "--{other}".')
        for other in option.excludes:
            if other in self.given:
                raise self.problem(f'option "--{name}" cannot be used together with "--{other}".')

    def problem(self, message: str) -> UsageError:
        """The complaint of the guided parser about this extension."""
        return UsageError(f"{self.extension}: {message}", spaced=True)

    def bad_value(self, name: str, value: str) -> UsageError:
        """The complaint about the *value* of an option."""
        return UsageError(f'{self.extension}: Bad value for "--{name}" option: "{value}"')

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def inverted(self, name: str) -> bool:
        """Whether *name* was given with ``!``."""
        return name in self.given and self.given[name][0]

    def text(self, name: str, default: str = "") -> str:
        """The word behind *name*."""
        value = self.given.get(name)
        return default if value is None else value[1][0]

    def number(self, name: str, low: int = 0, high: int = ALL_BITS) -> int | None:
        """The integer behind *name*, None if it was not given."""
        if name not in self.given:
            return None
        value = c_integer(self.text(name), low, high)
        if value is None:
            raise self.problem(f'bad value for option "--{name}", or out of range ({low}-{high}).')
        return value

    def number_range(self, name: str, high: int) -> tuple[int, int] | None:
        """The range ``a[:b]`` behind *name*; an end that is left out is 0 or *high*."""
        if name not in self.given:
            return None
        ends = []
        texts = self.text(name).split(":")
        for text, default in zip(texts, (0, high), strict=False):
            value = default if not text and len(texts) > 1 else c_integer(text, 0, high)
            if value is None:
                raise self.problem(f'bad value for option "--{name}" near "{text}", or out of range (0-{high}).')
            ends.append(value)
        if len(texts) > 2:
            raise self.problem(f'Too many components for option "--{name}" (max: 2)')
        return ends[0], ends[-1]

    def mark(self, name: str) -> tuple[int, int] | None:
        """The ``value[/mask]`` behind *name*, None if it was not given."""
        if name not in self.given:
            return None
        text = self.text(name)
        found = _MARK.match(text)
        value = c_integer(found["value"]) if found else None
        mask = c_integer(found["mask"]) if found and found["mask"] else ALL_BITS
        if found is None or value is None or mask is None:
            raise self.problem(f'bad integer value for option "--{name}", or out of range.')
        if found.end() < len(text):
            raise self.problem(f'trailing garbage after value for option "--{name}".')
        return value, mask

    def port_range(self, name: str, protocol: str) -> tuple[int, int] | None:
        """The ports ``a[:b]`` behind *name*, None if they were not given."""
        if name not in self.given:
            return None
        text = self.text(name)
        first, colon, last = text.partition(":")
        if not colon:
            port = self.port(text, protocol)
            return port, port
        low = self.port(first, protocol) if first else 0
        high = self.port(last, protocol) if last else 65535
        if low > high:
            raise UsageError("invalid portrange (min > max)")
        return low, high

    def port(self, text: str, protocol: str = "") -> int:
        """A port, or a service's name."""
        port = c_integer(text, 0, 65535)
        if port is None:
            port = port_number(text, protocol)
        if port is None:
            raise UsageError(f"invalid port/service `{text}' specified")
        return port

    def address(self, name: str, text: str) -> int:
        """An address of the rule's own family."""
        try:
            address = parse_address(text)
        except ConfigError:
            raise self.bad_value(name, text) from None
        if address.family is not self.family:
            raise self.bad_value(name, text)
        return address.value


def read_networks(texts: Collection[str], family: Family) -> list[Prefix]:
    """Read many networks."""
    if family is Family.IPV4:
        hosts, _, lengths = zip(*map(str.partition, texts, repeat("/")), strict=True)
        values, masks = list(map(plain_ipv4, hosts)), list(map(_MASKS.get, lengths))
        if None not in values and None not in masks:
            return list(map(_prefix, zip(repeat(family), map(and_, values, masks), masks)))
    return [read_network(text, family) for text in texts]


def read_network(text: str, family: Family) -> Prefix:
    """
    Read a network as ``-s`` and ``-d`` take it.

    Of IPv4 trailing parts may be left out and are zero. A mask may be a length or an address.

    >>> str(read_network("10.1/16", Family.IPV4)), str(read_network("10.1.2.3/255.0.255.0", Family.IPV4))
    ('10.1.0.0/16', '10.0.2.0/255.0.255.0')
    """
    if family is Family.IPV4:
        host, slash, bits = text.partition("/")
        value, mask = plain_ipv4(host), _MASKS.get(bits if slash else "32")
        if value is not None and mask is not None:
            return Prefix(family, value & mask, mask)
    host, slash, bits = text.rpartition("/")
    if not slash:
        host, bits = text, str(family.bits)
    length = c_integer(bits, 0, family.bits)
    if length is not None:
        mask = Prefix.mask_of(family, length)
    else:
        try:
            given = parse_address(bits)
        except ConfigError:
            given = None
        if given is None or given.family is not family:
            raise UsageError(f"invalid mask `{bits}' specified")
        mask = given.value
    return Prefix(family, _host(host, family) & mask, mask)


def _host(text: str, family: Family) -> int:
    if family is Family.IPV4:
        if text == "localhost":
            return 127 << 24 | 1
        parts = text.split(".")
        octets = [c_integer(part, 0, 255) for part in parts]
        if len(parts) <= 4 and None not in octets:
            value = 0
            for octet in octets + [0] * (4 - len(parts)):
                value = value << 8 | (octet or 0)
            return value
    else:
        if text == "localhost":
            return 1
        try:
            address = parse_address(text)
        except ConfigError:
            pass
        else:
            if address.family is family:
                return address.value
    raise UsageError(f"host/network `{text}' not found")
