"""
How much a connection has carried.

Behaviour of: xt_connbytes (`-m connbytes`). It switches the connections' counters on; one that began before has none.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Loader, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option, c_integer
from svcsim.tables.problems import UsageError

__all__ = ["ConnbytesMatch"]

_U64 = (1 << 64) - 1
_DIRECTIONS = ("original", "reply", "both")
_MODES = ("packets", "bytes", "avgpkt")


@MATCHES.register("connbytes")
@attrs.frozen
class ConnbytesMatch(Match):
    """``[!] --connbytes from:[to]``, ``--connbytes-dir``, ``--connbytes-mode``."""

    tracks = True
    options = (
        Option("connbytes", invert=True, required=True),
        Option("connbytes-dir", required=True),
        Option("connbytes-mode", required=True),
    )

    low: int
    high: int | None
    direction: str
    mode: str
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read range, direction and mode."""
        text = args.text("connbytes")
        first, colon, last = text.partition(":")
        low = c_integer(first, 0, _U64) if first or not colon else 0
        high = c_integer(last, 0, _U64) if last else None
        for part, value in ((first, low), (last, high))[: 2 if colon else 1]:
            if (part or not colon) and value is None:
                raise args.problem(f'bad value for option "--connbytes" near "{part}", or out of range (0-{_U64}).')
        if low is not None and high is not None and high < low:
            raise UsageError(f"{low} should be less than {high}")
        direction, mode = args.text("connbytes-dir"), args.text("connbytes-mode")
        if direction not in _DIRECTIONS:
            raise UsageError(f"Unknown --connbytes-dir `{direction}'")
        if mode not in _MODES:
            raise UsageError(f"Unknown --connbytes-mode `{mode}'")
        return cls(low or 0, high, direction, mode, invert=args.inverted("connbytes"))

    def _range(self) -> str:
        return f"{self.low}" + ("" if self.high is None else f":{self.high}")

    def emit(self) -> str:
        """Range, mode and direction."""
        return (
            f"{'! ' if self.invert else ''}--connbytes {self._range()} "
            f"--connbytes-mode {self.mode} --connbytes-dir {self.direction}"
        )

    def describe(self, numeric: bool) -> str:
        """``! connbytes 5 connbytes mode packets connbytes direction both``."""
        return (
            f"{'! ' if self.invert else ''}connbytes {self._range()} "
            f"connbytes mode {self.mode} connbytes direction {self.direction}"
        )

    def load(self, loader: Loader) -> Test:
        """Switch the counters on."""
        loader.host.sysctls.write("net.netfilter.nf_conntrack_acct", "1")
        return self.matches

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether what was counted, this packet among it, is in the range; without counters it never is."""
        conn = skb.ct
        if conn is None or conn.counters is None:
            return False
        packets, size, back, back_size = conn.counters
        if self.direction == "reply":
            packets, size = back, back_size
        elif self.direction == "both":
            packets, size = packets + back, size + back_size
        found = packets if self.mode == "packets" else size
        if self.mode == "avgpkt":
            found = size // packets if packets else 0
        return (self.low <= found and (self.high is None or found <= self.high)) is not self.invert
