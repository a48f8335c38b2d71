"""
What connection tracking shall do with a packet: nothing, or something of its own.

Behaviour of: xt_CT (`-j CT`, `-j NOTRACK`); zones are printed, but not modelled.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.errors import UnsupportedError
from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.options import Args, Option, c_integer
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target
from svcsim.tables.unknown import assumed

__all__ = ["CtTarget", "NotrackTarget"]


#: In the order in which they are printed.
_EVENTS = (*("new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark"),)


def _zone(text: str) -> str:
    """A zone as it is printed: a number, ``mark``, or nothing for none."""
    if text == "mark":
        return text
    number = c_integer(text, 0, 0xFFFF)
    if number is None:
        raise UsageError(f"Cannot parse {text} as a zone ID")
    return str(number) if number else ""


def _untrack(skb: Skb, state: HookState) -> None:
    """Make a packet UNTRACKED, unless it belongs to a connection already."""
    if skb.ct is None:
        skb.untrack()


@TARGETS.register("CT")
@attrs.frozen
class CtTarget(Target):
    """
    ``--notrack``: the packet is UNTRACKED. Or ``--ctevents``, ``--expevents``: which events a program hears of.

    No program listens here, so events change nothing. Nobody knows what becomes of a packet in a *zone* (a number, or the
    mark's), in one *way* (orig or reply) or both; helpers and time-out policies are kept as they were written.
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
    zone: str = ""
    way: str = ""

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ``--notrack`` or events."""
        for name in args.given:
            if name in ("helper", "timeout"):
                raise UnsupportedError(f"-j CT --{name}", instead="leave the rule out")
        events: list[str] = []
        for event in args.text("ctevents").split(",") if "ctevents" in args else ():
            if event not in _EVENTS:
                raise UsageError(f'Unknown event type "{event}"')
            events.append(event)
        if "expevents" in args and args.text("expevents") != "new":
            raise UsageError(f'Unknown event type "{args.text("expevents")}"')
        zone, ways = "", set()
        for name in args.given:
            if name.startswith("zone"):
                zone = _zone(args.text(name))
                ways.add(name.removeprefix("zone"))
        way = "" if {"-orig", "-reply"} <= ways else next(iter(sorted(ways - {""})), "")
        given = tuple(each for each in _EVENTS if each in events)
        return cls("notrack" in args, given, "expevents" in args, zone, way if zone else "")

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Whether it needs connection tracking: not to leave packets out of it."""
        return not self.notrack

    def _parts(self, sign: str) -> list[str]:
        parts = [f"{sign}notrack"] if self.notrack else []
        parts += [f"{sign}ctevents {','.join(self.events)}"] if self.events else []
        parts += [f"{sign}expevents new"] if self.expected else []
        return [*parts, f"{sign}zone{self.way} {self.zone}"] if self.zone else parts

    def emit(self) -> str:
        """What was asked for."""
        return " ".join(self._parts("--"))

    def describe(self, numeric: bool) -> str:
        """``CT notrack``."""
        return " ".join(["CT", *self._parts("")])

    def apply(self, skb: Skb, state: HookState) -> Verdict | None:
        """Let the packet be UNTRACKED, if that was asked for; in a zone, if nothing is assumed of it, it is UNKNOWN."""
        if self.notrack:
            _untrack(skb, state)
        elif self.zone and assumed(state, self) is None:
            state.host.note_unknown(skb, str(self))
            return Verdict.UNKNOWN
        return None


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
