"""
Matches and targets that iptables 1.8.9 has and svcsim has not: kept word for word, and never guessed at.

A rule that holds one loads, lists and saves. A packet about which everything else that the rule asks is true ends there
with the verdict UNKNOWN, and its outcome names what decides it; `Host.unknown_holds` lets it go on either way instead.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.extension import Loader, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.target import TARGETS, Target

__all__ = ["Unknown", "UnknownMatch", "UnknownTarget", "assumed", "keep_unknown"]

_BARE = re.compile(r"[^\s\"'\\]+")
_SPECIAL = re.compile(r"([\"\\'])")


def assumed(state: HookState, what: object) -> bool | None:
    """What is assumed of *what*, which nobody here knows: that it holds or acts, that it does not, or nothing."""
    holds = state.host.unknown_holds
    return holds(str(what)) if callable(holds) else holds


@attrs.frozen
class Unknown:
    """What was written: the name that it was *called* by, and the *words* behind it."""

    called: str
    words: tuple[str, ...] = ()

    def emit(self) -> str:
        """The words, in quotes where they need them."""
        return " ".join(w if _BARE.fullmatch(w) else '"' + _SPECIAL.sub(r"\\\1", w) + '"' for w in self.words)

    def describe(self, numeric: bool) -> str:
        """``[unknown osf --genre Linux]``."""
        return f"[unknown {' '.join([self.called, *self.words])}]"


@attrs.frozen
class UnknownMatch(Unknown, Match):
    """A match that is kept."""

    unknown = True

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """What was assumed; None: nobody knows."""
        return assumed(state, self)

    def load(self, loader: Loader) -> Test:
        """Nothing but itself; the rule it stands in sees to its place among the tests."""
        return self.matches

    def __str__(self) -> str:
        return f"-m {' '.join(filter(None, (self.called, self.emit())))}"


@attrs.frozen
class UnknownTarget(Unknown, Target):
    """A target that is kept; *taken*: it keeps the packet, if it acts."""

    @property
    def taken(self) -> bool:
        """Whether nothing comes behind it."""
        return self.called in _TAKING

    def apply(self, skb: Skb, state: HookState) -> Verdict | None:
        """UNKNOWN; if it is assumed to act, the packet is taken or goes on, as is its way."""
        acts = assumed(state, self)
        if acts is None:
            state.host.note_unknown(skb, str(self))
            return Verdict.UNKNOWN
        return Verdict.STOLEN if acts and self.taken else None

    def __str__(self) -> str:
        return f"-j {' '.join(filter(None, (self.called, self.emit())))}"


_IPV4, _IPV6, _BOTH = frozenset({Family.IPV4}), frozenset({Family.IPV6}), frozenset(Family)
_MATCHES = {
    _IPV4: "realm",
    _IPV6: "dst eui64 frag hbh ipv6header mh rt srh",
    _BOTH: "bpf cgroup cluster connlabel cpu dccp ipcomp nfacct osf policy rateest socket",
}
_TARGETS = {
    _IPV4: "CLUSTERIP ECN ULOG",
    _IPV6: "DNPT SNPT",
    _BOTH: "CONNSECMARK HMARK IDLETIMER LED RATEEST SECMARK SYNPROXY TCPOPTSTRIP TEE TPROXY",
}
_TRACKING = frozenset({"cluster", "connlabel", "CONNSECMARK", "SYNPROXY"})
_TAKING = frozenset({"SYNPROXY", "TPROXY"})


def _register(registry: Any, base: type[Unknown], names: dict[frozenset[Family], str]) -> None:
    """Enter one class for each name; its values are those of *base*, so that they can be compared."""
    for families, words in names.items():
        for name in words.split():
            traits = {"__doc__": f"``{name}``, kept.", "__module__": __name__}
            limits = {"families": families, "tracks": name in _TRACKING}
            registry.add(name, type(f"{base.__name__}_{name}", (base,), traits | limits))


_register(MATCHES, UnknownMatch, _MATCHES)
_register(TARGETS, UnknownTarget, _TARGETS)


def keep_unknown(plugin: Any, words: list[str]) -> Any:
    """The value that keeps *words* of a match or target."""
    if issubclass(plugin, Unknown):
        return plugin(plugin.name, tuple(words))
    return (UnknownMatch if issubclass(plugin, Match) else UnknownTarget)(plugin.name, tuple(words))
