"""
The link-layer address that a packet came from.

Behaviour of: xt_mac (`-m mac`). Links here have no link layer, as the kernel's TUN devices: no packet has such an
address, so neither the test nor its inversion ever holds.
"""

from __future__ import annotations

import re
from typing import Self

import attrs

from svcsim.hooks import Hook, HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["MacMatch"]

_ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")


@MATCHES.register("mac")
@attrs.frozen
class MacMatch(Match):
    """``[!] --mac-source XX:XX:XX:XX:XX:XX``."""

    hooks = frozenset({Hook.PRE_ROUTING, Hook.LOCAL_IN, Hook.FORWARD})
    options = (Option("mac-source", invert=True, required=True),)

    address: str
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read an address."""
        text = args.text("mac-source")
        if not _ADDRESS.fullmatch(text):
            raise UsageError("Invalid MAC address specified.")
        return cls(text.lower(), invert=args.inverted("mac-source"))

    def emit(self) -> str:
        """The address in small letters."""
        return f"{'! ' if self.invert else ''}--mac-source {self.address}"

    def describe(self, numeric: bool) -> str:
        """``MAC ! 02:00:00:00:00:01``."""
        return f"MAC {'! ' if self.invert else ''}{self.address}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """False."""
        return False
