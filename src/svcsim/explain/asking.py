"""
Why a packet goes where it goes: carried on a copy of the node and told, so that the node itself does not notice.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any

import attrs

from svcsim.errors import MissingError
from svcsim.explain.copying import twin
from svcsim.explain.refusals import chance_of, refusals
from svcsim.explain.words import answer_to, as_dicts, hops_of, placed
from svcsim.hooks import Verdict
from svcsim.lb.schedulers.twos import PowerOfTwoChoices
from svcsim.lb.service import Destination, ForwardingMethod
from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.trace import Dropped, Policy, RuleMatched, Scheduled, Stage, Trace, TraceEvent, Walked

__all__ = ["Explanation", "explain", "why_dropped", "why_not"]


@attrs.frozen(eq=False)
class Explanation:
    """
    What became of *packet*, which came in by *iface* (none if it was sent from here), and why.

    *outcome* is what `Node.receive` would have answered. *answers* explains the peer's answers, if they were asked for,
    and *remark* says why there are none.
    """

    packet: Packet
    iface: str
    outcome: Outcome
    answers: tuple[Explanation, ...] = ()
    remark: str = ""

    @property
    def trace(self) -> Trace:
        """Everything that happened, in order."""
        assert self.outcome.trace is not None
        return self.outcome.trace

    @property
    def verdict(self) -> Verdict:
        """The last verdict on the packet's own way."""
        return self.outcome.verdict

    @property
    def dropped_by(self) -> str:
        """What dropped it, empty if nothing did."""
        return _dropped_by(self.outcome)

    def line(self) -> str:
        """All in one line."""
        came = f"{self.iface}: {self.packet}" if self.iface else str(self.packet)
        ends = [f"sent by {sent}" for sent in self.outcome.sent]
        ends += [f"delivered to {delivery}" for delivery in self.outcome.delivered]
        if self.dropped_by:
            ends.insert(0, f"dropped by {self.dropped_by}")
        return f"{came} => {'; '.join(ends) or self.verdict.name.lower()}"

    def hops(self) -> str:
        """Hook by hook: the rules that matched, rewrites, routes, the scheduler's pick."""
        return self._told(full=False)

    def full(self) -> str:
        """Everything: also each rule that was asked in vain, and why it did not match."""
        return self._told(full=True)

    def _told(self, *, full: bool) -> str:
        source = f"{self.iface} receives" if self.iface else "this host sends"
        lines = [f"{source} {self.packet}", *hops_of(self.trace, full=full)]
        lines += [f"chance: {text}" for text in _chances(self.trace)]
        if self.dropped_by:
            lines.append(f"=> dropped by {self.dropped_by}")
        for answer in self.answers:
            lines += ["", "and the answer:", answer._told(full=full)]
        if self.remark:
            lines.append(self.remark)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, ready for JSON."""
        return {
            "packet": str(self.packet),
            "interface": self.iface,
            "verdict": self.verdict.name,
            "dropped_by": self.dropped_by,
            "sent": [{"device": sent.device, "packet": str(sent.packet)} for sent in self.outcome.sent],
            "delivered": [{"to": each.to, "packet": str(each.packet)} for each in self.outcome.delivered],
            "events": as_dicts(self.trace),
            "chances": _chances(self.trace),
            "answers": [answer.to_dict() for answer in self.answers],
            "remark": self.remark,
        }

    def __str__(self) -> str:
        return self.hops()

    def _repr_html_(self) -> str:
        """The short story, and everything behind a fold, for a notebook."""
        return (
            f"<div><p><b>{escape(self.line())}</b></p><pre>{escape(self.hops())}</pre>"
            f"<details><summary>every rule that was asked</summary><pre>{escape(self.full())}</pre></details></div>"
        )


def explain(node: Node, packet: Packet, iface: str, *, reply: bool = False) -> Explanation:
    """
    Explain what *node* would do with *packet* from *iface* now; with *reply*, also with the peer's answer to it.

    It happens on a copy: the node's counters, connections, draws and clock stay as they are, and what is told is what
    `Node.receive` would do next. The copy costs a few milliseconds for a small node, and grows with its rules and
    connections.

    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.run("iptables -A INPUT -p tcp --dport 22 -j DROP")
    >>> print(explain(node, Packet.tcp("192.0.2.9:40000", "192.0.2.1:22"), "cli0"))
    cli0 receives TCP 192.0.2.9:40000 > 192.0.2.1:22 [S] seq 0, length 40
    route: local dev lo
    LOCAL_IN
        filter INPUT rule 1: -p tcp -m tcp --dport 22 -j DROP
        filter: dropped
    => dropped by filter INPUT rule 1: -p tcp -m tcp --dport 22 -j DROP
    """
    world = twin(node)
    outcome = world.receive(packet, iface, trace=True)
    if not reply:
        return Explanation(packet, iface, outcome)
    answers, remark = _answers(world, outcome)
    return Explanation(packet, iface, outcome, answers, remark)


def why_dropped(node: Node, packet: Packet, iface: str) -> str:
    """
    Say which rule, policy or mechanism would drop *packet*, or what becomes of it if none does.

    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.run("iptables -P INPUT DROP")
    >>> why_dropped(node, Packet.tcp("192.0.2.9:40000", "192.0.2.1:22"), "cli0")
    'filter INPUT: policy DROP'
    """
    explanation = explain(node, packet, iface)
    return explanation.dropped_by or f"not dropped: {explanation.line().partition(' => ')[2]}"


def why_not(node: Node, packet: Packet, iface: str, table: str, chain: str, number: int) -> str:
    """
    Say why rule *number* of a *chain* did not match *packet* on its way; each time that it was asked.

    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.run("iptables -A INPUT -p tcp --dport 22 -j DROP")
    >>> why_not(node, Packet.tcp("192.0.2.9:40000", "192.0.2.1:80"), "cli0", "filter", "INPUT", 1)
    '-m tcp --dport 22: ports are 40000 > 80, flags 0x02'
    """
    rules = node.rules[packet.family].tables.get(table)
    if rules is None or chain not in rules.chains:
        raise MissingError(f"there is no chain {chain} in the table {table}")
    rules.chains[chain].at(number)
    trace = explain(node, packet, iface).trace
    matched = {id(before) for before, event in pairwise(trace) if _matched(event, table, chain, number)}
    reasons: list[str] = []
    for event in trace:
        if isinstance(event, Walked) and event.table == table and event.chain.name == chain:
            if not event.start <= number <= event.stop:
                continue
            if id(event) in matched:
                reasons.append("it matched")
                continue
            (refusal,) = (each for each in refusals(event) if each.number == number)
            reasons.append(f"{refusal.test}: {refusal.why}")
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    return _not_asked(trace, table, chain, number)


def _matched(event: TraceEvent, table: str, chain: str, number: int) -> bool:
    return isinstance(event, RuleMatched) and (event.table, event.chain.name, event.number) == (table, chain, number)


def _not_asked(trace: Trace, table: str, chain: str, number: int) -> str:
    """Why a rule was not asked at all: the walk ended before it, or never came to its chain."""
    here = [e for e in trace if isinstance(e, RuleMatched) and e.table == table and e.chain.name == chain]
    earlier = [event for event in here if event.number < number]
    if earlier:
        return f"it was not asked: {earlier[-1]} came before it"
    if any(isinstance(event, Walked) and event.table == table for event in trace):
        return f"it was not asked: the packet did not come to {chain}"
    return f"it was not asked: the table {table} was not walked"


def _dropped_by(outcome: Outcome) -> str:
    """What dropped the packet: the last drop of the trace, if nothing else came of it."""
    assert outcome.trace is not None
    if outcome.verdict is not Verdict.DROP and (outcome.sent or outcome.delivered):
        return ""
    events = list(placed(outcome.trace))
    for at in reversed(range(len(events))):
        hook, event = events[at]
        if isinstance(event, Dropped):
            return event.reason
        if isinstance(event, Stage) and event.verdict is Verdict.DROP:
            for where, cause in reversed(events[:at]):
                if where is hook and isinstance(cause, Dropped):
                    return cause.reason
                if where is hook and isinstance(cause, RuleMatched | Policy) and cause.table == event.name:
                    if isinstance(cause, Policy):
                        return f"{cause.table} {cause.chain.name}: policy {cause.chain.policy.name}"
                    return str(cause)
            return f"{event.name} in {event.hook.name}"
    return ""


# -- chance ------------------------------------------------------------------------------------------------------------


def _chances(trace: Trace) -> list[str]:
    """Where the way depended on a draw, how likely the way was that it took."""
    told: list[str] = []
    likely = 1.0
    for at, event in enumerate(trace):
        if isinstance(event, Walked):
            after = trace[at + 1] if at + 1 < len(trace) else None
            matched = after if isinstance(after, RuleMatched) and after.chain is event.chain else None
            step = _chance_of_stretch(event, matched)
            if step != 1.0:
                likely *= step
                told.append(f"{event.table} {event.chain.name}: it was {step:.4g} likely to go this way")
        elif isinstance(event, Scheduled) and isinstance(event.service.scheduler, PowerOfTwoChoices):
            share = _share_of_two(event.service.destinations, event.destination)
            likely *= share
            told.append(f"ipvs: {event.destination} had a probability of {share:.4g}")
    if len(told) > 1:
        told.append(f"all in all {likely:.4g}")
    return told


def _chance_of_stretch(walked: Walked, matched: RuleMatched | None) -> float:
    """How likely the random rules of a stretch answered as they did."""
    likely = 1.0
    for refusal in refusals(walked, but=matched.number if matched else 0):
        chance = chance_of(refusal.rule)
        if chance is not None and "chance" in refusal.why:
            likely *= 1 - chance
    chance = chance_of(matched.rule) if matched is not None else None
    return likely if chance is None else likely * chance


def _share_of_two(destinations: list[Destination], picked: Destination) -> float:
    """
    The probability that the power of two choices takes *picked*, as its destinations are loaded now.

    The pick itself has been counted already; it is taken off again.
    """
    usable = [each for each in destinations if each.weight > 0 and not each.overloaded]
    total = sum(each.weight for each in usable) + 1
    shares = [(each.weight + (place == 0)) / total for place, each in enumerate(usable)]
    busy = [(each.active << 8) + each.inactive - (each is picked) for each in usable]
    share = 0.0
    for i, first in enumerate(usable):
        for j, second in enumerate(usable):
            taken = second if second.weight * busy[i] > first.weight * busy[j] else first
            share += shares[i] * shares[j] if taken is picked else 0.0
    return share


# -- the way back ------------------------------------------------------------------------------------------------------


def _answers(world: Node, outcome: Outcome) -> tuple[tuple[Explanation, ...], str]:
    """The answers to what left or was delivered, each explained in the same *world*; and why there is none."""
    assert outcome.trace is not None
    for event in outcome.trace:
        if isinstance(event, Scheduled) and event.destination.method is not ForwardingMethod.MASQ:
            return (
                (),
                f"the answer of {event.destination} does not come back this way ({event.destination.method.name})",
            )
    if outcome.verdict is Verdict.DROP:
        return (), "nobody answers: it was dropped"
    told: list[Explanation] = []
    for sent in outcome.sent:
        answer = answer_to(sent.packet)
        if answer is not None:
            told.append(Explanation(answer, sent.device, world.receive(answer, sent.device, trace=True)))
    for delivery in outcome.delivered:
        answer = answer_to(delivery.packet)
        if answer is not None and not outcome.sent:
            told.append(Explanation(answer, "", world.send(answer, trace=True)))
    return tuple(told), "" if told else "no answer is known to such a packet"
