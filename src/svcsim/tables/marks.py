"""
Marks being set: the five spellings of "clear these bits, turn those".

Behaviour of: libxtables' MARK and CONNMARK.
"""

from __future__ import annotations

from svcsim.tables.options import ALL_BITS, Args, Option

__all__ = ["MARK_OPTIONS", "MARK_SPELLINGS", "describe_mark", "read_mark"]

MARK_SPELLINGS = ("set-xmark", "set-mark", "and-mark", "or-mark", "xor-mark")

MARK_OPTIONS = tuple(
    Option(name, excludes=tuple(other for other in MARK_SPELLINGS if other != name)) for name in MARK_SPELLINGS
)


def read_mark(args: Args) -> tuple[int, int] | None:
    """Value and mask of whichever option was given: the bits of the mask are cleared, then those of the value turned."""
    pair = args.mark("set-xmark")
    if pair is not None:
        return pair
    pair = args.mark("set-mark")
    if pair is not None:
        return pair[0], pair[0] | pair[1]
    bits = args.number("and-mark")
    if bits is not None:
        return 0, ~bits & ALL_BITS
    bits = args.number("or-mark")
    if bits is not None:
        return bits, bits
    bits = args.number("xor-mark")
    return None if bits is None else (bits, 0)


def describe_mark(value: int, mask: int) -> str:
    """
    What a listing says of value and mask.

    >>> describe_mark(0x4000, 0x4000), describe_mark(1, ALL_BITS), describe_mark(0, 0xFF00)
    ('or 0x4000', 'set 0x1', 'and 0xffff00ff')
    """
    if value == 0:
        return f"and {~mask & ALL_BITS:#x}"
    if value == mask:
        return f"or {value:#x}"
    if mask == 0:
        return f"xor {value:#x}"
    return f"set {value:#x}" if mask == ALL_BITS else f"xset {value:#x}/{mask:#x}"
