"""
What the ipvs mode wants of a node: virtual servers with their destinations, addresses of its own, and set entries.

Behaviour of: kube-proxy v1.36, ipvs mode. Every way into a service port is a virtual server, with or without endpoints,
and every address of a service is an address of the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from svcsim.addr import parse_address
from svcsim.kube.ipvs_sets import PROXY_SETS
from svcsim.kube.state import EndpointInfo, ProxyState, ServedPort, ServicePortInfo
from svcsim.kube.topology import choose
from svcsim.lb.service import ServiceFlags, ServiceKey
from svcsim.packet import Proto

__all__ = ["FilteredPortal", "IPVSPlan", "VirtualServer", "make_plan"]

_DEFAULT_SCHEDULER = "rr"
#: The scheduler whose hash takes the client's port in; its flag is called mh-port.
_MAGLEV = "mh"


@attrs.frozen
class VirtualServer:
    """One virtual server as it shall be; *timeout* (seconds) is 0 unless its *flags* say persistent."""

    key: ServiceKey
    scheduler: str = _DEFAULT_SCHEDULER
    flags: int = 0
    timeout: int = 0
    endpoints: tuple[EndpointInfo, ...] = ()


@attrs.frozen
class FilteredPortal:
    """A load balancer's address whose source ranges leave the node itself out."""

    address: str
    protocol: str
    port: int


@attrs.frozen
class IPVSPlan:
    """
    What one sync is after: *servers* by their keys, what is *bound* to the device of this mode, the *entries* of each
    set, and the portals that the node's own processes may not use by their address.
    """

    servers: Mapping[ServiceKey, VirtualServer]
    bound: tuple[str, ...]
    entries: Mapping[str, Mapping[str, None]]
    filtered: tuple[FilteredPortal, ...] = ()


@attrs.define
class _Draft:
    state: ProxyState
    own: frozenset[str]
    node_ports: tuple[str, ...]
    servers: dict[ServiceKey, VirtualServer] = attrs.field(factory=dict)
    bound: dict[str, None] = attrs.field(factory=dict)
    entries: dict[str, dict[str, None]] = attrs.field(factory=lambda: {name: {} for name in PROXY_SETS})
    filtered: list[FilteredPortal] = attrs.field(factory=list)

    def put(self, name: str, entry: str) -> None:
        self.entries[name][entry] = None

    def serve(self, info: ServicePortInfo, address: str, port: int, endpoints: tuple[EndpointInfo, ...]) -> None:
        """A virtual server; a service that claims one of an earlier service takes it over."""
        scheduler = self.state.config.ipvs.scheduler or _DEFAULT_SCHEDULER
        flags = ServiceFlags.PERSISTENT if info.affinity_seconds else 0
        if scheduler == _MAGLEV:
            flags |= ServiceFlags.SCHED2
        key = ServiceKey(self.state.family, Proto[info.name.protocol], parse_address(address).value, port)
        self.servers[key] = VirtualServer(key, scheduler, flags, info.affinity_seconds, endpoints)

    def bind(self, address: str) -> None:
        """Make *address* one of the node, unless it is already."""
        if address not in self.own:
            self.bound[address] = None


def make_plan(state: ProxyState, own: Iterable[str], node_ports: Sequence[str]) -> IPVSPlan:
    """
    Say what *state* needs on a node with the addresses *own*, whose node ports are served at the addresses *node_ports*.

    With the policy Local a way in has the endpoints of this node, and those of the cluster if this node has none: so a
    client's address is kept, and the answer of a pod elsewhere finds its way past this node.

    >>> from svcsim.addr import Family
    >>> from svcsim.kube.config import ProxyConfig
    >>> from svcsim.kube.state import NodeInfo, ServicePortName
    >>> name = ServicePortName("default", "web", "http", "TCP")
    >>> web = ServicePortInfo(name=name, cluster_ip="10.96.0.10", port=80, node_port=30080)
    >>> state = ProxyState(
    ...     family=Family.IPV4, node=NodeInfo(name="a"), config=ProxyConfig(mode="ipvs"), ports=(ServedPort(web),)
    ... )
    >>> plan = make_plan(state, ["192.0.2.10"], ["192.0.2.10"])
    >>> [str(key) for key in plan.servers], plan.bound
    (['TCP 10.96.0.10:80', 'TCP 192.0.2.10:30080'], ('10.96.0.10',))
    """
    draft = _Draft(state, frozenset(own), tuple(node_ports))
    for port in state.ports:
        _plan_port(draft, port)
    for address in draft.bound:
        draft.put("KUBE-IPVS-IPS", address)
    return IPVSPlan(draft.servers, tuple(draft.bound), draft.entries, tuple(draft.filtered))


def _plan_port(draft: _Draft, served: ServedPort) -> None:
    info, node = served.info, draft.state.node
    chosen = choose(info, served.endpoints, node=node.name, zone=node.zone)
    inside, outside = (
        chosen.local if policy and chosen.local else chosen.cluster
        for policy in (info.internal_local, info.external_local)
    )
    for endpoint in served.endpoints:
        if endpoint.local:  # ready or not
            draft.put("KUBE-LOOP-BACK", f"{endpoint.address},{info.protocol}:{endpoint.port},{endpoint.address}")
    draft.put("KUBE-CLUSTER-IP", f"{info.cluster_ip},{info.protocol}:{info.port}")
    draft.serve(info, info.cluster_ip, info.port, inside)
    draft.bound[info.cluster_ip] = None
    for address in info.external_ips:
        held = "KUBE-EXTERNAL-IP-LOCAL" if info.external_local else "KUBE-EXTERNAL-IP"
        draft.put(held, f"{address},{info.protocol}:{info.port}")
        draft.serve(info, address, info.port, outside)
        draft.bind(address)
    for address in info.load_balancer_vips:
        _plan_load_balancer(draft, info, address)
        draft.serve(info, address, info.port, outside)
        draft.bind(address)
    if info.node_port and draft.node_ports:
        _plan_node_port(draft, info, outside)
    if info.health_check_node_port:
        draft.put("KUBE-HEALTH-CHECK-NODE-PORT", str(info.health_check_node_port))


def _plan_load_balancer(draft: _Draft, info: ServicePortInfo, address: str) -> None:
    portal = f"{address},{info.protocol}:{info.port}"
    draft.put("KUBE-LOAD-BALANCER", portal)
    if info.external_local:
        draft.put("KUBE-LOAD-BALANCER-LOCAL", portal)
    if not info.source_ranges:
        return
    draft.put("KUBE-LOAD-BALANCER-FW", portal)
    for held in info.source_ranges:
        draft.put("KUBE-LOAD-BALANCER-SOURCE-CIDR", f"{portal},{held}")
    primary = parse_address(draft.state.node.primary(draft.state.family)).value
    if any(primary in held for held in info.source_ranges):
        draft.put("KUBE-LOAD-BALANCER-SOURCE-IP", f"{portal},{address}")  # a process here has the portal as its source
    else:
        draft.filtered.append(FilteredPortal(address, info.protocol, info.port))


def _plan_node_port(draft: _Draft, info: ServicePortInfo, endpoints: tuple[EndpointInfo, ...]) -> None:
    if info.protocol == "sctp":
        entries, kind = [f"{address},sctp:{info.node_port}" for address in draft.node_ports], "SCTP-HASH"
    else:
        entries, kind = [str(info.node_port)], info.protocol.upper()
    for entry in entries:
        draft.put(f"KUBE-NODE-PORT-{kind}", entry)
        if info.external_local:
            draft.put(f"KUBE-NODE-PORT-LOCAL-{kind}", entry)
    for address in draft.node_ports:
        draft.serve(info, address, info.node_port, endpoints)
