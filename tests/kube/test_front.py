"""What a proxy reads of objects: which it passes over, addresses by family, merged slices, flags."""

from __future__ import annotations

import attrs
import pytest

from svcsim.addr import Family
from svcsim.kube.config import ProxyConfig
from svcsim.kube.front import lenient_address, lenient_prefix, node_info, proxy_state
from svcsim.kube.manifests import Manifests
from svcsim.kube.state import NodeInfo


def ports(text, family=Family.IPV4):
    """What a proxy serves of a manifest."""
    manifests = Manifests()
    manifests.read(text, "x.yaml")
    found = manifests.objects
    return proxy_state(family, NodeInfo(name="a"), found.services, found.slices, ProxyConfig()).ports


def service(spec="", labels="", status=""):
    return f"""
kind: Service
metadata: {{name: web, labels: {{{labels}}}}}
spec: {{clusterIP: 10.96.0.1, ports: [{{port: 80}}], {spec}}}
status: {{{status}}}
"""


def piece(name, endpoints, ports_='[{name: "", port: 8080}]', labels="kubernetes.io/service-name: web"):
    return f"""
---
kind: EndpointSlice
metadata: {{name: {name}, labels: {{{labels}}}}}
endpoints: {endpoints}
ports: {ports_}
"""


@pytest.mark.parametrize(
    "text",
    [
        service("type: ExternalName"),
        service("clusterIP: None").replace("clusterIP: 10.96.0.1, ", ""),
        service('clusterIP: ""').replace("clusterIP: 10.96.0.1, ", ""),
        service(labels="service.kubernetes.io/service-proxy-name: other"),
    ],
)
def test_services_that_are_passed_over(text):
    """Headless ones, those without an address, ExternalName, and those of another proxy."""
    assert ports(text) == ()


def test_families():
    """Each family has its own cluster IP; addresses of the other one are left out."""
    text = service(
        'clusterIPs: [10.96.0.1, "fd00::1"], ipFamilies: [IPv4, IPv6], externalIPs: [192.0.2.1, "fd00::2", nonsense]'
    )

    (four,), (six,) = ports(text), ports(text, Family.IPV6)

    assert (four.info.cluster_ip, four.info.external_ips) == ("10.96.0.1", ("192.0.2.1",))
    assert (six.info.cluster_ip, six.info.external_ips) == ("fd00::1", ("fd00::2",))
    assert ports(service(), Family.IPV6) == ()


def test_load_balancers():
    """Only addresses of the mode VIP count; one range that is everything switches all ranges off."""
    ingress = "loadBalancer: {ingress: [{ip: 1.2.3.4}, {ip: 5.6.7.8, ipMode: Proxy}, {hostname: x}]}"
    (served,) = ports(
        service('type: LoadBalancer, loadBalancerSourceRanges: [" 10.0.0.0/8", "fd00::/8"]', status=ingress)
    )
    assert served.info.load_balancer_vips == ("1.2.3.4",)
    assert list(map(str, served.info.source_ranges)) == ["10.0.0.0/8"]

    (served,) = ports(service("type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, 0.0.0.0/0]"))
    assert served.info.source_ranges == ()


def test_slices_are_merged():
    """By address and port, sorted as text; one that runs beats one that ends; what does not fit is passed over."""
    text = service() + piece(
        "w-1", "[{addresses: [10.0.0.9]}, {addresses: [10.0.0.10], conditions: {terminating: true}}]"
    )
    text += piece("w-2", "[{addresses: [10.0.0.10]}, {addresses: [10.0.0.9], conditions: {terminating: true}}]")
    text += piece("w-3", "[{addresses: [10.0.0.11]}]", "[{name: other, port: 1}]")
    text += piece("w-4", "[{addresses: [10.0.0.12]}, {addresses: []}]", '[{name: "", port: null}, {port: 7}]')
    text += piece(
        "w-5",
        "[{addresses: [10.0.0.13]}]",
        labels="service.kubernetes.io/headless: '', kubernetes.io/service-name: web",
    )

    (served,) = ports(text)

    assert [(str(end), end.terminating) for end in served.endpoints] == [
        ("10.0.0.10:8080", False),
        ("10.0.0.9:8080", False),
    ]


def test_external_policy_counts_only_from_outside():
    """externalTrafficPolicy Local of a Service that nobody reaches from outside is nothing."""
    assert not ports(service("externalTrafficPolicy: Local"))[0].info.external_local
    assert ports(service("externalTrafficPolicy: Local, externalIPs: [192.0.2.1]"))[0].info.external_local
    checked = service("type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32000")
    assert ports(checked)[0].info.health_check_node_port == 32000
    assert ports(checked.replace("Local", "Cluster"))[0].info.health_check_node_port == 0


def test_what_a_node_says_of_itself():
    """Internal addresses come first; pod networks are those of the family; the zone is a label."""
    manifests = Manifests()
    manifests.read(
        "{kind: Node, metadata: {name: a, labels: {topology.kubernetes.io/zone: east}}, "
        'spec: {podCIDRs: [10.244.0.0/24, "fd00::/64"]}, status: {addresses: [{type: ExternalIP, address: 198.51.100.1}, '
        "{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: a}]}}",
        "n.yaml",
    )

    info = node_info(manifests.objects.nodes[0], Family.IPV4)

    assert info.ips[0] == "192.0.2.1"
    assert (list(map(str, info.pod_cidrs)), info.zone) == (["10.244.0.0/24"], "east")
    assert attrs.evolve(info, ips=()).primary(Family.IPV6) == "::1"


def test_sloppy_addresses():
    """Leading zeros are decimal; host bits of a network are cleared; what is no address is None."""
    assert str(lenient_address("172.30.0.041")) == "172.30.0.41"
    assert str(lenient_prefix(" 010.1.2.3/08 ")) == "10.0.0.0/8"
    assert lenient_address("web.example.org") is None
    assert lenient_prefix("10.0.0.0/33") is None
