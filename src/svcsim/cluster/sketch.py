"""
Clusters in a few words, for experiments: addresses are given out in order, and everything else as objects would say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from svcsim.addr import Prefix
from svcsim.cluster.world import Cluster
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.objects import (
    ClientIPConfig,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Objects,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

__all__ = ["Sketch"]

_ZONE = "topology.kubernetes.io/zone"
_MOST_PODS = 250
_PODS = Prefix.parse("10.244.0.0/16")
_OWNER = "kubernetes.io/service-name"


def _cluster_ip(number: int) -> str:
    return f"10.96.{number >> 8}.{number & 0xFF}"


@attrs.define
class _Served:
    service: Service
    pods: tuple[str, ...]


class Sketch:
    """
    Nodes, pods and Services by their names.

    Node number n has the address 192.0.2.(9+n) and the pods of 10.244.n.0/24; the first Service has the cluster IP
    10.96.0.1, and so on.

    >>> sketch = Sketch("a", "b")
    >>> sketch.pod("client", "a")
    '10.244.1.2'
    >>> web = sketch.service("web", {80: 8080}, {"web-1": "a", "web-2": "b"}, nodePort=30080)
    >>> cluster = sketch.cluster(mode="ipvs")
    >>> print(cluster.connect("client", "web"))
    client -> 10.96.0.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 10.244.1.2
    >>> cluster.apply(sketch.endpoints("web", ["web-1"]))
    >>> print(cluster.connect("client", "web"))
    client -> 10.96.0.1:80 tcp: answered by 10.244.1.3:8080 on a, which saw 10.244.1.2
    """

    def __init__(self, *nodes: str, zones: Mapping[str, str] | None = None) -> None:
        self._nodes = {
            name: Node(
                metadata=ObjectMeta(
                    name=name, namespace="", labels={_ZONE: zones[name]} if zones and name in zones else {}
                ),
                spec=NodeSpec(podCIDRs=(f"10.244.{number}.0/24",)),
                status=NodeStatus(addresses=(NodeAddress(type="InternalIP", address=f"192.0.2.{9 + number}"),)),
            )
            for number, name in enumerate(nodes or ("a",), 1)
        }
        self._pods: dict[str, Pod] = {}
        self._services: dict[str, _Served] = {}

    def pod(self, name: str, node: str = "") -> str:
        """Add a pod on *node* (the first); return its address."""
        if name in self._pods:
            raise ExistsError(f"there is already a pod {name}")
        home = node or next(iter(self._nodes))
        if home not in self._nodes:
            raise MissingError(f"there is no node {home!r}; there are {', '.join(self._nodes)}")
        number = list(self._nodes).index(home) + 1
        on_it = sum(pod.spec.nodeName == home for pod in self._pods.values())
        if on_it >= _MOST_PODS:
            raise ConfigError(f"a sketch has room for {_MOST_PODS} pods on a node")
        address = f"10.244.{number}.{2 + on_it}"
        self._pods[name] = Pod(
            metadata=ObjectMeta(name=name), spec=PodSpec(nodeName=home), status=PodStatus(podIP=address)
        )
        return address

    def service(
        self,
        name: str,
        ports: Mapping[int, int] | int = 80,
        pods: Mapping[str, str] | Iterable[str] = (),
        *,
        protocol: str = "TCP",
        nodePort: int = 0,
        ip: str = "",
        affinity: int = 0,
        **spec: Any,
    ) -> Service:
        """
        Add a Service.

        *ports* maps its ports to those of its pods; *pods* maps names to nodes, or names pods that are there. *ip* is a
        load balancer's address, *affinity* seconds of session affinity; *spec* holds further fields of ServiceSpec.
        """
        if name in self._services:
            raise ExistsError(f"there is already a Service {name}")
        wanted = {ports: ports} if isinstance(ports, int) else dict(ports)
        for pod, node in pods.items() if isinstance(pods, Mapping) else ():
            if pod not in self._pods:
                self.pod(pod, node)
        kind = "LoadBalancer" if ip else "NodePort" if nodePort else "ClusterIP"
        fields: dict[str, Any] = {"type": kind, "clusterIP": _cluster_ip(len(self._services) + 1)} | spec
        if affinity:
            fields["sessionAffinity"] = "ClientIP"
            fields["sessionAffinityConfig"] = SessionAffinityConfig(clientIP=ClientIPConfig(timeoutSeconds=affinity))
        named = len(wanted) > 1
        service = Service(
            metadata=ObjectMeta(name=name),
            spec=ServiceSpec(
                ports=tuple(
                    ServicePort(
                        port=port,
                        name=f"p{port}" if named else "",
                        protocol=protocol,
                        targetPort=target,
                        nodePort=nodePort + at if nodePort else 0,
                    )
                    for at, (port, target) in enumerate(wanted.items())
                ),
                **fields,
            ),
            status=ServiceStatus(loadBalancer=LoadBalancerStatus(ingress=(LoadBalancerIngress(ip=ip),) if ip else ())),
        )
        self._services[name] = _Served(service, tuple(pods))
        return service

    def endpoints(
        self,
        service: str,
        pods: Iterable[str] | None = None,
        *,
        terminating: Iterable[str] = (),
        not_ready: Iterable[str] = (),
        zones: Mapping[str, str] | None = None,
        for_nodes: Mapping[str, str] | None = None,
    ) -> EndpointSlice:
        """
        The EndpointSlice of a Service whose pods are these (those that it was made with), for `Cluster.apply`.

        Those that are *terminating* still serve; *zones* and *for_nodes* are the hints of pods by name.
        """
        served = self._services[service]
        ending, waiting = frozenset(terminating), frozenset(not_ready)
        ports = served.service.spec.ports
        return EndpointSlice(
            metadata=ObjectMeta(name=f"{service}-1", labels={_OWNER: service}),
            endpoints=tuple(
                Endpoint(
                    addresses=(self._pods[pod].status.podIP,),
                    conditions=EndpointConditions(
                        ready=pod not in ending | waiting, serving=pod not in waiting, terminating=pod in ending
                    ),
                    hints=EndpointHints(
                        forZones=(ForZone(name=zones[pod]),) if zones and pod in zones else (),
                        forNodes=(ForNode(name=for_nodes[pod]),) if for_nodes and pod in for_nodes else (),
                    ),
                    nodeName=self._pods[pod].spec.nodeName,
                )
                for pod in (served.pods if pods is None else pods)
            ),
            ports=tuple(
                EndpointPort(name=port.name, protocol=port.protocol, port=int(port.targetPort or port.port))
                for port in ports
            ),
        )

    @property
    def objects(self) -> Objects:
        """Everything, as objects."""
        return Objects(
            services=tuple(each.service for each in self._services.values()),
            slices=tuple(self.endpoints(name) for name in self._services),
            nodes=tuple(self._nodes.values()),
            pods=tuple(self._pods.values()),
        )

    def cluster(self, *, mode: str = "iptables", **options: Any) -> Cluster:
        """
        The cluster; *options* as for `Cluster`, and the fields of `ProxyConfig` by their own names.

        Unless told otherwise, proxies know a pod by its address.
        """
        names = {field.name for field in attrs.fields(ProxyConfig)}
        given = {key: value for key, value in options.items() if key in names}
        config = ProxyConfig(mode=mode, **{"cluster_cidrs": (_PODS,), **given})
        return Cluster(
            self.objects, config=config, **{key: value for key, value in options.items() if key not in names}
        )
