"""A trace in words, on the bundled example cluster."""

from __future__ import annotations

import pytest

from svcsim import Node, Packet
from svcsim.explain.answers import answer_to
from svcsim.explain.words import journey
from svcsim.lab.cluster import MODES, example_node


def told(node: Node, packet: Packet, device: str) -> str:
    """The journey as one text."""
    return "\n".join(journey(node.receive(packet, device, trace=True)))


def in_order(text: str, *parts: str) -> bool:
    """Whether the parts stand in the text one behind the other."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def test_rules_are_told_with_their_numbers():
    """A journey through iptables mode names hooks, chains, rules, the rewrite and the way, in the order of events."""
    text = told(example_node("iptables"), Packet.tcp("10.244.1.7:40000", "10.96.200.80:80"), "cni0")

    assert in_order(
        text,
        "PRE_ROUTING\n",
        "conntrack: new",
        "nat PREROUTING rule 1: ",
        "nat KUBE-SERVICES rule 6 (5 before it did not match): -d 10.96.200.80/32 -p tcp",
        "nat KUBE-SVC-67NZLRHBNDSAWJRO rule ",
        "nat KUBE-SEP-",
        "-j DNAT --to-destination 10.244.",
        "10.244.1.7:40000 > 10.96.200.80:80  =>  10.244.1.7:40000 > 10.244.",
        "route: ",
        "FORWARD\n",
        "POST_ROUTING\n",
        "nat KUBE-POSTROUTING rule 1: ",
        "sent by ",
    )


def test_a_packet_that_ipvs_takes_is_told_where_it_was_taken():
    """IPVS takes a request over at LOCAL_IN and sends it on from there: told in that order."""
    text = told(example_node("ipvs"), Packet.tcp("10.244.1.7:40000", "10.96.200.80:80"), "cni0")

    assert in_order(
        text,
        "PRE_ROUTING\n",
        "route: local",
        "LOCAL_IN\n",
        "ipvs: TCP 10.96.200.80:80 rr",
        "ipvs masquerading: 10.244.1.7:40000 > 10.96.200.80:80  =>  10.244.1.7:40000 > 10.244.",
        "POST_ROUTING\n",
        "sent by ",
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_answer_comes_back_in_the_services_name(mode):
    """The way back is told too, and ends with the cluster IP as the source."""
    node = example_node(mode)
    (sent,) = node.receive(Packet.tcp("10.244.1.7:40000", "10.96.200.80:80"), "cni0").sent
    text = told(node, answer_to(sent.packet), sent.device)

    assert in_order(
        text, "conntrack: established, reply", " => ", "sent by cni0: TCP 10.96.200.80:80 > 10.244.1.7:40000"
    )


def test_a_refusal_is_told():
    """A dropped packet ends with who dropped it, and what was answered."""
    text = told(example_node("iptables"), Packet.tcp("10.244.1.7:40000", "10.96.71.5:443"), "cni0")

    assert in_order(
        text, "FORWARD\n", "filter KUBE-SERVICES rule 1: ", "-j REJECT", "answered by ICMP", "sent by cni0: "
    )


def test_answers_turn_the_ends_round():
    """A datagram is answered by a datagram, a segment by a segment with the next acknowledgement."""
    segment = answer_to(Packet.tcp("10.244.1.7:40000", "10.244.2.31:8080", seq=99))
    datagram = answer_to(Packet.udp("10.244.1.7:40000", "10.244.2.53:53", b"?"))

    assert str(segment).startswith("TCP 10.244.2.31:8080 > 10.244.1.7:40000 [SA] seq 5000 ack 100")
    assert str(datagram).startswith("UDP 10.244.2.53:53 > 10.244.1.7:40000")
