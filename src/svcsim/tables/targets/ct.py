"""
What connection tracking shall do with a packet: nothing.

Behaviour of: xt_CT (`-j CT`, `-j NOTRACK`), of which only ``--notrack`` is modelled.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.errors import UnsupportedError
from svcsim.hooks import HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.target import TARGETS, Target

__all__ = ["CtTarget", "NotrackTarget"]


def _untrack(skb: Skb, state: HookState) -> None:
    """Make a packet UNTRACKED, unless it belongs to a connection already."""
    if skb.ct is None:
        skb.untrack()


@TARGETS.register("CT")
@attrs.frozen
class CtTarget(Target):
    """``--notrack``: the packet is UNTRACKED."""

    tables = frozenset({"raw"})
    options = (
        Option("notrack", arity=0),
        Option("helper"),
        Option("timeout"),
        Option("ctevents"),
        Option("expevents"),
        Option("zone"),
        Option("zone-orig"),
        Option("zone-reply"),
    )

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ``--notrack``; the rest is not modelled."""
        for name in args.given:
            if name != "notrack":
                raise UnsupportedError(f"-j CT --{name}", instead="leave the rule out")
        if "notrack" not in args:
            raise UnsupportedError("-j CT without --notrack", instead="leave the rule out")
        return cls()

    def emit(self) -> str:
        """``--notrack``."""
        return "--notrack"

    def describe(self, numeric: bool) -> str:
        """``CT notrack``."""
        return "CT notrack"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Let the packet be UNTRACKED."""
        _untrack(skb, state)


@TARGETS.register("NOTRACK")
@attrs.frozen
class NotrackTarget(Target):
    """The old spelling of ``CT --notrack``."""

    tables = frozenset({"raw"})
    listed = "CT"

    def describe(self, numeric: bool) -> str:
        """``NOTRACK``."""
        return "NOTRACK"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Let the packet be UNTRACKED."""
        _untrack(skb, state)
