"""
The values on ``ipvsadm``'s command line: numbers, timeouts, addresses with ports.

Behaviour of: ipvsadm 1.31, which reads numbers as strtol and IPv4 addresses as inet_aton do.
"""

from __future__ import annotations

import re

from svcsim.addr import Family, parse_address
from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tools.popt import UsageError

__all__ = ["read_endpoint", "read_ipv4", "read_number", "read_timeout"]

_MAX_TIMEOUT = 31 * 24 * 3600


def read_endpoint(text: str, what: str) -> tuple[Family, int, int | None]:
    """
    Read ``address``, ``address:port`` or ``[address]:port``; the port is None if there is none.

    As the tool: an IPv6 address needs brackets only for a port, and one of IPv4 in brackets loses its port. A host
    name is looked up by the real tool; here no name resolves but ``localhost``.
    """
    complaint = f"illegal {what} address[:port] specified"
    family = Family.IPV4
    address: int | None = None
    port: int | None = None
    host, colon, tail = text, "", ""
    bracketed = re.fullmatch(r"\[(.*?)\]:(.*)", text, re.DOTALL)
    if bracketed:
        host = bracketed[1]
        address = _read_ipv6(host)
        if address is not None:
            colon, tail = ":", bracketed[2]
    else:
        address = _read_ipv6(text)
    if address is not None:
        family = Family.IPV6
    else:
        if not bracketed:
            host, colon, tail = text.partition(":")
        address = 0x7F000001 if host == "localhost" else read_ipv4(host)
    if address is None or re.fullmatch(r"[0-9]+", text):  # a number alone is a port without an address
        raise UsageError(complaint)
    if colon:
        if tail[:1].isalpha():
            raise UnsupportedError(f"the service name {tail!r}", instead="write its port number")
        port = read_number(tail, 0, 65535, complaint)
    return family, address, port


def _read_ipv6(text: str) -> int | None:
    try:
        address = parse_address(text)
    except ConfigError:
        return None
    return address.value if address.family is Family.IPV6 else None


def read_ipv4(text: str) -> int | None:
    """
    Read an IPv4 address as inet_aton does: one to four numbers, decimal, octal or hexadecimal, the last fills the rest.

    >>> hex(read_ipv4("10.1")), hex(read_ipv4("0x7f.1")), read_ipv4("256.0.0.1")
    ('0xa000001', '0x7f000001', None)
    """
    numbers = re.fullmatch(r"(\w+)((?:\.\w+){0,3})(?:\s.*)?", text, re.ASCII | re.DOTALL)
    if not numbers:
        return None
    value = 0
    parts = (numbers[1] + numbers[2]).split(".")
    for index, part in enumerate(parts):
        base = 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" else 10
        try:
            number = int(part[2:] if base == 16 else part, base)
        except ValueError:
            return None
        bits = 8 if index < len(parts) - 1 else 8 * (5 - len(parts))
        if "_" in part or number >> bits:
            return None
        value = value << bits | number
    return value


def read_number(text: str | None, least: int, most: int, complaint: str) -> int:
    """Read a decimal number as strtol does, which lets blanks and a sign stand before it, and check its range."""
    if not re.fullmatch(r"[ \t\n\v\f\r]*[+-]?[0-9]{1,40}", text or ""):
        raise UsageError(complaint)
    number = int(text or "")
    if not least <= number <= most:
        raise UsageError(complaint)
    return number


def read_timeout(text: str, least: int) -> int:
    """Read a number of seconds; the tool takes no more than 31 days."""
    return read_number(text, least, _MAX_TIMEOUT, f"invalid timeout value `{text}' specified")
