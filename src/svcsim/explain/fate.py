"""
What became of a packet, in a few words: where it went, what dropped it, or what is not known.
"""

from __future__ import annotations

from svcsim.addr import Family, format_address
from svcsim.explain.places import placed
from svcsim.hooks import Verdict
from svcsim.lb.service import ForwardingMethod
from svcsim.outcome import Outcome, Sent
from svcsim.packet import Icmp, Packet
from svcsim.trace import Dropped, Note, Policy, RuleMatched, Scheduled, Stage, Trace, TraceEvent

__all__ = ["backend_of", "dropped_by", "endpoint", "fate_of", "own_sent", "trace_of", "undecided_by"]


def trace_of(outcome: Outcome) -> Trace:
    """The trace of an outcome that has one."""
    assert outcome.trace is not None, "an outcome is explained by its trace"
    return outcome.trace


def own_sent(outcome: Outcome) -> list[Sent]:
    """What left as the packet itself, not as an answer to it."""
    return [sent for sent in outcome.sent if not sent.answer]


def endpoint(family: Family, address: int, port: int | None) -> str:
    """
    An address, with a port if there are ports.

    >>> endpoint(Family.IPV6, 1, 80), endpoint(Family.IPV4, 0x0A000001, None)
    ('[::1]:80', '10.0.0.1')
    """
    text = format_address(family, address)
    if port is None:
        return text
    return f"[{text}]:{port}" if family is Family.IPV6 else f"{text}:{port}"


def _destination(packet: Packet) -> str:
    ported = packet.header is not None and not isinstance(packet.header, Icmp)
    return endpoint(packet.family, packet.dst, packet.dport if ported else None)


def backend_of(packet: Packet, outcome: Outcome) -> str:
    """Where a service's packet was led: IPVS's destination, or what NAT wrote for one; empty if nothing did."""
    for event in trace_of(outcome):
        if isinstance(event, Scheduled):
            return str(event.destination) if event.destination is not None else ""
    was = (packet.dst, packet.dport)
    ends = [sent.skb for sent in own_sent(outcome)] + [delivery.skb for delivery in outcome.delivered]
    for skb in ends:
        ported = skb.header is not None and not isinstance(skb.header, Icmp)
        if skb.proto == packet.proto and (skb.dst, skb.dport if ported else packet.dport) != was:
            return endpoint(skb.family, skb.dst, skb.dport if ported else None)
    return ""


def fate_of(packet: Packet, outcome: Outcome) -> str:
    """
    What became of *packet*, the same text for what is the same to its sender.

    A source that NAT chose, and what the host answered, are left out.
    """
    undecided = undecided_by(outcome)
    if undecided:
        return f"not known: {undecided} is not modelled"
    cause = dropped_by(outcome)
    if cause:
        return f"dropped by {cause}"
    backend = backend_of(packet, outcome)
    if backend and (own_sent(outcome) or outcome.delivered):
        return backend + _way_to(outcome)
    ends = [f"sent to {_destination(sent.packet)} by {sent.device}" for sent in own_sent(outcome)]
    ends += [f"delivered to {delivery.to}" for delivery in outcome.delivered]
    notes = [event.text for event in trace_of(outcome) if isinstance(event, Note) and event.text.startswith("held")]
    return "; ".join(dict.fromkeys(ends)) or "; ".join(notes) or f"ended: {outcome.verdict.name.lower()}"


def _way_to(outcome: Outcome) -> str:
    for event in trace_of(outcome):
        if isinstance(event, Scheduled) and event.destination is not None:
            method = event.destination.method
            return "" if method is ForwardingMethod.MASQ else f" ({method.label})"
    return ""


def undecided_by(outcome: Outcome) -> str:
    """What is not modelled and decides what becomes of the packet, empty if nothing does."""
    if not outcome.unknown:
        return ""
    arrived = own_sent(outcome) or outcome.delivered
    decides = outcome.verdict is Verdict.UNKNOWN or not (arrived or dropped_by(outcome))
    return outcome.unknown[0] if decides else ""


def dropped_by(outcome: Outcome) -> str:
    """
    What dropped the packet, empty if nothing did: a rule, a policy, or a mechanism that says why.

    What dropped an answer to it is not meant.
    """
    if outcome.verdict is Verdict.UNKNOWN:
        return ""
    if outcome.verdict is not Verdict.DROP and (own_sent(outcome) or outcome.delivered):
        return ""
    events = list(placed(trace_of(outcome)))
    # A packet that passed the hooks was dropped before its host said so; any other after whatever was said about it.
    order = range(len(events)) if outcome.verdict is Verdict.ACCEPT else reversed(range(len(events)))
    for at in order:
        hook, event = events[at]
        if isinstance(event, Dropped):
            return event.reason
        if isinstance(event, Stage) and event.verdict is Verdict.DROP:
            return _cause(event, [earlier for where, earlier in events[:at] if where is hook])
    return ""


def _cause(stage: Stage, before: list[TraceEvent]) -> str:
    """What made *stage* drop, of what came *before* it in its hook."""
    for event in reversed(before):
        if isinstance(event, Dropped):
            return event.reason
        if isinstance(event, RuleMatched | Policy) and event.table == stage.name:
            return str(event)
    return f"{stage.name} in {stage.hook.name}"
