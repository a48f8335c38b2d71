"""
EndpointSlices for Services that have pods but no slices: what the endpoint slice controller would make.

Behaviour of: the EndpointSlice controller, as far as the objects that are here tell: a pod is ready unless its Ready
condition or its phase says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from svcsim.addr import Family
from svcsim.kube.front import lenient_address
from svcsim.kube.objects import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
    Objects,
    Pod,
    Service,
    ServicePort,
)

__all__ = ["slices_for"]

_OWNER = "kubernetes.io/service-name"
_OVER = ("Succeeded", "Failed")


def slices_for(objects: Objects) -> Iterator[EndpointSlice]:
    """
    The slices of Services with a selector that nobody made one for.

    >>> from svcsim.kube.objects import PodSpec, PodStatus, ServiceSpec
    >>> spec = ServiceSpec(selector={"app": "web"}, ports=(ServicePort(port=80, targetPort=8080),))
    >>> pod = Pod(
    ...     metadata=ObjectMeta(name="web-1", labels={"app": "web"}), spec=PodSpec(nodeName="a"), status=PodStatus(podIP="10.244.0.5")
    ... )
    >>> made = list(slices_for(Objects(services=(Service(metadata=ObjectMeta(name="web"), spec=spec),), pods=(pod,))))
    >>> [(s.metadata.name, s.endpoints[0].addresses, s.endpoints[0].nodeName, s.ports[0].port) for s in made]
    [('web-ipv4', ('10.244.0.5',), 'a', 8080)]
    """
    owned = {(piece.metadata.namespace, piece.metadata.labels.get(_OWNER)) for piece in objects.slices}
    for service in objects.services:
        name = (service.metadata.namespace, service.metadata.name)
        if service.spec.selector and name not in owned and service.spec.type != "ExternalName":
            pods = [pod for pod in objects.pods if _selects(service, pod)]
            for family in Family:
                yield from _slices(service, pods, family)


def _selects(service: Service, pod: Pod) -> bool:
    wanted: Mapping[str, str] = service.spec.selector
    same = service.metadata.namespace == pod.metadata.namespace
    return same and all(pod.metadata.labels.get(key) == value for key, value in wanted.items())


def _slices(service: Service, pods: list[Pod], family: Family) -> Iterator[EndpointSlice]:
    """The slices of one family: one for each set of port numbers that a named target port comes to."""
    groups: dict[tuple[EndpointPort, ...], list[Endpoint]] = {}
    for pod in pods:
        address = _address(pod, family)
        ports = tuple(_port(pod, port) for port in service.spec.ports)
        known = tuple(port for port in ports if port is not None)
        if address and pod.status.phase not in _OVER and (known or not service.spec.ports):
            groups.setdefault(known, []).append(_endpoint(service, pod, address))
    for number, (ports_, endpoints) in enumerate(groups.items()):
        more = f"-{number}" if number else ""
        labels = {_OWNER: service.metadata.name}
        if service.spec.clusterIP == "None":
            labels["service.kubernetes.io/headless"] = ""
        meta = ObjectMeta(
            name=f"{service.metadata.name}-ipv{family.value}{more}", namespace=service.metadata.namespace, labels=labels
        )
        yield EndpointSlice(metadata=meta, addressType=f"IPv{family.value}", endpoints=tuple(endpoints), ports=ports_)


def _address(pod: Pod, family: Family) -> str:
    for text in [each.ip for each in pod.status.podIPs] or [pod.status.podIP]:
        found = lenient_address(text) if text else None
        if found is not None and found.family is family:
            return str(found)
    return ""


def _port(pod: Pod, port: ServicePort) -> EndpointPort | None:
    """Where a pod serves a Service's port: its number, or what the pod calls so; None if it calls nothing so."""
    target = port.targetPort if port.targetPort is not None else port.port
    if isinstance(target, str):
        named = (each for container in pod.spec.containers for each in container.ports)
        found = next((each for each in named if each.name == target and each.protocol == port.protocol), None)
        if found is None:
            return None
        target = found.containerPort
    return EndpointPort(name=port.name, protocol=port.protocol, port=target or port.port)


def _endpoint(service: Service, pod: Pod, address: str) -> Endpoint:
    up = pod.is_ready or service.spec.publishNotReadyAddresses
    ending = pod.metadata.deletionTimestamp is not None
    ready = up and (not ending or service.spec.publishNotReadyAddresses)
    conditions = EndpointConditions(ready=ready, serving=up, terminating=ending)
    return Endpoint(addresses=(address,), conditions=conditions, nodeName=pod.spec.nodeName)
