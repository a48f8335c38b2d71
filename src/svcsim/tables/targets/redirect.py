"""
Translate the destination to this host.

Behaviour of: xt_REDIRECT (`-j REDIRECT`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.nat import NatRange
from svcsim.tables.nat_ranges import describe_flags, emit_flags, emit_ports, read_port_range
from svcsim.tables.options import Args, Option
from svcsim.tables.target import TARGETS, Target

__all__ = ["RedirectTarget"]


@TARGETS.register("REDIRECT")
@attrs.frozen
class RedirectTarget(Target):
    """``--to-ports port[-port]``, ``--random``."""

    tables = frozenset({"nat"})
    hooks = frozenset({Hook.PRE_ROUTING, Hook.LOCAL_OUT})
    tracks = True
    reads_protocol = True
    options = (Option("to-ports"), Option("random", arity=0))

    range: NatRange

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ports and flag."""
        return cls(read_port_range(args))

    def emit(self) -> str:
        """Ports and flag."""
        ports = emit_ports(self.range)
        return f"{f' --to-ports {ports}' if ports else ''}{emit_flags(self.range)}"[1:]

    def describe(self, numeric: bool) -> str:
        """``redir ports 8080 random``."""
        ports = emit_ports(self.range)
        return f"{f' redir ports {ports}' if ports else ''}{describe_flags(self.range)}"[1:]

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Settle the connection's destination; that ends the table."""
        return state.host.tracking[state.family].redirect(skb, state, self.range)
