"""
Which connection helper expected a packet's connection.

Behaviour of: xt_helper (`-m helper`). Helpers are not modelled, so nothing is ever expected: only the inversion holds.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.texts import quote

__all__ = ["HelperMatch"]

_LENGTH = 28


@MATCHES.register("helper")
@attrs.frozen
class HelperMatch(Match):
    """``[!] --helper name``; the empty name is any helper."""

    tracks = True
    options = (Option("helper", invert=True, required=True),)

    helper: str
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a name."""
        return cls(args.text("helper")[:_LENGTH], invert=args.inverted("helper"))

    def emit(self) -> str:
        """The name."""
        return f"{'! ' if self.invert else ''}--helper {quote(self.helper)}"

    def describe(self, numeric: bool) -> str:
        """``helper match ! "ftp"``."""
        return f'helper match {"! " if self.invert else ""}"{self.helper}"'

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether it is inverted."""
        return self.invert
