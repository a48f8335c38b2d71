"""EndpointSlices for Services that have pods but no slices."""

from __future__ import annotations

from svcsim.kube.objects import (
    Container,
    ContainerPort,
    EndpointSlice,
    ObjectMeta,
    Objects,
    Pod,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from svcsim.kube.slices import slices_for


def pod(name, ip, *, ready=True, app="web", ending=False, port=8080, phase="Running"):
    return Pod(
        metadata=ObjectMeta(name=name, labels={"app": app}, deletionTimestamp="now" if ending else None),
        spec=PodSpec(nodeName="a", containers=(Container(ports=(ContainerPort(containerPort=port, name="http"),)),)),
        status=PodStatus(
            podIPs=(PodIP(ip=ip), PodIP(ip="fd00::5")),
            phase=phase,
            conditions=(PodCondition(type="Ready", status=str(ready)),),
        ),
    )


def service(**spec):
    given = {"selector": {"app": "web"}, "ports": (ServicePort(port=80, targetPort="http"),)} | spec
    return Service(metadata=ObjectMeta(name="web"), spec=ServiceSpec(**given))


def made(*pods, **spec):
    return list(slices_for(Objects(services=(service(**spec),), pods=pods)))


def test_pods_of_the_selector():
    """Pods whose labels fit are endpoints of both families, those that are over or strangers are not."""
    found = made(pod("x", "10.0.0.1"), pod("y", "10.0.0.2", app="other"), pod("z", "10.0.0.3", phase="Succeeded"))

    assert [(piece.addressType, [end.addresses for end in piece.endpoints]) for piece in found] == [
        ("IPv4", [("10.0.0.1",)]),
        ("IPv6", [("fd00::5",)]),
    ]
    assert found[0].ports[0].port == 8080


def test_conditions():
    """Ready, not ready, ending; publishNotReadyAddresses makes everybody ready."""
    pods = (pod("x", "10.0.0.1"), pod("y", "10.0.0.2", ready=False), pod("z", "10.0.0.3", ending=True))

    def told(**spec):
        return [
            (e.conditions.ready, e.conditions.serving, e.conditions.terminating)
            for e in made(*pods, **spec)[0].endpoints
        ]

    assert told() == [(True, True, False), (False, False, False), (False, True, True)]
    assert told(publishNotReadyAddresses=True) == [(True, True, False), (True, True, False), (True, True, True)]


def test_named_ports_may_differ():
    """Pods that call other numbers by the same name are in another slice; those that call none so are in none."""
    found = made(
        pod("x", "10.0.0.1"), pod("y", "10.0.0.2", port=9090), ports=(ServicePort(port=80, targetPort="http"),)
    )

    assert [(piece.ports[0].port, len(piece.endpoints)) for piece in found if piece.addressType == "IPv4"] == [
        (8080, 1),
        (9090, 1),
    ]
    assert made(pod("x", "10.0.0.1"), ports=(ServicePort(port=80, targetPort="metrics"),)) == []


def test_who_has_slices_gets_none():
    """Neither a Service that has one already, nor one without a selector."""
    own = EndpointSlice(metadata=ObjectMeta(name="mine", labels={"kubernetes.io/service-name": "web"}))
    objects = Objects(services=(service(),), pods=(pod("x", "10.0.0.1"),), slices=(own,))

    assert list(slices_for(objects)) == []
    assert made(pod("x", "10.0.0.1"), selector={}) == []
