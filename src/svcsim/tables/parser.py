"""
Reading rules, quickly where they are written as programs write them.

Behaviour of: iptables 1.8.9 (legacy). A match's options are known once it has been loaded by ``-m``; an option that
nobody knows loads the match named like the rule's protocol; of several extensions that know it, the one loaded last
takes it. What was read once is kept, because rulesets say the same things many times.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any, TypeVar

from svcsim.addr import Family, Prefix
from svcsim.errors import UnsupportedError
from svcsim.tables import matches as _matches
from svcsim.tables import targets as _targets
from svcsim.tables.command import GLOBAL
from svcsim.tables.extension import Extension
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.names import protocol_number
from svcsim.tables.options import Args, read_network
from svcsim.tables.problems import UsageError
from svcsim.tables.rule import Header, Jump, Rule
from svcsim.tables.target import TARGETS, Target

__all__ = ["Parser", "Use", "find_match", "find_target", "implicit_match"]

assert _matches.__all__ and _targets.__all__  # imported for what they register

K = TypeVar("K")
V = TypeVar("V")

#: So many different things are kept; then they are forgotten and collected anew.
_CACHE_SIZE = 1 << 18

#: What iptables 1.8.9 has and svcsim has not.
_UNMODELLED_MATCHES = frozenset(
    "ah bpf cgroup cluster connbytes connlabel connlimit cpu dccp devgroup dst ecn esp eui64 frag hashlimit hbh helper "
    "ipcomp ipv6header ipvs mac mh nfacct osf physdev pkttype policy quota rateest realm rpfilter rt set socket srh "
    "string tcpmss time u32".split()
)
_UNMODELLED_TARGETS = frozenset(
    "AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNSECMARK DNPT ECN HMARK IDLETIMER LED NFQUEUE QUEUE RATEEST SECMARK SET SNPT "
    "SYNPROXY TCPMSS TCPOPTSTRIP TEE TPROXY TRACE ULOG".split()
)
_SAME_MATCH = {"icmpv6": "icmp6", "ipv6-icmp": "icmp6"}
_MATCH_OF_PROTOCOL = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 50: "esp", 51: "ah", 58: "icmp6", 132: "sctp", 135: "mh"}

# What the quick reader tells apart by bits. From `_JUMP` on a "!" may not stand before it.
_SOURCE, _DESTINATION, _INDEV, _OUTDEV, _PROTO, _JUMP = (1 << place for place in range(6))
_BITS = {"-s": _SOURCE, "-d": _DESTINATION, "-i": _INDEV, "-o": _OUTDEV, "-p": _PROTO, "-j": _JUMP, "-g": _JUMP}
_PLAIN_PROTOCOLS = {
    name: number
    for name in ("tcp", "udp", "icmp", "sctp", "udplite", "gre", "esp")
    if (number := protocol_number(name)) is not None
}
_PLAIN_DEVICE = re.compile(r"[A-Za-z0-9_.:@-]{1,14}\+?").fullmatch
#: Chains of which the tool knows that one of the two devices is never there.
_LIMITED = frozenset({"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"})


class Use:
    """One extension as a rule uses it: its class, the words given to it, and the protocol when the first of them came."""

    __slots__ = ("plugin", "proto", "table", "words")

    def __init__(self, plugin: type[Extension]) -> None:
        self.plugin = plugin
        self.table = plugin.option_table
        self.words: list[str] = []
        self.proto: tuple[int, bool] | None = None


def find_match(name: str, family: Family) -> type[Match]:
    """The match called *name*; the tool's complaint if there is none."""
    name = _SAME_MATCH.get(name, name) if family is Family.IPV6 else name
    plugin = MATCHES.find(name, family)
    if plugin is None:
        if name in _UNMODELLED_MATCHES:
            raise UnsupportedError(f"-m {name}", instead="leave the rule out")
        raise UsageError(f"Couldn't load match `{name}':No such file or directory", spaced=True)
    return plugin


def find_target(name: str, family: Family) -> type[Target]:
    """The target called *name*; the tool's complaint if there is none."""
    plugin = TARGETS.find(name, family)
    if plugin is None:
        if name in _UNMODELLED_TARGETS:
            raise UnsupportedError(f"-j {name}", instead="leave the rule out")
        raise UsageError(f"Couldn't load target `{name}':No such file or directory", spaced=True)
    return plugin


def implicit_match(proto: int, family: Family) -> type[Match] | None:
    """The match that an unknown option loads if the rule names this protocol."""
    name = _MATCH_OF_PROTOCOL.get(proto, "")
    plugin = MATCHES.find(name, family) if name else None
    if plugin is None and name in _UNMODELLED_MATCHES:
        raise UnsupportedError(f"-m {name}", instead="leave the rule out")
    return plugin


class Parser:
    """Reads rules for one family, and keeps what it has read."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._headers: dict[tuple[Any, ...], Header] = {}
        self._extensions: dict[tuple[Any, ...], Extension] = {}
        self._jumps: dict[str, Jump] = {}

    def rule(self, words: list[str], chains: Container[str], table: str) -> Rule | None:
        """
        Read a line ``-A chain ...`` as programs write it: short options, each once, networks with their lengths.

        None for what is out of the ordinary, which the reader of command lines reads, or says what is wrong with it.

        >>> words = "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT".split()
        >>> print(Parser(Family.IPV4).rule(words, (), "filter"))
        -s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT
        """
        try:
            return self._rule(words, chains, table)
        except (IndexError, KeyError, UsageError):
            return None

    def _rule(self, words: list[str], chains: Container[str], table: str) -> Rule | None:
        source = destination = indev = outdev = jump = ""
        proto = seen = signs = 0  # signs: the bits of what stood behind a "!"
        inverted = goto = loaded = False
        uses: list[Use] = []
        aim: Use | None = None
        at, end = 2, len(words)
        while at < end:
            word = words[at]
            bit = _BITS.get(word)
            if bit is not None:
                value = words[at + 1]
                at += 2
                if seen & bit:
                    return None
                seen |= bit
                if inverted:
                    if bit == _JUMP:
                        return None
                    signs |= bit
                    inverted = False
                if bit == _DESTINATION:
                    destination = value
                elif bit == _JUMP:
                    jump, goto = value, word == "-g"
                    if value not in chains:
                        aim = Use(find_target(value, self.family))
                        uses.append(aim)
                elif bit == _PROTO:
                    proto = _PLAIN_PROTOCOLS[value]
                elif bit == _SOURCE:
                    source = value
                elif bit == _INDEV:
                    indev = value
                else:
                    outdev = value
            elif word == "-m":
                if inverted:
                    return None
                uses.append(Use(find_match(words[at + 1], self.family)))
                at += 2
            elif word == "!":
                if inverted:
                    return None
                inverted = True
                at += 1
            else:
                for use in reversed(uses):
                    option = use.table.get(word)
                    if option is not None:
                        break
                else:
                    plugin = None if loaded or word in GLOBAL else implicit_match(proto, self.family)
                    if plugin is None:
                        return None
                    loaded = True
                    use = Use(plugin)
                    uses.append(use)
                    option = use.table[word]
                if use.proto is None:
                    use.proto = (proto, signs & _PROTO != 0)
                if inverted:
                    use.words.append("!")
                    inverted = False
                behind = at + 1 + option.arity
                use.words += words[at:behind]
                at = behind
        if at != end or inverted or (jump == "DROP" and table == "nat") or (goto and aim is not None):
            return None
        if (indev or outdev) and words[1] in _LIMITED:
            return None
        key = (source, destination, indev, outdev, proto, signs)
        header = self._headers.get(key)
        if header is None:
            header = self._header(*key)
            _keep(self._headers, key, header)
        if aim is None:
            target: Target | Jump | None = self.jump(jump, goto) if jump else None
            return Rule(header, tuple([self.extension(use) for use in uses]), target)  # type: ignore[misc]
        others = tuple([self.extension(use) for use in uses if use is not aim])
        return Rule(header, others, self.extension(aim))  # type: ignore[arg-type]

    def _header(self, source: str, destination: str, indev: str, outdev: str, proto: int, signs: int) -> Header:
        """The header of these texts; KeyError for one that is not plain."""
        if not all(_PLAIN_DEVICE(device) for device in (indev, outdev) if device):
            raise KeyError
        return Header(
            self._network(source),
            self._network(destination),
            indev,
            outdev,
            proto,
            False,
            signs & _SOURCE != 0,
            signs & _DESTINATION != 0,
            signs & _INDEV != 0,
            signs & _OUTDEV != 0,
            signs & _PROTO != 0,
        )

    def _network(self, text: str) -> Prefix | None:
        if not text:
            return None
        if "," in text:
            raise KeyError
        network = read_network(text, self.family)
        if not network.mask:
            raise KeyError
        return network

    def jump(self, chain: str, goto: bool) -> Jump:
        """A jump to *chain*."""
        if goto:
            return Jump(chain, True)
        jump = self._jumps.get(chain)
        if jump is None:
            jump = Jump(chain)
            _keep(self._jumps, chain, jump)
        return jump

    def extension(self, use: Use) -> Extension:
        """The match or target that *use* stands for."""
        plugin, words = use.plugin, use.words
        proto = use.proto if use.proto is not None else (0, False)
        if not plugin.cached:
            quick = plugin.quick(words, self.family, proto[0])
            return self._read(use, proto) if quick is None else quick
        key = (plugin.name, proto if plugin.reads_protocol else None, *words)
        found = self._extensions.get(key)
        if found is None:
            found = self._read(use, proto)
            _keep(self._extensions, key, found)
        return found

    def _read(self, use: Use, proto: tuple[int, bool]) -> Extension:
        table, given = use.table, []
        words = iter(use.words)
        for word in words:
            inverted = word == "!"
            option = table[next(words) if inverted else word]
            given.append((option.canonical, inverted, tuple([next(words) for _ in range(option.arity)])))
        return use.plugin.parse(Args(use.plugin.name, self.family, table, given, *proto))


def _keep(cache: dict[K, V], key: K, value: V) -> None:
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[key] = value
