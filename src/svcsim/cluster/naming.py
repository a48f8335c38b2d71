"""
Names to addresses, in a cluster: Services, pods and nodes by the names that people call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from svcsim.addr import Family, parse_address
from svcsim.cluster.wiring import addresses_of, families_of
from svcsim.errors import ConfigError, MissingError
from svcsim.kube.front import lenient_address
from svcsim.kube.objects import Node, Pod, Service

__all__ = ["Directory", "Target"]


@attrs.frozen
class Target:
    """Where a connection goes: canonical *address*, *port*, and *protocol* (tcp, udp or sctp)."""

    address: str
    port: int
    protocol: str


class Directory:
    """
    Who is called what: ``[svc/|pod/|node/][namespace/]name[:port]``, or an address.

    A short name has to be one Service's, one pod's or one node's alone among those that are meant.

    >>> from svcsim.kube.objects import ObjectMeta, ServicePort, ServiceSpec
    >>> spec = ServiceSpec(clusterIP="10.96.0.10", ports=(ServicePort(port=80, name="http"),))
    >>> directory = Directory([Service(metadata=ObjectMeta(name="web"), spec=spec)], {}, {})
    >>> directory.target("web", Family.IPV4)
    Target(address='10.96.0.10', port=80, protocol='tcp')
    >>> directory.target("default/web:https", Family.IPV4)
    Traceback (most recent call last):
    svcsim.errors.MissingError: the Service default/web has no port 'https'; it has http
    """

    def __init__(self, services: Iterable[Service], nodes: Mapping[str, Node], pods: Mapping[str, Pod]) -> None:
        self._services = {(each.metadata.namespace, each.metadata.name): each for each in services}
        self._nodes, self._pods = nodes, pods

    # -- one kind -----------------------------------------------------------------------------------------------------

    def service(self, name: str) -> tuple[str, str]:
        """Namespace and name of the Service called *name*."""
        found = self._find_service(name)
        if found is None:
            raise MissingError(f"there is no Service {name!r}")
        return found

    def pod(self, name: str) -> str:
        """``namespace/name`` of the pod called *name*."""
        found = self._find_pod(name)
        if found is None:
            raise MissingError(f"there is no pod {name!r}")
        return found

    def _find_service(self, name: str) -> tuple[str, str] | None:
        namespace, slash, short = name.rpartition("/")
        if slash:
            return (namespace, short) if (namespace, short) in self._services else None
        only = _only(name, (each for each, called in self._services if called == short))
        return (only, short) if only is not None else None

    def _find_pod(self, name: str) -> str | None:
        if "/" in name:
            return name if name in self._pods else None
        return _only(name, (key for key in self._pods if key.partition("/")[2] == name))

    # -- whoever it is ------------------------------------------------------------------------------------------------

    def caller(self, name: str) -> str | None:
        """The host that is called so: a pod or a node; None if it is an address."""
        kind, rest = _kind(name)
        if kind in ("", "pod") and (pod := self._find_pod(rest)) is not None:
            return pod
        if kind in ("", "node") and rest in self._nodes:
            return rest
        if not kind and lenient_address(name) is not None:
            return None
        raise MissingError(f"there is no pod or node {name!r}, and it is no address")

    def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of a pod or node."""
        return addresses_of(self._pods[host]) if host in self._pods else tuple(families_of(self._nodes[host]).values())

    def holder(self, address: str) -> str | None:
        """The pod or node that has *address*."""
        for name in (*self._pods, *self._nodes):
            if address in self.addresses(name):
                return name
        return None

    def name_of(self, host: str) -> str:
        """A host's name as short as it may be."""
        short = host.partition("/")[2]
        return short if short and sum(key.partition("/")[2] == short for key in self._pods) == 1 else host

    def home_of(self, host: str) -> str:
        """The node that a pod is on; a node's own name."""
        return self._pods[host].spec.nodeName or next(iter(self._nodes)) if host in self._pods else host

    # -- where a connection goes --------------------------------------------------------------------------------------

    def families(self, target: str) -> frozenset[Family]:
        """The families that *target* can be reached by."""
        return frozenset(parse_address(each.address).family for each in self._targets(target))

    def target(self, text: str, family: Family) -> Target:
        """What *text* means to a caller of *family*."""
        found = list(self._targets(text))
        for each in found:
            if parse_address(each.address).family is family:
                return each
        raise MissingError(f"{text!r} has no address of the caller's family, IPv{family.value}")

    def _targets(self, text: str) -> Iterator[Target]:
        address, port = _split(text)
        found = lenient_address(address)
        if found is not None:
            yield Target(str(found), _number(port, text), self._protocol(str(found), _number(port, text)))
            return
        kind, name = _kind(address)
        if kind in ("", "svc") and (key := self._find_service(name)) is not None:
            yield from self._of_service(self._services[key], port)
        elif kind in ("", "pod") and (pod := self._find_pod(name)) is not None:
            yield from (Target(each, _number(port, text), "tcp") for each in self.addresses(pod))
        elif kind in ("", "node") and name in self._nodes:
            for each in self.addresses(name):
                yield Target(each, _number(port, text), self._protocol(each, _number(port, text)))
        else:
            raise MissingError(f"there is no Service, pod or node {address!r}, and it is no address")

    def _of_service(self, service: Service, port: str) -> Iterator[Target]:
        spec, ports = service.spec, service.spec.ports
        chosen = [each for each in ports if port in ("", each.name, str(each.port))]
        name = f"{service.metadata.namespace}/{service.metadata.name}"
        if not chosen:
            known = ", ".join(each.name or str(each.port) for each in ports)
            raise MissingError(f"the Service {name} has no port {port!r}; it has {known}")
        for text in spec.clusterIPs or (spec.clusterIP,):
            found = lenient_address(text)
            if found is not None:
                yield Target(str(found), chosen[0].port, chosen[0].protocol.lower())
        if lenient_address(spec.clusterIP) is None:
            raise ConfigError(f"the Service {name} has no cluster IP: connect to its pods")

    def _protocol(self, address: str, port: int) -> str:
        """The protocol that a Service has at a place; tcp if none has."""
        for service in self._services.values():
            spec = service.spec
            held = {*(spec.clusterIPs or (spec.clusterIP,)), *spec.externalIPs}
            held |= {each.ip for each in service.status.loadBalancer.ingress}
            for each in spec.ports:
                if (each.port == port and address in held) or (each.nodePort == port and port):
                    return each.protocol.lower()
        return "tcp"


def _only(name: str, found: Iterable[str]) -> str | None:
    """The one that is called so."""
    known = list(found)
    if len(known) > 1:
        raise ConfigError(f"{name!r} may be any of {', '.join(known)}")
    return known[0] if known else None


def _kind(text: str) -> tuple[str, str]:
    for kind in ("svc", "pod", "node"):
        if text.startswith(f"{kind}/"):
            return kind, text[len(kind) + 1 :]
    return "", text


def _split(text: str) -> tuple[str, str]:
    """Name or address, and port; ``[address]:port`` for IPv6."""
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        if not bracket or not port.startswith(":"):
            raise ConfigError(f"not [address]:port: {text!r}")
        return address, port[1:]
    if text.count(":") > 1:
        return text, ""
    name, _, port = text.partition(":")
    return name, port


def _number(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"it takes a port to connect to: {text!r}")
    return int(port)
