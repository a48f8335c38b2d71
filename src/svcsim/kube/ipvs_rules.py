"""
The iptables rules beside IPVS: who is masqueraded, who is refused, and which packets IPVS is not asked about.

Behaviour of: kube-proxy v1.36, ipvs mode. Their number does not depend on the services': what they are about is in
sets. A rule about a set that is empty is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Family
from svcsim.kube.chains import Jump, forward_rules, mark_rules, table_text
from svcsim.kube.config import ProxyConfig
from svcsim.kube.detector import LocalDetector
from svcsim.kube.ipvs_plan import IPVSPlan
from svcsim.kube.ipvs_sets import PROXY_SETS, set_name

__all__ = ["CHAINS", "JUMPS", "restore_text"]

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

_PORTALS, _FIREWALL, _ACCESS = (
    "kubernetes service portals",
    "kube-proxy firewall rules",
    "kubernetes ipvs access filter",
)
#: In the order in which they are made; each goes to the top of its chain, so the last stands first.
JUMPS = (
    Jump("nat", "OUTPUT", "KUBE-SERVICES", _PORTALS),
    Jump("nat", "PREROUTING", "KUBE-SERVICES", _PORTALS),
    Jump("nat", "POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules"),
    Jump("filter", "FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules"),
    Jump("filter", "INPUT", "KUBE-NODE-PORT", "kubernetes health check rules"),
    Jump("filter", "INPUT", "KUBE-PROXY-FIREWALL", _FIREWALL),
    Jump("filter", "FORWARD", "KUBE-PROXY-FIREWALL", _FIREWALL),
    Jump("filter", "INPUT", "KUBE-IPVS-FILTER", _ACCESS),
    Jump("filter", "OUTPUT", "KUBE-IPVS-OUT-FILTER", _ACCESS),
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


def restore_text(plan: IPVSPlan, family: Family, config: ProxyConfig, detector: LocalDetector | None) -> str:
    """What ``iptables-restore --noflush`` reads: all chains of this mode with all their rules."""
    rules = _Rules(plan, family)
    nat = (*(f"-A {rule}" for rule in _nat_rules(rules, config, detector)), *mark_rules(config))
    return table_text("nat", CHAINS["nat"], nat) + table_text("filter", CHAINS["filter"], _filter_rules(rules, config))


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


def _nat_rules(rules: _Rules, config: ProxyConfig, detector: LocalDetector | None) -> Iterator[str]:
    loopback = "127.0.0.0/8" if rules.family is Family.IPV4 else "::1/128"
    yield f"KUBE-SERVICES -s {loopback} -j RETURN"
    for chain, protocol, name, directions, target in _FIRST:
        if rules.filled(name):
            yield f"{chain} {protocol}{rules.about(name, directions)} -j {target}"
    if rules.filled("KUBE-CLUSTER-IP"):
        if config.masquerade_all:
            who = rules.about("KUBE-CLUSTER-IP", "dst,dst")
        elif detector is not None:
            who = f"{rules.about('KUBE-CLUSTER-IP', 'dst,dst')} {detector.not_local}"
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


def _filter_rules(rules: _Rules, config: ProxyConfig) -> Iterator[str]:
    yield from (f"-A {rule}" for rule in _firewall_rules(rules))
    yield from forward_rules(config)
    yield from (f"-A {rule}" for rule in _access_rules(rules))


def _firewall_rules(rules: _Rules) -> Iterator[str]:
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


def _access_rules(rules: _Rules) -> Iterator[str]:
    yield f"KUBE-NODE-PORT {rules.about('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j ACCEPT"
    for name in ("KUBE-LOAD-BALANCER", "KUBE-CLUSTER-IP", "KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL"):
        yield f"KUBE-IPVS-FILTER {rules.match(name, 'dst,dst')} -j RETURN"
    yield f"KUBE-IPVS-FILTER {rules.match('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j RETURN"
    yield f"KUBE-IPVS-FILTER -m conntrack --ctstate NEW {rules.match('KUBE-IPVS-IPS', 'dst')} -j REJECT"
