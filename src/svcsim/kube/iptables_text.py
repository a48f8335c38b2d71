"""
The tables of the iptables mode as a whole: the chains that all services share, the jumps to them, and one sync's rules.

Behaviour of: kube-proxy v1.36, ``mode: iptables``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from svcsim.kube.chains import Jump, forward_rules, mark_rules
from svcsim.kube.config import ProxyConfig
from svcsim.kube.iptables_rules import PortRules
from svcsim.kube.state import ServicePortName

__all__ = ["CANARY", "CANARY_TABLES", "EVERY_ADDRESS", "JUMPS", "Tables", "sync_tables", "to_node_ports"]

#: Chains and rules by table.
Tables = dict[str, tuple[Sequence[str], Sequence[str]]]

#: An empty chain: where it is gone, somebody flushed the rules.
CANARY = "KUBE-PROXY-CANARY"
CANARY_TABLES = ("mangle", "nat", "filter")

_PORTALS, _OUTSIDE = "kubernetes service portals", "kubernetes externally-visible service portals"
_FIREWALL, _NEW = "kubernetes load balancer firewall", "-m conntrack --ctstate NEW"
#: In the order in which they are made; each goes to the top of its chain, so the last stands first.
JUMPS = (
    Jump("filter", "INPUT", "KUBE-EXTERNAL-SERVICES", _OUTSIDE, _NEW),
    Jump("filter", "FORWARD", "KUBE-EXTERNAL-SERVICES", _OUTSIDE, _NEW),
    Jump("filter", "INPUT", "KUBE-NODEPORTS", "kubernetes health check service ports"),
    Jump("filter", "FORWARD", "KUBE-SERVICES", _PORTALS, _NEW),
    Jump("filter", "OUTPUT", "KUBE-SERVICES", _PORTALS, _NEW),
    Jump("filter", "FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules"),
    Jump("filter", "INPUT", "KUBE-PROXY-FIREWALL", _FIREWALL, _NEW),
    Jump("filter", "OUTPUT", "KUBE-PROXY-FIREWALL", _FIREWALL, _NEW),
    Jump("filter", "FORWARD", "KUBE-PROXY-FIREWALL", _FIREWALL, _NEW),
    Jump("nat", "OUTPUT", "KUBE-SERVICES", _PORTALS),
    Jump("nat", "PREROUTING", "KUBE-SERVICES", _PORTALS),
    Jump("nat", "POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules"),
    Jump("filter", "INPUT", "KUBE-FIREWALL"),
    Jump("filter", "OUTPUT", "KUBE-FIREWALL"),
)
_FILTER_CHAINS = (
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-FIREWALL",
)
_NAT_CHAINS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
_LOCALNET = (
    '-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
)
_LAST_RULE = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
#: The match for packets to any address of the node.
EVERY_ADDRESS = "-m addrtype --dst-type LOCAL"


def to_node_ports(match: str) -> str:
    """
    A last rule of KUBE-SERVICES: packets that *match* are for a node port, if for any.

    >>> to_node_ports("-d 192.0.2.10").endswith('in this chain" -d 192.0.2.10 -j KUBE-NODEPORTS')
    True
    """
    return f'-A KUBE-SERVICES -m comment --comment "{_LAST_RULE}" {match} -j KUBE-NODEPORTS'


def sync_tables(
    ports: Iterable[PortRules],
    written: Container[ServicePortName],
    config: ProxyConfig,
    *,
    last: Iterable[str] = (to_node_ports(EVERY_ADDRESS),),
    stale: Sequence[str] = (),
    localhost: bool = True,
    liberal: bool = False,
) -> Tables:
    """
    What one sync restores: the shared chains anew, and the own chains of those service ports that are *written*.

    *last* are the last rules of KUBE-SERVICES, *stale* chains that go; *localhost*: node ports are taken at 127.0.0.1,
    *liberal*: connection tracking is, so that what it calls invalid may pass.
    """
    filters, nats = [_LOCALNET] if localhost else [], list(mark_rules(config))
    own: dict[str, None] = {}
    for rules in ports:
        nats += rules.captures("nat")
        filters += rules.captures("filter")
        if rules.info.name in written:
            own.update(dict.fromkeys(rules.chains))
            nats += rules.sending()
    nats += (f"-X {chain}" for chain in stale)
    nats += last
    if not liberal:
        filters.append("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP")
    filters += forward_rules(config)
    shared = (*_FILTER_CHAINS, "KUBE-FIREWALL") if localhost else _FILTER_CHAINS
    return {"filter": (shared, filters), "nat": ((*_NAT_CHAINS, *own, *stale), nats)}
