"""
The userspace mode: rules that lead every service to a process on the node, which passes on what it gets.

Behaviour of: kube-proxy's first mode, until v1.25; pinned by the corpus scenarios iptables-kubeuserspace-*. It knows neither
traffic policies nor source ranges, topology or SCTP. The process itself is `svcsim.kube.userspace_proxy`.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Family
from svcsim.errors import ConfigError
from svcsim.kube.chains import Jump, missing_chains, missing_jumps
from svcsim.kube.programmer import PROXY_MODES, Program, Programmer, Step
from svcsim.kube.state import ProxyState, ServicePortInfo, ServicePortName
from svcsim.kube.userspace_proxy import UserspaceProxy
from svcsim.network import Host, Network
from svcsim.node import Node

__all__ = ["PORTS", "UserspaceProgrammer"]

#: The ports that the proxy listens at, one for each service port.
PORTS = range(36000, 60000)
_CONTAINER, _HOST = "KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST"
_NODE_CONTAINER, _NODE_HOST = "KUBE-NODEPORT-CONTAINER", "KUBE-NODEPORT-HOST"
_NON_LOCAL = "KUBE-NODEPORT-NON-LOCAL"
_CHAINS = (
    ("nat", _CONTAINER),
    ("nat", _HOST),
    ("nat", _NODE_CONTAINER),
    ("nat", _NODE_HOST),
    ("filter", _NON_LOCAL),
)
_FIRST = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
_LAST = "handle service NodePorts; NOTE: this must be the last rule in the chain"
_AT_TOP = (
    Jump("nat", "PREROUTING", _CONTAINER, _FIRST),
    Jump("nat", "OUTPUT", _HOST, _FIRST),
    Jump("filter", "INPUT", _NON_LOCAL, "Ensure that non-local NodePort traffic can flow"),
)
_AT_END = (
    Jump("nat", "PREROUTING", _NODE_CONTAINER, _LAST, "-m addrtype --dst-type LOCAL"),
    Jump("nat", "OUTPUT", _NODE_HOST, _LAST, "-m addrtype --dst-type LOCAL"),
)


@PROXY_MODES.register("userspace")
@attrs.define(eq=False)
class UserspaceProgrammer(Programmer[Node]):
    """
    kube-proxy's userspace mode on one node; of its two families only IPv4.

    *ports* holds the proxy's port of each service port. Without `start` there is no process: the rules are all there is.

    >>> from svcsim.kube.config import ProxyConfig
    >>> from svcsim.kube.state import NodeInfo, ServedPort
    >>> web = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80)
    >>> info = NodeInfo(name="a", ips=("192.0.2.10",))
    >>> state = ProxyState(family=Family.IPV4, node=info, config=ProxyConfig(mode="userspace"), ports=(ServedPort(web),))
    >>> node, proxy = Node(), UserspaceProgrammer()
    >>> proxy.sync(state, node).apply(node)
    >>> print(node.run("iptables -t nat -S KUBE-PORTALS-HOST").stdout, end="")
    -N KUBE-PORTALS-HOST
    -A KUBE-PORTALS-HOST -d 10.96.0.10/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -j DNAT --to-destination 192.0.2.10:36000
    """

    ports: dict[ServicePortName, int] = attrs.field(factory=dict, init=False)
    process: UserspaceProxy | None = attrs.field(default=None, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _rules: dict[tuple[str, str, str], None] = attrs.field(factory=dict, init=False)

    def start(self, network: Network, host: Host) -> None:
        """Run the process on *host*."""
        self.process = UserspaceProxy(network, host)

    def sync(self, state: ProxyState, node: Node) -> Program:
        """Say what has to be done on *node*; the process is told what it serves."""
        if state.family is not Family.IPV4:
            return Program(notes=("the userspace mode serves IPv4 alone",))
        served = [port for port in state.ports if port.info.protocol != "sctp"]
        notes = [
            f"{port.info.name}: the userspace mode does not know SCTP" for port in state.ports if port not in served
        ]
        self.ports = self._numbered([port.info.name for port in served], node)
        if self.process is not None:
            self.process.serve({self.ports[port.info.name]: port for port in served})
        rules = node.rules[state.family]
        steps = [
            *missing_chains(rules, _CHAINS),
            *([] if self._begun else [Step(f"iptables -t {table} -F {chain}") for table, chain in _CHAINS]),
            *missing_jumps(rules, _AT_TOP),
            *missing_jumps(rules, _AT_END, at_end=True),
            *self._changes([port.info for port in served], state.node.primary(state.family)),
        ]
        self._begun = True
        return Program(tuple(steps), tuple(notes))

    def failed(self) -> None:
        """The last program did not work: begin anew."""
        self._begun = False
        self._rules = {}

    def _numbered(self, names: list[ServicePortName], node: Node) -> dict[ServicePortName, int]:
        """A port for each service port: that which it has, or the first that nobody has or listens at."""
        kept = {name: self.ports[name] for name in names if name in self.ports}
        own, stack = set(self.ports.values()), node.stack
        taken = set(kept.values())
        free = (
            port
            for port in PORTS
            if port not in taken and (port in own or not any(stack.listens(each, port) for each in ("tcp", "udp")))
        )
        try:
            return {name: kept[name] if name in kept else next(free) for name in names}
        except StopIteration:
            raise ConfigError(f"{len(names)} service ports, but only {len(PORTS)} ports for the proxy") from None

    def _changes(self, infos: list[ServicePortInfo], own: str) -> Iterator[Step]:
        """What takes the rules away that nobody wants any more, and appends those that are missing."""
        wanted = dict.fromkeys(each for info in infos for each in _portals(info, self.ports[info.name], own))
        for table, chain, rule in self._rules:
            if (table, chain, rule) not in wanted:
                yield Step(f"iptables -t {table} -D {chain} {rule}", optional=True)
        for table, chain, rule in wanted:
            if (table, chain, rule) not in self._rules:
                yield Step(f"iptables -t {table} -A {chain} {rule}")
        self._rules = wanted


def _portals(info: ServicePortInfo, port: int, own: str) -> Iterator[tuple[str, str, str]]:
    """The rules that lead a service port to the proxy: table, chain and rule."""
    container, host = f"-j REDIRECT --to-ports {port}", f"-j DNAT --to-destination {own}:{port}"
    common = f"-m comment --comment {info.name} -p {info.protocol} -m {info.protocol} --dport"
    for address in (info.cluster_ip, *info.load_balancer_vips):
        where = f"{common} {info.port} -d {address}/32"
        yield "nat", _CONTAINER, f"{where} {container}"
        yield "nat", _HOST, f"{where} {host}"
    for address in info.external_ips:
        where = f"{common} {info.port} -d {address}/32"
        local = "-m addrtype --dst-type LOCAL"
        yield "nat", _CONTAINER, f"{where} -m physdev ! --physdev-is-in {container}"
        yield "nat", _CONTAINER, f"{where} {local} {container}"
        yield "nat", _HOST, f"{where} {local} {host}"
    if info.node_port:
        yield "nat", _NODE_CONTAINER, f"{common} {info.node_port} {container}"
        yield "nat", _NODE_HOST, f"{common} {info.node_port} {host}"
        yield "filter", _NON_LOCAL, f"{common} {port} -m state --state NEW -j ACCEPT"
