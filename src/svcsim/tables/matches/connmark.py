"""
The mark of the packet's connection.

Behaviour of: xt_connmark (`-m connmark`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import ALL_BITS, Args, Option

__all__ = ["ConnmarkMatch"]


@MATCHES.register("connmark")
@attrs.frozen
class ConnmarkMatch(Match):
    """``[!] --mark value[/mask]``: as ``-m mark``, of the connection; without one it is false, inverted or not."""

    tracks = True
    options = (Option("mark", invert=True, required=True),)

    value: int
    mask: int = ALL_BITS
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read value and mask."""
        value, mask = args.mark("mark") or (0, 0)
        return cls(value, mask, invert=args.inverted("mark"))

    def _value(self) -> str:
        return f"{self.value:#x}" + ("" if self.mask == ALL_BITS else f"/{self.mask:#x}")

    def emit(self) -> str:
        """Value, and mask unless it is full."""
        return f"{'! ' if self.invert else ''}--mark {self._value()}"

    def describe(self, numeric: bool) -> str:
        """``connmark match ! 0x1/0xff``; without ``!`` two blanks, as the tool prints it."""
        return f"connmark match {'!' if self.invert else ''} {self._value()}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the connection's mark is as asked for."""
        conn = skb.ct
        return conn is not None and (conn.mark & self.mask == self.value) is not self.invert
