"""
Mark a packet for the traffic control of the device that it leaves by.

Behaviour of: xt_CLASSIFY (`-j CLASSIFY`). Devices here have no queues: the class changes nothing.
"""

from __future__ import annotations

import re
from typing import Self

import attrs

from svcsim.hooks import Hook, HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["ClassifyTarget"]

_CLASS = re.compile(r"([0-9A-Fa-f]{1,8}):([0-9A-Fa-f]{1,8})")


@TARGETS.register("CLASSIFY")
@attrs.frozen
class ClassifyTarget(Target):
    """``--set-class major:minor``, hexadecimal."""

    hooks = frozenset({Hook.LOCAL_OUT, Hook.FORWARD, Hook.POST_ROUTING})
    options = (Option("set-class", required=True),)

    major: int
    minor: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a class."""
        found = _CLASS.fullmatch(args.text("set-class"))
        if found is None:
            raise UsageError(f'Bad class value "{args.text("set-class")}"')
        return cls(int(found[1], 16) & 0xFFFF, int(found[2], 16) & 0xFFFF)

    def emit(self) -> str:
        """The class, four digits each."""
        return f"--set-class {self.major:04x}:{self.minor:04x}"

    def describe(self, numeric: bool) -> str:
        """``CLASSIFY set 1a:f``."""
        return f"CLASSIFY set {self.major:x}:{self.minor:x}"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Nothing."""
