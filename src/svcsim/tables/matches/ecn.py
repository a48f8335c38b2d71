"""
Explicit congestion notification, of IP and of TCP (RFC 3168).

Behaviour of: xt_ecn (`-m ecn`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto, Tcp, TcpFlags
from svcsim.tables.extension import Place
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["EcnMatch"]

_FIELD = 0x03
_ECE, _CWR = int(TcpFlags.ECE), int(TcpFlags.CWR)


@MATCHES.register("ecn")
@attrs.frozen
class EcnMatch(Match):
    """``[!] --ecn-ip-ect 0..3``, ``--ecn-tcp-ece``, ``--ecn-tcp-cwr``; of those that are not asked for, None."""

    options = (
        Option("ecn-tcp-ece", arity=0, invert=True),
        Option("ecn-tcp-cwr", arity=0, invert=True),
        Option("ecn-ip-ect", invert=True),
    )

    ece: bool | None = None
    cwr: bool | None = None
    ect: int | None = None
    not_ect: bool = False

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read what is asked for; something must be."""
        if not args.given:
            raise UsageError("ECN match: some option required")
        ece, cwr = (not args.inverted(name) if name in args else None for name in ("ecn-tcp-ece", "ecn-tcp-cwr"))
        return cls(ece, cwr, args.number("ecn-ip-ect", 0, 3), args.inverted("ecn-ip-ect"))

    def emit(self) -> str:
        """The tests in the tool's own order."""
        parts = [
            f"{'' if wanted else '! '}--ecn-tcp-{name}"
            for name, wanted in (("ece", self.ece), ("cwr", self.cwr))
            if wanted is not None
        ]
        if self.ect is not None:
            parts.append(f"{'! ' if self.not_ect else ''}--ecn-ip-ect {self.ect}")
        return " ".join(parts)

    def describe(self, numeric: bool) -> str:
        """``ECN match !ECE CWR !ECT=2``."""
        parts = [
            f"{'' if wanted else '!'}{name}"
            for name, wanted in (("ECE", self.ece), ("CWR", self.cwr))
            if wanted is not None
        ]
        if self.ect is not None:
            parts.append(f"{'!' if self.not_ect else ''}ECT={self.ect}")
        return " ".join(["ECN match", *parts])

    def check(self, place: Place) -> None:
        """Refuse to ask for TCP's bits in a rule that is not about TCP."""
        super().check(place)
        if (self.ece is not None or self.cwr is not None) and (place.proto != Proto.TCP or place.proto_inverted):
            raise Refusal("ecn: cannot match TCP bits for non-tcp packets")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the bits are as asked for."""
        if self.ect is not None and (skb.tos & _FIELD == self.ect) is self.not_ect:
            return False
        if self.ece is None and self.cwr is None:
            return True
        header = skb.header
        if not isinstance(header, Tcp):
            return False
        return (self.ece is None or (header.flags & _ECE != 0) is self.ece) and (
            self.cwr is None or (header.flags & _CWR != 0) is self.cwr
        )
