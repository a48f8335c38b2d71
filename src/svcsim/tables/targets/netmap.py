"""
Translate a whole network onto another, host by host.

Behaviour of: xt_NETMAP (`-j NETMAP`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Prefix
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.nat import Manip, NatRange
from svcsim.tables.options import Args, Option, read_network
from svcsim.tables.target import TARGETS, Target

__all__ = ["NetmapTarget"]

_DESTINATION = frozenset({Hook.PRE_ROUTING, Hook.LOCAL_OUT})


@TARGETS.register("NETMAP")
@attrs.frozen
class NetmapTarget(Target):
    """``--to network``: an address keeps its host bits; the destination before routing, the source behind it."""

    tables = frozenset({"nat"})
    hooks = frozenset(Hook) - {Hook.FORWARD}
    tracks = True
    options = (Option("to", required=True),)

    network: Prefix
    range: NatRange = attrs.field(init=False, eq=False)

    @range.default
    def _range(self) -> NatRange:
        network = self.network
        last = network.value | network.family.all_ones ^ network.mask
        return NatRange(network.value, last, netmap=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a network; the tool takes a mask with holes for that of a single host."""
        text = args.text("to")
        network = read_network(text, args.family)
        if network.length is None:
            network = read_network(text.partition("/")[0], args.family)
        return cls(network)

    def emit(self) -> str:
        """The network."""
        return f"--to {self.network}"

    def describe(self, numeric: bool) -> str:
        """``to:10.6.0.0/24``."""
        return f"to:{self.network}"

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Settle one end of the connection; that ends the table."""
        manip = Manip.DST if state.hook in _DESTINATION else Manip.SRC
        return state.host.tracking[state.family].setup_nat(skb, self.range, manip)
