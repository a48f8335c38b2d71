"""
Values of the type-of-service byte by name: the old five, and the classes of differentiated services.

Behaviour of: libxtables' tables of TOS and DSCP names.
"""

from __future__ import annotations

from collections.abc import Mapping

from svcsim.tables.options import Args, c_integer
from svcsim.tables.problems import UsageError

__all__ = ["DSCP_CLASSES", "read_dscp", "read_tos", "tos_name"]

_TOS: Mapping[str, int] = {
    "Minimize-Delay": 0x10,
    "Maximize-Throughput": 0x08,
    "Maximize-Reliability": 0x04,
    "Minimize-Cost": 0x02,
    "Normal-Service": 0x00,
}
#: A name stands for the old field with the two bits that ECN has left to it.
_NAMED_MASK = 0x3F

#: CS0 to CS7, AF11 to AF43, EF, and best effort.
DSCP_CLASSES: Mapping[str, int] = {
    **{f"CS{level}": level << 3 for level in range(8)},
    "BE": 0,
    **{f"AF{level}{drop}": level << 3 | drop << 1 for level in range(1, 5) for drop in range(1, 4)},
    "EF": 0x2E,
}


def read_tos(text: str) -> tuple[int, int]:
    """
    Read ``value[/mask]`` or a name.

    >>> read_tos("minimize-delay"), read_tos("16/0x1c")
    ((16, 63), (16, 28))
    """
    first, slash, second = text.partition("/")
    value, mask = c_integer(first, 0, 255), c_integer(second, 0, 255) if slash else 255
    if value is not None and mask is not None:
        return value, mask
    for name, named in _TOS.items():
        if name.lower() == text.lower():
            return named, _NAMED_MASK
    raise UsageError(f'Symbolic name "{text}" is unknown')


def tos_name(value: int, mask: int) -> str | None:
    """The name of a value with the mask of named ones, None if it has none."""
    if mask != _NAMED_MASK:
        return None
    return next((name for name, named in _TOS.items() if named == value), None)


def read_dscp(args: Args, option: str, what: str) -> int:
    """The code point behind *option*, or the class behind *option* with ``-class``; *what* is for a complaint."""
    value = args.number(option, 0, 63)
    if value is not None:
        return value
    if f"{option}-class" not in args:
        raise UsageError(f"DSCP {what}: Parameter --{option} is required")
    name = args.text(f"{option}-class")
    found = DSCP_CLASSES.get(name.upper())
    if found is None:
        raise UsageError(f"Invalid DSCP value `{name}'")
    return found
