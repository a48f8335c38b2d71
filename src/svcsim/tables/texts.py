"""
Pieces of text that several extensions share: quoted strings, port ranges, addresses without their full mask.

Behaviour of: libxtables' output helpers.
"""

from __future__ import annotations

import re

from svcsim.addr import Family, Prefix, format_address
from svcsim.tables.names import service_name

__all__ = ["ANY_PORT", "describe_mask", "describe_ports", "emit_ports", "quote", "range_text"]

#: The range that a port option has when it is not given.
ANY_PORT = (0, 65535)

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]").search
_ESCAPED = re.compile(r"([\"\\'])")


def quote(text: str) -> str:
    r"""
    A string as iptables-save prints it: bare where that is safe, else in double quotes.

    >>> print(quote("web-1"), quote(""), quote("it's"))
    web-1 "" "it\'s"
    """
    if text and not _UNSAFE(text):
        return text
    if '"' in text or "'" in text or "\\" in text:
        text = _ESCAPED.sub(r"\\\1", text)
    return f'"{text}"'


def range_text(ends: tuple[int, int], sign: str = ":") -> str:
    """Both ends of a range, or one number where they are the same."""
    low, high = ends
    return str(low) if low == high else f"{low}{sign}{high}"


def emit_ports(option: str, ports: tuple[int, int], inverted: bool) -> str:
    """A port option with a blank before it, nothing where every port will do."""
    if ports == ANY_PORT:
        return ""
    return f"{' !' if inverted else ''} --{option} {range_text(ports)}"


def describe_ports(label: str, ports: tuple[int, int], inverted: bool, numeric: bool, protocol: str) -> str:
    """What a listing says of a port option, with a blank before it: `` dpts:!80:90``."""
    if ports == ANY_PORT and not inverted:
        return ""
    low, high = ports
    ends = [str(port) if numeric else service_name(port, protocol) for port in ((low,) if low == high else ports)]
    return f" {label}{'s' if len(ends) > 1 else ''}:{'!' if inverted else ''}{':'.join(ends)}"


def describe_mask(family: Family, mask: int) -> str:
    """The mask behind an address: nothing for that of a single host, ``/length``, or ``/address`` if it has holes."""
    if mask == family.all_ones:
        return ""
    length = Prefix(family, 0, mask).length
    return f"/{format_address(family, mask) if length is None else length}"
