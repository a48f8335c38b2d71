"""
Compute a checksum that was left for the device.

Behaviour of: xt_CHECKSUM (`-j CHECKSUM`). Packets here leave with whole checksums anyway.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.target import TARGETS, Target

__all__ = ["ChecksumTarget"]


@TARGETS.register("CHECKSUM")
@attrs.frozen
class ChecksumTarget(Target):
    """``--checksum-fill``."""

    tables = frozenset({"mangle"})
    options = (Option("checksum-fill", arity=0, required=True),)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the only option."""
        return cls()

    def emit(self) -> str:
        """The option."""
        return "--checksum-fill"

    def describe(self, numeric: bool) -> str:
        """``CHECKSUM fill``."""
        return "CHECKSUM fill"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Nothing."""
