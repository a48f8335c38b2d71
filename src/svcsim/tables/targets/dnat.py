"""
Translate the destination.

Behaviour of: xt_nat's DNAT, revision 2 (`-j DNAT`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.nat import Manip, NatRange
from svcsim.packet import Proto
from svcsim.tables.nat_ranges import describe_flags, emit_flags, emit_range, read_range
from svcsim.tables.options import Args, Option, c_integer, plain_ipv4
from svcsim.tables.target import TARGETS, Target

__all__ = ["DnatTarget"]

_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP})


@TARGETS.register("DNAT")
@attrs.frozen
class DnatTarget(Target):
    """``--to-destination [address[-address]][:port[-port[/base]]]``, ``--random``, ``--persistent``."""

    tables = frozenset({"nat"})
    hooks = frozenset({Hook.PRE_ROUTING, Hook.LOCAL_OUT})
    tracks = True
    cached = False
    main = "--to-destination"
    reads_protocol = True
    options = (Option("to-destination", required=True), Option("random", arity=0), Option("persistent", arity=0))

    family: Family
    range: NatRange

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the range and its flags."""
        return cls(args.family, read_range(args, "to-destination"))

    @classmethod
    def parse_many(cls, values: Sequence[str], family: Family, proto: int) -> list[Self] | None:
        """``address:port`` of IPv4."""
        if family is not Family.IPV4 or proto not in _PORTED:
            return None
        hosts, _, texts = zip(*map(str.partition, values, repeat(":")), strict=True)
        addresses = list(map(plain_ipv4, hosts))
        known = {text: c_integer(text, 0, 65535) for text in set(texts)}
        if None in addresses or None in known.values():
            return None
        ports = list(map(known.__getitem__, texts))
        return list(map(cls, repeat(family), map(NatRange, addresses, addresses, ports, ports)))

    def emit(self) -> str:
        """The range, and the flags behind it."""
        return f"--to-destination {emit_range(self.range, self.family)}{emit_flags(self.range)}"

    def describe(self, numeric: bool) -> str:
        """``to:10.0.0.1:80 random``."""
        return f"to:{emit_range(self.range, self.family)}{describe_flags(self.range)}"

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Settle the connection's destination; that ends the table."""
        return state.host.tracking[state.family].setup_nat(skb, self.range, Manip.DST)
