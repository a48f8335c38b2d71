"""The kernelspace mode: load balancers and their flags, endpoints elsewhere, updates, and what Windows does not know."""

from __future__ import annotations

import json

import attrs
import pytest

from kube.objects import pods, port, state
from svcsim.addr import Prefix
from svcsim.errors import ConfigError
from svcsim.kube.config import WinkernelConfig
from svcsim.kube.kernelspace import KernelspaceProgrammer
from svcsim.kube.programmer import Program, Step
from svcsim.kube.state import ServedPort
from svcsim.kube.windows import WindowsNode
from svcsim.lb.hns import Hns, LoadBalancerFlags, PortMappingFlags
from svcsim.packet import Packet


def windows(own=(5,), **options):
    return WindowsNode(Hns(addresses=["192.0.2.10"], **options), pods={f"pod-{n}": f"10.128.3.{n}" for n in own})


def programmed(*ports, node=None, proxy=None, **config):
    """A node after a sync of *ports*, and what was programmed."""
    node, proxy = node or windows(), proxy or KernelspaceProgrammer()
    program = proxy.sync(state(*ports, mode="kernelspace", **config), node)
    program.apply(node)
    return node, proxy, program


def fronts(node):
    """The load balancers by their fronts: the endpoints' last numbers, and both kinds of flags."""
    return {
        (each.vip, each.external_port): (
            sorted(int(node.hns.endpoints[id].ip.rpartition(".")[2]) for id in each.endpoints),
            int(each.flags),
            int(each.mapping),
        )
        for each in node.hns
    }


EVERYWAY = {"node_port": 30005, "external_ips": ("198.51.100.9",), "load_balancer_vips": ("198.51.100.77",)}
HERE, ELSEWHERE = pods(5, local=True), pods(6)


def test_every_way_in_has_a_load_balancer():
    """Cluster IP, node port, external IP and load balancer, each with its flags."""
    node, _, _ = programmed(port(endpoints=HERE + ELSEWHERE, **EVERYWAY))

    assert fronts(node) == {
        ("10.200.0.9", 80): ([5, 6], 0, 0),
        ("", 30005): ([5, 6], 0, PortMappingFlags.LOCAL_ROUTED_VIP | PortMappingFlags.VIP_EXTERNAL_IP),
        ("198.51.100.9", 80): ([5, 6], 0, PortMappingFlags.VIP_EXTERNAL_IP),
        ("198.51.100.77", 80): ([5, 6], 0, PortMappingFlags.VIP_EXTERNAL_IP),
    }


def test_local_policy_takes_direct_return():
    """externalTrafficPolicy Local is kept only where HNS can return directly."""
    served = port(endpoints=HERE + ELSEWHERE, external_local=True, **EVERYWAY)

    found = fronts(programmed(served)[0])
    assert found["10.200.0.9", 80][0] == [5, 6]
    assert all(found[front][:2] == ([5], LoadBalancerFlags.DSR) for front in found if front[0] != "10.200.0.9")
    found = fronts(programmed(served, node=windows(dsr=False))[0])
    assert all(ends == [5, 6] and not flags for ends, flags, _ in found.values())


def test_no_endpoints_no_load_balancer():
    """Nobody refuses: without endpoints HNS knows nothing of the service."""
    node, _, program = programmed(port(**EVERYWAY))

    assert list(node.hns) == []
    assert program.steps == ()


def test_endings_count_for_load_balancers_alone():
    """Endpoints that all end stand in only if the service has a load balancer's address; the other ways in close."""
    ending = pods(6, ready=False, serving=True, terminating=True)

    assert list(programmed(port(endpoints=ending, node_port=30005))[0].hns) == []
    assert set(fronts(programmed(port(endpoints=ending, **EVERYWAY))[0])) == {("10.200.0.9", 80), ("198.51.100.77", 80)}


def test_endpoints_elsewhere():
    """They are made with a MAC that says their address, shared, and deleted with the last service that uses them."""
    first, second = port("one", ELSEWHERE), port("two", ELSEWHERE, cluster_ip="10.200.0.8")
    node, proxy, program = programmed(first, second)

    assert [step.command for step in program.steps].count("hcn endpoint create") == 1
    assert node.hns.endpoint_at("10.128.3.6").mac == "02-11-0a-80-03-06"
    programmed(first, node=node, proxy=proxy)
    assert node.hns.endpoint_at("10.128.3.6") is not None
    programmed(node=node, proxy=proxy)
    assert node.hns.endpoint_at("10.128.3.6") is None
    assert list(node.hns) == []


def test_an_own_pod_that_hns_does_not_know():
    """It is passed over until the CNI has made its endpoint."""
    node, _, _ = programmed(port(endpoints=HERE + ELSEWHERE), node=windows(own=()))

    assert fronts(node)["10.200.0.9", 80][0] == [6]


def test_overlay():
    """On an overlay endpoints are behind their hosts' addresses, and the source is the configured one."""
    subnets = {Prefix.parse("10.128.3.0/24"): "192.0.2.11"}
    win = WinkernelConfig(source_vip="10.128.9.9")
    node, _, _ = programmed(port(endpoints=ELSEWHERE), node=windows(type="Overlay", subnets=subnets), winkernel=win)

    assert node.hns.endpoint_at("10.128.3.6").provider == "192.0.2.11"
    assert node.hns.endpoint_at("10.200.0.9").provider == "192.0.2.10"
    assert next(iter(node.hns)).source_vip == "10.128.9.9"


@pytest.mark.parametrize(("modifies", "verbs"), [(True, ["modify"]), (False, ["delete", "create"])])
def test_a_change_of_endpoints(modifies, verbs):
    """It changes a load balancer in place where HNS can; the same state changes nothing."""
    node, proxy, _ = programmed(port(endpoints=HERE), node=windows(modifies=modifies))

    assert programmed(port(endpoints=HERE), node=node, proxy=proxy)[2].steps == ()
    program = programmed(port(endpoints=HERE + ELSEWHERE), node=node, proxy=proxy)[2]
    assert [step.command.split()[2] for step in program.steps if "loadbalancer" in step.command] == verbs
    assert fronts(node)["10.200.0.9", 80][0] == [5, 6]


def test_a_change_of_the_service():
    """It rebuilds the service's load balancers."""
    node, proxy, _ = programmed(port(endpoints=HERE))

    program = programmed(port(endpoints=HERE, affinity_seconds=60), node=node, proxy=proxy)[2]

    assert [step.command.split()[2] for step in program.steps] == ["delete", "create"]
    assert next(iter(node.hns)).distribution == 2


def test_the_first_sync_begins_with_nothing():
    """Load balancers that were there before the process are deleted."""
    node, _, _ = programmed(port(endpoints=HERE))

    _, _, program = programmed(node=node, proxy=KernelspaceProgrammer())

    assert [step.command for step in program.steps] == ["hcn loadbalancer delete"]
    assert list(node.hns) == []


def test_health_checks_are_forwarded():
    """With forwardHealthCheckVip a load balancer's own checks reach the host's endpoint."""
    win = WinkernelConfig(root_hns_endpoint_name="pod-5", forward_health_check_vip=True)
    node, _, _ = programmed(port(endpoints=HERE, health_check_node_port=32000, **EVERYWAY), winkernel=win)

    assert fronts(node)["198.51.100.77", 32000][0] == [5]


def test_what_windows_does_not_know():
    """Each thing that is asked for and not done is named."""
    served = port(endpoints=HERE, source_ranges=(Prefix.parse("10.0.0.0/8"),), affinity_seconds=5)
    _, _, program = programmed(served, masquerade_all=True)

    assert len(program.notes) == 3
    assert all("Windows does not know" in note for note in program.notes)


def test_flows_keep_their_endpoint():
    """A flow keeps its endpoint while others come; with affinity all flows of a client have one."""
    many = HERE + pods(*range(20, 40))
    node, proxy, _ = programmed(port(endpoints=many))
    calls = [Packet.tcp(f"203.0.113.9:{40000 + n}", "10.200.0.9:80") for n in range(50)]
    before = [node.decide(call).endpoint.ip for call in calls]

    programmed(port(endpoints=many + pods(99)), node=node, proxy=proxy)

    assert [node.decide(call).endpoint.ip for call in calls] == before
    assert len(set(before)) > 10
    sticky, _, _ = programmed(port(endpoints=many, affinity_seconds=60))
    assert len({sticky.decide(call).endpoint.ip for call in calls}) == 1
    assert node.decide(Packet.tcp("203.0.113.9:1", "10.200.0.9:81")) is None


@pytest.mark.parametrize(
    "request_",
    [
        Step("hcn loadbalancer delete", '{"ID": "none"}'),
        Step("hcn endpoint create", "{"),
        Step("hcn endpoint create", "{}"),
        Step("hcn policy create", "{}"),
        Step("netsh reset", "{}"),
    ],
)
def test_requests_that_are_wrong(request_):
    """HNS refuses them with a word and stays as it was."""
    node = windows()
    before = json.dumps([each.to_json() for each in node.hns.endpoints.values()])

    with pytest.raises(ConfigError, match=r"hcn|netsh"):
        Program((request_,)).apply(node)

    assert json.dumps([each.to_json() for each in node.hns.endpoints.values()]) == before


def test_two_families_leave_each_other_alone():
    """The deletions of a process's beginning are those of its own family."""
    node, _, _ = programmed(port(endpoints=HERE))
    six = attrs.evolve(next(iter(node.hns)), id="six", vip="fd00::9", flags=LoadBalancerFlags.IPV6)
    node.hns.add_load_balancer(six)

    programmed(ServedPort(port().info), node=node, proxy=KernelspaceProgrammer())

    assert [each.id for each in node.hns] == ["six"]
