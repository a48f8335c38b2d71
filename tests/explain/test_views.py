"""The three levels of detail, data for JSON, and the page: one story, told shorter or longer, and safely."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from explain.worlds import RANDOM, backends, router, syn
from rulesets import packets, rulesets, text_of
from svcsim import Packet
from svcsim.explain.page import page_of
from svcsim.explain.refusals import refusals
from svcsim.hooks import Hook
from svcsim.trace import RuleMatched, Walked


class Checked(HTMLParser):
    """A reader that knows which elements are open, and what was written in them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.met.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Checked:
    checked = Checked()
    checked.feed(page)
    checked.close()
    assert not checked.open
    return checked


def test_three_levels_each_tell_more():
    """One line; hops with what mattered; everything, with counters, tests that failed, returns and policy rules."""
    node = router("iptables -N A; iptables -A FORWARD -p udp -j DROP; iptables -A FORWARD -j A", rules=RANDOM)
    node.receive(syn(port=1), "cli0")
    asked = node.explain(syn(), "cli0")
    assert asked.line().count("\n") == 0 and str(asked) == asked.hops()
    assert f"nat: 192.0.2.9:40000 > 10.96.0.10:80  =>  192.0.2.9:40000 > {asked.backend}" in asked.hops()
    assert "(1 before it did not match)" in asked.hops() and "-p udp: protocol" not in asked.hops()
    full = asked.full()
    for said in (
        "filter FORWARD rule 1: -p udp: protocol is tcp",
        "filter FORWARD rule 2: -j A [1:40 => 2:80]",
        "filter A: back to rule 3 of FORWARD",
        "(rule 32766: from all lookup main, 10.0.0.0/16)",
        "-m statistic --mode random --probability 0.33333333349: not this time: by chance",
        "chance: nat SVC: it was 0.3333 likely to go this way",
        "conntrack: new: tcp 192.0.2.9:40000 > 10.96.0.10:80",
    ):
        assert said in full
    told = [line.strip() for line in asked.hops().splitlines() if line.startswith("sent")]
    assert told and all(line in full for line in told)


def test_a_pick_is_told_with_its_reason():
    """IPVS's pick: the loads that the scheduler saw, the number that it compared, and persistence."""
    service = "ipvsadm -A -t 10.96.0.10:80 -s wlc -p 60; ipvsadm -a -t 10.96.0.10:80 -r 10.0.1.1:80 -m -w 1"
    node = router("ip addr add 10.96.0.10/32 dev lo", service, "ipvsadm -a -t 10.96.0.10:80 -r 10.0.1.2:80 -m -w 3")
    first = node.explain(syn(), "cli0").full()
    assert "wlc: the least of (256 x active + inactive) / weight: " in first and "Masq weight 3, 0 active" in first
    node.receive(syn(), "cli0")
    again = node.explain(syn(port=5), "cli0")
    assert "persistence keeps this client where it went before" in again.full() and "keeps 10.0.1." in again.hops()


def test_events_name_their_hooks():
    """As data every event has its hook by name, the first one too; null stands between hooks."""
    node = router("iptables -A FORWARD -p tcp", rules=RANDOM)
    data = node.explain(syn(), "cli0", reply=True, branches=True).to_dict()
    assert json.loads(json.dumps(data)) == data
    names = {event["hook"] for event in data["events"]}
    assert names == {Hook.PRE_ROUTING.name, Hook.FORWARD.name, Hook.POST_ROUTING.name, None}
    (rewritten,) = (event for event in data["events"] if event["event"] == "Rewritten")
    assert rewritten["before"] == "192.0.2.9:40000 > 10.96.0.10:80" and rewritten["after"].endswith(data["backend"])
    (outcome,) = (each for each in data["branches"]["outcomes"] if each["fate"] == data["backend"])
    assert outcome["probability"] == pytest.approx(1 / 3) and outcome["branches"] == 1
    assert data["answers"][0]["sent"][0]["device"] == "cli0"


@settings(max_examples=50, deadline=None)
@given(rulesets(), packets())
def test_every_rule_asked_is_told_once(rules, packet):
    """As data, rules that matched and rules that did not are together those that were asked, as often."""
    node = router(rules=text_of(rules))
    asked = node.explain(packet, "pod0")
    told: dict[tuple[str, int], int] = {}
    for event in asked.to_dict()["events"]:
        if event["event"] == "Walked":
            for each in event["not_matched"]:
                told[event["chain"], each["number"]] = told.get((event["chain"], each["number"]), 0) + 1
        elif event["event"] == "RuleMatched":
            told[event["chain"], event["number"]] = told.get((event["chain"], event["number"]), 0) + 1
    before = {(name, n): link for name in rules for n, link in _asked(node, name)}
    node.receive(packet, "pod0")
    after = {(name, n): link for name in rules for n, link in _asked(node, name)}
    assert told == {place: after[place] - before[place] for place in after if after[place] > before[place]}


def _asked(node, name):
    chain = node.rules[4]["filter"].chains[name]
    return [(number, asked) for number, (_, asked) in enumerate(chain.asked(), 1) if number <= len(chain)]


@settings(max_examples=50, deadline=None)
@given(rulesets(), packets())
def test_a_test_that_failed_is_one_of_the_rules(rules, packet):
    """What is named stands in the rule's own text, but for a rule that nothing asks anything."""
    trace = router(rules=text_of(rules)).explain(packet, "pod0").trace
    for event, after in zip(trace, [*trace[1:], None], strict=True):
        if isinstance(event, Walked):
            matched = after.number if isinstance(after, RuleMatched) and after.chain is event.chain else 0
            for refusal in refusals(event, but=matched):
                assert refusal.test and refusal.test in str(refusal.rule) and refusal.why


@settings(max_examples=25, deadline=None)
@given(rulesets(), packets())
def test_a_page_is_whole(rules, packet):
    """Whatever the rules: each element is closed, and the full story stands in it."""
    asked = router(rules=text_of(rules)).explain(packet, "pod0", reply=True, branches=True)
    assert asked.fate in read(asked._repr_html_()).text


def test_a_page_shows_what_rules_say_as_text():
    """A comment that looks like HTML is text; branches stand in a table."""
    node = router("""iptables -A FORWARD -m comment --comment '<script>alert("1")</script>' -j ACCEPT""", rules=RANDOM)
    page = node.explain(syn(), "cli0", branches=True, reply=True)._repr_html_()
    checked = read(page)
    assert "script" not in checked.met and '<script>alert("1")</script>' in checked.text
    assert {"table", "details", "summary"} <= checked.met and "10.0.1.3:8080" in checked.text
    assert page == page_of(node.explain(syn(), "cli0", branches=True, reply=True))


def test_many_outcomes_are_few_in_a_line():
    """A line names eight outcomes and counts the rest; the list names all."""
    found = router(rules=backends(20)).explain(syn(), "cli0", branches=True)
    assert found.line().endswith("; 12 more outcomes") and found.hops().count("with 0.05") == 20


def test_a_packet_that_no_bytes_say_has_none():
    """Bytes are given where there are any."""
    data = router().explain(Packet.udp("192.0.2.9:1", "10.0.1.1:53", b"?"), "cli0").to_dict()
    assert bytes.fromhex(data["bytes"])[-1:] == b"?"
