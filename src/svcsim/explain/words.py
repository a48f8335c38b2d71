"""
A packet's journey in words: hook by hook, which rules matched and which did not, what was rewritten, where it went.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from svcsim.addr import Family, format_address
from svcsim.explain.refusals import chance_of, refusals
from svcsim.hooks import Hook, Verdict
from svcsim.outcome import Outcome
from svcsim.packet import ConnTuple, Icmp, Packet, Tcp, Udp
from svcsim.tables.matches.comment import CommentMatch
from svcsim.tables.rule import Rule
from svcsim.trace import (
    Delivered,
    Dropped,
    Left,
    Note,
    Policy,
    Rewritten,
    Routed,
    Returned,
    RuleMatched,
    Scheduled,
    Stage,
    TraceEvent,
    Tracked,
    Walked,
)

__all__ = ["answer_to", "as_dicts", "hops_of", "journey", "placed"]

_INDENT = "    "


def answer_to(packet: Packet, flags: str = "SA") -> Packet | None:
    """What the peer of *packet* answers: ends swapped, fresh TTL; a segment carries *flags*. None: nothing is known."""
    header = packet.header
    source, target = format_address(packet.family, packet.dst), format_address(packet.family, packet.src)
    if isinstance(header, Icmp):
        if header.type != (8 if packet.family is Family.IPV4 else 128):
            return None
        return Packet.icmp(source, target, 0 if packet.family is Family.IPV4 else 129, rest=header.rest)
    form = "[{}]:{}" if packet.family is Family.IPV6 else "{}:{}"
    source, target = form.format(source, packet.dport), form.format(target, packet.sport)
    if isinstance(header, Tcp):
        return Packet.tcp(source, target, flags=flags, seq=5000, ack=header.seq + 1 & 0xFFFFFFFF)
    return Packet.udp(source, target, packet.payload) if isinstance(header, Udp) else None


def journey(outcome: Outcome) -> list[str]:
    """
    Tell the trace of an outcome, a line for each thing that mattered.

    A function that looked at the packet and let it pass without a word is left out.
    """
    assert outcome.trace is not None
    return hops_of(outcome.trace)


def hops_of(trace: Sequence[TraceEvent], *, full: bool = False) -> list[str]:
    """
    A trace in lines, each hook's indented under its name.

    *full*: with each rule that was asked in vain and why, and each function that let the packet pass.
    """
    lines: list[str] = []
    hook: Hook | None = None
    for (where, event), before, after in zip(placed(trace), [None, *trace], [*trace[1:], None], strict=False):
        told = _all_told(event, before, after) if full else [_told(event, before, after)]
        told = [line for line in told if line]
        if told and where is not hook:
            hook = where
            if where is not None:
                lines.append(where.name)
        lines += [_INDENT + line if where is not None else line for line in told]
    return lines


def _all_told(event: TraceEvent, before: TraceEvent | None, after: TraceEvent | None) -> list[str]:
    """One event with all that is known of it."""
    match event:
        case Walked(table=table, chain=chain):
            matched = after.number if isinstance(after, RuleMatched) and after.chain is chain else 0
            return [f"{table} {chain.name} {refusal}" for refusal in refusals(event, but=matched)]
        case RuleMatched(rule=rule):
            chance = chance_of(rule)
            likely = "" if chance is None else f" [matches with probability {chance:.4g}]"
            return [_told(event, None, after) + likely]
        case Policy(table=table, chain=chain):
            return [f"{table} {chain.name}: policy {chain.policy.name}"]
        case Stage(name=name, verdict=verdict):
            return [f"{name}: {verdict.name}"]
        case Tracked(conn=conn) if conn is not None:
            return [f"{_told(event, before, after)}: {conn}"]
    return [_told(event, before, after)]


def as_dicts(trace: Sequence[TraceEvent]) -> list[dict[str, Any]]:
    """The events as plain data, each with its hook (None between hooks), its kind and its text."""
    told: list[dict[str, Any]] = []
    for (where, event), after in zip(placed(trace), [*trace[1:], None], strict=True):
        entry: dict[str, Any] = {"hook": where and where.name, "event": type(event).__name__, "text": str(event)}
        match event:
            case Walked(table=table, chain=chain, start=start, stop=stop):
                matched = after.number if isinstance(after, RuleMatched) and after.chain is chain else 0
                failed = [
                    {"number": each.number, "rule": str(each.rule), "test": each.test, "why": each.why}
                    for each in refusals(event, but=matched)
                ]
                entry |= {"table": table, "chain": chain.name, "first": start, "last": stop, "not_matched": failed}
            case RuleMatched(table=table, chain=chain, number=number, rule=rule):
                entry |= {"table": table, "chain": chain.name, "number": number, "rule": str(rule)}
                chance = chance_of(rule)
                if chance is not None:
                    entry["probability"] = chance
            case Policy(table=table, chain=chain):
                entry |= {"table": table, "chain": chain.name, "policy": chain.policy.name}
            case Stage(name=name, verdict=verdict):
                entry |= {"name": name, "verdict": verdict.name}
            case Rewritten(by=by, before=before, after=new):
                entry |= {"by": by, "before": _ends(before), "after": _ends(new)}
        told.append(entry)
    return told


def placed(trace: Sequence[TraceEvent]) -> Iterator[tuple[Hook | None, TraceEvent]]:
    """
    Give each event the hook at which it happened, None between hooks.

    A stage is recorded when it is through, so what it did stands before it: back to the stage before it in the same
    hook, or in a hook that comes before this one. What it sent passed hooks in between, and was placed there already.
    """
    hooks: list[Hook | None] = [None] * len(trace)
    for end, stage in enumerate(trace):
        if not isinstance(stage, Stage):
            continue
        hook = stage.hook
        before = next((i for i in reversed(range(end)) if _precedes(trace[i], hook)), -1)
        start = before + 1
        if hook is Hook.LOCAL_OUT and (before < 0 or trace[before].hook is not hook):  # type: ignore[union-attr]
            start = next((i for i in range(start, end) if isinstance(trace[i], Routed)), start)
        for i in range(start, end + 1):
            if hooks[i] is None and not isinstance(trace[i], Routed | Left | Delivered):
                hooks[i] = hook
    return zip(hooks, trace, strict=True)


#: The hooks that a packet has passed right before one; whatever was there before, if none is named.
_PREDECESSORS = {
    Hook.LOCAL_IN: {Hook.LOCAL_IN, Hook.PRE_ROUTING},
    Hook.FORWARD: {Hook.FORWARD, Hook.PRE_ROUTING},
    Hook.POST_ROUTING: {Hook.POST_ROUTING, Hook.FORWARD, Hook.LOCAL_OUT},
}


def _precedes(event: TraceEvent, hook: Hook) -> bool:
    return isinstance(event, Stage) and event.hook in _PREDECESSORS.get(hook, Hook)


def _told(event: TraceEvent, before: TraceEvent | None, after: TraceEvent | None) -> str:
    """One event, between its neighbours, as a line; empty if there is nothing to tell."""
    match event:
        case Stage(name=name, verdict=verdict):
            return f"{name}: dropped" if verdict is Verdict.DROP else ""
        case Walked(table=table, chain=chain, start=start, stop=stop):
            if isinstance(after, RuleMatched):
                return ""  # told with the rule that matched
            return f"{table} {chain.name}: no match in rule{f' {stop}' if start == stop else f's {start} to {stop}'}"
        case RuleMatched(table=table, chain=chain, number=number, rule=rule):
            passed = number - before.start if isinstance(before, Walked) else 0
            others = f" ({passed} before it did not match)" if passed else ""
            return f"{table} {chain.name} rule {number}{others}: {_rule(rule)}"
        case Policy(table=table, chain=chain):
            return f"{table} {chain.name}: policy {chain.policy.name}" if len(chain) else ""
        case Tracked(ctinfo=ctinfo):
            return f"conntrack: {ctinfo.value}"
        case Rewritten(by=by, before=old, after=new):
            return f"{by}: {_ends(old)}  =>  {_ends(new)}"
        case Routed():
            return "" if isinstance(after, Routed) and str(after) == str(event) else str(event)
        case Scheduled(service=service, destination=destination, probes=probes):
            found = f"found at place {probes} of its bucket" if probes else "found"
            return f"ipvs: {service}, {found}, picks {destination}"
        case Left(device=device, packet=sent):
            return f"sent by {device}: {sent.packet}"
        case Delivered(to=to):
            return f"delivered to {to}"
        case Dropped(reason=reason):
            return f"dropped: {reason}"
        case Returned() | Note():
            return ""


def _rule(rule: Rule) -> str:
    """A rule as iptables-save prints it, but for its comment, which comes last."""
    comments = [match.text for match in rule.matches if isinstance(match, CommentMatch)]
    others = tuple(match for match in rule.matches if not isinstance(match, CommentMatch))
    return " # ".join((str(rule._replace(matches=others)), *comments))


def _ends(ends: ConnTuple) -> str:
    family, _, source, target, sport, dport = ends
    return f"{format_address(family, source)}:{sport} > {format_address(family, target)}:{dport}"
