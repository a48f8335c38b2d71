"""
Why one rule did not match a packet: the test that failed, or why the rule was not even asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

from svcsim.errors import MissingError
from svcsim.explain.asking import Journey
from svcsim.explain.fate import fate_of
from svcsim.explain.refusals import refusals
from svcsim.hooks import Owner
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.tables.chain import GOTO, JUMP, Chain
from svcsim.tables.table import Table
from svcsim.trace import RuleMatched, Trace, Undecided, Walked

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["why_not"]

#: So many rules that lead to a chain are told about.
_CALLERS = 3


def why_not(
    node: Node, packet: Packet, iface: str, table: str, chain: str, number: int, *, nft: bool = False, mark: int = 0
) -> str:
    """
    Say why rule *number* of a *chain* did not match *packet* on its way; each time that it was asked.

    If it was not asked, say what came before it, or why nothing led to its chain. *nft* means the rules of
    ``iptables-nft``. Without an *iface* (empty) the host itself sends the packet.

    >>> from svcsim.node import Node
    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.run("iptables -N WEB; iptables -A INPUT -p tcp --dport 22 -j WEB; iptables -A WEB -j DROP")
    >>> packet = Packet.tcp("192.0.2.9:40000", "192.0.2.1:80")
    >>> why_not(node, packet, "cli0", "filter", "INPUT", 1)
    '-m tcp --dport 22: ports are 40000 > 80, flags 0x02'
    >>> print(why_not(node, packet, "cli0", "filter", "WEB", 1))
    it was not asked: nothing led to WEB; filter INPUT rule 1: -m tcp --dport 22: ports are 40000 > 80, flags 0x02
    """
    journey = Journey(node, packet, iface, Owner(), mark)
    ruleset = (journey.node.nft_rules if nft else journey.node.rules)[packet.family]
    found = ruleset.tables.get(table)
    if found is None or chain not in found.chains:
        raise MissingError(f"there is no chain {chain} in the table {table}")
    found.chains[chain].at(number)
    outcome = journey.go()
    return _Story(found, packet, outcome).of(found.chains[chain], number, frozenset())


@attrs.frozen(eq=False)
class _Story:
    """What happened to *packet* in one *table*."""

    table: Table
    packet: Packet
    outcome: Outcome

    def of(self, chain: Chain, number: int, asked_for: frozenset[str]) -> str:
        """What became of one rule; *asked_for* are chains whose callers are being told already."""
        reasons = list(dict.fromkeys(self._asked(chain, number)))
        return "; ".join(reasons) if reasons else self._not_asked(chain, number, asked_for)

    @property
    def _trace(self) -> Trace:
        assert self.outcome.trace is not None
        return self.outcome.trace

    def _asked(self, chain: Chain, number: int) -> Iterator[str]:
        """The answer for each time that the rule was asked."""
        matched = {id(before) for before, event in pairwise(self._trace) if _is_match(event, chain, number)}
        for event in self._trace:
            if isinstance(event, Walked) and event.chain is chain and event.start <= number <= event.stop:
                if id(event) in matched:
                    yield "it matched"
                    continue
                (refusal,) = (each for each in refusals(event) if each.number == number)
                yield f"{refusal.test}: {refusal.why}"
            elif isinstance(event, Undecided) and event.chain is chain and event.number == number:
                yield f"not known: {self.outcome.unknown[0]} is not modelled"

    def _not_asked(self, chain: Chain, number: int, asked_for: frozenset[str]) -> str:
        """Why a rule was not asked at all: a walk ended before it, or never came to its chain."""
        walks = [e for e in self._trace if isinstance(e, Walked | Undecided) and e.chain is chain]
        if walks:
            before = [
                e
                for e in self._trace
                if isinstance(e, RuleMatched | Undecided) and e.chain is chain and e.number < number
            ]
            ended = before[-1] if before else walks[-1]
            return f"it was not asked: {ended} came before it"
        if chain.builtin:
            return f"it was not asked: the packet did not come to {chain.name}; {fate_of(self.packet, self.outcome)}"
        told = [
            f"{self.table.name} {caller.name} rule {place}: {self.of(caller, place, asked_for | {chain.name})}"
            for caller, place in self._callers(chain)
            if caller.name not in asked_for
        ]
        more = f"; and {len(told) - _CALLERS} more rules that lead there" if len(told) > _CALLERS else ""
        return "; ".join([f"it was not asked: nothing led to {chain.name}", *told[:_CALLERS]]) + more

    def _callers(self, chain: Chain) -> Iterator[tuple[Chain, int]]:
        for caller in self.table.chains.values():
            for place, link in enumerate(caller, 1):
                if link.kind in (JUMP, GOTO) and link.aim is chain:
                    yield caller, place


def _is_match(event: object, chain: Chain, number: int) -> bool:
    return isinstance(event, RuleMatched) and event.chain is chain and event.number == number
