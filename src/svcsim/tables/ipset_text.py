"""
The elements of IP sets as text: what the words of `ipset add` stand for, and how a listing writes them.

Behaviour of: ipset 7.17. Names of hosts are not looked up; names of services, protocols and ICMP messages are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod

import attrs

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.errors import ConfigError
from svcsim.packet import Proto
from svcsim.tables.icmp_names import ICMP_NAMES, ICMPV6_NAMES
from svcsim.tables.ipset_element import Element, Part
from svcsim.tables.ipset_types import SetOptions, SetType
from svcsim.tables.names import port_number, protocol_name, protocol_number

__all__ = [
    "ElementText",
    "KernelRefusal",
    "read_address",
    "read_elements",
    "read_integer",
    "read_port",
    "syntax_error",
    "text_of_element",
]

_PORTED = {Proto.TCP: "tcp", Proto.UDP: "udp", Proto.SCTP: "sctp", Proto.UDPLITE: "udplite"}
_HEX = frozenset("0123456789abcdefABCDEF")
_INTEGER = re.compile(r"-?(?:0[xX][0-9a-fA-F]{1,30}|[0-9]{1,30})")
_INTERFACE_LENGTH = 15
_NULL = "Null-valued element, cannot be stored in a hash type of set"
_BAD_LENGTH = "The value of the CIDR parameter of the IP address is invalid"
_PLACES = ("Second", "Third")
_SUPPORTS = {1: ("Elem separator", "none"), 2: ("Two elem separators", "one")}
#: Names that only rules use: they stand for more than one code, or came after ipset's own list.
_NOT_OURS = frozenset({"beyond-scope", "failed-policy", "reject-route", "neighbor-solicitation"})
_NOT_OURS |= {"any", "destination-unreachable", "time-exceeded", "ttl-exceeded", "parameter-problem"}
_NOT_OURS |= {"neighbor-advertisement"}
_MESSAGES = {
    Proto.ICMP: {name: kind for name, kind in ICMP_NAMES.items() if name not in _NOT_OURS and name != "redirect"},
    Proto.ICMPV6: {name: kind for name, kind in ICMPV6_NAMES.items() if name not in _NOT_OURS},
}
_MESSAGE_CODES = {
    proto: {name: type << 8 | code for name, (type, code, _) in names.items()} for proto, names in _MESSAGES.items()
}
#: Of two names for one message the longer is printed: echo-request, not ping.
_MESSAGE_NAMES = {
    proto: {code: name for name, code in sorted(codes.items(), key=lambda pair: len(pair[0]))}
    for proto, codes in _MESSAGE_CODES.items()
}


def syntax_error(message: str) -> ConfigError:
    """What the tool says of a word that it cannot read."""
    return ConfigError(f"Syntax error: {message}")


class KernelRefusal(ConfigError):
    """What the kernel says of an element that the tool could read; a test for one finds nothing."""


@attrs.frozen
class ElementText:
    """
    What one word stands for: the choices that each dimension has.

    *shown* is the word as a test repeats it, *tested* the element that it looks for: a range's first address. *ranged*
    says for each dimension how it was given.
    """

    choices: tuple[Sequence[Part], ...]
    tested: Element
    shown: str
    ranged: tuple[str, ...]

    def __len__(self) -> int:
        return prod(map(len, self.choices))

    def __iter__(self) -> Iterator[Element]:
        """Every element, the last dimension fastest; made one by one, because there may be very many."""
        return _combinations(self.choices, ())


def _combinations(choices: tuple[Sequence[Part], ...], chosen: Element) -> Iterator[Element]:
    first, rest = choices[0], choices[1:]
    if not rest:
        yield from ((*chosen, part) for part in first)
        return
    for part in first:
        yield from _combinations(rest, (*chosen, part))


def read_elements(type: SetType, options: SetOptions, text: str) -> ElementText:
    """
    Read a word; ranges and prefixes stand for each of their members in order.

    >>> from svcsim.tables.ipset_types import SET_TYPES
    >>> list(read_elements(SET_TYPES["hash:ip,port"], SetOptions(), "10.0.0.1,tcp:80-81"))
    [(167772161, (6, 80)), (167772161, (6, 81))]
    >>> list(read_elements(SET_TYPES["hash:net"], SetOptions(), "10.0.0.0-10.0.0.5"))
    [((167772160, 30),), ((167772164, 31),)]
    """
    kinds, family = type.kinds, options.family
    words = text.split(",", 2)
    if len(words) > len(kinds):
        many, most = _SUPPORTS[len(kinds)]
        raise syntax_error(f"{many} in {text}, but settype {type.name} supports {most}.")
    optional = type.name == "bitmap:ip,mac" and len(words) == 1
    missing = next((at for at, word in enumerate(words) if not word and at), len(words))
    if missing < len(kinds) and not optional:
        raise syntax_error(f"{_PLACES[missing - 1]} element is missing from {text}.")
    choices: list[Sequence[Part]] = []
    tested: list[Part] = []
    shown, ranged = [], []
    for kind, word in zip(kinds, words, strict=False):
        choices.append(_choices(kind, options, word, type))
        ranged.append(_how(kind, word))
        tested.append(_tested(kind, family, word, choices[-1]))
        shown.append(_shown(kind, family, word, choices[-1]) if len(kinds) > 1 or kind == "bare port" else word)
    if optional:
        choices.append((None,))
        tested.append(None)
    return ElementText(tuple(choices), tuple(tested), ",".join(shown), tuple(ranged))


def _how(kind: str, word: str) -> str:
    """Whether a dimension was given as a range of addresses or ports, or as a prefix."""
    if kind in ("port", "bare port"):
        name, _, numbers = word.rpartition(":")
        proto = _protocol(name) if name else Proto.TCP
        return "FROM-TO port" if proto in _PORTED and _split(numbers)[1] else ""
    if kind in ("ip", "net", "plain-ip"):
        return "IP/CIDR" if "/" in word else "FROM-TO IP" if _split(word)[1] else ""
    return ""


def _tested(kind: str, family: Family, word: str, choices: Sequence[Part]) -> Part:
    """The address that stands first in the word, or what else is chosen first."""
    if kind == "ip":
        return read_address(family, _split(word.partition("/")[0])[0])
    if kind == "net" and "/" not in word:
        return (read_address(family, _split(word)[0]), family.bits)
    return choices[0]


def _shown(kind: str, family: Family, word: str, choices: Sequence[Part]) -> str:
    """How a test repeats one dimension of several."""
    if kind in ("ip", "net", "plain-ip"):
        return _split(word)[0] if "/" not in word else word
    return _text_of_part(kind, family, choices[0])


def _choices(kind: str, options: SetOptions, word: str, type: SetType) -> Sequence[Part]:
    family = options.family
    if kind == "ip":
        return _addresses(options, word, type)
    if kind == "plain-ip":
        return _plain(family, word)
    if kind == "net":
        return _networks(family, word, type)
    if kind == "port":
        return _ports(family, word)
    if kind == "bare port":
        return _bare_ports(word)
    if kind == "iface":
        return [_interface(word)]
    if kind == "mac":
        return [_mac(word)]
    return [read_integer(word, 0xFFFFFFFF)]


# -- addresses --------------------------------------------------------------------------------------------------------


def read_address(family: Family, word: str) -> int:
    """An address of *family*, in brackets or not; names are not looked up."""
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    try:
        address = parse_address(bare)
    except ConfigError:
        address = None
    if address is None or address.family is not family:
        raise syntax_error(f"cannot parse {word}: resolving to IPv{int(family)} address failed")
    return address.value


def _split(word: str) -> tuple[str, str]:
    """The ends of ``a-b``; a dash at an end, or within brackets, is none."""
    if word.startswith("["):
        first, bracket, rest = word.partition("]")
        return (first + bracket, rest[1:]) if rest.startswith("-") and len(rest) > 1 else (word, "")
    first, _, last = word.partition("-")
    return (first, last) if first and last else (word, "")


def _span(family: Family, word: str) -> tuple[int, int]:
    """First and last address of ``a``, ``a/length`` or ``a-b``."""
    host, _, length = word.partition("/")
    if length:
        value = read_address(family, host)
        mask = Prefix.mask_of(family, read_integer(length, family.bits))
        return value & mask, value | (family.all_ones ^ mask)
    first, last = _split(word)
    low = read_address(family, first)
    high = read_address(family, last) if last else low
    return min(low, high), max(low, high)


def _addresses(options: SetOptions, word: str, type: SetType) -> Sequence[Part]:
    family = options.family
    low, high = _span(family, word)
    if family is Family.IPV6 and low != high:
        raise syntax_error(f"plain IP address must be supplied: {word}")
    if type.name == "hash:ip" and read_address(family, _split(word.partition("/")[0])[0]) == 0:
        raise KernelRefusal(_NULL)
    if high - low == family.all_ones and type.method == "hash":
        raise KernelRefusal(_BAD_LENGTH)
    step = 1
    if options.netmask is not None:
        step = 1 << (family.bits - options.netmask)
        low &= -step
    return range(low, high + 1, step)


def _plain(family: Family, word: str) -> Sequence[Part]:
    if "/" in word or _split(word)[1]:
        raise syntax_error(f"plain IP address must be supplied: {word}")
    return [read_address(family, word)]


def _networks(family: Family, word: str, type: SetType) -> Sequence[Part]:
    if family is Family.IPV6 and "/" not in word and _split(word)[1]:
        raise syntax_error(f"IP address or IP/cidr must be specified: {word}")
    low, high = _span(family, word)
    if high - low == family.all_ones and type.name not in ("hash:net,iface", "hash:net,port,net"):
        raise KernelRefusal(_BAD_LENGTH)
    pieces: list[Part] = []
    while low <= high:
        size = min(low & -low if low else 1 << family.bits, 1 << (high - low + 1).bit_length() - 1)
        pieces.append((low, family.bits - size.bit_length() + 1))
        low += size
    return pieces


# -- ports ------------------------------------------------------------------------------------------------------------


def read_integer(word: str, most: int, least: int = 0) -> int:
    """
    A number as C reads it, within bounds.

    >>> read_integer("0x10", 255), read_integer("010", 255)
    (16, 8)
    """
    if not _INTEGER.fullmatch(word):
        raise syntax_error(f"'{word}' is invalid as number")
    digits = word.lstrip("-")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xX"
    try:
        value = int(digits, 8 if octal else 0)
    except ValueError:  # an eight or a nine behind a zero
        raise syntax_error(f"'{word}' is invalid as number") from None
    if word.startswith("-") or not least <= value <= most:
        raise syntax_error(f"'{word}' is out of range {least}-{most}")
    return value


def read_port(word: str, protocol: str = "tcp") -> int:
    """A port by its number or by the name of its service."""
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    known = port_number(bare, protocol)
    if known is not None:
        return known
    try:
        return read_integer(bare, 0xFFFF)
    except ConfigError as error:
        raise ConfigError(
            f"{error}\nSyntax error: '{protocol}' is invalid as number\ncannot parse '{bare}' as a {protocol} port"
        ) from None


def _port_range(numbers: str, protocol: str) -> range:
    first, last = _split(numbers)
    low = read_port(first, protocol)
    high = read_port(last, protocol) if last else low
    return range(min(low, high), max(low, high) + 1)


def _bare_ports(word: str) -> Sequence[Part]:
    name, _, numbers = word.rpartition(":")
    proto = _protocol(name) if name else int(Proto.TCP)
    if proto not in (Proto.TCP, Proto.UDP):
        raise syntax_error("Only protocol TCP or UDP can be used with a set of ports.")
    return _port_range(numbers, _PORTED[Proto(proto)])


def _ports(family: Family, word: str) -> Sequence[Part]:
    name, _, numbers = word.rpartition(":")
    proto = _protocol(name) if name else int(Proto.TCP)
    if proto in _PORTED:
        return [(proto, port) for port in _port_range(numbers, _PORTED[Proto(proto)])]
    if proto in (Proto.ICMP, Proto.ICMPV6):
        label, of, inet = ("ICMP", Family.IPV4, "inet") if proto == Proto.ICMP else ("ICMPv6", Family.IPV6, "inet6")
        if family is not of:
            raise syntax_error(f"Protocol {label} can be used with family {inet} only")
        return [(proto, _message(proto, numbers, label))]
    if proto == 0:
        raise KernelRefusal("Invalid protocol specified")
    if numbers != "0":
        raise syntax_error(f"Protocol {name} can be used with pseudo port value 0 only.")
    return [(proto, 0)]


def _protocol(name: str) -> int:
    proto = protocol_number(name.lower())
    if proto is None:
        if not (name.isascii() and name.isdigit() and len(name) < 4 and int(name) < 256):
            raise syntax_error(f"cannot parse '{name}' as a protocol")
        proto = int(name)
    return proto


def _message(proto: int, word: str, label: str) -> int:
    known = _MESSAGE_CODES[Proto(proto)].get(word)
    if known is not None:
        return known
    kind, slash, code = word.partition("/")
    if not slash:
        raise ConfigError(f"Cannot parse {word} as an {label} type/code.")
    return read_integer(kind, 255) << 8 | read_integer(code, 255)


# -- other dimensions -------------------------------------------------------------------------------------------------


def _interface(word: str) -> Part:
    name = word.removeprefix("physdev:")
    if len(name) > _INTERFACE_LENGTH:
        raise syntax_error(f"interface name '{name}' is longer than {_INTERFACE_LENGTH} characters")
    return (name, name != word)


def _mac(word: str) -> Part:
    digits = word.split(":")
    if len(digits) != 6 or not all(1 <= len(d) <= 2 and _HEX.issuperset(d) for d in digits):
        raise syntax_error(f"cannot parse '{word}' as ethernet address")
    value = int.from_bytes(bytes(int(d, 16) for d in digits))
    if not value:
        raise KernelRefusal(_NULL)
    return value


# -- writing ----------------------------------------------------------------------------------------------------------


def text_of_element(type: SetType, family: Family, element: Element) -> str:
    """
    Write an element as `ipset save` does.

    >>> from svcsim.tables.ipset_types import SET_TYPES
    >>> text_of_element(SET_TYPES["hash:ip,port,net"], Family.IPV4, (167772161, (6, 80), (167772160, 8)))
    '10.0.0.1,tcp:80,10.0.0.0/8'
    """
    pairs = zip(type.kinds, element, strict=True)
    return ",".join(_text_of_part(kind, family, part) for kind, part in pairs if part is not None)


def _text_of_part(kind: str, family: Family, part: Part) -> str:
    if isinstance(part, tuple):
        first, second = part
        if isinstance(first, str):
            return ("physdev:" if second else "") + first
        if kind == "net":
            host = format_address(family, first)
            return host if second == family.bits else f"{host}/{second}"
        number = str(second)
        if first in (Proto.ICMP, Proto.ICMPV6):
            number = _MESSAGE_NAMES[Proto(first)].get(second, f"{second >> 8}/{second & 255}")
        return f"{protocol_name(first)}:{number}"
    assert part is not None
    if kind in ("ip", "plain-ip"):
        return format_address(family, part)
    if kind == "mac":
        return ":".join(f"{byte:02X}" for byte in part.to_bytes(6))
    return f"0x{part:08x}" if kind == "mark" else str(part)
