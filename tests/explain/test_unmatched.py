"""Why one rule did not match: the test that failed, or what kept the packet from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from explain.worlds import RANDOM, fingerprint, router, syn
from rulesets import packets, rulesets, text_of
from svcsim import ConfigError, Packet
from svcsim.errors import MissingError
from svcsim.trace import RuleMatched, Walked

#: What a rule asks for in vain, and what is said about it.
_FAILED = [
    ("-s 198.51.100.0/24", "-s 198.51.100.0/24: source is 192.0.2.9"),
    ("! -d 10.0.0.0/8", "! -d 10.0.0.0/8: destination is 10.0.1.1"),
    ("-d 10.0.1.2", "-d 10.0.1.2/32: destination is 10.0.1.1"),
    ("-i pod0", "-i pod0: input is cli0"),
    ("! -o pod+", "! -o pod+: output is pod0"),
    ("-p udp", "-p udp: protocol is tcp"),
    ("-f", "-f: not a later fragment"),
    ("-p tcp --dport 443", "-m tcp --dport 443: ports are 40000 > 80, flags 0x02"),
    ("-p tcp --tcp-flags SYN,ACK ACK", "ports are 40000 > 80, flags 0x02"),
    ("-p tcp -m multiport --sports 1,2", "-m multiport --sports 1,2: ports are 40000 > 80, flags 0x02"),
    ("-m mark --mark 7", "-m mark --mark 0x7: mark is 0x0"),
    ("-m conntrack --ctstate ESTABLISHED", "-m conntrack --ctstate ESTABLISHED: state is NEW"),
    ("-m length --length 100:200", "-m length --length 100:200: length is 40"),
    ("-m ttl --ttl-gt 64", "-m ttl --ttl-gt 64: ttl is 63"),
    ("-m iprange --src-range 10.0.0.1-10.0.0.2", "not so for 192.0.2.9 > 10.0.1.1"),
    ("-m statistic --mode random --probability 0", "--probability 0.00000000000: not this time: by chance"),
    ("-m statistic --mode nth --every 3 --packet 2", "not this time: it was not its turn"),
    ("-m recent --rcheck", "not this time: by its list of addresses"),
    ("-m connbytes --connbytes 9: --connbytes-dir both --connbytes-mode packets", "by what the connection has counted"),
    ("-m set --match-set s src", "s (hash:ip, 0 entries) does not hold 192.0.2.9 port 40000"),
    ("-p tcp -m mark --mark 7 -m comment --comment why", "-m mark --mark 0x7: mark is 0x0"),
]


@pytest.mark.parametrize(("clause", "said"), _FAILED)
def test_the_first_test_that_failed_is_named(clause, said):
    """Of a rule's tests the first that failed is told, with what the packet shows instead; so in the full story."""
    node = router("ipset create s hash:ip", f"iptables -A FORWARD {clause} -j DROP", "iptables -A FORWARD -j ACCEPT")
    packet = syn("10.0.1.1:80")
    assert said in node.why_not(packet, "cli0", "filter", "FORWARD", 1)
    assert (
        f"filter FORWARD rule 1: {node.why_not(packet, 'cli0', 'filter', 'FORWARD', 1)}"
        in node.explain(packet, "cli0").full()
    )


@pytest.mark.parametrize(
    ("commands", "where", "said"),
    [
        (
            "iptables -A FORWARD -j ACCEPT; iptables -A FORWARD -j DROP",
            ("FORWARD", 2),
            "rule 1: -j ACCEPT came before it",
        ),
        ("iptables -N A; iptables -A A -j DROP", ("A", 1), "it was not asked: nothing led to A"),
        (
            "iptables -N A; iptables -A FORWARD -p udp -j A; iptables -A A -j DROP",
            ("A", 1),
            "nothing led to A; filter FORWARD rule 1: -p udp: protocol is tcp",
        ),
        (
            "iptables -N A; iptables -A FORWARD -g A; iptables -A FORWARD -j DROP; iptables -A A -p udp",
            ("FORWARD", 2),
            "filter FORWARD rule 1: -g A came before it",
        ),
        (
            "iptables -N A; iptables -A FORWARD -j A; iptables -A A -j RETURN; iptables -A A -j DROP",
            ("A", 2),
            "filter A rule 1: -j RETURN came before it",
        ),
        ("iptables -A INPUT -j DROP", ("INPUT", 1), "the packet did not come to INPUT; sent to 10.0.1.1:80 by pod0"),
        ("iptables -A FORWARD -j ACCEPT", ("FORWARD", 1), "it matched"),
        (
            "iptables -A FORWARD -m cpu --cpu 1",
            ("FORWARD", 1),
            "not known: -m cpu --cpu 1 is not",
        ),
        (
            "iptables -N A; iptables -A FORWARD -j A; iptables -A FORWARD -p tcp -j A; iptables -A A -j MARK --set-mark 1;"
            "iptables -A A -m mark --mark 2",
            ("A", 1),
            "it matched",
        ),
    ],
)
def test_what_kept_a_packet_from_a_rule(commands, where, said):
    """A verdict, a return or a goto before it, a chain that nothing led to, another hook; or that it did match."""
    assert said in router(commands).why_not(syn("10.0.1.1:80"), "cli0", "filter", *where)


def test_chains_that_lead_to_each_other_are_told_once():
    """Callers of callers are told, and no chain twice."""
    node = router(
        "iptables -N A; iptables -N B; iptables -A FORWARD -p udp -j A; iptables -A A -j B; iptables -A B -j DROP"
    )
    assert node.why_not(syn("10.0.1.1:80"), "cli0", "filter", "B", 1) == (
        "it was not asked: nothing led to B; filter A rule 1: it was not asked: nothing led to A; "
        "filter FORWARD rule 1: -p udp: protocol is tcp"
    )


def test_rules_of_iptables_nft_and_of_ipv6():
    """Both sets of rules of a host, and both families, can be asked."""
    node = router("iptables-nft -A FORWARD -p udp -j DROP", "ip6tables -A FORWARD -p udp -j DROP")
    assert node.why_not(syn("10.0.1.1:80"), "cli0", "filter", "FORWARD", 1, nft=True) == "-p udp: protocol is tcp"
    six = Packet.tcp("[2001:db8::9]:1", "[fd00::2]:80")
    assert node.why_not(six, "cli0", "filter", "FORWARD", 1) == "-p udp: protocol is tcp"


@settings(max_examples=60, deadline=None)
@given(rulesets(), packets())
def test_every_rule_has_an_answer_that_agrees_with_the_trace(rules, packet):
    """A rule matched, was asked in vain, or was not asked: what is said of it is what the journey shows."""
    node = router(rules=text_of(rules))
    trace = node.explain(packet, "pod0").trace
    before = fingerprint(node)
    for chain, own in rules.items():
        for number in range(1, len(own) + 1):
            said = node.why_not(packet, "pod0", "filter", chain, number)
            matched = any(isinstance(e, RuleMatched) and (e.chain.name, e.number) == (chain, number) for e in trace)
            asked = any(isinstance(e, Walked) and e.chain.name == chain and e.start <= number <= e.stop for e in trace)
            assert ("it matched" in said.split("; ")) == matched
            assert said.startswith("it was not asked: ") == (not asked)
    assert fingerprint(node) == before


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        (("filter", "NOPE", 1), MissingError, "there is no chain NOPE in the table filter"),
        (("nope", "FORWARD", 1), MissingError, "in the table nope"),
        (("nat", "SVC", 4), ConfigError, "SVC has no rule 4"),
        (("nat", "SVC", 0), ConfigError, "SVC has no rule 0"),
        (("nat", "SVC", -1), ConfigError, "SVC has no rule -1"),
    ],
)
def test_a_rule_that_is_not_there_is_refused(where, error, said):
    """A table, a chain or a place in it that there is not."""
    node = router(rules=RANDOM)
    with pytest.raises(error, match=said):
        node.why_not(syn(), "cli0", *where)
