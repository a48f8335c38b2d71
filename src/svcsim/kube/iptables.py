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
from svcsim.kube.chains import missing_chains, missing_jumps, table_text, tool_of
from svcsim.kube.detector import local_detector
from svcsim.kube.iptables_names import PER_SERVICE
from svcsim.kube.iptables_rules import PortRules, RuleStyle
from svcsim.kube.iptables_text import (
    CANARY,
    CANARY_TABLES,
    EVERY_ADDRESS,
    JUMPS,
    sync_tables,
    to_node_ports,
)
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
            or CANARY not in mangle.chains
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
        before = {} if full or self._written is None else self._written
        written: dict[ServicePortName, tuple[str, ...]] = {}
        skipped: dict[str, None] = {}
        ports = []
        for port in state.ports:
            choice = choose(port.info, port.endpoints, node=state.node.name, zone=state.node.zone)
            rules = PortRules(port, choice, style)
            ports.append(rules)
            if before.get(port.info.name) == port.made_of:
                skipped.update(dict.fromkeys(rules.chains))
            else:
                written[port.info.name] = rules.chains
        own = dict.fromkeys(chain for chains in written.values() for chain in chains)
        stale = self._stale(node.rules[family], {*own, *skipped}, state, node.clock.now, large=large)
        localhost = _localhost_node_ports(state)
        tables = sync_tables(
            ports,
            written,
            config,
            last=_to_node_ports(state, node, localhost=localhost),
            stale=stale,
            localhost=localhost,
            liberal=bool(node.sysctls["net.netfilter.nf_conntrack_tcp_be_liberal"]),
        )
        text = "".join(table_text(name, *table) for name, table in tables.items())
        count = sum(len(rules) for _, rules in tables.values()) - len(stale)
        self.report = SyncReport(full, tuple(own), tuple(skipped), stale, count, len(text.encode()))
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
        yield from missing_chains(held, ((table, CANARY) for table in CANARY_TABLES))
        yield from missing_chains(held, ((jump.table, jump.target) for jump in JUMPS))
        yield from missing_jumps(held, JUMPS)
    if localhost and not node.sysctls["net.ipv4.conf.all.route_localnet"]:
        yield Step("sysctl -qw net.ipv4.conf.all.route_localnet=1")


def _to_node_ports(state: ProxyState, node: Node, *, localhost: bool) -> Iterator[str]:
    """The last rules of KUBE-SERVICES: packets to the addresses where node ports are taken."""
    addresses = NodePortAddresses.of(state.config, state.node, state.family)
    if addresses.all:
        without = "::1/128" if state.family is Family.IPV6 else "" if localhost else "127.0.0.0/8"
        yield to_node_ports(f"{EVERY_ADDRESS} ! -d {without}" if without else EVERY_ADDRESS)
        return
    for address in addresses.found_on(node):
        if localhost or not is_loopback(address):
            yield to_node_ports(f"-d {address}")
