"""Random clusters as one node's kube-proxy sees them: Services, EndpointSlices, configurations, and what changes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import attrs

from svcsim.addr import Family, Prefix
from svcsim.kube.config import IPVSConfig, ProxyConfig
from svcsim.kube.front import proxy_state
from svcsim.kube.objects import (
    ClientIPConfig,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForZone,
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)
from svcsim.kube.state import NodeInfo, ProxyState

__all__ = ["Cluster", "Net", "draw_cluster"]

HERE, THERE = "node-a", "node-b"
_CONDITIONS = (
    EndpointConditions(),
    EndpointConditions(),
    EndpointConditions(),
    EndpointConditions(ready=False, serving=False),
    EndpointConditions(ready=False, serving=True, terminating=True),
    EndpointConditions(ready=False, serving=False, terminating=True),
)


@dataclass(frozen=True)
class Net:
    """The addresses that a cluster is drawn from: beginnings to which a number is put, and networks."""

    node: str
    pod: str
    service: str
    clients: tuple[str, ...]
    pods: str
    six: bool = False

    def address(self, beginning: str, number: int) -> str:
        return f"{beginning}{number:x}" if self.six else f"{beginning}{number}"


@dataclass
class Cluster:
    """What there is, and how the proxy is configured."""

    net: Net
    config: ProxyConfig
    services: list[Service] = field(default_factory=list)
    slices: list[EndpointSlice] = field(default_factory=list)

    @property
    def state(self) -> ProxyState:
        """What the proxy of this node has to serve."""
        node = NodeInfo(name=HERE, ips=(self.net.node,), labels=(("topology.kubernetes.io/zone", "east"),))
        family = Family.IPV6 if self.net.six else Family.IPV4
        return proxy_state(family, node, self.services, self.slices, self.config)

    def places(self) -> list[tuple[str, str, int]]:
        """Protocol, address and port of every way into a service."""
        found = []
        for port in self.state.ports:
            info = port.info
            for address in (info.cluster_ip, *info.external_ips, *info.load_balancer_vips):
                found.append((info.protocol, address, info.port))
            if info.node_port:
                found.append((info.protocol, self.net.node, info.node_port))
        return found

    def changed(self, rng: random.Random) -> Cluster:
        """The cluster a little later: a service goes or comes, endpoints end, come back or move."""
        services, slices = list(self.services), list(self.slices)
        for _ in range(rng.randrange(1, 3)):
            kind = rng.random()
            if kind < 0.2 and len(services) > 1:
                services.remove(rng.choice(services))
            elif kind < 0.4:
                number = rng.randrange(60, 90)
                if all(service.metadata.name != f"svc{number}" for service in services):
                    service, piece = _draw_service(rng, self.net, number, one_endpoint=True)
                    services.append(service)
                    slices.append(piece)
            elif slices:
                at = rng.randrange(len(slices))
                ends = list(slices[at].endpoints)
                if ends and rng.random() < 0.6:
                    ends[0] = attrs.evolve(ends[0], conditions=rng.choice(_CONDITIONS))
                else:
                    ends = [_draw_endpoint(rng, self.net)]
                slices[at] = attrs.evolve(slices[at], endpoints=tuple(ends))
        return replace(self, services=services, slices=slices)


def _draw_endpoint(rng: random.Random, net: Net) -> Endpoint:
    hints = (
        EndpointHints(forZones=(ForZone(name=rng.choice(("east", "west"))),)) if rng.random() < 0.3 else EndpointHints()
    )
    return Endpoint(
        addresses=(net.address(net.pod, rng.randrange(10, 30)),),
        conditions=rng.choice(_CONDITIONS),
        hints=hints,
        nodeName=rng.choice((HERE, THERE, "")),
    )


def _draw_service(rng: random.Random, net: Net, number: int, *, one_endpoint: bool) -> tuple[Service, EndpointSlice]:
    kind = rng.choice(("ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"))
    ports = tuple(
        ServicePort(
            port=rng.choice((53, 80, 443, 8443)) + at,
            name=f"p{at}" if at or rng.random() < 0.5 else "",
            protocol=rng.choice(("TCP", "TCP", "UDP", "SCTP")),
            nodePort=30000 + 4 * number + at if kind != "ClusterIP" else 0,
        )
        for at in range(rng.choice((1, 1, 2)))
    )
    if len(ports) == 2:
        ports = (attrs.evolve(ports[0], name="p0"), ports[1])
    ingress = [net.address(net.service, 100 + number)] if kind == "LoadBalancer" else []
    ranges = [f"{each}{'/64' if net.six else '0/25'}" for each in net.clients] + [net.node]
    drawn = rng.sample(ranges, rng.choice((0, 0, 1, 2))) if kind == "LoadBalancer" else []
    affinity = rng.random() < 0.25
    outside = rng.random() < 0.3
    spec = ServiceSpec(
        type=kind,
        clusterIP=net.address(net.service, 10 + number),
        ports=ports,
        externalIPs=(net.address(net.service, 200 + number % 50),) if outside else (),
        sessionAffinity="ClientIP" if affinity else "None",
        sessionAffinityConfig=SessionAffinityConfig(clientIP=ClientIPConfig(timeoutSeconds=rng.choice((30, 10800)))),
        externalTrafficPolicy=rng.choice(("Cluster", "Local")),
        internalTrafficPolicy=rng.choice(("Cluster", "Cluster", "Local")),
        loadBalancerSourceRanges=tuple(text if "/" in text else f"{text}/{128 if net.six else 32}" for text in drawn),
        healthCheckNodePort=32000 + number if kind == "LoadBalancer" and rng.random() < 0.5 else 0,
    )
    meta = ObjectMeta(name=f"svc{number}", namespace=f"ns{number % 2}")
    status = ServiceStatus(loadBalancer=LoadBalancerStatus(ingress=tuple(LoadBalancerIngress(ip=ip) for ip in ingress)))
    most = 1 if one_endpoint else 4
    piece = EndpointSlice(
        metadata=ObjectMeta(
            name=f"svc{number}-x",
            namespace=meta.namespace,
            labels={"kubernetes.io/service-name": meta.name},
        ),
        addressType="IPv6" if net.six else "IPv4",
        endpoints=tuple(_draw_endpoint(rng, net) for _ in range(rng.randrange(most + 1))),
        ports=tuple(
            EndpointPort(name=port.name, protocol=port.protocol, port=rng.choice((8080, port.port))) for port in ports
        ),
    )
    return Service(metadata=meta, spec=spec, status=status), piece


def draw_cluster(rng: random.Random, net: Net, mode: str, *, one_endpoint: bool = False) -> Cluster:
    """Draw some services; with *one_endpoint*, none has a choice to make."""
    config = ProxyConfig(
        mode=mode,
        detect_local=rng.choice(("ClusterCIDR", "ClusterCIDR", "None")),
        cluster_cidrs=(Prefix.parse(net.pods),),
        masquerade_all=rng.random() < 0.2,
        masquerade_bit=rng.choice((14, 14, 5)),
        localhost_node_ports=rng.random() < 0.7,
        node_port_addresses=rng.choice(((), (), ("primary",))),
        ipvs=IPVSConfig(scheduler=rng.choice(("", "rr", "lc", "sh", "mh"))),
    )
    cluster = Cluster(net, config)
    for number in range(rng.randrange(2, 7)):
        service, piece = _draw_service(rng, net, number, one_endpoint=one_endpoint)
        cluster.services.append(service)
        cluster.slices.append(piece)
    return cluster
