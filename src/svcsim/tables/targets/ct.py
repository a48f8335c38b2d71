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
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["CtTarget", "NotrackTarget"]


#: In the order in which they are printed.
_EVENTS = (*("new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark"),)


def _untrack(skb: Skb, state: HookState) -> None:
    """Make a packet UNTRACKED, unless it belongs to a connection already."""
    if skb.ct is None:
        skb.untrack()


@TARGETS.register("CT")
@attrs.frozen
class CtTarget(Target):
    """
    ``--notrack``: the packet is UNTRACKED. Or ``--ctevents``, ``--expevents``: which events a program hears of.

    No program listens here, so events change nothing. Zones, helpers and time-out policies are not modelled.
    """

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

    notrack: bool = True
    events: tuple[str, ...] = ()
    expected: bool = False

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ``--notrack`` or events."""
        for name in args.given:
            if name not in ("notrack", "ctevents", "expevents"):
                raise UnsupportedError(f"-j CT --{name}", instead="leave the rule out")
        events: list[str] = []
        for event in args.text("ctevents").split(",") if "ctevents" in args else ():
            if event not in _EVENTS:
                raise UsageError(f'Unknown event type "{event}"')
            events.append(event)
        if "expevents" in args and args.text("expevents") != "new":
            raise UsageError(f'Unknown event type "{args.text("expevents")}"')
        return cls("notrack" in args, tuple(each for each in _EVENTS if each in events), "expevents" in args)

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Whether it needs connection tracking: not to leave packets out of it."""
        return not self.notrack

    def _parts(self, sign: str) -> list[str]:
        parts = [f"{sign}notrack"] if self.notrack else []
        parts += [f"{sign}ctevents {','.join(self.events)}"] if self.events else []
        return [*parts, f"{sign}expevents new"] if self.expected else parts

    def emit(self) -> str:
        """What was asked for."""
        return " ".join(self._parts("--"))

    def describe(self, numeric: bool) -> str:
        """``CT notrack``."""
        return " ".join(["CT", *self._parts("")])

    def apply(self, skb: Skb, state: HookState) -> None:
        """Let the packet be UNTRACKED, if that was asked for."""
        if self.notrack:
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
