"""
The security parameters index of IPsec packets.

Behaviour of: xt_esp, ipt_ah (`-m esp`, and `-m ah` of IPv4).
"""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import ALL_BITS, Args, Option
from svcsim.tables.texts import range_text

__all__ = ["AhMatch", "EspMatch"]

_ANY = (0, ALL_BITS)


@attrs.frozen
class _SpiMatch(Match):
    _at: ClassVar[int]  # where the index stands in its header
    _size: ClassVar[int]

    low: int = 0
    high: int = ALL_BITS
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a range."""
        option = f"{cls.name}spi"
        low, high = args.number_range(option, ALL_BITS) or _ANY
        return cls(low, high, invert=args.inverted(option))

    def emit(self) -> str:
        """The range, unless it is everything."""
        ends = (self.low, self.high)
        if ends == _ANY:  # inverted or not, as the tool does
            return ""
        return f"{'! ' if self.invert else ''}--{self.name}spi {range_text(ends)}"

    def describe(self, numeric: bool) -> str:
        """``esp spis:100:200``."""
        ends = (self.low, self.high)
        if ends == _ANY and not self.invert:
            return self.name
        label = "spi" if self.low == self.high else "spis"
        return f"{self.name} {label}:{'!' if self.invert else ''}{range_text(ends)}"

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether the index is in the range; a packet that is cut short is dropped."""
        if skb.original.fragment_offset:
            return False
        if len(skb.payload) < self._size:
            return None
        spi = int.from_bytes(skb.payload[self._at : self._at + 4])
        return (self.low <= spi <= self.high) is not self.invert


@MATCHES.register("esp")
@attrs.frozen
class EspMatch(_SpiMatch):
    """``[!] --espspi spi[:spi]``."""

    protocols = frozenset({int(Proto.ESP)})
    options = (Option("espspi", invert=True),)
    _at, _size = 0, 8


@MATCHES.register("ah")
@attrs.frozen
class AhMatch(_SpiMatch):
    """``[!] --ahspi spi[:spi]``."""

    families = frozenset({Family.IPV4})
    protocols = frozenset({int(Proto.AH)})
    options = (Option("ahspi", invert=True),)
    _at, _size = 4, 12

    def describe(self, numeric: bool) -> str:
        """``ah spi:!5``; with a blank behind it where everything fits, as the tool has it."""
        text = super().describe(numeric)
        return f"{text} " if text == "ah" else text
