"""
Objects checked as the API server checks them when they are made, each complaint with its path.

What only a server can know (the range of node ports, which addresses are free) is not asked; what it fills in by itself
may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from svcsim.addr import Prefix, parse_address
from svcsim.errors import ConfigError
from svcsim.kube.node_ports import is_loopback
from svcsim.kube.objects import EndpointSlice, Node, Objects, Pod, Service

__all__ = ["complaints_about", "validate"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_POLICIES = ("Cluster", "Local")
_FAMILIES = {4: "IPv4", 6: "IPv6"}
_MOST_ENDPOINTS, _MOST_PORTS, _MOST_ADDRESSES = 1000, 20_000, 100
_LONGEST_AFFINITY = 86_400


def validate(objects: Objects) -> None:
    """
    Refuse *objects* that an API server would not have.

    >>> from svcsim.kube.objects import ObjectMeta, ServicePort, ServiceSpec
    >>> web = Service(metadata=ObjectMeta(name="Web"), spec=ServiceSpec(ports=(ServicePort(port=80),)))
    >>> validate(Objects(services=(web,)))
    Traceback (most recent call last):
    svcsim.errors.ConfigError: Service default/Web: metadata.name: not a name of lower-case letters, digits and -: 'Web'
    """
    things: list[Service | EndpointSlice | Node | Pod]
    things = [*objects.services, *objects.slices, *objects.nodes, *objects.pods]
    for thing in things:
        for complaint in complaints_about(thing):
            name = "/".join(filter(None, (thing.metadata.namespace, thing.metadata.name)))
            raise ConfigError(f"{type(thing).__name__} {name}: {complaint}")


def complaints_about(thing: Service | EndpointSlice | Node | Pod) -> Iterator[str]:
    """All that is wrong with an object, as ``path: what``."""
    form = _SERVICE_NAME if isinstance(thing, Service) else _SUBDOMAIN
    if len(thing.metadata.name) > 253 or not form.fullmatch(thing.metadata.name):
        yield f"metadata.name: not a name of lower-case letters, digits and -: {thing.metadata.name!r}"
    if thing.metadata.namespace and not _LABEL.fullmatch(thing.metadata.namespace):
        yield f"metadata.namespace: not a name: {thing.metadata.namespace!r}"
    if isinstance(thing, Service):
        yield from _about_service(thing)
    elif isinstance(thing, EndpointSlice):
        yield from _about_slice(thing)
    elif isinstance(thing, Node):
        for at, cidr in enumerate(thing.spec.podCIDRs):
            yield from _unless(Prefix.parse, cidr, f"spec.podCIDRs[{at}]")
    else:
        for at, held in enumerate(thing.status.podIPs):
            yield from _unless(parse_address, held.ip, f"status.podIPs[{at}].ip")


def _unless(read: Callable[[str], object], text: str, path: str) -> Iterator[str]:
    """A complaint if *text* cannot be *read*."""
    try:
        read(text)
    except ConfigError as error:
        yield f"{path}: {error}"


def _one_of(value: str, known: tuple[str, ...], path: str) -> Iterator[str]:
    if value not in known:
        yield f"{path}: one of {', '.join(known)}, not {value!r}"


# -- Services ----------------------------------------------------------------------------------------------------------


def _about_service(service: Service) -> Iterator[str]:
    spec = service.spec
    yield from _one_of(spec.type, _TYPES, "spec.type")
    if spec.type == "ExternalName":
        if not _SUBDOMAIN.fullmatch(spec.externalName.rstrip(".")):
            yield f"spec.externalName: not a host name: {spec.externalName!r}"
        return
    yield from _about_ports(service)
    yield from _about_addresses(service)
    yield from _one_of(spec.sessionAffinity, ("None", "ClientIP"), "spec.sessionAffinity")
    seconds = spec.sessionAffinityConfig.clientIP.timeoutSeconds
    if spec.sessionAffinity == "ClientIP" and not 0 < seconds <= _LONGEST_AFFINITY:
        yield f"spec.sessionAffinityConfig.clientIP.timeoutSeconds: from 1 to {_LONGEST_AFFINITY}, not {seconds}"
    yield from _one_of(spec.internalTrafficPolicy, _POLICIES, "spec.internalTrafficPolicy")
    yield from _one_of(spec.externalTrafficPolicy, _POLICIES, "spec.externalTrafficPolicy")
    if spec.externalTrafficPolicy == "Local" and spec.type == "ClusterIP" and not spec.externalIPs:
        yield "spec.externalTrafficPolicy: Local may only be of a Service that can be reached from outside"
    if spec.healthCheckNodePort and (spec.type != "LoadBalancer" or spec.externalTrafficPolicy != "Local"):
        yield "spec.healthCheckNodePort: only of a LoadBalancer with externalTrafficPolicy Local"
    if spec.loadBalancerSourceRanges and spec.type != "LoadBalancer":
        yield "spec.loadBalancerSourceRanges: only of a LoadBalancer"
    for at, text in enumerate(spec.loadBalancerSourceRanges):
        yield from _unless(Prefix.parse, text.strip(), f"spec.loadBalancerSourceRanges[{at}]")


def _about_ports(service: Service) -> Iterator[str]:
    spec = service.spec
    if not spec.ports and spec.clusterIP != "None":
        yield "spec.ports: a Service needs one"
    names: set[str] = set()
    places: set[tuple[str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    for at, port in enumerate(spec.ports):
        here = f"spec.ports[{at}]"
        if len(spec.ports) > 1 and not port.name:
            yield f"{here}.name: needed where there are several ports"
        if port.name and not _LABEL.fullmatch(port.name):
            yield f"{here}.name: not a name: {port.name!r}"
        if port.name in names:
            yield f"{here}.name: there are two {port.name!r}"
        names.add(port.name)
        yield from _one_of(port.protocol, _PROTOCOLS, f"{here}.protocol")
        yield from _about_number(port.port, f"{here}.port")
        if isinstance(port.targetPort, int):
            yield from _about_number(port.targetPort, f"{here}.targetPort")
        if (port.protocol, port.port) in places:
            yield f"{here}: there are two of {port.protocol} {port.port}"
        places.add((port.protocol, port.port))
        if port.nodePort:
            yield from _about_number(port.nodePort, f"{here}.nodePort")
            if spec.type == "ClusterIP":
                yield f"{here}.nodePort: not of a Service of the type ClusterIP"
            if (port.protocol, port.nodePort) in node_ports:
                yield f"{here}.nodePort: there are two of {port.protocol} {port.nodePort}"
            node_ports.add((port.protocol, port.nodePort))


def _about_number(port: int, path: str) -> Iterator[str]:
    if not 0 < port < 65536:
        yield f"{path}: from 1 to 65535, not {port}"


def _about_addresses(service: Service) -> Iterator[str]:
    spec = service.spec
    if spec.clusterIP == "None" and spec.type in ("NodePort", "LoadBalancer"):
        yield f"spec.clusterIP: a Service of the type {spec.type} cannot be headless"
    for path, text in (
        ("spec.clusterIP", spec.clusterIP),
        *((f"spec.clusterIPs[{n}]", t) for n, t in enumerate(spec.clusterIPs)),
    ):
        if text not in ("", "None"):
            yield from _unless(parse_address, text, path)
    if spec.clusterIP and spec.clusterIPs and spec.clusterIPs[0] != spec.clusterIP:
        yield f"spec.clusterIPs[0]: the same as spec.clusterIP, not {spec.clusterIPs[0]!r}"
    for at, family in enumerate(spec.ipFamilies):
        yield from _one_of(family, ("IPv4", "IPv6"), f"spec.ipFamilies[{at}]")
        if at < len(spec.clusterIPs) and _family(spec.clusterIPs[at]) not in ("", family):
            yield f"spec.clusterIPs[{at}]: of the family {family}, not {spec.clusterIPs[at]!r}"
    for at, text in enumerate(spec.externalIPs):
        yield from _unless(parse_address, text, f"spec.externalIPs[{at}]")
        if _family(text) and is_loopback(text):
            yield f"spec.externalIPs[{at}]: not a loopback address"
    for at, ingress in enumerate(service.status.loadBalancer.ingress):
        if ingress.ip:
            yield from _unless(parse_address, ingress.ip, f"status.loadBalancer.ingress[{at}].ip")
        if ingress.ipMode not in ("", "VIP", "Proxy"):
            yield f"status.loadBalancer.ingress[{at}].ipMode: VIP or Proxy, not {ingress.ipMode!r}"


def _family(text: str) -> str:
    """The family of an address, empty if it is none."""
    try:
        return _FAMILIES[parse_address(text).family]
    except ConfigError:
        return ""


# -- EndpointSlices ----------------------------------------------------------------------------------------------------


def _about_slice(piece: EndpointSlice) -> Iterator[str]:
    yield from _one_of(piece.addressType, ("IPv4", "IPv6", "FQDN"), "addressType")
    if len(piece.endpoints) > _MOST_ENDPOINTS:
        yield f"endpoints: at most {_MOST_ENDPOINTS}, not {len(piece.endpoints)}"
    if len(piece.ports) > _MOST_PORTS:
        yield f"ports: at most {_MOST_PORTS}, not {len(piece.ports)}"
    for at, end in enumerate(piece.endpoints):
        here = f"endpoints[{at}]"
        if not 0 < len(end.addresses) <= _MOST_ADDRESSES:
            yield f"{here}.addresses: from 1 to {_MOST_ADDRESSES}, not {len(end.addresses)}"
        for number, address in enumerate(end.addresses):
            if piece.addressType != "FQDN" and _family(address) != piece.addressType:
                yield f"{here}.addresses[{number}]: not an address of the family {piece.addressType}: {address!r}"
    names: set[str | None] = set()
    for at, port in enumerate(piece.ports):
        yield from _one_of(port.protocol, _PROTOCOLS, f"ports[{at}].protocol")
        if port.port is not None:
            yield from _about_number(port.port, f"ports[{at}].port")
        if port.name in names:
            yield f"ports[{at}].name: there are two {port.name!r}"
        names.add(port.name)
