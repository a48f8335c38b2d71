"""
The iptables mode: a rule for every way into a service, and a chain for every endpoint.

Behaviour of: kube-proxy v1.36, ``mode: iptables``; pinned by its own packet-flow cases and the corpus scenarios
iptables-kubeproxy-*. The rules that catch packets are written at every sync; a service's own chains only if it changed, or
if everything is written. The counting nfacct rules of some versions are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from svcsim.addr import Family
from svcsim.clock import SECOND
from svcsim.kube.chains import (
    Jump,
    forward_rules,
    mark_rules,
    missing_chains,
    missing_jumps,
    table_text,
    tool_of,
)
from svcsim.kube.detector import local_detector
from svcsim.kube.iptables_names import PER_SERVICE
from svcsim.kube.iptables_rules import PortRules, RuleStyle
from svcsim.kube.node_ports import NodePortAddresses, is_loopback
from svcsim.kube.programmer import PROXY_MODES, Program, Programmer, Step
from svcsim.kube.state import ProxyState, ServicePortName
from svcsim.kube.topology import choose
from svcsim.node import Node
from svcsim.tables.table import Ruleset

__all__ = ["LARGE_CLUSTER", "IPTablesProgrammer", "SyncReport"]

#: With more endpoints than these, rules lose their comments, and chains nobody needs stay a little longer.
LARGE_CLUSTER = 1000
_HOUR = 3600 * SECOND
_CANARY = "KUBE-PROXY-CANARY"
_CANARY_TABLES = ("mangle", "nat", "filter")

_PORTALS, _OUTSIDE = "kubernetes service portals", "kubernetes externally-visible service portals"
_FIREWALL, _NEW = "kubernetes load balancer firewall", "-m conntrack --ctstate NEW"
#: In the order in which they are made; each goes to the top of its chain, so the last stands first.
_JUMPS = (
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


@attrs.frozen
class SyncReport:
    """
    What one sync did: whether it was *full*, the service chains it *wrote*, *skipped* as unchanged, and *deleted*, and
    its cost: the rules and bytes of its text.

    However short the text, the kernel exchanges whole tables.
    """

    full: bool
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    deleted: tuple[str, ...]
    rules: int
    size: int


@PROXY_MODES.register("iptables")
@attrs.define(eq=False)
class IPTablesProgrammer(Programmer[Node]):
    """
    kube-proxy's iptables mode on one node, for one family; *report* tells of the last sync.

    A sync is full if it is the first, if the last one failed, if somebody flushed the rules, if the node's labels
    changed, and after an hour (but for large clusters).

    >>> from svcsim.kube.config import ProxyConfig
    >>> from svcsim.kube.state import EndpointInfo, NodeInfo, ServedPort, ServicePortInfo
    >>> web = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80)
    >>> served = ServedPort(web, (EndpointInfo(address="10.244.0.5", port=8080),))
    >>> state = ProxyState(family=Family.IPV4, node=NodeInfo(name="a"), config=ProxyConfig(), ports=(served,))
    >>> node, proxy = Node(), IPTablesProgrammer()
    >>> proxy.sync(state, node).apply(node)
    >>> print(node.run("iptables -t nat -S KUBE-SVC-LOLE4ISW44XBNF3G").stdout, end="")
    -N KUBE-SVC-LOLE4ISW44XBNF3G
    -A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.0.5:8080" -j KUBE-SEP-5ORQWIE3QG6L2KWO
    >>> again = proxy.sync(state, node)
    >>> proxy.report.full, proxy.report.written, len(proxy.report.skipped)
    (False, (), 2)
    """

    report: SyncReport | None = attrs.field(default=None, init=False)
    #: What each service port was made of at the last sync; None if everything has to be written.
    _written: Mapping[ServicePortName, object] | None = attrs.field(default=None, init=False)
    _labels: tuple[tuple[str, str], ...] = attrs.field(default=(), init=False)
    _last_full: int = attrs.field(default=0, init=False)
    _last_cleaning: int | None = attrs.field(default=None, init=False)

    def sync(self, state: ProxyState, node: Node) -> Program:
        """Say what has to be done on *node* so that it serves *state*."""
        held, now = node.rules[state.family], node.clock.now
        large = sum(len(port.endpoints) for port in state.ports) > LARGE_CLUSTER
        full = self._must_be_full(state, held, now, large=large)
        text = self._text(state, node, full=full, large=large)
        localhost = _localhost_node_ports(state)
        steps = [
            *_first_steps(held, node, full=full, localhost=localhost),
            Step(f"{tool_of(state.family)}-restore --noflush --counters", text),
        ]
        self._written = {port.info.name: port.made_of for port in state.ports}
        self._labels = state.node.labels
        if full:
            self._last_full = now
        return Program(tuple(steps))

    def failed(self) -> None:
        """The last program did not work: write everything at the next sync."""
        self._written = None

    def _must_be_full(self, state: ProxyState, held: Ruleset, now: int, *, large: bool) -> bool:
        mangle = held.tables.get("mangle")
        return (
            self._written is None
            or mangle is None
            or _CANARY not in mangle.chains
            or self._labels != state.node.labels
            or (not large and now - self._last_full > _HOUR)
        )

    def _text(self, state: ProxyState, node: Node, *, full: bool, large: bool) -> str:
        """What the restore reads; *report* is brought up to date with it."""
        family, config = state.family, state.config
        style = RuleStyle(
            local_detector(config, state.node, family),
            masquerade_all=config.masquerade_all,
            large=large,
            node_ip=state.node.primary(family),
        )
        localhost = _localhost_node_ports(state)
        filters, nats = [_LOCALNET] if localhost else [], list(mark_rules(config))
        written: dict[str, None] = {}
        skipped: dict[str, None] = {}
        before = {} if full or self._written is None else self._written
        for port in state.ports:
            choice = choose(port.info, port.endpoints, node=state.node.name, zone=state.node.zone)
            rules = PortRules(port, choice, style)
            nats += rules.captures("nat")
            filters += rules.captures("filter")
            if before.get(port.info.name) == port.made_of:
                skipped.update(dict.fromkeys(rules.chains))
            else:
                written.update(dict.fromkeys(rules.chains))
                nats += rules.sending()
        stale = self._stale(node.rules[family], {*written, *skipped}, state, node.clock.now, large=large)
        nats += (f"-X {chain}" for chain in stale)
        nats += _to_node_ports(state, node, localhost=localhost)
        if not node.sysctls["net.netfilter.nf_conntrack_tcp_be_liberal"]:
            filters.append("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP")
        filters += forward_rules(config)
        shared = (*_FILTER_CHAINS, "KUBE-FIREWALL") if localhost else _FILTER_CHAINS
        text = table_text("filter", shared, filters) + table_text("nat", (*_NAT_CHAINS, *written, *stale), nats)
        size, count = len(text.encode()), len(filters) + len(nats) - len(stale)
        self.report = SyncReport(full, tuple(written), tuple(skipped), stale, count, size)
        return text

    def _stale(self, held: Ruleset, active: set[str], state: ProxyState, now: int, *, large: bool) -> tuple[str, ...]:
        """The chains that nobody needs any more; in a large cluster they are looked for once a period."""
        last = self._last_cleaning
        if large and last is not None and now - last < state.config.sync_period * SECOND:
            return ()
        self._last_cleaning = now
        nat = held.tables.get("nat")
        chains = nat.chains if nat is not None else ()
        return tuple(name for name in chains if name.startswith(PER_SERVICE) and name not in active)


def _localhost_node_ports(state: ProxyState) -> bool:
    """Whether node ports are taken at 127.0.0.1 too."""
    addresses = NodePortAddresses.of(state.config, state.node, state.family)
    return state.family is Family.IPV4 and state.config.localhost_node_ports and addresses.loopback


def _first_steps(held: Ruleset, node: Node, *, full: bool, localhost: bool) -> Iterator[Step]:
    """What stands before the restore: the canaries and jumps at a full sync, and the kernel's parameter."""
    if full:
        yield from missing_chains(held, ((table, _CANARY) for table in _CANARY_TABLES))
        yield from missing_chains(held, ((jump.table, jump.target) for jump in _JUMPS))
        yield from missing_jumps(held, _JUMPS)
    if localhost and not node.sysctls["net.ipv4.conf.all.route_localnet"]:
        yield Step("sysctl -qw net.ipv4.conf.all.route_localnet=1")


def _to_node_ports(state: ProxyState, node: Node, *, localhost: bool) -> Iterator[str]:
    """The last rules of KUBE-SERVICES: packets to the addresses where node ports are taken."""
    addresses = NodePortAddresses.of(state.config, state.node, state.family)
    begin = f'-A KUBE-SERVICES -m comment --comment "{_LAST_RULE}"'
    if addresses.all:
        match = "-m addrtype --dst-type LOCAL"
        if state.family is Family.IPV6:
            match += " ! -d ::1/128"
        elif not localhost:
            match += " ! -d 127.0.0.0/8"
        yield f"{begin} {match} -j KUBE-NODEPORTS"
        return
    for address in addresses.found_on(node):
        if localhost or not is_loopback(address):
            yield f"{begin} -d {address} -j KUBE-NODEPORTS"
