"""
From a cluster's objects to what the kube-proxy of one node has to serve, for one family.

Behaviour of: the front end that all modes of kube-proxy share: which Services and EndpointSlices it reads, which of
their fields, and how slices are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcsim.addr import Address, Family, Prefix, parse_address
from svcsim.errors import ConfigError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.objects import Endpoint, EndpointSlice, Node, Service
from svcsim.kube.state import EndpointInfo, NodeInfo, ProxyState, ServedPort, ServicePortInfo, ServicePortName

__all__ = ["lenient_address", "lenient_prefix", "node_info", "proxy_state"]

_PROXY_NAME = "service.kubernetes.io/service-proxy-name"
_HEADLESS = "service.kubernetes.io/headless"
_SERVICE_NAME = "kubernetes.io/service-name"
_NO_ADDRESS = ("", "None")
#: The addresses of a node that count as its own, in the order of their worth.
_OWN = ("InternalIP", "ExternalIP")


def lenient_address(text: str) -> Address | None:
    """
    Read an address as kube-proxy does, which takes leading zeros for decimal; None if it is none.

    >>> print(lenient_address("172.30.0.041"), lenient_address("example.com"))
    172.30.0.41 None
    """
    if ":" not in text:
        text = ".".join(
            part.lstrip("0") or "0" if part.isascii() and part.isdigit() else part for part in text.split(".")
        )
    try:
        return parse_address(text)
    except ConfigError:
        return None


def lenient_prefix(text: str) -> Prefix | None:
    """
    Read a network likewise, host bits cleared; None if it is none.

    >>> print(lenient_prefix(" 10.1.2.3/016"), lenient_prefix("10.0.0.0"))
    10.1.0.0/16 None
    """
    host, slash, bits = text.strip().partition("/")
    address = lenient_address(host)
    if address is None or not slash or not (bits.isascii() and bits.isdigit() and len(bits) < 9):
        return None
    if int(bits) > address.family.bits:
        return None
    return Prefix.parse(f"{address}/{int(bits)}")


def node_info(node: Node, family: Family) -> NodeInfo:
    """What a kube-proxy knows of its own *node*."""
    held = [(each.type, lenient_address(each.address)) for each in node.status.addresses if each.type in _OWN]
    ranked = sorted(held, key=lambda pair: _OWN.index(pair[0]))
    cidrs = node.spec.podCIDRs or tuple(filter(None, [node.spec.podCIDR]))
    networks = (lenient_prefix(text) for text in cidrs)
    return NodeInfo(
        name=node.metadata.name,
        ips=tuple(str(found) for _, found in ranked if found is not None and found.family is family),
        pod_cidrs=tuple(each for each in networks if each is not None and each.family is family),
        labels=tuple(sorted(node.metadata.labels.items())),
    )


def proxy_state(
    family: Family,
    node: NodeInfo,
    services: Iterable[Service],
    slices: Iterable[EndpointSlice],
    config: ProxyConfig,
) -> ProxyState:
    """
    What the kube-proxy of *node* has to serve of *services* and *slices*, for *family*.

    >>> from svcsim.kube.objects import EndpointPort, ObjectMeta, ServicePort, ServiceSpec
    >>> web = Service(metadata=ObjectMeta(name="web"), spec=ServiceSpec(clusterIP="10.96.0.10", ports=(ServicePort(port=80),)))
    >>> pods = EndpointSlice(
    ...     metadata=ObjectMeta(name="web-1", labels={"kubernetes.io/service-name": "web"}),
    ...     endpoints=tuple(Endpoint(addresses=(f"10.244.0.{i}",)) for i in (9, 10)),
    ...     ports=(EndpointPort(name="", port=8080),),
    ... )
    >>> state = proxy_state(Family.IPV4, NodeInfo(name="a"), [web], [pods], ProxyConfig())
    >>> [(str(port.info.name), *map(str, port.endpoints)) for port in state.ports]
    [('default/web', '10.244.0.10:8080', '10.244.0.9:8080')]
    """
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for piece in slices:
        if _HEADLESS not in piece.metadata.labels and piece.addressType == f"IPv{family.value}":
            owner = piece.metadata.labels.get(_SERVICE_NAME, "")
            if owner:
                by_service.setdefault((piece.metadata.namespace, owner), []).append(piece)
    ports: dict[ServicePortName, ServedPort] = {}
    for service in services:
        key = (service.metadata.namespace, service.metadata.name)
        pieces = sorted(by_service.get(key, ()), key=lambda piece: piece.metadata.name)
        for info in _ports_of(service, family):
            endpoints = _merged(pieces, info.name, node.name)
            ports[info.name] = ServedPort(info, endpoints, (service, tuple(pieces)))
    return ProxyState(family=family, node=node, config=config, ports=tuple(ports[name] for name in sorted(ports)))


# -- Services ----------------------------------------------------------------------------------------------------------


def _ports_of(service: Service, family: Family) -> Iterator[ServicePortInfo]:
    """The ports that a proxy serves; none of a Service that it does not read."""
    spec = service.spec
    if spec.type == "ExternalName" or _PROXY_NAME in service.metadata.labels or spec.clusterIP in _NO_ADDRESS:
        return
    cluster_ip = _cluster_ip(service, family)
    if cluster_ip is None:
        return
    external = _addresses(spec.externalIPs, family)
    ingress = (each for each in service.status.loadBalancer.ingress if each.ip and each.ipMode in ("", "VIP"))
    outward = spec.type in ("LoadBalancer", "NodePort") or (spec.type == "ClusterIP" and bool(spec.externalIPs))
    local = outward and spec.externalTrafficPolicy == "Local"
    vips = _addresses((each.ip for each in ingress), family)
    ranges = _source_ranges(spec.loadBalancerSourceRanges, family)
    for port in spec.ports:
        yield ServicePortInfo(
            name=ServicePortName(service.metadata.namespace, service.metadata.name, port.name, port.protocol),
            cluster_ip=cluster_ip,
            port=port.port,
            node_port=port.nodePort,
            external_ips=external,
            load_balancer_vips=vips,
            source_ranges=ranges,
            affinity_seconds=_affinity(service),
            external_local=local,
            internal_local=spec.internalTrafficPolicy == "Local",
            health_check_node_port=spec.healthCheckNodePort if spec.type == "LoadBalancer" and local else 0,
        )


def _affinity(service: Service) -> int:
    return (
        service.spec.sessionAffinityConfig.clientIP.timeoutSeconds if service.spec.sessionAffinity == "ClientIP" else 0
    )


def _cluster_ip(service: Service, family: Family) -> str | None:
    """The cluster IP of *family*: by the listed families, or the only one there is if it fits."""
    spec = service.spec
    if not spec.ipFamilies:
        found = lenient_address(spec.clusterIP)
        return str(found) if found is not None and found.family is family else None
    for name, text in zip(spec.ipFamilies, spec.clusterIPs or (spec.clusterIP,), strict=False):
        if name == f"IPv{family.value}":
            found = lenient_address(text)
            return str(found) if found is not None else None
    return None


def _addresses(texts: Iterable[str], family: Family) -> tuple[str, ...]:
    """Those of *family*, canonical, in their order; what is no address is passed over."""
    found = (lenient_address(text) for text in texts)
    return tuple(str(each) for each in found if each is not None and each.family is family)


def _source_ranges(texts: Iterable[str], family: Family) -> tuple[Prefix, ...]:
    """Those of *family*; none at all if one of them is everything."""
    found = [each for each in map(lenient_prefix, texts) if each is not None and each.family is family]
    return () if any(each.length == 0 for each in found) else tuple(found)


# -- EndpointSlices ----------------------------------------------------------------------------------------------------


def _merged(slices: Iterable[EndpointSlice], name: ServicePortName, node: str) -> tuple[EndpointInfo, ...]:
    """The endpoints of a service port over all its slices, in the order of their texts; one that runs beats one that ends."""
    found: dict[str, EndpointInfo] = {}
    for piece in slices:
        for port in piece.ports:
            if port.name != name.port or port.protocol != name.protocol or not port.port:
                continue
            for endpoint in piece.endpoints:
                info = _endpoint(endpoint, port.port, node)
                if info is not None and not (info.terminating and str(info) in found):
                    found[str(info)] = info
    return tuple(found[text] for text in sorted(found))


def _endpoint(endpoint: Endpoint, port: int, node: str) -> EndpointInfo | None:
    address = lenient_address(endpoint.addresses[0]) if endpoint.addresses else None
    if address is None:
        return None
    conditions = endpoint.conditions
    return EndpointInfo(
        address=str(address),
        port=port,
        ready=conditions.ready is not False,
        serving=conditions.serving is not False,
        terminating=conditions.terminating is True,
        local=bool(endpoint.nodeName) and endpoint.nodeName == node,
        node=endpoint.nodeName,
        zone_hints=frozenset(each.name for each in endpoint.hints.forZones),
        node_hints=frozenset(each.name for each in endpoint.hints.forNodes),
    )
