"""
What is known of a ruleset's words: extensions by name, and values that were read before.

Behaviour of: the loading of extensions by iptables 1.8.9 (legacy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from svcsim.addr import Family, Prefix
from svcsim.errors import UnsupportedError
from svcsim.tables import matches as _matches
from svcsim.tables import targets as _targets
from svcsim.tables.extension import Extension
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, read_networks
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target
from svcsim.tables.unknown import Unknown, keep_unknown

__all__ = ["Parser", "Use", "keep"]

_BUILT_IN = (_matches, _targets)  # imported for what they register

K = TypeVar("K")
V = TypeVar("V")

#: So many different things are kept; then they are forgotten and collected anew.
_CACHE_SIZE = 1 << 17

_SAME_MATCH = {"icmpv6": "icmp6", "ipv6-icmp": "icmp6"}
_MATCH_OF_PROTOCOL = {
    1: "icmp",
    6: "tcp",
    17: "udp",
    33: "dccp",
    50: "esp",
    51: "ah",
    58: "icmp6",
    132: "sctp",
    135: "mh",
}


class Use:
    """One extension as a rule uses it: its class, the words given to it, and the protocol when the first of them came."""

    __slots__ = ("plugin", "proto", "table", "words")

    def __init__(self, plugin: type[Extension]) -> None:
        self.plugin = plugin
        self.table = plugin.option_table
        self.words: list[str] = []
        self.proto: tuple[int, bool] = (0, False)


class Parser:
    """The words of one family; *native* of rules for nf_tables."""

    def __init__(self, family: Family, *, native: bool = False) -> None:
        self.family = family
        self.native = native
        self._extensions: dict[tuple[Any, ...], Extension] = {}
        self._values: dict[tuple[Any, ...], dict[Any, Extension]] = {}

    def match(self, name: str) -> type[Match]:
        """The match called *name*; the tool's complaint if there is none."""
        name = _SAME_MATCH.get(name, name) if self.family is Family.IPV6 else name
        plugin = MATCHES.find(name, self.family)
        if plugin is None:
            raise UsageError(f"Couldn't load match `{name}':No such file or directory", spaced=True)
        return plugin

    def implicit_match(self, proto: int) -> type[Match] | None:
        """The match that an unknown option loads if the rule names this protocol."""
        name = _MATCH_OF_PROTOCOL.get(proto, "")
        return MATCHES.find(name, self.family) if name else None

    def target(self, name: str) -> type[Target]:
        """The target called *name*; the tool's complaint if there is none."""
        plugin = TARGETS.find(name, self.family)
        if plugin is None:
            raise UsageError(f"Couldn't load target `{name}':No such file or directory", spaced=True)
        return plugin

    def networks(self, texts: Sequence[str]) -> list[Prefix]:
        """The networks written so; the complaint about one that holds all addresses is not the tool's."""
        different = dict.fromkeys(texts)
        networks = dict(zip(different, read_networks(different, self.family), strict=True))
        if not all(network.mask for network in networks.values()):
            raise UsageError("all addresses are no network")
        return list(map(networks.__getitem__, texts))

    def extension(self, use: Use) -> Extension:
        """The match or target that *use* stands for."""
        plugin = use.plugin
        key = (plugin.name, issubclass(plugin, Match), use.proto if plugin.reads_protocol else None, *use.words)
        found = self._extensions.get(key)
        if found is None:
            found = self.read(plugin, use.words, use.proto)
            if plugin.cached:
                keep(self._extensions, key, found)
        return found

    def values_of(self, plugin: type[Extension], use: Use, places: list[int]) -> dict[Any, Extension]:
        """What is kept of extensions of class *plugin*, used like *use*, by the values in some places of its words."""
        words = [None if place in places else word for place, word in enumerate(use.words)]
        key = (plugin, use.proto if plugin.reads_protocol else None, *words)
        if key not in self._values:
            keep(self._values, key, {})
        return self._values[key]

    def read(self, plugin: type[Extension], given: list[str], proto: tuple[int, bool]) -> Extension:
        """
        Read an extension from the words given to it; *proto* is what the rule had said of its protocol by then.

        What is not modelled, of it or at all, is kept as it was written.
        """
        if issubclass(plugin, Unknown):
            return keep_unknown(plugin, given)  # type: ignore[no-any-return]
        table, options = plugin.option_table, []
        words = iter(given)
        for word in words:
            inverted = word == "!"
            option = table[next(words) if inverted else word]
            options.append((option.canonical, inverted, tuple([next(words) for _ in range(option.arity)])))
        args = Args(plugin.name, self.family, table, options, *proto)
        try:
            return plugin.parse(args)
        except UnsupportedError:
            return keep_unknown(plugin, given)  # type: ignore[no-any-return]


def keep(cache: dict[K, V], key: K, value: V) -> None:
    """Put something in a cache, which is emptied when it has grown too large."""
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[key] = value
