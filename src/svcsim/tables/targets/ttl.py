"""
Change how far a packet may still go.

Behaviour of: xt_HL (`-j TTL` of IPv4, `-j HL` of IPv6).
"""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["HlTarget", "TtlTarget"]

#: What can be done, the lowest number that it takes, and how a listing calls it.
_ACTIONS = {"set": (0, "set to"), "inc": (1, "increment by"), "dec": (1, "decrement by")}


def _options(prefix: str) -> tuple[Option, ...]:
    names = [f"{prefix}-{how}" for how in _ACTIONS]
    return tuple(Option(name, excludes=tuple(other for other in names if other != name)) for name in names)


@attrs.frozen
class _HopsTarget(Target):
    """*how* is set, inc or dec; the result stays within a byte."""

    _prefix: ClassVar[str]

    how: str
    value: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one of the three options."""
        for how, (low, _) in _ACTIONS.items():
            value = args.number(f"{cls._prefix}-{how}", low, 255)
            if value is not None:
                return cls(how, value)
        raise UsageError(f"{cls._prefix.upper()}: You must specify an action")

    def emit(self) -> str:
        """The action."""
        return f"--{self._prefix}-{self.how} {self.value}"

    def describe(self, numeric: bool) -> str:
        """``TTL decrement by 1``."""
        return f"{self._prefix.upper()} {_ACTIONS[self.how][1]} {self.value}"

    def apply(self, skb: Skb, state: HookState) -> None:
        """Set the new number of hops."""
        if self.how == "set":
            ttl = self.value
        elif self.how == "inc":
            ttl = min(255, skb.ttl + self.value)
        else:
            ttl = max(0, skb.ttl - self.value)
        if ttl != skb.ttl:
            skb.ttl = ttl
            skb.changed = True


@TARGETS.register("TTL")
@attrs.frozen
class TtlTarget(_HopsTarget):
    """``--ttl-set``, ``--ttl-inc``, ``--ttl-dec value``."""

    families = frozenset({Family.IPV4})
    tables = frozenset({"mangle"})
    options = _options("ttl")
    _prefix = "ttl"


@TARGETS.register("HL")
@attrs.frozen
class HlTarget(_HopsTarget):
    """``--hl-set``, ``--hl-inc``, ``--hl-dec value``."""

    families = frozenset({Family.IPV6})
    tables = frozenset({"mangle"})
    options = _options("hl")
    _prefix = "hl"
