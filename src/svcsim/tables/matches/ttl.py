"""
How far a packet may still go: time to live, hop limit.

Behaviour of: xt_hl (`-m ttl` of IPv4, `-m hl` of IPv6).
"""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["HlMatch", "TtlMatch"]

_SIGNS = {"eq": "==", "lt": "<", "gt": ">"}


def _options(prefix: str) -> tuple[Option, ...]:
    kinds = [f"{prefix}-{how}" for how in ("lt", "gt", "eq")]
    options = [
        Option(name, invert=name.endswith("eq"), excludes=tuple(other for other in kinds if other != name))
        for name in kinds
    ]
    return (*options, Option(prefix, same=f"{prefix}-eq"))


@attrs.frozen
class _HopsMatch(Match):
    """One comparison: *how* is eq, lt or gt; only eq can be inverted."""

    _prefix: ClassVar[str]
    _complaint: ClassVar[str]

    how: str
    value: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one of the three options."""
        for how in _SIGNS:
            value = args.number(f"{cls._prefix}-{how}", 0, 255)
            if value is not None:
                return cls(how, value, invert=args.inverted(f"{cls._prefix}-{how}"))
        raise UsageError(cls._complaint)

    def emit(self) -> str:
        """The comparison."""
        return f"{'! ' if self.invert else ''}--{self._prefix}-{self.how} {self.value}"

    def describe(self, numeric: bool) -> str:
        """``TTL match TTL != 64``."""
        name = self._prefix.upper()
        return f"{name} match {name} {'!=' if self.invert else _SIGNS[self.how]} {self.value}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the comparison holds."""
        if self.how == "eq":
            return (skb.ttl == self.value) is not self.invert
        return skb.ttl < self.value if self.how == "lt" else skb.ttl > self.value


@MATCHES.register("ttl")
@attrs.frozen
class TtlMatch(_HopsMatch):
    """``[!] --ttl-eq``, ``--ttl-lt``, ``--ttl-gt value``."""

    families = frozenset({Family.IPV4})
    options = _options("ttl")
    _prefix = "ttl"
    _complaint = "TTL match: You must specify one of `--ttl-eq', `--ttl-lt', `--ttl-gt"


@MATCHES.register("hl")
@attrs.frozen
class HlMatch(_HopsMatch):
    """``[!] --hl-eq``, ``--hl-lt``, ``--hl-gt value``."""

    families = frozenset({Family.IPV6})
    options = _options("hl")
    _prefix = "hl"
    _complaint = "HL match: You must specify one of `--hl-eq', `--hl-lt', `--hl-gt'"
