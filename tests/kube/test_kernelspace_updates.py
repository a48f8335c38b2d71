"""The kernelspace mode from sync to sync: what stays, what is shared, and what passes from one service to another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import Family, Prefix
from svcsim.kube.config import ProxyConfig, WinkernelConfig
from svcsim.kube.kernelspace import KernelspaceProgrammer
from svcsim.kube.objects import ObjectMeta, Service
from svcsim.kube.state import EndpointInfo, NodeInfo, ProxyState, ServedPort, ServicePortInfo, ServicePortName
from svcsim.kube.windows import WindowsNode
from svcsim.lb.hns import Hns

THERE = EndpointInfo(address="10.244.1.5", port=8080)
VIP = "203.0.113.9"


def state(*ports: ServedPort, **winkernel) -> ProxyState:
    config = ProxyConfig(mode="kernelspace", winkernel=WinkernelConfig(**winkernel))
    node = NodeInfo(name="a", ips=("192.0.2.1",))
    return ProxyState(family=Family.IPV4, node=node, config=config, ports=ports)


def port(name="web", part="", number=80, cluster_ip="10.96.0.10", told=(), endpoints=(THERE,), **info) -> ServedPort:
    service = Service(metadata=ObjectMeta(name=name, annotations=dict(told)))
    key = ServicePortName("default", name, part, "TCP")
    served = ServicePortInfo(name=key, cluster_ip=cluster_ip, port=number, **info)
    return ServedPort(served, endpoints, (service, endpoints))


def windows(**options) -> WindowsNode:
    return WindowsNode(Hns(addresses=["192.0.2.1"], **options), pods={"gateway": "10.244.0.2"})


def after(*states: ProxyState, node: WindowsNode | None = None):
    """A node after syncs of *states*, and the last program."""
    node, proxy = node or windows(), KernelspaceProgrammer()
    for each in states:
        program = proxy.sync(each, node)
        program.apply(node)
    return node, program


def fronts(node: WindowsNode) -> set[tuple[str, int]]:
    return {(each.vip, each.external_port) for each in node.hns}


def test_nothing_is_done_twice():
    """A sync of what is served already does nothing: on overlay, and where changes in place are disabled."""
    overlay = windows(type="Overlay", subnets={Prefix.parse("10.244.1.0/24"): "192.0.2.2"})
    for node, served in (
        (overlay, state(port(), source_vip="10.244.0.3")),
        (windows(), state(port(told={"winProxyOptimization": "DISABLED"}.items()))),
    ):
        assert after(served, served, node=node)[1].steps == ()


def test_a_cluster_ip_on_overlay_is_at_this_host():
    """The endpoint of a cluster IP has the host's MAC and the node's address as provider."""
    node, _ = after(state(port(), source_vip="10.244.0.3"), node=windows(type="Overlay"))
    made = node.hns.endpoint_at("10.96.0.10")

    assert (made.mac, made.provider) == (node.hns.mac, "192.0.2.1")


def test_ports_share_a_health_check():
    """Two ports of a service have one load balancer for its health check, which stays until both are gone."""
    one, two = (port(part=part, number=number, load_balancer_vips=(VIP,)) for part, number in (("a", 80), ("b", 81)))
    asked = {"forward_health_check_vip": True, "root_hns_endpoint_name": "gateway"}
    both = state(one, two, **asked)

    assert (VIP, 10256) in fronts(after(both)[0])
    assert (VIP, 10256) in fronts(after(both, state(two, **asked))[0])
    assert fronts(after(both, state(**asked))[0]) == set()


def test_two_services_at_one_front():
    """The first service keeps a front that a second one, with other endpoints, asks for too; a note says so."""
    other = EndpointInfo(address="10.244.1.6", port=8080)
    _, program = after(
        state(
            port("a", external_ips=(VIP,)), port("b", cluster_ip="10.96.0.11", endpoints=(other,), external_ips=(VIP,))
        )
    )

    assert f"default/b: port 80 of {VIP} belongs to default/a" in program.notes


addresses = st.frozensets(st.sampled_from(["203.0.113.1", "203.0.113.2", "203.0.113.3"]))


@given(st.lists(st.tuples(addresses, addresses), min_size=1, max_size=5))
def test_external_ips_pass_between_services(history):
    """However addresses pass between services, HNS ends with the fronts that a fresh start gives."""
    states = [
        state(
            port("a", external_ips=tuple(sorted(one))),
            port("b", cluster_ip="10.96.0.11", external_ips=tuple(sorted(other))),
        )
        for one, other in history
    ]

    assert fronts(after(*states)[0]) == fronts(after(states[-1])[0])
