"""
What the iptables and ipvs modes have in common: their own chains, the jumps to them, the mark, and a table's text.

Behaviour of: kube-proxy v1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from svcsim.addr import Family
from svcsim.kube.config import ProxyConfig
from svcsim.kube.programmer import Step
from svcsim.tables.table import Ruleset

__all__ = [
    "Jump",
    "forward_rules",
    "mark_rules",
    "mark_text",
    "missing_chains",
    "missing_jumps",
    "table_text",
    "tool_of",
]

_TO_ACCEPT = "kubernetes forwarding rules"
_TO_ACCEPT_TRACKED = "kubernetes forwarding conntrack rule"
_TO_MASQUERADE = "kubernetes service traffic requiring SNAT"


@attrs.frozen
class Jump:
    """
    A rule of the chain *source* that sends packets to the chain *target*.

    >>> Jump("nat", "OUTPUT", "KUBE-SERVICES", "kubernetes service portals").rule
    '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    """

    table: str
    source: str
    target: str
    comment: str = ""
    match: str = ""

    @property
    def rule(self) -> str:
        """The rule, as iptables-save prints it."""
        comment = f'-m comment --comment "{self.comment}"' if self.comment else ""
        return " ".join(part for part in (self.match, comment, f"-j {self.target}") if part)


def tool_of(family: Family) -> str:
    """The command for rules of *family*."""
    return "iptables" if family is Family.IPV4 else "ip6tables"


def mark_text(config: ProxyConfig) -> str:
    """
    The mark of packets to be masqueraded, as kube-proxy writes it.

    >>> mark_text(ProxyConfig())
    '0x00004000'
    """
    return f"0x{config.mark:08x}"


def missing_chains(rules: Ruleset, chains: Iterable[tuple[str, str]]) -> list[Step]:
    """What makes those of *chains* (table and name) that *rules* has not."""
    tool = tool_of(rules.family)
    return [
        Step(f"{tool} -t {table} -N {chain}")
        for table, chain in dict.fromkeys(chains)
        if table not in rules.tables or chain not in rules.tables[table].chains
    ]


def missing_jumps(rules: Ruleset, jumps: Iterable[Jump], *, at_end: bool = False) -> list[Step]:
    """What makes those of *jumps* that *rules* has not, at the top or *at_end*; those that are there keep their places."""
    tool = tool_of(rules.family)
    steps = []
    for jump in jumps:
        held = rules.tables.get(jump.table)
        if held is None or all(str(link.rule) != jump.rule for link in held.chains[jump.source]):
            steps.append(Step(f"{tool} -t {jump.table} {'-A' if at_end else '-I'} {jump.source} {jump.rule}"))
    return steps


def mark_rules(config: ProxyConfig) -> Iterator[str]:
    """The rules of nat that mark packets, and masquerade those that are marked without the mark."""
    mark = mark_text(config)
    yield f"-A KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN"
    yield f"-A KUBE-POSTROUTING -j MARK --xor-mark {mark}"
    yield f'-A KUBE-POSTROUTING -m comment --comment "{_TO_MASQUERADE}" -j MASQUERADE --random-fully'
    yield f"-A KUBE-MARK-MASQ -j MARK --or-mark {mark}"


def forward_rules(config: ProxyConfig) -> Iterator[str]:
    """The rules of filter that let packets through that are marked, or belong to a connection."""
    mark = mark_text(config)
    yield f'-A KUBE-FORWARD -m comment --comment "{_TO_ACCEPT}" -m mark --mark {mark}/{mark} -j ACCEPT'
    yield (
        f'-A KUBE-FORWARD -m comment --comment "{_TO_ACCEPT_TRACKED}" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )


def table_text(name: str, chains: Iterable[str], rules: Iterable[str]) -> str:
    """
    A table as ``iptables-restore`` reads it: *chains* are emptied, or made, and *rules* are run as commands.

    >>> print(table_text("nat", ["KUBE-SERVICES"], ["-A KUBE-SERVICES -j RETURN"]), end="")
    *nat
    :KUBE-SERVICES - [0:0]
    -A KUBE-SERVICES -j RETURN
    COMMIT
    """
    return "\n".join((f"*{name}", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT")) + "\n"
