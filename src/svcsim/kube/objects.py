"""
The Kubernetes objects that a proxy reads, as values, in the API's own words.

Behaviour of: core/v1 Service, Node and Pod, discovery.k8s.io/v1 EndpointSlice, networking.k8s.io/v1 ServiceCIDR. A field
is called as in a manifest and has the API server's default where it leaves one; fields that no proxy reads are not here.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = [
    "ClientIPConfig",
    "Container",
    "ContainerPort",
    "Endpoint",
    "EndpointConditions",
    "EndpointHints",
    "EndpointPort",
    "EndpointSlice",
    "ForNode",
    "ForZone",
    "LoadBalancerIngress",
    "LoadBalancerStatus",
    "Node",
    "NodeAddress",
    "NodeSpec",
    "NodeStatus",
    "ObjectMeta",
    "Objects",
    "Pod",
    "PodCondition",
    "PodIP",
    "PodSpec",
    "PodStatus",
    "Service",
    "ServiceCIDR",
    "ServiceCIDRSpec",
    "ServicePort",
    "ServiceSpec",
    "ServiceStatus",
    "SessionAffinityConfig",
]


@attrs.frozen(kw_only=True)
class ObjectMeta:
    """Who an object is; objects without a namespace of their own (nodes) leave it empty."""

    name: str
    namespace: str = "default"
    labels: Mapping[str, str] = attrs.field(factory=dict)
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    deletionTimestamp: str | None = None


# -- Service -----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ServicePort:
    """A port of a Service; *nodePort* 0 is none, *targetPort* None the port itself."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    targetPort: int | str | None = None
    nodePort: int = 0
    appProtocol: str = ""


@attrs.frozen(kw_only=True)
class ClientIPConfig:
    """For how many seconds a client stays with an endpoint."""

    timeoutSeconds: int = 10800


@attrs.frozen(kw_only=True)
class SessionAffinityConfig:
    """The settings of session affinity."""

    clientIP: ClientIPConfig = attrs.field(factory=ClientIPConfig)


@attrs.frozen(kw_only=True)
class ServiceSpec:
    """What a Service wants."""

    type: str = "ClusterIP"
    clusterIP: str = ""
    clusterIPs: tuple[str, ...] = ()
    ipFamilies: tuple[str, ...] = ()
    ipFamilyPolicy: str = ""
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = attrs.field(factory=dict)
    externalIPs: tuple[str, ...] = ()
    externalName: str = ""
    sessionAffinity: str = "None"
    sessionAffinityConfig: SessionAffinityConfig = attrs.field(factory=SessionAffinityConfig)
    externalTrafficPolicy: str = "Cluster"
    internalTrafficPolicy: str = "Cluster"
    loadBalancerIP: str = ""
    loadBalancerSourceRanges: tuple[str, ...] = ()
    loadBalancerClass: str = ""
    healthCheckNodePort: int = 0
    publishNotReadyAddresses: bool = False
    allocateLoadBalancerNodePorts: bool = True
    trafficDistribution: str = ""


@attrs.frozen(kw_only=True)
class LoadBalancerIngress:
    """Where a load balancer takes traffic: an *ip*, or a *hostname* that no proxy reads."""

    ip: str = ""
    hostname: str = ""
    ipMode: str = ""


@attrs.frozen(kw_only=True)
class LoadBalancerStatus:
    """What the load balancer says."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


@attrs.frozen(kw_only=True)
class ServiceStatus:
    """What became of a Service."""

    loadBalancer: LoadBalancerStatus = attrs.field(factory=LoadBalancerStatus)


@attrs.frozen(kw_only=True)
class Service:
    """
    A Service.

    >>> web = Service(metadata=ObjectMeta(name="web"), spec=ServiceSpec(clusterIP="10.96.0.10", ports=(ServicePort(port=80),)))
    >>> web.metadata.namespace, web.spec.externalTrafficPolicy, web.spec.ports[0].protocol
    ('default', 'Cluster', 'TCP')
    """

    metadata: ObjectMeta
    spec: ServiceSpec = attrs.field(factory=ServiceSpec)
    status: ServiceStatus = attrs.field(factory=ServiceStatus)


# -- EndpointSlice -----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class EndpointConditions:
    """How an endpoint is; None is unknown, which counts as ready, serving and not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


@attrs.frozen(kw_only=True)
class ForZone:
    """A zone that an endpoint is meant for."""

    name: str


@attrs.frozen(kw_only=True)
class ForNode:
    """A node that an endpoint is meant for."""

    name: str


@attrs.frozen(kw_only=True)
class EndpointHints:
    """Whom an endpoint is meant for."""

    forZones: tuple[ForZone, ...] = ()
    forNodes: tuple[ForNode, ...] = ()


@attrs.frozen(kw_only=True)
class Endpoint:
    """One endpoint; of its *addresses* a proxy reads the first."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = attrs.field(factory=EndpointConditions)
    hints: EndpointHints = attrs.field(factory=EndpointHints)
    hostname: str = ""
    nodeName: str = ""
    zone: str = ""


@attrs.frozen(kw_only=True)
class EndpointPort:
    """A port of a slice's endpoints; one without a *name* (None) or *port* belongs to no service port."""

    name: str | None = None
    protocol: str = "TCP"
    port: int | None = None
    appProtocol: str = ""


@attrs.frozen(kw_only=True)
class EndpointSlice:
    """Some of the endpoints of a Service, which its label ``kubernetes.io/service-name`` names."""

    metadata: ObjectMeta
    addressType: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


# -- Node, Pod, ServiceCIDR --------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class NodeAddress:
    """An address of a node: *type* is InternalIP, ExternalIP or Hostname."""

    type: str
    address: str


@attrs.frozen(kw_only=True)
class NodeSpec:
    """The pods' networks on a node."""

    podCIDR: str = ""
    podCIDRs: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class NodeStatus:
    """A node's addresses, the primary ones first."""

    addresses: tuple[NodeAddress, ...] = ()


@attrs.frozen(kw_only=True)
class Node:
    """A node."""

    metadata: ObjectMeta
    spec: NodeSpec = attrs.field(factory=NodeSpec)
    status: NodeStatus = attrs.field(factory=NodeStatus)


@attrs.frozen(kw_only=True)
class ContainerPort:
    """A port that a container says it listens at."""

    containerPort: int
    name: str = ""
    protocol: str = "TCP"


@attrs.frozen(kw_only=True)
class Container:
    """A container, as far as its ports."""

    name: str = ""
    ports: tuple[ContainerPort, ...] = ()


@attrs.frozen(kw_only=True)
class PodSpec:
    """Where a pod runs, and what in it listens."""

    nodeName: str = ""
    hostNetwork: bool = False
    containers: tuple[Container, ...] = ()


@attrs.frozen(kw_only=True)
class PodIP:
    """An address of a pod."""

    ip: str


@attrs.frozen(kw_only=True)
class PodCondition:
    """One thing that is so or not: *status* is True, False or Unknown."""

    type: str
    status: str = "True"


@attrs.frozen(kw_only=True)
class PodStatus:
    """A pod's addresses, and how it is."""

    podIP: str = ""
    podIPs: tuple[PodIP, ...] = ()
    phase: str = ""
    conditions: tuple[PodCondition, ...] = ()


@attrs.frozen(kw_only=True)
class Pod:
    """A pod."""

    metadata: ObjectMeta
    spec: PodSpec = attrs.field(factory=PodSpec)
    status: PodStatus = attrs.field(factory=PodStatus)

    @property
    def is_ready(self) -> bool:
        """Whether it is ready: by its condition, or if it has none, unless its phase says that it has not begun."""
        told = [each.status == "True" for each in self.status.conditions if each.type == "Ready"]
        return told[0] if told else self.status.phase in ("", "Running")


@attrs.frozen(kw_only=True)
class ServiceCIDRSpec:
    """Networks that cluster IPs are taken from."""

    cidrs: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ServiceCIDR:
    """Networks that cluster IPs are taken from."""

    metadata: ObjectMeta
    spec: ServiceCIDRSpec = attrs.field(factory=ServiceCIDRSpec)


@attrs.frozen(kw_only=True)
class Objects:
    """Everything that a set of manifests holds, as far as proxies and the hosts under them care."""

    services: tuple[Service, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    service_cidrs: tuple[ServiceCIDR, ...] = ()
