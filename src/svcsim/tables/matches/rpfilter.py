"""
Whether the answer to a packet would leave by where it came from.

Behaviour of: ipt_rpfilter, ip6t_rpfilter (`-m rpfilter`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb
from svcsim.route import RouteKind
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option

__all__ = ["RpfilterMatch"]

_FLAGS = ("loose", "validmark", "accept-local", "invert")
_BROADCAST = 0xFFFFFFFF


@MATCHES.register("rpfilter")
@attrs.frozen
class RpfilterMatch(Match):
    """``--loose``, ``--validmark``, ``--accept-local``, ``--invert``: *flags* are those given."""

    tables = frozenset({"raw", "mangle"})
    hooks = frozenset({Hook.PRE_ROUTING})
    options = tuple(Option(name, arity=0) for name in _FLAGS)

    flags: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read flags."""
        return cls(frozenset(args.given))

    def emit(self) -> str:
        """The flags in the tool's own order."""
        return " ".join(f"--{name}" for name in _FLAGS if name in self.flags)

    def describe(self, numeric: bool) -> str:
        """``rpfilter loose``."""
        return " ".join(["rpfilter", *(name for name in _FLAGS if name in self.flags)])

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether there is a way back."""
        return self._passes(skb, state) is not ("invert" in self.flags)

    def _passes(self, skb: Skb, state: HookState) -> bool:
        src, dst, family = skb.src, skb.dst, skb.family
        if state.indev == "lo":
            return True
        if src == 0 and (family is Family.IPV6 or dst == _BROADCAST or dst >> 8 == 0xE00000):
            return True
        if family is Family.IPV6 and src >> 120 == 0xFF:
            return False
        if family is Family.IPV4 and (dst >> 28 == 0xE or dst in (0, _BROADCAST)):
            dst = 0
        routing = state.host.routes[family]
        loose = "loose" in self.flags
        bound = state.indev if family is Family.IPV6 and not loose else ""
        back = routing.lookup(src, dst, skb.mark if "validmark" in self.flags else 0, outdev=bound)
        if back.kind is RouteKind.LOCAL:
            return "accept-local" in self.flags and (loose or routing.holder(src) == state.indev)
        return back.kind is RouteKind.UNICAST and (loose or back.device == state.indev)
