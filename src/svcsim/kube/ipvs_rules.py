"""
The iptables rules beside IPVS: who is masqueraded, who is refused, and which packets IPVS is not asked about.

Behaviour of: kube-proxy v1.36, ipvs mode. Their number does not depend on the services': what they are about is in
sets. A rule about a set that is empty is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Family
from svcsim.kube.config import ProxyConfig
from svcsim.kube.ipvs_plan import IPVSPlan
from svcsim.kube.ipvs_sets import PROXY_SETS, set_name
from svcsim.kube.programmer import Step
from svcsim.tables.table import Ruleset

__all__ = ["CHAINS", "missing_chains", "restore_text"]

#: The chains of each table, in the order in which they are written.
CHAINS = {
    "nat": ("KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ"),
    "filter": (
        "KUBE-FORWARD",
        "KUBE-NODE-PORT",
        "KUBE-PROXY-FIREWALL",
        "KUBE-SOURCE-RANGES-FIREWALL",
        "KUBE-IPVS-FILTER",
        "KUBE-IPVS-OUT-FILTER",
    ),
}

#: Table, built-in chain, own chain, comment; each goes to the top of its chain, so the last stands first.
_JUMPS = (
    ("nat", "OUTPUT", "KUBE-SERVICES", "kubernetes service portals"),
    ("nat", "PREROUTING", "KUBE-SERVICES", "kubernetes service portals"),
    ("nat", "POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules"),
    ("filter", "FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules"),
    ("filter", "INPUT", "KUBE-NODE-PORT", "kubernetes health check rules"),
    ("filter", "INPUT", "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules"),
    ("filter", "FORWARD", "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules"),
    ("filter", "INPUT", "KUBE-IPVS-FILTER", "kubernetes ipvs access filter"),
    ("filter", "OUTPUT", "KUBE-IPVS-OUT-FILTER", "kubernetes ipvs access filter"),
)

#: Chain, what stands before the match, set, directions, target: the rules of nat that come first.
_FIRST = (
    ("KUBE-POSTROUTING", "", "KUBE-LOOP-BACK", "dst,dst,src", "MASQUERADE"),
    ("KUBE-SERVICES", "", "KUBE-LOAD-BALANCER", "dst,dst", "KUBE-LOAD-BALANCER"),
    ("KUBE-LOAD-BALANCER", "", "KUBE-LOAD-BALANCER-LOCAL", "dst,dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p tcp ", "KUBE-NODE-PORT-LOCAL-TCP", "dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p tcp ", "KUBE-NODE-PORT-TCP", "dst", "KUBE-MARK-MASQ"),
    ("KUBE-NODE-PORT", "-p udp ", "KUBE-NODE-PORT-LOCAL-UDP", "dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p udp ", "KUBE-NODE-PORT-UDP", "dst", "KUBE-MARK-MASQ"),
    ("KUBE-NODE-PORT", "-p sctp ", "KUBE-NODE-PORT-LOCAL-SCTP-HASH", "dst,dst", "RETURN"),
    ("KUBE-NODE-PORT", "-p sctp ", "KUBE-NODE-PORT-SCTP-HASH", "dst,dst", "KUBE-MARK-MASQ"),
)

_FROM_OUTSIDE = "-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL"


def missing_chains(rules: Ruleset) -> list[Step]:
    """What makes the chains and jumps that *rules* has not; those that are there keep their places."""
    tool = "iptables" if rules.family is Family.IPV4 else "ip6tables"
    steps = []
    for table, chains in CHAINS.items():
        held = rules.tables.get(table)
        steps += [Step(f"{tool} -t {table} -N {chain}") for chain in chains if held is None or chain not in held.chains]
    for table, source, chain, comment in _JUMPS:
        held = rules.tables.get(table)
        jump = f'-m comment --comment "{comment}" -j {chain}'
        if held is None or all(str(link.rule) != jump for link in held.chains[source]):
            steps.append(Step(f"{tool} -t {table} -I {source} {jump}"))
    return steps


def restore_text(plan: IPVSPlan, family: Family, config: ProxyConfig, not_local: str) -> str:
    """
    What ``iptables-restore --noflush`` reads: all chains of this mode with all their rules.

    *not_local* is the match for what no pod of the cluster sent, empty where nothing can tell.
    """
    rules = _Rules(plan, family)
    nat = [*_nat_rules(rules, config, not_local), *_masquerade_rules(config)]
    return _table("nat", nat) + _table("filter", list(_filter_rules(rules, config)))


@attrs.frozen
class _Rules:
    """How rules about sets are written for one family."""

    plan: IPVSPlan
    family: Family

    def match(self, name: str, directions: str) -> str:
        return f"-m set --match-set {set_name(name, self.family)} {directions}"

    def about(self, name: str, directions: str) -> str:
        return f'-m comment --comment "{PROXY_SETS[name].comment}" {self.match(name, directions)}'

    def filled(self, name: str) -> bool:
        return bool(self.plan.entries[name])


def _nat_rules(rules: _Rules, config: ProxyConfig, not_local: str) -> Iterator[str]:
    loopback = "127.0.0.0/8" if rules.family is Family.IPV4 else "::1/128"
    yield f"KUBE-SERVICES -s {loopback} -j RETURN"
    for chain, protocol, name, directions, target in _FIRST:
        if rules.filled(name):
            yield f"{chain} {protocol}{rules.about(name, directions)} -j {target}"
    if rules.filled("KUBE-CLUSTER-IP"):
        if config.masquerade_all:
            who = rules.about("KUBE-CLUSTER-IP", "dst,dst")
        elif not_local:
            who = f"{rules.about('KUBE-CLUSTER-IP', 'dst,dst')} {not_local}"
        else:  # only a process here that has the cluster IP itself as its source
            who = rules.about("KUBE-CLUSTER-IP", "src,dst")
        yield f"KUBE-SERVICES {who} -j KUBE-MARK-MASQ"
    if rules.filled("KUBE-EXTERNAL-IP"):
        yield f"KUBE-SERVICES {rules.about('KUBE-EXTERNAL-IP', 'dst,dst')} -j KUBE-MARK-MASQ"
    for name in ("KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"):
        if rules.filled(name):
            yield f"KUBE-SERVICES {rules.about(name, 'dst,dst')} {_FROM_OUTSIDE} -j ACCEPT"
            yield f"KUBE-SERVICES {rules.about(name, 'dst,dst')} -m addrtype --dst-type LOCAL -j ACCEPT"
    yield "KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT"
    yield "KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ"
    for name in ("KUBE-CLUSTER-IP", "KUBE-LOAD-BALANCER"):
        if rules.filled(name):
            yield f"KUBE-SERVICES {rules.match(name, 'dst,dst')} -j ACCEPT"


def _masquerade_rules(config: ProxyConfig) -> Iterator[str]:
    mark = f"0x{config.mark:08x}"
    yield f"KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN"
    yield f"KUBE-POSTROUTING -j MARK --xor-mark {mark}"
    comment = "kubernetes service traffic requiring SNAT"
    yield f'KUBE-POSTROUTING -m comment --comment "{comment}" -j MASQUERADE --random-fully'
    yield f"KUBE-MARK-MASQ -j MARK --or-mark {mark}"


def _filter_rules(rules: _Rules, config: ProxyConfig) -> Iterator[str]:
    if rules.filled("KUBE-LOAD-BALANCER-FW"):
        portal = rules.about("KUBE-LOAD-BALANCER-FW", "dst,dst")
        yield f"KUBE-PROXY-FIREWALL {portal} -j KUBE-SOURCE-RANGES-FIREWALL"
    for name in ("KUBE-LOAD-BALANCER-SOURCE-CIDR", "KUBE-LOAD-BALANCER-SOURCE-IP"):
        if rules.filled(name):
            yield f"KUBE-SOURCE-RANGES-FIREWALL {rules.about(name, 'dst,dst,src')} -j RETURN"
    yield "KUBE-SOURCE-RANGES-FIREWALL -j DROP"
    for entry in rules.plan.filtered:
        where = f"-m ipvs --vaddr {entry.address} --vproto {entry.protocol} --vport {entry.port}"
        yield f"KUBE-IPVS-OUT-FILTER -s {entry.address} {where} -j DROP"
    mark = f"0x{config.mark:08x}"
    yield (f'KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark {mark}/{mark} -j ACCEPT')
    yield (
        'KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )
    yield f"KUBE-NODE-PORT {rules.about('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j ACCEPT"
    for name in ("KUBE-LOAD-BALANCER", "KUBE-CLUSTER-IP", "KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"):
        yield f"KUBE-IPVS-FILTER {rules.match(name, 'dst,dst')} -j RETURN"
    yield f"KUBE-IPVS-FILTER {rules.match('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j RETURN"
    yield f"KUBE-IPVS-FILTER -m conntrack --ctstate NEW {rules.match('KUBE-IPVS-IPS', 'dst')} -j REJECT"


def _table(name: str, rules: list[str]) -> str:
    lines = [f"*{name}", *(f":{chain} - [0:0]" for chain in CHAINS[name]), *(f"-A {rule}" for rule in rules), "COMMIT"]
    return "\n".join(lines) + "\n"
