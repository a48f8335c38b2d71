"""
Set the packet's mark.

Behaviour of: xt_mark, revision 2 (`-j MARK`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.marks import MARK_OPTIONS, describe_mark, read_mark
from svcsim.tables.options import Args
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["MarkTarget"]


@TARGETS.register("MARK")
@attrs.frozen
class MarkTarget(Target):
    """``--set-xmark, --set-mark value[/mask]``, ``--and-mark, --or-mark, --xor-mark bits``: clear *mask*, xor *value*."""

    options = MARK_OPTIONS

    value: int
    mask: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one of the options."""
        pair = read_mark(args)
        if pair is None:
            raise UsageError("MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required")
        return cls(*pair)

    def emit(self) -> str:
        """Every option as ``--set-xmark``."""
        return f"--set-xmark {self.value:#x}/{self.mask:#x}"

    def describe(self, numeric: bool) -> str:
        """``MARK or 0x4000``."""
        return f"MARK {describe_mark(self.value, self.mask)}"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Set the mark."""
        skb.mark = skb.mark & ~self.mask ^ self.value
