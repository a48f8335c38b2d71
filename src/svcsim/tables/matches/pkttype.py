"""
Whom a packet was meant for on its link.

Behaviour of: xt_pkttype (`-m pkttype`). On point-to-point links every packet is for this host; only what the host sent to
everybody and hears again itself counts as a broadcast.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.route import RouteKind
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["PkttypeMatch"]

_KINDS = {"unicast": "unicast", "broadcast": "broadcast", "multicast": "multicast"}
_ALIASES = {"host": "unicast", "bcast": "broadcast", "mcast": "multicast"}


@MATCHES.register("pkttype")
@attrs.frozen
class PkttypeMatch(Match):
    """``[!] --pkt-type unicast|broadcast|multicast``."""

    options = (Option("pkt-type", invert=True, required=True),)

    kind: str
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a kind."""
        text = args.text("pkt-type").lower()
        kind = _KINDS.get(text) or _ALIASES.get(text)
        if kind is None:
            raise UsageError(f"Bad packet type '{args.text('pkt-type')}'")
        return cls(kind, invert=args.inverted("pkt-type"))

    def emit(self) -> str:
        """The kind."""
        return f"{'! ' if self.invert else ''}--pkt-type {self.kind}"

    def describe(self, numeric: bool) -> str:
        """``PKTTYPE != unicast``."""
        return f"PKTTYPE {'!=' if self.invert else '='} {self.kind}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether it is of the kind."""
        route = skb.route
        heard_again = route is not None and route.kind is RouteKind.BROADCAST and skb.indev == route.device
        kind = "broadcast" if heard_again and skb.owner is not None else "unicast"
        return (kind == self.kind) is not self.invert
