"""
Write a record for the audit system.

Behaviour of: xt_AUDIT (`-j AUDIT`). There is no such system here; the packet goes on with the next rule.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["AuditTarget"]

_TYPES = ("accept", "drop", "reject")


@TARGETS.register("AUDIT")
@attrs.frozen
class AuditTarget(Target):
    """``--type accept|drop|reject``: what the record says."""

    options = (Option("type", required=True),)

    type: str

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the type."""
        text = args.text("type").lower()
        if text not in _TYPES:
            raise UsageError(f'Bad action type value "{args.text("type")}"')
        return cls(text)

    def emit(self) -> str:
        """The type."""
        return f"--type {self.type}"

    def describe(self, numeric: bool) -> str:
        """``AUDIT drop``."""
        return f"AUDIT {self.type}"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Nothing."""
