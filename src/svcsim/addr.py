"""
Addresses as integers: families, addresses, prefixes, and their texts.

On a packet's way an address is a plain integer in host order beside its family; in configuration it is an `Address`.
"""

from __future__ import annotations

import enum
import ipaddress
from functools import lru_cache
from typing import NamedTuple, Self

import attrs

from svcsim.errors import ConfigError

__all__ = ["Address", "Family", "Prefix", "format_address", "parse_address"]


class Family(enum.IntEnum):
    """The version of the Internet Protocol; *bits* is the width of an address, *all_ones* the mask that keeps it all."""

    IPV4 = 4
    IPV6 = 6

    def __init__(self, number: int) -> None:
        self.bits = 32 if number == 4 else 128
        self.all_ones = (1 << self.bits) - 1


@lru_cache(maxsize=65536)
def format_address(family: int, value: int) -> str:
    """
    The text of an address.

    >>> format_address(4, 0xC0000201), format_address(6, 1)
    ('192.0.2.1', '::1')
    """
    if family == 4:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    prefix = value >> 32
    if prefix == 0xFFFF or (prefix == 0 and value >> 16):  # the two kinds that hold an IPv4 address, as inet_ntop does
        return f"::{'ffff:' if prefix else ''}{format_address(4, value & 0xFFFFFFFF)}"
    return str(ipaddress.IPv6Address(value))


@attrs.frozen(order=True)
class Address:
    """
    One address: *family* and *value*, an integer in host order.

    >>> Address.parse("10.96.0.10").value == 0x0A60000A
    True
    >>> print(Address.parse("2001:db8:0:0::1"))
    2001:db8::1
    """

    family: Family
    value: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``192.0.2.1`` or ``2001:db8::1``."""
        return parse_address(text)

    def __str__(self) -> str:
        return format_address(self.family, self.value)


@lru_cache(maxsize=65536)
def parse_address(text: str) -> Address:
    """Read an address; `ConfigError` names the text that is none."""
    parts = text.split(".")
    if len(parts) == 4 and ":" not in text:
        value = 0
        for part in parts:
            if not (part.isascii() and part.isdigit() and len(part) <= 3 and int(part) <= 255):
                break
            value = value << 8 | int(part)
        else:
            return Address(Family.IPV4, value)
    elif ":" in text and "%" not in text:
        try:
            return Address(Family.IPV6, int(ipaddress.IPv6Address(text)))
        except ValueError:
            pass
    raise ConfigError(f"not an IP address: {text!r}")


class Prefix(NamedTuple):
    """
    The addresses that agree with *value* in the bits of *mask* (a mask need not be contiguous, as in iptables).

    >>> net = Prefix.parse("10.244.0.0/16")
    >>> Address.parse("10.244.3.4").value in net, str(net), net.length
    (True, '10.244.0.0/16', 16)
    """

    family: Family
    value: int
    mask: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``10.0.0.0/8``, ``10.0.0.0/255.0.0.0``, or a bare address; host bits are cleared."""
        host, slash, bits = text.partition("/")
        address = parse_address(host)
        family = address.family
        if not slash:
            mask = family.all_ones
        elif bits.isascii() and bits.isdigit() and len(bits) <= 3:
            if int(bits) > family.bits:
                raise ConfigError(f"prefix length out of range: {text!r}")
            mask = cls.mask_of(family, int(bits))
        else:
            given = parse_address(bits)
            if given.family is not family:
                raise ConfigError(f"mask of another family: {text!r}")
            mask = given.value
        return cls(family, address.value & mask, mask)

    @staticmethod
    def mask_of(family: Family, length: int) -> int:
        """The mask of a prefix of *length* bits."""
        return family.all_ones ^ ((1 << (family.bits - length)) - 1)

    @property
    def length(self) -> int | None:
        """Number of leading one bits, or None for a mask that is not contiguous."""
        ones = self.mask.bit_count()
        return ones if self.mask == self.mask_of(self.family, ones) else None

    def __contains__(self, value: int) -> bool:  # type: ignore[override]
        return value & self.mask == self.value

    def __str__(self) -> str:
        length = self.length
        shown = format_address(self.family, self.mask) if length is None else str(length)
        return f"{format_address(self.family, self.value)}/{shown}"
