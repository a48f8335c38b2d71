"""
The elements of IP sets: what the words of `ipset add` mean, what a packet looks like to a set, and their text.

An element is a tuple with one part for each dimension of its set's type: an address, a network ``(value, length)``, a
port ``(protocol, number)``, an interface ``(name, physdev)``, a MAC, a mark. `DIMENSIONS` names them for every type.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.errors import ConfigError
from svcsim.hooks import HookState, Skb
from svcsim.packet import Icmp, Proto

__all__ = ["DIMENSIONS", "Element", "Part", "element_of_packet", "elements_of_text", "text_of_element"]

#: The set types and their dimensions; ``list:set`` holds other sets.
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "bitmap:ip": ("ip",),
    "bitmap:ip,mac": ("ip", "mac"),
    "bitmap:port": ("bare port",),
    "hash:ip": ("ip",),
    "hash:ip,mac": ("ip", "mac"),
    "hash:ip,mark": ("ip", "mark"),
    "hash:ip,port": ("ip", "port"),
    "hash:ip,port,ip": ("ip", "port", "ip"),
    "hash:ip,port,net": ("ip", "port", "net"),
    "hash:mac": ("mac",),
    "hash:net": ("net",),
    "hash:net,iface": ("net", "iface"),
    "hash:net,net": ("net", "net"),
    "hash:net,port": ("net", "port"),
    "hash:net,port,net": ("net", "port", "net"),
    "list:set": ("set",),
}

Part = int | tuple[int, int] | tuple[str, bool]
Element = tuple[Part, ...]

_NAMES = {6: "tcp", 17: "udp", 1: "icmp", 58: "ipv6-icmp", 132: "sctp", 136: "udplite", 47: "gre", 50: "esp", 51: "ah"}
_NUMBERS = {name: number for number, name in _NAMES.items()} | {"icmpv6": 58}
_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE})
#: ICMP messages that have a name of their own in an element's text.
_ICMP_NAMES = {
    (1, 0x0800): "echo-request",
    (1, 0x0000): "echo-reply",
    (58, 0x8000): "echo-request",
    (58, 0x8100): "echo-reply",
}
#: A single word may not stand for more elements than the largest set can hold.
_MOST = 1 << 24


def _syntax(message: str) -> ConfigError:
    return ConfigError(f"Syntax error: {message}")


def elements_of_text(type: str, family: Family, text: str) -> Iterator[Element]:
    """
    Read an element; ranges and prefixes stand for each of their members in order.

    >>> list(elements_of_text("hash:ip,port", Family.IPV4, "10.0.0.1,tcp:80-81"))
    [(167772161, (6, 80)), (167772161, (6, 81))]
    >>> list(elements_of_text("hash:net", Family.IPV4, "10.0.0.0-10.0.0.5"))
    [((167772160, 30),), ((167772164, 31),)]
    """
    kinds = DIMENSIONS[type]
    words = text.split(",")
    if len(words) < len(kinds):
        raise _syntax(f"{('Second', 'Third')[len(words) - 1]} element is missing from {text}.")
    if len(words) > len(kinds):
        raise _syntax(f"Elem separator in {text}, but settype {type} does not support it.")
    return product(*(_parts(kind, family, word) for kind, word in zip(kinds, words, strict=True)))


def _parts(kind: str, family: Family, word: str) -> list[Part]:
    if kind == "ip":
        return _addresses(family, word)
    if kind == "net":
        return _networks(family, word)
    if kind in ("port", "bare port"):
        return _ports(word, bare=kind == "bare port")
    if kind == "iface":
        return [(word.removeprefix("physdev:"), word.startswith("physdev:"))]
    if kind == "mac":
        digits = word.split(":")
        if len(digits) != 6 or not all(len(d) == 2 and all(c in "0123456789abcdefABCDEF" for c in d) for d in digits):
            raise _syntax(f"cannot parse '{word}' as ethernet address")
        return [int("".join(digits), 16)]
    try:
        mark = int(word, 0)
    except ValueError:
        mark = -1
    if not 0 <= mark < 1 << 32:
        raise _syntax(f"'{word}' is invalid as number")
    return [mark]


def _address(family: Family, word: str) -> int:
    try:
        address = parse_address(word)
    except ConfigError:
        address = None
    if address is None or address.family is not family:
        raise _syntax(f"cannot parse {word}: resolving to IPv{int(family)} address failed")
    return address.value


def _range(family: Family, word: str) -> tuple[int, int]:
    """First and last address of ``a``, ``a/len`` or ``a-b``."""
    if "/" in word:
        host, _, length = word.partition("/")
        value = _address(family, host)
        if not length.isdigit() or int(length) > family.bits:
            raise _syntax(f"'{length}' is out of range 0-{family.bits}")
        mask = Prefix.mask_of(family, int(length))
        return value & mask, value | (family.all_ones ^ mask)
    first, dash, last = word.partition("-")
    low = _address(family, first)
    high = _address(family, last) if dash else low
    return min(low, high), max(low, high)


def _addresses(family: Family, word: str) -> list[Part]:
    low, high = _range(family, word)
    if family is Family.IPV6 and low != high:
        raise _syntax(f"plain IP address must be supplied: {word}")
    if high - low >= _MOST:
        raise ConfigError("Hash is full, cannot add more elements")
    return list(range(low, high + 1))


def _networks(family: Family, word: str) -> list[Part]:
    low, high = _range(family, word)
    if family is Family.IPV4 and high - low == 0xFFFFFFFF:
        raise ConfigError("The value of the CIDR parameter of the IP address is invalid")
    pieces: list[Part] = []
    while low <= high:
        size = min(low & -low if low else 1 << family.bits, 1 << (high - low + 1).bit_length() - 1)
        pieces.append((low, family.bits - size.bit_length() + 1))
        low += size
    return pieces


def _ports(word: str, *, bare: bool) -> list[Part]:
    name, colon, numbers = word.rpartition(":")
    proto = Proto.TCP if not colon else _protocol(name)
    first, dash, last = numbers.partition("-")
    if proto not in _PORTED:
        if proto in (Proto.ICMP, Proto.ICMPV6):
            return [(proto, _icmp(proto, numbers))]
        return [(proto, _number(numbers))]
    low = _number(first)
    high = _number(last) if dash else low
    span = range(min(low, high), max(low, high) + 1)
    return [port if bare else (proto, port) for port in span]


def _protocol(name: str) -> int:
    proto = _NUMBERS.get(name.lower())
    if proto is None:
        if not (name.isdigit() and int(name) < 256):
            raise _syntax(f"cannot parse '{name}' as a protocol")
        proto = int(name)
    return proto


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise _syntax(f"cannot parse '{word}' as a tcp port")
    if int(word) > 65535:
        raise _syntax(f"'{word}' is out of range 0-65535")
    return int(word)


def _icmp(proto: int, word: str) -> int:
    for (of, value), name in _ICMP_NAMES.items():
        if of == proto and name == word:
            return value
    kind, slash, code = word.partition("/")
    if not (kind.isdigit() and int(kind) < 256 and (not slash or (code.isdigit() and int(code) < 256))):
        raise _syntax(f"cannot parse '{word}' as an ICMP type")
    return int(kind) << 8 | int(code or 0)


def text_of_element(type: str, family: Family, element: Element) -> str:
    """
    Write an element as `ipset save` does.

    >>> text_of_element("hash:ip,port,net", Family.IPV4, (167772161, (6, 80), (167772160, 8)))
    '10.0.0.1,tcp:80,10.0.0.0/8'
    """
    words = []
    for kind, part in zip(DIMENSIONS[type], element, strict=True):
        if isinstance(part, tuple):
            first, second = part
            if isinstance(first, str):
                words.append(("physdev:" if second else "") + first)
            elif kind == "net":
                host = format_address(family, first)
                words.append(host if second == family.bits else f"{host}/{second}")
            else:
                number = _ICMP_NAMES.get((first, second))
                if number is None and first in (Proto.ICMP, Proto.ICMPV6):
                    number = f"{second >> 8}/{second & 255}"
                words.append(f"{_NAMES.get(first, first)}:{second if number is None else number}")
        elif kind == "ip":
            words.append(format_address(family, part))
        elif kind == "mac":
            words.append(":".join(f"{byte:02X}" for byte in part.to_bytes(6)))
        elif kind == "mark":
            words.append(f"0x{part:08x}")
        else:
            words.append(str(part))
    return ",".join(words)


def element_of_packet(
    type: str, directions: tuple[bool, ...], skb: Skb, state: HookState, mark_mask: int
) -> Element | None:
    """
    What *skb* is to a set of *type*; each of *directions* says whether a dimension is the source's.

    Networks are full-length. None where the packet has no such thing: no port in a later fragment, no MAC.
    """
    parts: list[Part] = []
    for kind, of_source in zip(DIMENSIONS[type], directions, strict=False):
        if kind == "ip":
            parts.append(skb.src if of_source else skb.dst)
        elif kind == "net":
            parts.append((skb.src if of_source else skb.dst, skb.family.bits))
        elif kind in ("port", "bare port"):
            port = _port_of(skb, of_source)
            if port is None or (kind == "bare port" and skb.proto not in (Proto.TCP, Proto.UDP)):
                return None
            parts.append(port if kind == "bare port" else (skb.proto, port))
        elif kind == "iface":
            name = state.indev if of_source else state.outdev
            if not name:
                return None
            parts.append((name, False))
        elif kind == "mark":
            parts.append(skb.mark & mark_mask)
        else:
            return None
    return tuple(parts)


def _port_of(skb: Skb, of_source: bool) -> int | None:
    if isinstance(skb.header, Icmp):
        return skb.header.type << 8 | skb.header.code
    if skb.proto in _PORTED:
        if skb.header is None:
            return None
        return skb.sport if of_source else skb.dport
    return None if skb.original.fragment_offset and skb.proto in (Proto.ICMP, Proto.ICMPV6) else 0
