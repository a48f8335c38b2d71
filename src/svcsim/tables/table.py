"""
Tables of rules, and where they hang on a packet's way.

Behaviour of: iptable_raw, _mangle, _nat, _filter, _security and their IPv6 twins. A table exists from its first use on,
and hangs its chains at their hooks then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from svcsim.addr import Family
from svcsim.errors import MissingError
from svcsim.hooks import Hook, HookEntry, HookState, Priority, Skb, Verdict
from svcsim.tables.chain import GOTO, JUMP, Chain, Link
from svcsim.tables.check import Checker
from svcsim.tables.edit import Edit
from svcsim.tables.extension import Loader
from svcsim.tables.forms import Forms
from svcsim.tables.parser import Parser
from svcsim.tables.restore import restore
from svcsim.tables.save import save
from svcsim.tables.walk import walk
from svcsim.trace import Policy

if TYPE_CHECKING:
    from svcsim.hooks import Host

__all__ = ["TABLES", "Ruleset", "Table"]

_CHAINS = {
    Hook.PRE_ROUTING: "PREROUTING",
    Hook.LOCAL_IN: "INPUT",
    Hook.FORWARD: "FORWARD",
    Hook.LOCAL_OUT: "OUTPUT",
    Hook.POST_ROUTING: "POSTROUTING",
}
_FILTERING = (Hook.LOCAL_IN, Hook.FORWARD, Hook.LOCAL_OUT)
#: The tables, with their hooks in the order of the numbers.
TABLES: Mapping[str, tuple[Hook, ...]] = {
    "filter": _FILTERING,
    "nat": (Hook.PRE_ROUTING, Hook.LOCAL_IN, Hook.LOCAL_OUT, Hook.POST_ROUTING),
    "mangle": tuple(Hook),
    "raw": (Hook.PRE_ROUTING, Hook.LOCAL_OUT),
    "security": _FILTERING,
}
_PRIORITIES = {
    "filter": Priority.FILTER,
    "mangle": Priority.MANGLE,
    "raw": Priority.RAW,
    "security": Priority.SECURITY,
}
#: A chain shorter than this is found in the cache anyway; a longer one is put together once a quarter of it is scattered.
_LONG = 64

_NFT_ORDER = ("mangle", "security", "raw", "filter", "nat")


class Table:
    """
    One table: its *chains* by name, built-in ones first, and at *bases* those of its hooks.

    It is changed by an `Edit`; everything else only looks.
    """

    def __init__(self, name: str, family: Family, loader: Loader, changed: Callable[[], None], nft: bool) -> None:
        self.name = name
        self.family = family
        self.hooks = TABLES[name]
        self.chains: dict[str, Chain] = {}
        self.bases: list[Any] = []
        self.policies: list[Policy] = []  # what a trace says of each of the bases, if no rule decides
        self.checker = Checker(self)
        self.forms = Forms()
        self._loader = loader
        self._changed = changed
        self.nft = nft
        self._stateful: dict[Link, None] = {}
        self._tracking: dict[Link, None] = {}
        self.make_bases({})

    def __repr__(self) -> str:
        return f"<table {self.name}: {len(self.chains)} chains>"

    def edit(self) -> Edit:
        """Begin a change."""
        return Edit(self)

    def listed(self) -> list[Chain]:
        """The chains as they are listed: built-in ones in the order of their hooks, users' by name."""
        bases = [base for base in self.bases if base is not None]
        own = sorted(self.chains.keys() - {base.name for base in bases})
        return bases + [self.chains[name] for name in own]

    def rules(self) -> Iterator[tuple[Chain, Link]]:
        """Every rule with its chain, in the order of listing."""
        for chain in self.listed():
            for link in chain:
                yield chain, link

    @property
    def tracks(self) -> bool:
        """Whether a rule needs connection tracking."""
        return bool(self._tracking)

    # -- what an edit calls --------------------------------------------------------------------------------------------

    def make_bases(self, policies: Mapping[str, Verdict]) -> None:
        """Leave nothing but empty built-in chains; a policy that is not given is ACCEPT."""
        self.chains = {}
        self.bases = [None] * len(Hook)
        for hook in self.hooks:
            name = _CHAINS[hook]
            self.chains[name] = self.bases[hook] = base = Chain(name, policies.get(name, Verdict.ACCEPT))
            base.counts = not self.nft
        self._tell_policies()

    def put_back(self, chains: dict[str, Chain], bases: list[Any]) -> None:
        """Have the chains that were here before."""
        self.chains, self.bases = chains, bases
        self._tell_policies()

    def _tell_policies(self) -> None:
        self.policies = [Policy(self.name, base) for base in self.bases]

    def count_references(self) -> None:
        """Count anew how many rules lead to each chain."""
        for chain in self.chains.values():
            chain.references = 0
        for chain in self.chains.values():
            for link in chain:
                if link.kind == JUMP or link.kind == GOTO:
                    link.aim.references += 1

    def load(self, added: Iterable[Link]) -> None:
        """Make what the walk needs of new rules."""
        loader = self._loader
        for link in added:
            link.load(loader)

    def begin(
        self,
        gone: Iterable[Link],
        policies: Mapping[str, tuple[int, int]],
        declared: Collection[str],
        touched: Iterable[Chain],
        *,
        replaced: bool,
    ) -> None:
        """
        Work as changed from here.

        What rules remember and the counters of policies begin anew, since a table is replaced as a whole. nf_tables
        changes single rules: nothing else begins anew, and a built-in chain counts from when its policy was named or
        its counters were set to zero; rules alone do not make it count.
        """
        if replaced:
            self._stateful.clear()
            self._tracking.clear()
        for link in gone:
            self._stateful.pop(link, None)
            self._tracking.pop(link, None)
        if not self.nft:
            for link in self._stateful:
                link.load(self._loader)
        self._stateful.update(dict.fromkeys(self.checker.stateful))
        self._tracking.update(dict.fromkeys(self.checker.tracking))
        for name, chain in self.chains.items():
            if not chain.builtin:
                break  # built-in chains come first
            begins = not self.nft or name in policies
            if not chain.counts and name in declared:
                chain.counts = begins = True
            if begins:
                chain.end.packets, chain.end.bytes = policies.get(name, (0, 0))
        for chain in touched:
            if chain.length >= _LONG and chain.loose * 4 >= chain.length:
                self._compact(chain)
        self._changed()

    def _compact(self, chain: Chain) -> None:
        for old, new in chain.compact():
            for kept in (self._stateful, self._tracking):
                if old in kept:
                    del kept[old]
                    kept[new] = None


class Ruleset:
    """
    The tables of one family on *host*, made when first used; *nft* as nf_tables keeps them, else as ip_tables does.

    >>> from svcsim.node import Node
    >>> rules = Node().rules[Family.IPV4]
    >>> _ = rules.restore("*filter\\n:INPUT DROP [0:0]\\n-A INPUT -s 192.0.2.1 -j ACCEPT\\nCOMMIT\\n")
    >>> [str(link.rule) for link in rules["filter"].chains["INPUT"]]
    ['-s 192.0.2.1/32 -j ACCEPT']
    """

    def __init__(self, host: Host, family: Family, *, nft: bool = False) -> None:
        self.host = host
        self.family = family
        self.nft = nft
        self.parser = Parser(family, native=nft)
        #: The tables in the order in which they were first used.
        self.tables: dict[str, Table] = {}
        shared: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()
        self._loader = Loader(host, family, shared, native=nft)
        self._tracks = False

    def __getitem__(self, name: str) -> Table:
        """The table called *name*; it hangs at its hooks from now on."""
        table = self.tables.get(name)
        if table is None:
            if name not in TABLES:
                raise MissingError(f"no table {name!r}; there are {', '.join(TABLES)}", exit_code=3)
            table = self.tables[name] = Table(name, self.family, self._loader, self._track, self.nft)
            self._hang(table)
        return table

    @property
    def saved(self) -> list[str]:
        """The tables in the order in which they are saved: the newest first, or nf_tables' own."""
        return [name for name in _NFT_ORDER if name in self.tables] if self.nft else list(reversed(self.tables))

    def restore(
        self, text: str, *, flush: bool = True, counters: bool = False, test: bool = False, only: str | None = None
    ) -> str:
        """
        Load what iptables-save wrote, table by table; return what commands in it printed.

        A table that is named is emptied first unless *flush* is False; one that is not stays as it is. *counters* takes
        the counters in the text, *test* reads without loading, *only* leaves out all other tables.
        """
        return restore(self, text, flush=flush, counters=counters, test=test, only=only)

    def save(self, table: str | None = None, *, counters: bool = False) -> str:
        """The tables, or one of them, as iptables-save prints them."""
        return save(self, table, counters=counters)

    def _hang(self, table: Table) -> None:
        function = partial(walk, table)
        if table.name == "nat":
            self.host.tracking[self.family].add_nat_table(function)
            return
        priority = _PRIORITIES[table.name]
        for hook in table.hooks:
            reroutes = table.name == "mangle" and hook is Hook.LOCAL_OUT
            entry = HookEntry(hook, priority, partial(_mangle_output, table) if reroutes else function, table.name)
            self.host.hooks[self.family].register(entry)

    def _track(self) -> None:
        """Have connections tracked while a rule needs it."""
        tracks = any(table.tracks for table in self.tables.values())
        if tracks != self._tracks:
            self._tracks = tracks
            tracking = self.host.tracking[self.family]
            if tracks:
                tracking.enable()
            else:
                tracking.disable()


def _mangle_output(table: Table, skb: Skb, state: HookState) -> Verdict:
    """Walk, and route anew what leaves this host if that changed what routing looks at."""
    before = (skb.src, skb.dst, skb.mark, skb.tos, skb.ttl)
    verdict = walk(table, skb, state)
    if verdict is Verdict.ACCEPT:
        after = (skb.src, skb.dst, skb.mark, skb.tos, skb.ttl)
        looked_at = 4 if state.family is Family.IPV4 else 5  # IPv6 looks at the hop limit as well
        if before[:looked_at] != after[:looked_at] and not state.host.reroute(skb, state):
            return Verdict.DROP
    return verdict
