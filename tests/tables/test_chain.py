"""A chain is a linked list: it does what a Python list does, counts its steps, and knows how often each rule was asked."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from rulesets import fresh, skb_of
from svcsim.addr import Address, Family, Prefix
from svcsim.hooks import Hook, HookState, Verdict
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tables.chain import ANYTHING, Chain, Link
from svcsim.tables.rule import Header, Jump, Rule
from svcsim.tables.targets import Accept
from svcsim.tables.walk import walk


def rule_for(last: int, *, accept: bool) -> Rule:
    """A rule for destination 10.0.0.*last*."""
    return Rule(None, Prefix.parse(f"10.0.0.{last}"), target=Accept() if accept else None)


class ChainIsAList(RuleBasedStateMachine):
    """Whatever is done to the chain, and however many packets walk it in between, a list with counters tells the same."""

    links = Bundle("links")

    def __init__(self) -> None:
        super().__init__()
        self.rules = fresh()
        self.table = self.rules["filter"]
        self.state = HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", self.rules.host)
        self.model: list[list] = []  # rule, times matched, times asked
        self.policy = 0

    @property
    def chain(self) -> Chain:
        return self.table.chains["FORWARD"]

    @rule(last=st.integers(1, 4), accept=st.booleans())
    def append(self, last, accept):
        new = rule_for(last, accept=accept)
        with self.table.edit() as edit:
            edit.append("FORWARD", new)
        self.model.append([new, 0, 0])
        self.policy = 0

    @rule(last=st.integers(1, 4), accept=st.booleans(), place=st.integers(0, 20))
    def insert(self, last, accept, place):
        new, place = rule_for(last, accept=accept), place % (len(self.model) + 1)
        with self.table.edit() as edit:
            edit.insert("FORWARD", place + 1, new)
        self.model.insert(place, [new, 0, 0])
        self.policy = 0

    @precondition(lambda self: self.model)
    @rule(place=st.integers(0, 20))
    def delete(self, place):
        place %= len(self.model)
        with self.table.edit() as edit:
            edit.delete("FORWARD", place + 1)
        del self.model[place]
        self.policy = 0

    @precondition(lambda self: self.model)
    @rule(place=st.integers(0, 20))
    def delete_by_value(self, place):
        wanted = self.model[place % len(self.model)][0]
        with self.table.edit() as edit:
            edit.delete_rule("FORWARD", wanted)
        del self.model[next(at for at, row in enumerate(self.model) if row[0] == wanted)]
        self.policy = 0

    @precondition(lambda self: self.model)
    @rule(last=st.integers(1, 4), place=st.integers(0, 20))
    def replace(self, last, place):
        new, place = rule_for(last, accept=False), place % len(self.model)
        with self.table.edit() as edit:
            edit.replace("FORWARD", place + 1, new)
        self.model[place] = [new, 0, 0]
        self.policy = 0

    @rule(last=st.integers(1, 4), place=st.integers(0, 20), append=st.booleans(), flush=st.booleans())
    def change_mind(self, last, place, append, flush):
        """An edit that is rolled back leaves no trace, counters included."""
        edit = self.table.edit()
        edit.insert("FORWARD", place % (len(self.model) + 1) + 1, rule_for(last, accept=True))
        if append:
            edit.append("FORWARD", rule_for(last, accept=False))
        edit.delete("FORWARD", place % (len(self.model) + 1) + 1)
        edit.zero("FORWARD")
        if flush:
            edit.flush("FORWARD")
            edit.append("FORWARD", rule_for(last, accept=False))
        edit.roll_back()

    @rule()
    def zero(self):
        with self.table.edit() as edit:
            edit.zero("FORWARD")
        for row in self.model:
            row[1] = row[2] = 0
        self.policy = 0

    @rule()
    def compact(self):
        self.chain.compact()

    @rule(last=st.integers(1, 5), times=st.integers(1, 3))
    def send(self, last, times):
        for _ in range(times):
            walk(self.table, skb_of(Packet.udp("10.0.0.9:1", f"10.0.0.{last}:1")), self.state)
            for row in self.model:
                row[2] += 1
                if Packet.udp("10.0.0.9:1", f"10.0.0.{last}:1").dst in row[0].destination:
                    row[1] += 1
                    if row[0].target is not None:
                        break
            else:
                self.policy += 1

    @invariant()
    def tells_the_same(self):
        chain = self.chain
        found = [[link.rule, link.packets, asked] for link, asked in chain.asked()]
        assert found == self.model
        assert chain.end.packets == self.policy
        assert len(chain) == len(self.model)
        assert chain.last is (list(chain)[-1] if self.model else None)
        chain.renumber()
        assert [link.number for link in chain] == list(range(1, len(self.model) + 1))


TestChainIsAList = ChainIsAList.TestCase
TestChainIsAList.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def numbered(count: int) -> Chain:
    """A chain of *count* rules that differ in their destination."""
    chain = Chain("U")
    for last in range(count):
        chain.append(Link.of(Rule(None, Prefix.parse(f"10.0.{last // 256}.{last % 256}"))))
    return chain


def test_steps():
    """Looking for a rule costs as many steps as there are links up to it; hanging one at the end costs none."""
    chain = numbered(100)
    assert chain.steps == 0
    assert chain.find(Rule(None, Prefix.parse("10.0.0.41"))) == 42 and chain.steps == 42
    assert chain.at(10).rule.destination == Prefix.parse("10.0.0.9") and chain.steps == 52
    chain.insert(8, Link.of(Rule()))
    assert chain.steps == 60
    assert chain.find(Rule(target=Jump("NONE"))) == 0 and chain.steps == 161


def test_compacting_changes_nothing_but_the_links():
    """Made anew, a chain has the same rules, keys, tests and counters in the same order."""
    node = Node()
    rules = node.rules[Family.IPV4]
    lines = "".join(f"-A FORWARD -d 10.0.0.{last} -p udp\n" for last in range(200))
    rules.restore(f"*filter\n{lines}-A FORWARD -s 10.0.0.0/8 -j DROP\nCOMMIT\n")
    chain = rules["filter"].chains["FORWARD"]
    state = HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", node)
    walk(rules["filter"], skb_of(Packet.udp("10.0.0.1:1", "10.0.0.7:1")), state)
    before = [(link.rule, link.key, link.tests, link.kind, link.packets, link.ended) for link in chain]

    moved = chain.compact()

    assert [(link.rule, link.key, link.tests, link.kind, link.packets, link.ended) for link in chain] == before
    assert [new for _, new in moved] == list(chain) and all(old is not new for old, new in moved)
    assert walk(rules["filter"], skb_of(Packet.udp("10.0.0.1:1", "10.0.0.8:1")), state) is Verdict.DROP


def test_keys():
    """The key is the one destination that a rule asks for; a rule that asks otherwise has one that fits them all."""
    single, network = Prefix.parse("10.0.0.1"), Prefix.parse("10.0.0.0/31")
    assert Rule(None, single).key == single.value
    for rule_ in (Rule(), Rule(None, network), Rule(None, single, Header(not_destination=True)), Rule(single)):
        assert rule_.key is None
    assert not ANYTHING != float(single.value) and not ANYTHING != float(1 << 127)


@pytest.mark.parametrize("formed", [False, True])
def test_addresses_that_are_one_float(formed):
    """Neighbours of IPv6 share a key; a rule for one of them still does not match the others."""
    node = Node()
    wanted = Address.parse("2001:db8::1:1")
    lines = ["-A FORWARD -d 2001:db8::1:2/128 -j DROP"] * (1 + formed) + ["-A FORWARD -d 2001:db8::1:1/128 -j DROP"]
    node.rules[Family.IPV6].restore("\n".join(["*filter", *lines, "COMMIT", ""]))
    table = node.rules[Family.IPV6]["filter"]
    state = HookState(Hook.FORWARD, Family.IPV6, "eth0", "eth1", node)

    assert walk(table, skb_of(Packet.udp("[2001:db8::2]:1", "[2001:db8::1:1]:1")), state) is Verdict.DROP
    assert [(link.key, link.packets) for link in table.chains["FORWARD"]] == [
        *[(float(wanted.value), 0)] * (1 + formed),
        (float(wanted.value), 1),
    ]
    assert walk(table, skb_of(Packet.udp("[2001:db8::2]:1", "[2001:db8::1:3]:1")), state) is Verdict.ACCEPT
