"""
Set the code point of differentiated services.

Behaviour of: xt_DSCP (`-j DSCP`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.service_types import read_dscp
from svcsim.tables.target import TARGETS, Target

__all__ = ["DscpTarget"]

_ECN = 3


@TARGETS.register("DSCP")
@attrs.frozen
class DscpTarget(Target):
    """``--set-dscp value``, ``--set-dscp-class name``; the two bits of ECN stay."""

    tables = frozenset({"mangle"})
    options = (
        Option("set-dscp", excludes=("set-dscp-class",)),
        Option("set-dscp-class", excludes=("set-dscp",)),
    )

    value: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a number or a class."""
        return cls(read_dscp(args, "set-dscp", "target"))

    def emit(self) -> str:
        """The number, in hexadecimal."""
        return f"--set-dscp 0x{self.value:02x}"

    def describe(self, numeric: bool) -> str:
        """``DSCP set 0x0a``."""
        return f"DSCP set 0x{self.value:02x}"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Set the six high bits of the byte."""
        tos = skb.tos & _ECN | self.value << 2
        if tos != skb.tos:
            skb.tos = tos
            skb.changed = True
