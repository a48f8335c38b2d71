"""
What a match is: the plug-in behind ``-m``.
"""

from __future__ import annotations

import abc
from typing import ClassVar

from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Extension, Extensions, Loader, Test

__all__ = ["MATCHES", "Match"]


class Match(Extension):
    """
    A test of packets.

    `parse`, `emit` and `describe` give it a text; `matches` answers. A match that remembers something is *stateful* and
    writes `load` besides, which makes the memory that a loaded rule has of its own.
    """

    __slots__ = ()

    #: Whether it holds for every packet, so that nobody need ask.
    always: ClassVar[bool] = False
    #: Whether nobody here knows what it says.
    unknown: ClassVar[bool] = False

    @property
    def has_memory(self) -> bool:
        """Whether to ask it may change what it says of later packets."""
        return self.__class__.load is not Match.load

    @abc.abstractmethod
    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether it holds for *skb*; None: the packet is too short to be judged, drop it."""

    def load(self, loader: Loader) -> Test:
        """Make what a loaded rule asks: `matches` itself, unless there is something to remember or to find first."""
        return self.matches

    def __str__(self) -> str:
        text = self.emit()
        return f"-m {self.name} {text}" if text else f"-m {self.name}"


#: The matches by name; strangers register through the entry point ``svcsim.matches``.
MATCHES: Extensions[Match] = Extensions("match", "svcsim.matches")
