"""
How a packet stands to its connection, in the old spelling.

Behaviour of: xt_conntrack through its alias `-m state`.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.connection_states import STATES, names_of, read_names
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["StateMatch"]

#: The states that this spelling knows; SNAT and DNAT came later.
_KNOWN = {name: bit for name, bit in STATES.items() if name not in ("SNAT", "DNAT")}


@MATCHES.register("state")
@attrs.frozen
class StateMatch(Match):
    """``[!] --state INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED``: *states* is a set of bits."""

    tracks = True
    options = (Option("state", invert=True, required=True),)

    states: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a list of states."""
        text = args.text("state")
        if not text:
            raise UsageError('"--state" requires a list of states with no spaces, e.g. ESTABLISHED,RELATED')
        return cls(read_names(text, _KNOWN, "state"), invert=args.inverted("state"))

    def emit(self) -> str:
        """The states in their own order."""
        return f"{'! ' if self.invert else ''}--state {names_of(self.states, STATES)}"

    def describe(self, numeric: bool) -> str:
        """``! state NEW``."""
        return f"{'! ' if self.invert else ''}state {names_of(self.states, STATES)}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the packet's state is one of them."""
        return (skb.ctinfo.bit & self.states != 0) is not self.invert
