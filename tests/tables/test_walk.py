"""The walk: what decides, what is counted, what is told; against an interpreter that does it in the plainest way."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulesets import fresh, packets, rulesets, skb_of, state_at, text_of
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tables.rule import Jump, Rule
from svcsim.tables.table import Table
from svcsim.tables.target import Target
from svcsim.tables.walk import walk
from svcsim.trace import Policy, RuleMatched, Trace, Walked

TCP = Packet.tcp("10.0.0.1:40000", "10.0.0.2:80")


class Plain:
    """The specification's interpreter: a list of rules a chain, everything asked of every rule, everything counted."""

    def __init__(self, table: Table) -> None:
        self.chains = {name: [link.rule for link in chain] for name, chain in table.chains.items()}
        self.policy = {name: chain.policy for name, chain in table.chains.items()}
        self.matched: Counter[tuple[str, int]] = Counter()
        self.bytes: Counter[tuple[str, int]] = Counter()
        self.asked: Counter[tuple[str, int]] = Counter()

    def walk(self, base: str, skb: Skb, state: HookState) -> Verdict:
        chain, at = base, 0
        calls: list[tuple[str, int]] = []
        while True:
            rules = self.chains[chain]
            if at == len(rules):
                if not calls:
                    self._count(base, -1, skb)
                    policy = self.policy[base]
                    assert policy is not None
                    return policy
                chain, at = calls.pop()
                continue
            rule = rules[at]
            self.asked[chain, at] += 1
            answer = self._fits(rule, skb, state)
            if answer is None:
                return Verdict.DROP
            at += 1
            if not answer:
                continue
            self._count(chain, at - 1, skb)
            target = rule.target
            if isinstance(target, Jump):
                if not target.goto:
                    calls.append((chain, at))
                chain, at = target.chain, 0
            elif isinstance(target, Target):
                if target.returns:
                    if not calls:
                        chain, at = base, len(self.chains[base])
                    else:
                        chain, at = calls.pop()
                    continue
                verdict = target.apply(skb, state)
                if verdict is not None:
                    return verdict

    def _count(self, chain: str, at: int, skb: Skb) -> None:
        self.matched[chain, at] += 1
        self.bytes[chain, at] += skb.length

    @staticmethod
    def _fits(rule: Rule, skb: Skb, state: HookState) -> bool | None:
        header = rule.header
        for prefix, address, inverted in (
            (rule.source, skb.src, header.not_source),
            (rule.destination, skb.dst, header.not_destination),
        ):
            if prefix is not None and (address & prefix.mask == prefix.value) == inverted:
                return False
        for name, device, inverted in (
            (header.indev, state.indev, header.not_indev),
            (header.outdev, state.outdev, header.not_outdev),
        ):
            fits = device.startswith(name[:-1]) if name.endswith("+") else device == name
            if name and fits == inverted:
                return False
        if header.proto and (skb.proto == header.proto) == header.not_proto:
            return False
        if header.fragment and bool(skb.original.fragment_offset) == header.not_fragment:
            return False
        for match in rule.matches:
            answer = match.matches(skb, state)
            if not answer:
                return answer
        return True


@settings(max_examples=150)
@given(rules=rulesets(), sent=st.lists(packets(), max_size=12), policy=st.sampled_from(["ACCEPT", "DROP"]))
def test_like_the_plainest_interpreter(rules, sent, policy):
    """Verdicts, marks, matches, bytes, and how often each rule was asked are those of a walk that does it rule by rule."""
    ruleset = fresh()
    ruleset.restore(text_of(rules, policy))
    table = ruleset["filter"]
    state = state_at(table, ruleset)
    plain = Plain(table)
    for packet in sent:
        mine, other = skb_of(packet), skb_of(packet)

        assert walk(table, mine, state) is plain.walk("FORWARD", other, state)
        assert mine.mark == other.mark
    for name, chain in table.chains.items():
        for at, (link, asked) in enumerate(chain.asked()):
            assert (link.packets, link.bytes) == (plain.matched[name, at], plain.bytes[name, at]), (name, at)
            assert asked == plain.asked[name, at], (name, at)
    assert table.chains["FORWARD"].end.packets == plain.matched["FORWARD", -1]


@settings(max_examples=60)
@given(rules=rulesets(), packet=packets())
def test_a_trace_tells_the_same_walk(rules, packet):
    """With a trace the verdict is the same, and the stretches it tells hold exactly the rules that were asked."""
    ruleset = fresh()
    ruleset.restore(text_of(rules))
    table = ruleset["filter"]
    state = state_at(table, ruleset)
    traced = Skb(packet, "eth0", Trace())

    assert walk(table, traced, state) is walk(table, skb_of(packet), state)
    told: Counter[tuple[str, int]] = Counter()
    matched: Counter[tuple[str, int]] = Counter()
    for event in traced.trace:
        if isinstance(event, Walked):
            told.update((event.chain.name, number) for number in range(event.start, event.stop + 1))
        elif isinstance(event, RuleMatched):
            matched[event.chain.name, event.number] += 1
    for name, chain in table.chains.items():
        for number, (link, asked) in enumerate(chain.asked(), 1):
            assert asked == 2 * told[name, number], (name, number)
            assert link.packets == 2 * matched[name, number], (name, number)


def one(text: str, packet: Packet = TCP, hook: Hook = Hook.FORWARD) -> tuple[Verdict, Table]:
    """The verdict of a filter table with these lines on *packet*."""
    ruleset = fresh()
    ruleset.restore(f"*filter\n{text}\nCOMMIT\n")
    table = ruleset["filter"]
    return walk(table, skb_of(packet), state_at(table, ruleset, hook)), table


def matched(table: Table, name: str) -> list[int]:
    """Packets of each rule of a chain, and of its policy at the end if it has one."""
    chain = table.chains[name]
    return [link.packets for link in chain] + ([chain.end.packets] if chain.builtin else [])


def test_policy_counts_what_no_rule_decided():
    """RETURN from a built-in chain and falling off its end count at the policy; a verdict of a rule does not."""
    for text, counts in (("-A FORWARD -j RETURN", [1, 1]), ("-A FORWARD", [1, 1]), ("-A FORWARD -j ACCEPT", [1, 0])):
        verdict, table = one(text)

        assert verdict is Verdict.ACCEPT and matched(table, "FORWARD") == counts


def test_goto_with_nowhere_to_return_to():
    """A goto from a built-in chain ends at that chain's policy, past the rest of it."""
    verdict, table = one(":FORWARD DROP [0:0]\n:U - [0:0]\n-A FORWARD -g U\n-A FORWARD -j ACCEPT\n-A U -j RETURN")

    assert verdict is Verdict.DROP
    assert matched(table, "FORWARD") == [1, 0, 1]


def test_goto_within_a_call():
    """The end of a chain that one went to comes back behind the last jump, not behind the goto."""
    lines = [":U - [0:0]", ":V - [0:0]", "-A FORWARD -j U", "-A FORWARD -j DROP", "-A U -g V", "-A U -j ACCEPT", "-A V"]
    verdict, table = one("\n".join(lines))

    assert verdict is Verdict.DROP
    assert matched(table, "U") == [1, 0] and matched(table, "FORWARD") == [1, 1, 0]


def test_two_hundred_nested_chains():
    """Chains nest as deep as one likes."""
    chains = [f"C{number}" for number in range(200)]
    lines = [f":{chain} - [0:0]" for chain in chains] + [f"-A FORWARD -j {chains[0]}"]
    lines += [f"-A {chain} -j {inner}" for chain, inner in pairwise(chains)]
    verdict, table = one("\n".join([*lines, f"-A {chains[-1]} -j DROP"]))

    assert verdict is Verdict.DROP and all(matched(table, chain) == [1] for chain in chains)


@pytest.mark.parametrize(
    "rule", ["-p tcp -m tcp --dport 80", "-p tcp -m multiport --dports 80", "-p tcp -m tcp ! --dport 80"]
)
def test_too_short_to_judge(rule):
    """A packet that is too short for a match is dropped at once: neither that rule nor the policy counts it."""
    short = Packet.opaque("10.0.0.1", "10.0.0.2", 6, b"\x00")
    verdict, table = one(f"-A FORWARD\n-A FORWARD {rule} -j ACCEPT\n-A FORWARD -j ACCEPT", short)

    assert verdict is Verdict.DROP
    assert matched(table, "FORWARD") == [1, 0, 0, 0]
    assert [asked for _, asked in table.chains["FORWARD"].asked()] == [1, 1, 0]


@pytest.mark.parametrize(("offset", "verdict"), [(1, Verdict.DROP), (2, Verdict.ACCEPT)])
def test_later_fragments(offset, verdict):
    """Ports of a later fragment never match, inverted or not; one that begins within the TCP header is dropped."""
    fragment = Packet.opaque("10.0.0.1", "10.0.0.2", 6, bytes(16), fragment_offset=offset)
    found, table = one("-A FORWARD -p tcp -m tcp ! --dport 80 -j DROP", fragment)

    assert found is verdict and table.chains["FORWARD"].first.packets == 0


def test_missing_device():
    """A device that is not there is the empty name: it is not eth0, so ``! -i eth0`` holds."""
    ruleset = fresh()
    ruleset.restore("*filter\n:U - [0:0]\n-A OUTPUT -j U\n-A U -i eth0 -j DROP\n-A U ! -i eth0\nCOMMIT\n")
    table = ruleset["filter"]
    state = HookState(Hook.LOCAL_OUT, table.family, "", "eth1", ruleset.host)

    assert walk(table, skb_of(TCP), state) is Verdict.ACCEPT
    assert matched(table, "U") == [0, 1]


def test_counting_comes_before_the_target_acts():
    """A rule counts the packet as it is when it matches."""
    ruleset = fresh()
    ruleset.restore("*mangle\n-A FORWARD -m ttl --ttl-eq 64 -j TTL --ttl-set 9\n-A FORWARD -m ttl --ttl-eq 9\nCOMMIT\n")
    table = ruleset["mangle"]
    skb = skb_of(TCP)

    assert walk(table, skb, state_at(table, ruleset)) is Verdict.ACCEPT
    assert matched(table, "FORWARD") == [1, 1, 1] and skb.ttl == 9 and skb.changed


def test_trace_says_policy():
    """The last thing told of a packet that no rule decided is the policy."""
    ruleset = fresh()
    ruleset.restore("*filter\n-A FORWARD -s 192.0.2.1\nCOMMIT\n")
    table = ruleset["filter"]
    skb = Skb(TCP, "eth0", Trace())
    walk(table, skb, state_at(table, ruleset))

    walked, policy = skb.trace
    assert (walked.start, walked.stop) == (1, 1) and isinstance(policy, Policy)


def test_trace_is_of_its_moment():
    """What is read later is told as it was: places before a rule came, the packet before a target changed it."""
    ruleset = fresh()
    ruleset.restore(
        "*mangle\n-A FORWARD -s 192.0.2.1\n-A FORWARD -j TTL --ttl-set 9\n-A FORWARD -s 192.0.2.2\nCOMMIT\n"
    )
    table = ruleset["mangle"]
    skb = Skb(TCP, "eth0", Trace())
    walk(table, skb, state_at(table, ruleset))
    skb.set_source(1, 1)
    ruleset.restore("*mangle\n-I FORWARD\n-D FORWARD 4\nCOMMIT\n", flush=False)

    asked, matched, rest, _ = skb.trace
    assert [(w.start, w.stop, w.skb.ttl, w.skb.src) for w in (asked, rest)] == [(1, 2, 64, TCP.src), (3, 3, 9, TCP.src)]
    assert matched.number == 2


def test_mangle_reroutes_what_it_changed():
    """What leaves this host is routed anew if mangle OUTPUT changed its mark, and only then."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24"])
    node.add_interface("eth1", ["198.51.100.1/24"])
    for command in (
        "ip rule add fwmark 0x7 table 77",
        "ip route add default dev eth1 table 77",
        "iptables -t mangle -A OUTPUT -p tcp --dport 7 -j MARK --set-mark 7",
        "iptables -t filter -A OUTPUT -p tcp --dport 8 -j MARK --set-mark 7",
    ):
        assert node.run(command).returncode == 0, command

    assert [sent.device for sent in node.send(Packet.tcp("192.0.2.1:9", "192.0.2.2:7")).sent] == ["eth1"]
    assert [sent.device for sent in node.send(Packet.tcp("192.0.2.1:9", "192.0.2.2:8")).sent] == ["eth0"]
