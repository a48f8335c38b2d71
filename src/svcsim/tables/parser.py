"""
Reading command lines of iptables.

Behaviour of: iptables 1.8.9 (legacy). A match's options are known once it has been loaded by ``-m``; an option that
nobody knows loads the match named like the rule's protocol; of several matches that know it, the one loaded last takes
it. What was read once is kept, because rulesets say the same things many times.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from svcsim.addr import Family, Prefix
from svcsim.errors import UnsupportedError
from svcsim.tables import matches as _matches  # registers the built-in matches
from svcsim.tables import targets as _targets
from svcsim.tables.command import FLAGS, GLOBAL, LONG_NAMES, Command
from svcsim.tables.extension import Extension
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.names import protocol_number
from svcsim.tables.options import Args, Option, c_integer, read_network
from svcsim.tables.problems import UsageError
from svcsim.tables.rule import Header, Jump, Rule
from svcsim.tables.target import TARGETS, Target

__all__ = ["Parser"]

assert _matches and _targets  # imported for what they register

#: Names of 28 bytes and a zero fit the kernel's structures.
_NAME_LENGTH = 29
_DEVICE_LENGTH = 15
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
#: IPv6 extension headers: as protocols they are never found behind the chain of headers.
_EXTENSION_HEADERS = {43: "ipv6-route", 44: "ipv6-frag", 51: "ah", 60: "ipv6-opts"}
_RULE_VERBS = frozenset("ACDIR")
_NO_FILTERING = (
    '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n'
)


class _Use:
    """One extension as a rule uses it: its class, the words given to it, and the protocol when the first of them came."""

    __slots__ = ("plugin", "proto", "table", "words")

    def __init__(self, plugin: type[Extension]) -> None:
        self.plugin = plugin
        self.table = plugin.option_table
        self.words: list[str] = []
        self.proto: tuple[int, bool] | None = None


class Parser:
    """Reads lines for one family; *chains* (of each call) are the names that ``-j`` may mean besides targets."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._prefixes: dict[str, Prefix | None] = {}
        self._headers: dict[Any, Header] = {}
        self._extensions: dict[Any, Extension] = {}
        self._jumps: dict[tuple[str, bool], Jump] = {}

    def parse(self, words: list[str], chains: Container[str], table: str = "filter", *, restoring: bool = False) -> Command:
        """
        Read one line, without the command's name; *table* is what it is about unless it says otherwise.

        >>> command = Parser(Family.IPV4).parse("-A INPUT -s 10.0.0.1 -p tcp --dport http -j ACCEPT".split(), ())
        >>> command.verb, command.chain, [str(rule) for rule in command.rules]
        ('A', 'INPUT', ['-s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT'])
        """
        return _Reading(self, words, chains, table, restoring).read()

    def rule(self, words: list[str], chains: Container[str], table: str) -> Rule | None:
        """
        Read a line ``-A chain ...`` as iptables-save and kube-proxy write them.

        None for whatever is out of the ordinary: `parse` reads that, or says what is wrong with it.
        """
        source = destination = target = jump = None
        indev = outdev = ""
        proto = 0
        inverted = fragment = used_implicit = goto = False
        signs = 0  # the bits of what stood behind a "!"
        uses: list[_Use] = []
        seen = 0  # the bits of what was given
        at, end = 2, len(words)
        try:
            while at < end:
                word = words[at]
                at += 2
                bit = _BITS.get(word, 0)
                if bit:
                    if seen & bit or (inverted and bit > _LAST_INVERTIBLE):
                        return None
                    value = words[at - 1]
                    if bit == _DESTINATION:
                        destination = self._prefixes.get(value)
                        if destination is None:
                            destination = self._plain_prefix(value)
                    elif bit == _SOURCE:
                        source = self._prefixes.get(value)
                        if source is None:
                            source = self._plain_prefix(value)
                    elif bit == _PROTO:
                        proto = _PLAIN_PROTOCOLS[value]
                    elif bit == _JUMP:
                        jump = value
                        goto = word == "-g"
                        if jump not in chains:
                            plugin = _target(jump, self.family)
                            if plugin is None or goto:
                                return None
                            target = _Use(plugin)
                            uses.append(target)
                    elif not _PLAIN_DEVICE(value):
                        return None
                    elif bit == _INDEV:
                        indev = value
                    else:
                        outdev = value
                    seen |= bit
                    if inverted:
                        signs |= bit
                        inverted = False
                elif word == "-m":
                    plugin = MATCHES.find(words[at - 1], self.family)
                    if plugin is None or inverted:
                        return None
                    uses.append(_Use(plugin))
                elif word == "!":
                    at -= 1
                    if inverted:
                        return None
                    inverted = True
                else:
                    option = None
                    for use in reversed(uses):
                        option = use.table.get(word)
                        if option is not None:
                            break
                    if option is None:
                        if used_implicit or not proto or word in GLOBAL:
                            return None
                        plugin = _implicit(proto, self.family)
                        option = plugin.option_table.get(word) if plugin is not None else None
                        if plugin is None or option is None:
                            return None
                        used_implicit = True
                        use = _Use(plugin)
                        uses.append(use)
                    if use.proto is None:
                        use.proto = (proto, bool(signs & _PROTO))
                    at += option.arity - 1
                    if inverted:
                        use.words.append("!")
                        inverted = False
                    use.words += words[at - option.arity - 1 : at]
        except (IndexError, KeyError):
            return None
        if at != end or inverted:
            return None
    # -- what is read once and kept -------------------------------------------------------------------------------------

    def prefix(self, text: str) -> Prefix | None:
        """A network, or None for all addresses."""
        if text in self._prefixes:
            return self._prefixes[text]
        network = read_network(text, self.family)
        found = network if network.mask else None
        _remember(self._prefixes, text, found)
        return found

    def header(self, parts: tuple[Any, ...]) -> Header:
        """The header of these parts, as `Header` takes them."""
        header = self._headers.get(parts)
        if header is None:
            header = Header(*parts)
            _remember(self._headers, parts, header)
        return header

    def jump(self, chain: str, goto: bool) -> Jump:
        """A jump to *chain*."""
        jump = self._jumps.get((chain, goto))
        if jump is None:
            jump = Jump(chain, goto)
            _remember(self._jumps, (chain, goto), jump)
        return jump

    def extension(self, use: _Use) -> Extension:
        """The match or target that *use* stands for."""
        plugin, words = use.plugin, use.words
        proto = use.proto if use.proto is not None else (0, False)
        if not plugin.cached:
            quick = plugin.quick(words, proto[0])
            return self._read(use, proto) if quick is None else quick
        key = (plugin.__name__, proto if plugin.reads_protocol else None, *words)
        found = self._extensions.get(key)
        if found is None:
            found = self._read(use, proto)
            _remember(self._extensions, key, found)
        return found

    def _read(self, use: _Use, proto: tuple[int, bool]) -> Extension:
        table, given = use.table, []
        words = iter(use.words)
        for word in words:
            inverted = word == "!"
            option = table[next(words) if inverted else word]
            given.append((option.canonical, inverted, tuple(next(words) for _ in range(option.arity))))
        args = Args(use.plugin.name, self.family, table, given, *proto)
        return use.plugin.parse(args)


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[key] = value
