"""
Set the type-of-service byte.

Behaviour of: xt_DSCP's TOS, revision 1 (`-j TOS`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.service_types import read_tos, tos_name
from svcsim.tables.target import TARGETS, Target

__all__ = ["TosTarget"]

_SPELLINGS = ("set-tos", "and-tos", "or-tos", "xor-tos")


@TARGETS.register("TOS")
@attrs.frozen
class TosTarget(Target):
    """``--set-tos value[/mask]|name``, ``--and-tos, --or-tos, --xor-tos bits``: clear *mask*, xor *value*."""

    tables = frozenset({"mangle"})
    options = tuple(Option(name, excludes=tuple(other for other in _SPELLINGS if other != name)) for name in _SPELLINGS)

    value: int
    mask: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one of the options."""
        if "set-tos" in args:
            return cls(*read_tos(args.text("set-tos")))
        bits = args.number("and-tos", 0, 255)
        if bits is not None:
            return cls(0, ~bits & 255)
        bits = args.number("or-tos", 0, 255)
        if bits is not None:
            return cls(bits, bits)
        bits = args.number("xor-tos", 0, 255)
        if bits is not None:
            return cls(bits, 0)
        raise UsageError("TOS: An action is required")

    def _shown(self) -> str:
        return f"0x{self.value:02x}/0x{self.mask:02x}"

    def emit(self) -> str:
        """Every option as ``--set-tos``."""
        return f"--set-tos {self._shown()}"

    def describe(self, numeric: bool) -> str:
        """``TOS set 0x10/0xff``; a name stands otherwise between its blanks, as the tool prints it."""
        name = None if numeric else tos_name(self.value, self.mask)
        return f"TOS set {self._shown()}" if name is None else f" TOS set{name}"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Set the byte."""
        tos = skb.tos & ~self.mask & 255 ^ self.value
        if tos != skb.tos:
            skb.tos = tos
            skb.changed = True
