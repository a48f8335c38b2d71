"""
The type-of-service byte.

Behaviour of: xt_dscp's tos match, revision 1 (`-m tos`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.service_types import read_tos, tos_name

__all__ = ["TosMatch"]


@MATCHES.register("tos")
@attrs.frozen
class TosMatch(Match):
    """``[!] --tos value[/mask]|name``: the byte, seen through *mask*, is *value*."""

    options = (Option("tos", invert=True, required=True),)

    value: int
    mask: int = 255
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read value and mask, or a name."""
        return cls(*read_tos(args.text("tos")), invert=args.inverted("tos"))

    def emit(self) -> str:
        """Value and mask."""
        return f"{'! ' if self.invert else ''}--tos 0x{self.value:02x}/0x{self.mask:02x}"

    def describe(self, numeric: bool) -> str:
        """``tos match0x10/0xff``, without a blank, as the tool prints it; or ``tos match! Minimize-Delay``."""
        name = None if numeric else tos_name(self.value, self.mask)
        sign = "!" if self.invert else ""
        return f"tos match{sign}{f'0x{self.value:02x}/0x{self.mask:02x}' if name is None else f' {name}'}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the byte is as asked for."""
        return (skb.tos & self.mask == self.value) is not self.invert
