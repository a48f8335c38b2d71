"""The texts by which kube-proxy programs services."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import Prefix, parse_address
from svcsim.errors import ConfigError
from svcsim.lab.workload import POD_CIDR, Portal, endpoint_swapped, make_portals, ruleset, sync, virtual_servers

sizes = st.integers(0, 30)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize(
    "name, chain",
    [
        ("ns1/svc1:p80", "KUBE-SVC-XPGD46QRK7WJZT7O"),
        ("ns2/svc2:p80", "KUBE-SVC-GNZBNJ2PO5MGZ6GT"),
        ("ns3/svc3:p80", "KUBE-SVC-X27LE4BHSL4DOUIK"),
    ],
)
def test_chain_names_are_kube_proxys(name, chain):
    """The hash in a chain's name is the one that kube-proxy computes."""
    assert Portal(name, "tcp", "10.20.30.41", 80, ()).chain("SVC") == chain


@given(sizes, st.integers(1, 5), seeds)
def test_portals_are_distinct_and_in_their_networks(services, endpoints, seed):
    """Every service has an address of its own, every endpoint is a pod of one service only, and a seed fixes them."""
    portals = make_portals(services, endpoints, seed=seed)
    pods = [endpoint for portal in portals for endpoint in portal.endpoints]

    assert len({portal.address for portal in portals}) == services
    assert len(set(pods)) == len(pods) == services * endpoints
    assert all(parse_address(portal.address).value in Prefix.parse("10.96.0.0/12") for portal in portals)
    assert all(parse_address(pod.rpartition(":")[0]).value in Prefix.parse(POD_CIDR) for pod in pods)
    assert portals == make_portals(services, endpoints, seed=seed)


@given(sizes, st.integers(1, 5))
def test_a_service_is_two_rules_and_three_an_endpoint(services, endpoints):
    """The number of rules follows from the services: one that leads there, one for masquerading, three an endpoint."""
    text = ruleset(make_portals(services, endpoints))
    nat = text.partition("*nat\n")[2]

    assert nat.count("\n-A ") == 8 + services * (2 + 3 * endpoints)


@given(sizes, st.integers(1, 5))
def test_every_chain_that_a_rule_names_is_declared(services, endpoints):
    """No rule stands in, or leads to, a chain that the text does not make."""
    portals = [*make_portals(services, endpoints), Portal("a/b:c", "udp", "10.96.0.10", 53, ("10.244.9.9:53",), 30053)]
    for table in ruleset(portals).split("COMMIT\n")[:-1]:
        made = set(re.findall(r"^:(\S+)", table, re.M))
        named = set(re.findall(r"^-A (\S+)", table, re.M)) | set(re.findall(r"-j (KUBE-\S+)", table))

        assert named <= made


def test_node_ports_come_last():
    """The rule that leads to node ports is the last of its chain, whatever services there are."""
    lines = [line for line in ruleset(make_portals(5)).splitlines() if line.startswith("-A KUBE-SERVICES ")]

    assert lines[-1].endswith("-j KUBE-NODEPORTS")
    assert Counter("-j KUBE-NODEPORTS" in line for line in lines)[True] == 1


def test_without_endpoints_a_service_is_refused():
    """A service without endpoints has no chains, only rules that reject."""
    text = ruleset([Portal("shop/pay:https", "tcp", "10.96.71.5", 443, (), 30443)])
    rejecting = [line for line in text.splitlines() if line.endswith("-j REJECT")]

    assert "KUBE-SVC" not in text
    assert [line.split()[1] for line in rejecting] == ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"]


def test_a_partial_sync_leaves_other_services_chains_alone():
    """A chain line flushes, so only the chains of changed services and stale ones have one."""
    first, second, third = make_portals(3)
    moved = endpoint_swapped(second)
    stale = sorted(set(second.chains) - set(moved.chains))
    text = sync([first, moved, third], changed=[moved], stale=stale)
    flushed = set(re.findall(r"^:(KUBE-S(?:VC|EP)-\S+)", text, re.M))

    assert flushed == {*moved.chains, *stale}
    assert all(f"-X {chain}\n" in text for chain in stale)
    assert all(f"-j {portal.chain('SVC')}\n" in text for portal in (first, moved, third))


def test_a_swap_replaces_one_endpoint():
    """After a swap one endpoint is new, the others are the same."""
    (portal,) = make_portals(1, endpoints=4)
    moved = endpoint_swapped(portal, 2)

    assert len(set(portal.endpoints) & set(moved.endpoints)) == 3
    assert len(moved.endpoints) == 4


def test_node_ports_are_virtual_servers_at_each_address_of_the_node():
    """A node port stands at every address of the node, with the service's endpoints."""
    web = Portal("shop/web:http", "tcp", "10.96.200.80", 80, ("10.244.1.31:8080",), 30080)
    text = virtual_servers([web], node=("192.0.2.10", "10.244.1.1"), scheduler="wlc")

    assert re.findall(r"^-A -t (\S+) -s wlc$", text, re.M) == [
        "10.96.200.80:80",
        "192.0.2.10:30080",
        "10.244.1.1:30080",
    ]
    assert text.count("-r 10.244.1.31:8080 -m -w 1") == 3


def test_no_service_is_no_text():
    """Nothing to serve, nothing to say."""
    assert virtual_servers([]) == ""


@pytest.mark.parametrize("services, endpoints", [(-1, 3), (1, -1), (10**9, 1), (10**5, 10**6)])
def test_impossible_clusters_are_refused(services, endpoints):
    """Fewer than none, or more than the networks hold: refused before any work."""
    with pytest.raises(ConfigError):
        make_portals(services, endpoints)
