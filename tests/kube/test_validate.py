"""Objects that an API server would not take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.clusters import Cluster
from kube.objects import draw
from svcsim.errors import ConfigError
from svcsim.kube.manifests import Manifests
from svcsim.kube.objects import Objects
from svcsim.kube.validate import complaints_about, validate


def complaints(text):
    """What is wrong with the one object of a manifest."""
    manifests = Manifests()
    manifests.read(text, "x.yaml")
    found = manifests.objects
    (thing,) = (*found.services, *found.slices, *found.nodes, *found.pods)
    return list(complaints_about(thing))


def service(spec, name="web"):
    return complaints(f"kind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n")


def endpoint_slice(rest):
    return complaints(f"kind: EndpointSlice\nmetadata: {{name: web-1}}\n{rest}\n")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("{}", "spec.ports: a Service needs one"),
        ("{ports: [{port: 0}]}", "spec.ports[0].port: from 1 to 65535, not 0"),
        ("{ports: [{port: 80}, {port: 81, name: b}]}", "spec.ports[0].name: needed where there are several ports"),
        ("{ports: [{port: 80, name: a}, {port: 81, name: a}]}", "spec.ports[1].name: there are two 'a'"),
        ("{ports: [{port: 80, name: a}, {port: 80, name: b}]}", "spec.ports[1]: there are two of TCP 80"),
        ("{ports: [{port: 80, protocol: ICMP}]}", "spec.ports[0].protocol: one of TCP, UDP, SCTP, not 'ICMP'"),
        ("{ports: [{port: 80, nodePort: 30000}]}", "spec.ports[0].nodePort: not of a Service of the type ClusterIP"),
        (
            "{type: Magic, ports: [{port: 80}]}",
            "spec.type: one of ClusterIP, NodePort, LoadBalancer, ExternalName, not 'Magic'",
        ),
        ("{type: ExternalName, externalName: a_b}", "spec.externalName: not a host name: 'a_b'"),
        (
            "{type: NodePort, clusterIP: None, ports: [{port: 80}]}",
            "spec.clusterIP: a Service of the type NodePort cannot be headless",
        ),
        (
            "{clusterIP: 10.0.0.1, clusterIPs: [10.0.0.2], ports: [{port: 80}]}",
            "spec.clusterIPs[0]: the same as spec.clusterIP, not '10.0.0.2'",
        ),
        (
            "{ipFamilies: [IPv6], clusterIPs: [10.0.0.2], ports: [{port: 80}]}",
            "spec.clusterIPs[0]: of the family IPv6, not '10.0.0.2'",
        ),
        ("{externalIPs: [127.0.0.1], ports: [{port: 80}]}", "spec.externalIPs[0]: not a loopback address"),
        (
            "{loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]}",
            "spec.loadBalancerSourceRanges: only of a LoadBalancer",
        ),
        (
            "{sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}, ports: [{port: 80}]}",
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: from 1 to 86400, not 86401",
        ),
        (
            "{healthCheckNodePort: 32000, ports: [{port: 80}]}",
            "spec.healthCheckNodePort: only of a LoadBalancer with externalTrafficPolicy Local",
        ),
        (
            "{internalTrafficPolicy: Near, ports: [{port: 80}]}",
            "spec.internalTrafficPolicy: one of Cluster, Local, not 'Near'",
        ),
    ],
)
def test_services(spec, complaint):
    """Each rule has its complaint, with its path."""
    assert complaint in service(spec)


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("addressType: IPX", "addressType: one of IPv4, IPv6, FQDN, not 'IPX'"),
        ("endpoints: [{addresses: []}]", "endpoints[0].addresses: from 1 to 100, not 0"),
        (
            "endpoints: [{addresses: ['fd00::1']}]",
            "endpoints[0].addresses[0]: not an address of the family IPv4: 'fd00::1'",
        ),
        ("ports: [{name: a}, {name: a}]", "ports[1].name: there are two 'a'"),
        ("ports: [{port: 70000}]", "ports[0].port: from 1 to 65535, not 70000"),
    ],
)
def test_slices(rest, complaint):
    """Each rule has its complaint, with its path."""
    assert complaint in endpoint_slice(rest)


def test_names():
    """A Service's name begins with a letter; a pod's may begin with a digit, and have dots."""
    assert service("{ports: [{port: 80}]}", "1st") != []
    assert complaints("kind: Pod\nmetadata: {name: 1.st}") == []
    assert complaints("kind: Pod\nmetadata: {name: -st}") != []


@given(st.integers(0, 1 << 32), st.booleans())
def test_what_is_drawn_is_taken(seed, six):
    """Random clusters are such that an API server takes them, but for policies that count for nothing."""
    cluster: Cluster = draw(seed, "iptables", six=six)[1]
    harmless = ("externalTrafficPolicy: Local may only", "healthCheckNodePort: only of", "there are two of")

    for thing in (*cluster.services, *cluster.slices):
        assert [text for text in complaints_about(thing) if not any(word in text for word in harmless)] == []


def test_the_first_complaint_is_raised():
    """With the kind and the name of the object."""
    manifests = Manifests()
    manifests.read("kind: Service\nmetadata: {name: web, namespace: shop}\nspec: {}\n", "x.yaml")

    with pytest.raises(ConfigError, match=r"^Service shop/web: spec.ports: a Service needs one$"):
        validate(manifests.objects)
    validate(Objects())
