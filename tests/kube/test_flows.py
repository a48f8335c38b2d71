"""Flows: every endpoint that can be chosen, or why there is none; what comes after what; files that are wrong."""

from __future__ import annotations

import json

import pytest

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.kube.flows import answer_case
from svcsim.kube.flows_file import read_flows

NODE = {"name": "node-a", "nodeIPs": ["192.0.2.10"], "interfaces": {"lo": ["127.0.0.1/8"], "ens3": ["192.0.2.10/24"]}}


def service(kind="LoadBalancer", **spec):
    return {
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"type": kind, "clusterIP": "10.200.0.9", "ports": [{"name": "http", "port": 80, "nodePort": 30005}]}
        | spec,
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.77"}]}},
    }


def slice_of(*ends):
    return {
        "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "nodeName": node} for address, node in ends],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def flow(source, target, port=80, protocol="TCP"):
    return {"name": "asked", "sourceIP": source, "destIP": target, "destPort": port, "protocol": protocol}


def case(*flows, mode="iptables", services=(), slices=(), name="it", after="", **config):
    made = {
        "name": name,
        "family": "IPv4",
        "node": NODE,
        "config": {"mode": mode, "clusterCIDRs": ["10.128.0.0/14"]} | config,
        "services": list(services),
        "endpointslices": list(slices),
        "flows": list(flows),
    }
    return made | ({"after": after} if after else {})


def answers(*cases):
    """The answers of the last of *cases*, as texts."""
    read = read_flows(json.dumps({"cases": cases}), "test.json")
    return [str(answer) for answer in answer_case(list(read.values())[-1], read)]


HERE, THERE = ("10.128.3.5", "node-a"), ("10.128.9.6", "node-b")


@pytest.mark.parametrize("mode", ["iptables", "ipvs"])
def test_who_is_masqueraded(mode):
    """Pods are not, inside; everybody else is, and so is an endpoint that calls itself."""
    asked = case(
        flow("10.128.3.7", "10.200.0.9"),
        flow("203.0.113.4", "10.200.0.9"),
        flow("203.0.113.4", "192.0.2.10", 30005),
        flow("192.0.2.10", "198.51.100.77"),
        mode=mode,
        services=[service()],
        slices=[slice_of(HERE, THERE)],
    )
    both = "10.128.3.5:8080, 10.128.9.6:8080"
    assert answers(asked) == [both, f"{both}, masqueraded", f"{both}, masqueraded", f"{both}, masqueraded"]

    alone = case(flow("10.128.3.5", "10.200.0.9"), mode=mode, services=[service()], slices=[slice_of(HERE)])
    assert answers(alone) == ["10.128.3.5:8080, masqueraded"]


def test_policy_local():
    """A client gets the endpoints here, a pod all of them; without any here the client is dropped."""
    local = service(externalTrafficPolicy="Local")
    asked = [flow("203.0.113.4", "198.51.100.77"), flow("10.128.3.7", "198.51.100.77")]

    assert answers(case(*asked, services=[local], slices=[slice_of(HERE, THERE)])) == [
        "10.128.3.5:8080",
        "10.128.3.5:8080, 10.128.9.6:8080",
    ]
    assert answers(case(*asked, services=[local], slices=[slice_of(THERE)])) == ["DROP", "10.128.9.6:8080"]
    assert answers(case(*asked, mode="ipvs", services=[local], slices=[slice_of(THERE)])) == ["10.128.9.6:8080"] * 2


def test_every_rule_that_refuses_is_told():
    """Outside the source ranges, and without a local endpoint: two rules would each drop it."""
    ranged = service(externalTrafficPolicy="Local", loadBalancerSourceRanges=["203.0.113.0/25"])

    assert answers(case(flow("203.0.113.200", "198.51.100.77"), services=[ranged], slices=[slice_of(THERE)])) == [
        "DROP, DROP"
    ]


def test_health_checks_and_what_is_nobodys():
    """The health check's port is let in by a rule; an unused port of a cluster IP is left alone, or refused by ipvs."""
    checked = service(externalTrafficPolicy="Local", healthCheckNodePort=32005)
    asked = [flow("203.0.113.4", "192.0.2.10", 32005), flow("10.128.3.7", "10.200.0.9", 81)]

    assert answers(case(*asked, services=[checked], slices=[slice_of(HERE)])) == ["ACCEPT", "left alone"]
    assert answers(case(*asked, mode="ipvs", services=[checked], slices=[slice_of(HERE)])) == ["ACCEPT", "REJECT"]


@pytest.mark.parametrize("scheduler", ["rr", "lc", "wrr", "sed", "mh"])
def test_schedulers_show_whom_they_can_choose(scheduler):
    """Enough connections are made that every scheduler that spreads them has shown all endpoints."""
    ends = [(f"10.128.3.{n}", "node-a") for n in range(10, 21)]

    (found,) = answers(
        case(
            flow("10.128.3.7", "10.200.0.9"),
            mode="ipvs",
            services=[service()],
            slices=[slice_of(*ends)],
            scheduler=scheduler,
        )
    )

    assert found.split(", ") == sorted(f"{address}:8080" for address, _ in ends)


def test_affinity_binds_a_client_not_the_answer():
    """With affinity every endpoint can still be chosen, by one client or another."""
    sticky = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    for mode in ("iptables", "ipvs"):
        found = answers(
            case(flow("10.128.3.7", "10.200.0.9"), mode=mode, services=[sticky], slices=[slice_of(HERE, THERE)])
        )
        assert found == ["10.128.3.5:8080, 10.128.9.6:8080"]


def test_after():
    """A case that comes after another is synced on top of it, with the same end."""
    first = case(services=[service()], slices=[slice_of(HERE, THERE)], name="first")
    second = case(
        flow("10.128.3.7", "10.200.0.9"), services=[service()], slices=[slice_of(THERE)], name="second", after="first"
    )

    assert answers(first, second) == ["10.128.9.6:8080"]


def test_bad_addresses_are_read_as_kube_proxy_reads_them():
    """Leading zeros are decimal; blanks around source ranges go."""
    odd = service(clusterIP="10.200.0.009", loadBalancerSourceRanges=[" 203.0.113.000/25 "])
    asked = [
        flow("10.128.3.7", "10.200.0.9"),
        flow("203.0.113.4", "198.51.100.77"),
        flow("203.0.113.200", "198.51.100.77"),
    ]

    assert answers(case(*asked, services=[odd], slices=[slice_of(HERE)])) == [
        "10.128.3.5:8080",
        "10.128.3.5:8080, masqueraded",
        "DROP",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"cases": 3}', "cases: not a list"),
        ('{"cases": [{}]}', r"cases\[0\].name is missing"),
        (json.dumps({"cases": [case(name="x"), case(name="x")]}), "two cases 'x'"),
        (json.dumps({"cases": [case(name="x", after="y")]}), "no case 'y'"),
        (json.dumps({"cases": [case(name="x", after="y"), case(name="y", after="x")]}), "comes after itself"),
        (json.dumps({"cases": [case(name="x") | {"family": "IPX"}]}), "IPv4 or IPv6"),
        (json.dumps({"cases": [case(flow("10.0.0.1", "10.0.0.2", "http"))]}), "destPort: not a whole number"),
    ],
)
def test_files_that_are_wrong(text, message):
    """Each is refused with its name and place."""
    with pytest.raises(ConfigError, match=rf"^test.json: .*{message}"):
        read_flows(text, "test.json")


def test_modes_that_are_not_modelled():
    """They are named."""
    with pytest.raises(UnsupportedError, match="nftables"):
        answers(case(mode="nftables"))
