"""
Hand a copy of the packet to whoever listens to a netlink group.

Behaviour of: xt_NFLOG (`-j NFLOG`). Nobody listens here: what would be handed over is noted in the packet's trace.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.options import ALL_BITS, Args, Option
from svcsim.tables.target import TARGETS, Target
from svcsim.tables.texts import quote
from svcsim.trace import Note

__all__ = ["NflogTarget"]

_PREFIX_LENGTH = 63


@TARGETS.register("NFLOG")
@attrs.frozen
class NflogTarget(Target):
    """``--nflog-group``, ``--nflog-prefix``, ``--nflog-size``, ``--nflog-threshold``; *range* is the size as once spelt."""

    options = (
        Option("nflog-group"),
        Option("nflog-prefix"),
        Option("nflog-range", excludes=("nflog-size",)),
        Option("nflog-size", excludes=("nflog-range",)),
        Option("nflog-threshold"),
    )

    group: int = 0
    prefix: str = ""
    size: int | None = None
    range: int | None = None
    threshold: int = 0

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read group, prefix, size and threshold; a prefix that is too long is cut."""
        return cls(
            args.number("nflog-group", 0, 65535) or 0,
            args.text("nflog-prefix")[:_PREFIX_LENGTH],
            args.number("nflog-size", 0, ALL_BITS),
            args.number("nflog-range", 0, ALL_BITS),
            args.number("nflog-threshold", 0, 65535) or 0,
        )

    def _parts(self) -> list[str]:
        parts = [f"nflog-prefix {quote(self.prefix)}"] if self.prefix else []
        if self.group:
            parts.append(f"nflog-group {self.group}")
        if self.size is not None:
            parts.append(f"nflog-size {self.size}")
        elif self.range:
            parts.append(f"nflog-range {self.range}")
        if self.threshold:
            parts.append(f"nflog-threshold {self.threshold}")
        return parts

    def emit(self) -> str:
        """What differs from the defaults, the prefix first."""
        return " ".join(f"--{part}" for part in self._parts())

    def describe(self, numeric: bool) -> str:
        """``nflog-prefix "a b" nflog-group 5``."""
        return " ".join(self._parts())

    def apply(self, skb: Skb, state: HookState) -> None:
        """Note it."""
        if skb.trace is not None:
            skb.trace.append(Note(f"NFLOG group {self.group}: {self.prefix}"))
