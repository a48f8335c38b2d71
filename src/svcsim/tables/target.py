"""
What a target is: the plug-in behind ``-j``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.extension import Extension, Extensions, Loader

__all__ = ["TARGETS", "Action", "Target"]

#: What a loaded rule does with a packet: a verdict ends the table, None goes on with the next rule.
Action = Callable[[Skb, HookState], Verdict | None]


class Target(Extension):
    """
    What becomes of a packet that matched.

    `parse`, `emit` and `describe` give it a text; `apply` acts. A target that does nothing but give a verdict sets
    *verdict* instead; *returns* marks the one that goes back to where its chain was called from.
    """

    __slots__ = ()

    verdict: ClassVar[Verdict | None] = None
    returns: ClassVar[bool] = False
    #: The name that a listing prints, where that is not its own.
    listed: ClassVar[str] = ""

    def apply(self, skb: Skb, state: HookState) -> Verdict | None:
        """Act on *skb*; a verdict ends the table, None goes on with the next rule."""
        return self.verdict

    def load(self, loader: Loader) -> Action:
        """Make what a loaded rule does: `apply` itself, unless there is something to remember or to find first."""
        return self.apply

    def __str__(self) -> str:
        text = self.emit()
        return f"-j {self.name} {text}" if text else f"-j {self.name}"


#: The targets by name; strangers register through the entry point ``svcsim.targets``.
TARGETS: Extensions[Target] = Extensions("target", "svcsim.targets")
