"""Asking changes nothing and answers what would happen: what is explained is what the next packet does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.worlds import RANDOM, fingerprint, router, syn
from rulesets import packets, rulesets, text_of
from svcsim import ConfigError, Packet
from svcsim.explain.asking import Journey
from svcsim.explain.fate import fate_of
from svcsim.hooks import Owner

#: Rules of chance and memory, of which some are put into a chain.
_CLAUSES = (
    "-m statistic --mode random --probability 0.25 -j DROP",
    "-m statistic --mode random ! --probability 0.4 -j LOG",
    "-m statistic --mode nth --every 2 --packet 0 -j DROP",
    "-m limit --limit 1/hour --limit-burst 2 -j ACCEPT",
    "-m recent --set --name seen",
    "-m recent --rcheck --name seen --hitcount 2 -j REJECT",
    "-p tcp -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    "-m connlimit --connlimit-above 2 -j DROP",
    "-m quota --quota 100 -j ACCEPT",
    "-m set --match-set seen src -j RETURN",
    "-j SET --add-set seen src",
    "-j MARK --set-xmark 0x1/0x1",
)
_some_clauses = st.lists(st.sampled_from(_CLAUSES), max_size=5)


def a_router(clauses, seed=0):
    """A router with a service of three endpoints, and these rules for what it forwards."""
    rules = (f"iptables -A FORWARD {clause}" for clause in clauses)
    return router("ipset create seen hash:ip counters", *rules, rules=RANDOM, seed=seed)


@settings(max_examples=40, deadline=None)
@given(rulesets(), packets(), st.booleans(), st.booleans())
def test_asking_changes_nothing(rules, packet, reply, branches):
    """Counters, connections, draws and clock are after a question what they were before."""
    node = router(rules=text_of(rules))
    before = fingerprint(node)
    asked = node.explain(packet, "pod0", reply=reply, branches=branches)
    asked.line(), asked.hops(), asked.full(), asked.to_dict(), asked._repr_html_()
    node.why_dropped(packet, "pod0")
    for number in range(1, len(rules["FORWARD"]) + 1):
        node.why_not(packet, "pod0", "filter", "FORWARD", number)
    assert fingerprint(node) == before


@settings(max_examples=40, deadline=None)
@given(_some_clauses, st.integers(0, 99))
def test_what_is_explained_is_what_happens_next(clauses, seed):
    """Packet for packet, where nothing but memory and chance decides: the answer to the question is the outcome."""
    node = a_router(clauses, seed)
    for port in (1, 1, 2, 3):
        packet = syn(port=4000 + port)
        before = fingerprint(node)
        asked = node.explain(packet, "cli0", branches=True)
        assert fingerprint(node) == before
        happened = node.receive(packet, "cli0", trace=True)
        assert (str(asked.outcome), asked.verdict) == (str(happened), happened.verdict)
        assert asked.fate == fate_of(packet, happened)


@settings(max_examples=40, deadline=None)
@given(_some_clauses, st.integers(0, 1 << 20))
def test_what_happens_is_one_of_the_branches(clauses, first):
    """Whatever the seed, the packet goes one of the enumerated ways; the probabilities of all make 1."""
    found = a_router(clauses).explain(syn(), "cli0", branches=True).branches
    assert sum(branch.probability for branch in found) == 1
    fates = {branch.fate for branch in found}
    told = {(branch.fate, str(branch.way.outcome)) for branch in found}
    for seed in range(first, first + 8):
        happened = a_router(clauses, seed).receive(syn(), "cli0", trace=True)
        assert fate_of(syn(), happened) in fates
        assert (fate_of(syn(), happened), str(happened)) in told


@settings(max_examples=30, deadline=None)
@given(_some_clauses)
def test_a_journey_starts_where_the_first_did(clauses):
    """One journey after the other finds the node as it was, with its draws and all."""
    node = a_router(clauses)
    node.receive(syn(port=77), "cli0")
    journey = Journey(node, syn(), "cli0", Owner(), 0)
    whole = []
    for _ in range(3):
        told = [str(event) for event in journey.go().trace]
        journey.branches(most=20)
        journey.go()  # the packet has passed once
        whole.append((told, fingerprint(journey.node)))
    assert whole[1] == whole[0] == whole[2]


def test_the_way_back_is_explained():
    """The endpoint's answer comes by pod0 and leaves in the service's name, wherever the request was led."""
    asked = router(rules=RANDOM).explain(syn(), "cli0", reply=True)
    (answer,) = asked.answers
    assert answer.iface == "pod0" and str(answer.packet).startswith(f"TCP {asked.backend} > 192.0.2.9:40000 [SA]")
    assert "sent by cli0: TCP 10.96.0.10:80 > 192.0.2.9:40000" in answer.hops() and answer.hops() in asked.hops()


@pytest.mark.parametrize(
    ("rule", "remark"),
    [
        ("iptables -A FORWARD -j DROP", "nobody answers: it was dropped"),
        ("iptables -A FORWARD -j REJECT", "nobody answers but this host: ICMP 192.0.2.1 > 192.0.2.9"),
        ("iptables -A FORWARD -m cpu --cpu 1 -j DROP", "whether anybody answers is not known"),
    ],
)
def test_why_there_is_no_answer(rule, remark):
    """Where no answer comes, it is said why."""
    asked = router(rule).explain(syn("10.0.1.1:80"), "cli0", reply=True)
    assert not asked.answers and asked.remark.startswith(remark)


def test_an_answer_of_a_direct_server_does_not_come_by():
    """A destination of IPVS that answers the client itself is not waited for."""
    service = "ipvsadm -A -t 10.96.0.10:80 -s rr; ipvsadm -a -t 10.96.0.10:80 -r 10.0.1.1:80 -g"
    asked = router("ip addr add 10.96.0.10/32 dev lo", service).explain(syn(), "cli0", reply=True)
    assert "straight to the client" in asked.remark and not asked.answers


def test_what_the_host_sends_is_explained():
    """Without a device the host sends it: as an owner, with a mark, and its process takes the answer."""
    node = router("iptables -A OUTPUT -m owner --uid-owner 7 -m mark --mark 3 -j ACCEPT", "iptables -P OUTPUT DROP")
    packet = Packet.tcp("10.0.0.1:5000", "10.0.1.1:80")
    asked = node.explain(packet, owner=Owner(uid=7), mark=3, reply=True)
    assert asked.fate == "sent to 10.0.1.1:80 by pod0" and "delivered to" in asked.answers[0].line()
    assert node.explain(packet, mark=3).dropped_by == node.why_dropped(packet) == "filter OUTPUT: policy DROP"


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        ("iptables -A FORWARD -p tcp -j DROP", "filter FORWARD rule 1: -p tcp -j DROP"),
        ("iptables -N X; iptables -A FORWARD -j X; iptables -A X -j DROP", "filter X rule 1: -j DROP"),
        ("iptables -t mangle -P PREROUTING DROP", "mangle PREROUTING: policy DROP"),
        ("sysctl -w net.ipv4.ip_forward=0", "forwarding is off"),
        ("ip route add blackhole 10.0.1.0/24", "blackhole"),
        ("true", "not dropped: sent to 10.0.1.1:80 by pod0"),
        ("iptables -A FORWARD -m osf --genre Linux -p tcp -j DROP", "not known: -m osf --genre Linux is not modelled"),
    ],
)
def test_what_drops_my_packet_is_one_call(commands, said):
    """A rule, a policy, the host, a route, nothing, or nobody knows: in one line."""
    assert said in router(commands).why_dropped(syn("10.0.1.1:80"), "cli0")


def test_a_device_that_is_not_there_is_refused():
    """A question about no device of this node is an error, and changes nothing."""
    node = router(rules=RANDOM)
    before = fingerprint(node)
    for ask in (node.explain, node.why_dropped):
        with pytest.raises(ConfigError, match="nodev"):
            ask(syn(), "nodev")
    with pytest.raises(ConfigError, match="not a number of branches: -1"):
        node.explain(syn(), "cli0", most=-1)
    assert fingerprint(node) == before
