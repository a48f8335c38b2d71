"""
Have the kernel tell of every rule that a packet meets from here on.

Behaviour of: xt_TRACE (`-j TRACE`). Here a packet's trace tells it in any case, to whoever asks.
"""

from __future__ import annotations

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.target import TARGETS, Target

__all__ = ["TraceTarget"]


@TARGETS.register("TRACE")
@attrs.frozen
class TraceTarget(Target):
    """Without options."""

    tables = frozenset({"raw"})

    def apply(self, skb: Skb, state: HookState) -> None:
        """Note that it was asked for."""
        skb.traced = True
