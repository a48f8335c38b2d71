"""A second world: the same answers, nothing shared that changes, and a way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.worlds import RANDOM, fingerprint, router, syn
from rulesets import packets, rulesets, text_of
from svcsim import Node
from svcsim.explain.copying import twin
from svcsim.explain.world import World
from svcsim.lab.cluster import MODES, example_node
from svcsim.rng import Stream, Streams


def busy_node(seed: int = 0) -> Node:
    """A node with rules that draw, sets that count, services, and connections of all of them."""
    node = router(
        "ipset create s hash:ip counters timeout 60",
        "ipset add s 192.0.2.9",
        "iptables -A FORWARD -m set --match-set s src",
        "iptables -A FORWARD -m limit --limit 5/min -m recent --set",
        "iptables -A FORWARD -j SET --add-set s dst",
        "ip addr add 10.96.0.20/32 dev lo",
        "ipvsadm -A -t 10.96.0.20:80 -s twos -p 60; ipvsadm -a -t 10.96.0.20:80 -r 10.0.2.1 -m",
        "ipvsadm -a -t 10.96.0.20:80 -r 10.0.2.2 -m",
        rules=RANDOM,
        seed=seed,
    )
    for port in range(5000, 5006):
        node.receive(syn(port=port), "cli0")
        node.receive(syn("10.96.0.20:80", port=port), "cli0")
    return node


def shown(node: Node) -> list[str]:
    """What administrators see of a node."""
    commands = ("iptables-save -c", "conntrack -L", "ipvsadm -Lnc", "ipvsadm -Ln --stats", "ipset list", "conntrack -S")
    return [node.run(command).stdout for command in commands]


def test_a_twin_is_the_same_and_apart():
    """A twin shows what the first shows, draws what it draws, and what happens to it leaves the first as it was."""
    node = busy_node()
    before, copy = fingerprint(node), twin(node)
    assert shown(copy) == shown(node)
    told = [str(copy.receive(syn(port=port), "cli0")) for port in range(6000, 6020)]
    copy.advance(100)
    copy.run("iptables -F; ipvsadm -C; ipset flush; ip link set pod0 down")

    assert fingerprint(node) == before
    assert [str(node.receive(syn(port=port), "cli0")) for port in range(6000, 6020)] == told


@pytest.mark.parametrize(
    "command",
    [
        "iptables -F; iptables -t nat -F; iptables -P FORWARD DROP",
        "ipvsadm -C",
        "ipvsadm -d -t 10.96.0.20:80 -r 10.0.2.1; ipvsadm -E -t 10.96.0.20:80 -s rr",
        "conntrack -F; ipset flush; sysctl -w net.ipv4.ip_forward=0",
        "ip link set pod0 down; ip addr flush dev cli0",
        "sleep 400",
    ],
)
def test_a_world_goes_back(command):
    """Whatever was done to a copy, it is as it was after a rewind, time and time again."""
    node = busy_node()
    world = World(node)
    first = fingerprint(world.copy)
    for port in (7000, 7001):
        world.copy.receive(syn(port=port), "cli0")
        world.copy.receive(syn("10.96.0.20:80", port=port), "cli0")
        world.copy.run(command)
        world.copy.advance(30)
        assert fingerprint(world.copy) != first
        world.rewind()
        assert fingerprint(world.copy) == first


@settings(max_examples=40, deadline=None)
@given(rulesets(), st.lists(packets(), min_size=1, max_size=5))
def test_a_world_that_went_back_answers_as_the_first_time(rules, some):
    """After a rewind the same packets get the same answers and leave the same counters."""
    world = World(router(rules=text_of(rules)))
    answers = []
    for _ in range(2):
        told = [str(world.copy.receive(packet, "pod0", trace=True).trace) for packet in some]
        answers.append((told, shown(world.copy)))
        world.rewind()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("mode", MODES)
def test_the_example_cluster_goes_back(mode):
    """A real node's rules and services are put back, too."""
    world = World(example_node(mode))
    first = fingerprint(world.copy)
    for port in range(20):
        world.copy.receive(syn("10.96.200.80:80", port=5000 + port, client="10.244.1.7"), "cni0")
    world.rewind()
    assert fingerprint(world.copy) == first


def test_another_kind_can_take_the_place_of_a_class():
    """*instead* makes the shell; its state is that of the original."""

    class Other(Stream):
        __slots__ = ()

    stream = Streams(seed=4)["dice"]
    stream.u64()
    made = World([stream, stream], {Stream: lambda _: Other(0)}).copy
    assert type(made[0]) is Other and made[0] is made[1]
    assert (made[0].key, made[0].ordinal) == (stream.key, 1)
