"""
The maximum segment size that a TCP segment announces.

Behaviour of: xt_tcpmss (`-m tcpmss`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto, Tcp
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.tcp_options import find_mss
from svcsim.tables.texts import range_text

__all__ = ["TcpmssMatch"]


@MATCHES.register("tcpmss")
@attrs.frozen
class TcpmssMatch(Match):
    """``[!] --mss value[:value]``; a segment without the option fits the inversion alone."""

    protocols = frozenset({int(Proto.TCP)})
    options = (Option("mss", invert=True, required=True),)

    low: int
    high: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a range."""
        low, high = args.number_range("mss", 65535) or (0, 0)
        if low > high:
            raise UsageError("tcpmss: invalid range given")
        return cls(low, high, invert=args.inverted("mss"))

    def emit(self) -> str:
        """The range."""
        return f"{'! ' if self.invert else ''}--mss {range_text((self.low, self.high))}"

    def describe(self, numeric: bool) -> str:
        """``tcpmss match !5:80``."""
        return f"tcpmss match {'!' if self.invert else ''}{range_text((self.low, self.high))}"

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether the size is in the range; a packet that is cut short is dropped."""
        header = skb.header
        if not isinstance(header, Tcp):
            return None
        at = find_mss(header.options)
        if at is None:
            return self.invert
        return (self.low <= int.from_bytes(header.options[at + 2 : at + 4]) <= self.high) is not self.invert
