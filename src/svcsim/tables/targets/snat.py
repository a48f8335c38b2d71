"""
Translate the source.

Behaviour of: xt_nat's SNAT, revision 1 (`-j SNAT`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.nat import Manip, NatRange
from svcsim.tables.nat_ranges import describe_flags, emit_flags, emit_range, read_range
from svcsim.tables.options import Args, Option
from svcsim.tables.target import TARGETS, Target

__all__ = ["SnatTarget"]


@TARGETS.register("SNAT")
@attrs.frozen
class SnatTarget(Target):
    """``--to-source [address[-address]][:port[-port]]``, ``--random``, ``--random-fully``, ``--persistent``."""

    tables = frozenset({"nat"})
    hooks = frozenset({Hook.POST_ROUTING, Hook.LOCAL_IN})
    tracks = True
    reads_protocol = True
    options = (
        Option("to-source", required=True),
        Option("random", arity=0),
        Option("random-fully", arity=0),
        Option("persistent", arity=0),
    )

    family: Family
    range: NatRange

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the range and its flags; a base port is read and, as by the tool, not kept."""
        given = read_range(args, "to-source")
        return cls(args.family, given if given.base_port is None else given._replace(base_port=0))

    def emit(self) -> str:
        """The range, and the flags behind it."""
        return f"--to-source {emit_range(self.range, self.family)}{emit_flags(self.range)}"

    def describe(self, numeric: bool) -> str:
        """``to:10.0.0.1:80 random``."""
        return f"to:{emit_range(self.range, self.family)}{describe_flags(self.range)}"

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Settle the connection's source; that ends the table."""
        return state.host.tracking[state.family].setup_nat(skb, self.range, Manip.SRC)
