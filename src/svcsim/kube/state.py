"""
What one kube-proxy has to serve: service ports with their endpoints, of one family, on one node.

Behaviour of: the part of kube-proxy that all its modes share. A `ProxyState` is all that a mode's programmer reads.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family, Prefix
from svcsim.kube.config import ProxyConfig

__all__ = ["EndpointInfo", "NodeInfo", "ProxyState", "ServedPort", "ServicePortInfo", "ServicePortName", "host_port"]


def host_port(address: str, port: int) -> str:
    """
    An address and a port as Kubernetes joins them.

    >>> host_port("10.0.0.1", 80), host_port("fd00::1", 80)
    ('10.0.0.1:80', '[fd00::1]:80')
    """
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@attrs.frozen(order=True)
class ServicePortName:
    """
    One port of a Service; *protocol* is TCP, UDP or SCTP, and *port* may have no name.

    >>> print(ServicePortName("default", "dns", "dns-tcp", "TCP"), ServicePortName("default", "web", "", "TCP"))
    default/dns:dns-tcp default/web
    """

    namespace: str
    service: str
    port: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}" + (f":{self.port}" if self.port else "")


@attrs.frozen(kw_only=True)
class EndpointInfo:
    """
    Where a service port is served: canonical *address* and *port*, and what its slice says of it.

    *local* means on this node; the hints are names of zones and nodes that it is meant for.
    """

    address: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    local: bool = False
    node: str = ""
    zone_hints: frozenset[str] = frozenset()
    node_hints: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return host_port(self.address, self.port)


@attrs.frozen(kw_only=True)
class ServicePortInfo:
    """
    What a Service says of one of its ports, for one family; addresses are canonical texts.

    *affinity_seconds* is 0 without session affinity. *source_ranges* is empty if one of them is everything.
    *external_local* and *internal_local* are the traffic policies Local, where they count.
    """

    name: ServicePortName
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_vips: tuple[str, ...] = ()
    source_ranges: tuple[Prefix, ...] = ()
    affinity_seconds: int = 0
    external_local: bool = False
    internal_local: bool = False
    health_check_node_port: int = 0

    @property
    def protocol(self) -> str:
        """The protocol as rules spell it: tcp, udp or sctp."""
        return self.name.protocol.lower()

    @property
    def reachable_from_outside(self) -> bool:
        """Whether there is any way in but the cluster IP."""
        return bool(self.node_port or self.load_balancer_vips or self.external_ips)

    @property
    def uses_cluster(self) -> bool:
        """Whether endpoints anywhere may be chosen; with the external policy Local still those of pods and of the node."""
        return not self.internal_local or self.reachable_from_outside

    @property
    def uses_local(self) -> bool:
        """Whether some way in takes endpoints of this node alone."""
        return self.internal_local or (self.external_local and self.reachable_from_outside)


@attrs.frozen
class ServedPort:
    """
    A service port and all its endpoints, in the order of their texts.

    *source* is what it was made of, as opaque as a resource version: if it is equal, neither the Service nor one of its
    slices has changed, which is what decides between a partial sync's writing and skipping.
    """

    info: ServicePortInfo
    endpoints: tuple[EndpointInfo, ...] = ()
    source: object = attrs.field(default=None, repr=False)

    @property
    def made_of(self) -> object:
        """What tells whether it has changed: its source, or itself if that is not known."""
        return self if self.source is None else self.source


@attrs.frozen(kw_only=True)
class NodeInfo:
    """The node as kube-proxy knows it: its own addresses of the family (the primary first), pod CIDRs, labels."""

    name: str
    ips: tuple[str, ...] = ()
    pod_cidrs: tuple[Prefix, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def primary(self, family: Family) -> str:
        """Its primary address; one that nobody told is the loopback address."""
        return self.ips[0] if self.ips else "127.0.0.1" if family is Family.IPV4 else "::1"

    @property
    def zone(self) -> str:
        """The zone that it stands in; empty if nobody said."""
        return dict(self.labels).get("topology.kubernetes.io/zone", "")


@attrs.frozen(kw_only=True)
class ProxyState:
    """What one single-family kube-proxy serves now: *ports* in the order of their names."""

    family: Family
    node: NodeInfo
    config: ProxyConfig
    ports: tuple[ServedPort, ...] = ()
