"""
Translate the source to an address of the device that the packet leaves by.

Behaviour of: xt_MASQUERADE (`-j MASQUERADE`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.nat import NatRange
from svcsim.tables.nat_ranges import describe_flags, emit_flags, emit_ports, read_port_range
from svcsim.tables.options import Args, Option
from svcsim.tables.target import TARGETS, Target

__all__ = ["MasqueradeTarget"]


@TARGETS.register("MASQUERADE")
@attrs.frozen
class MasqueradeTarget(Target):
    """``--to-ports port[-port]``, ``--random``, ``--random-fully``."""

    tables = frozenset({"nat"})
    hooks = frozenset({Hook.POST_ROUTING})
    tracks = True
    reads_protocol = True
    options = (Option("to-ports"), Option("random", arity=0), Option("random-fully", arity=0))

    range: NatRange

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ports and flags."""
        return cls(read_port_range(args))

    def emit(self) -> str:
        """Ports and flags."""
        ports = emit_ports(self.range)
        return f"{f' --to-ports {ports}' if ports else ''}{emit_flags(self.range)}"[1:]

    def describe(self, numeric: bool) -> str:
        """``masq ports: 1024-65535 random``."""
        ports = emit_ports(self.range)
        return f"{f' masq ports: {ports}' if ports else ''}{describe_flags(self.range)}"[1:]

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Settle the connection's source; that ends the table."""
        return state.host.tracking[state.family].masquerade(skb, state, self.range)
