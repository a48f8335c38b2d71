"""
A packet's journey in words: hook by hook, which rules matched, what was rewritten, where it went.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from svcsim.addr import format_address
from svcsim.hooks import Hook, Verdict
from svcsim.outcome import Outcome
from svcsim.packet import ConnTuple, Packet, Tcp
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
    RuleMatched,
    Scheduled,
    Stage,
    TraceEvent,
    Tracked,
    Walked,
)

__all__ = ["answer_to", "journey"]

_INDENT = "    "


def answer_to(packet: Packet, flags: str = "SA") -> Packet:
    """What the peer of *packet* answers: ends swapped, fresh TTL; a segment carries *flags*."""
    source, target = (
        f"{format_address(packet.family, address)}:{port}"
        for address, port in ((packet.dst, packet.dport), (packet.src, packet.sport))
    )
    if isinstance(packet.header, Tcp):
        return Packet.tcp(source, target, flags=flags, seq=5000, ack=packet.header.seq + 1)
    return Packet.udp(source, target, packet.payload)


def journey(outcome: Outcome) -> list[str]:
    """
    Tell the trace of an outcome, a line for each thing that mattered.

    A function that looked at the packet and let it pass without a word is left out.
    """
    assert outcome.trace is not None
    lines: list[str] = []
    hook: Hook | None = None
    trace = outcome.trace
    for (where, event), before, after in zip(_placed(trace), [None, *trace], [*trace[1:], None], strict=False):
        told = _told(event, before, after)
        if told and where is not hook:
            hook = where
            if where is not None:
                lines.append(where.name)
        lines += [_INDENT + told if where is not None else told] if told else []
    return lines


def _placed(trace: Sequence[TraceEvent]) -> Iterator[tuple[Hook | None, TraceEvent]]:
    """
    Each event with the hook at which it happened, None between hooks.

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
        case Routed(route=route):
            return "" if isinstance(after, Routed) and str(after) == str(event) else f"route: {route}"
        case Scheduled(service=service, destination=destination, probes=probes):
            found = f"found at place {probes} of its bucket" if probes else "found"
            return f"ipvs: {service}, {found}, picks {destination}"
        case Left(device=device, packet=sent):
            return f"sent by {device}: {sent.packet}"
        case Delivered(to=to):
            return f"delivered to {to}"
        case Dropped(reason=reason):
            return f"dropped: {reason}"
        case Note(text=text):
            return text


def _rule(rule: Rule) -> str:
    """A rule as iptables-save prints it, but for its comment, which comes last."""
    comments = [match.text for match in rule.matches if isinstance(match, CommentMatch)]
    others = tuple(match for match in rule.matches if not isinstance(match, CommentMatch))
    return " # ".join((str(rule._replace(matches=others)), *comments))


def _ends(ends: ConnTuple) -> str:
    family, _, source, target, sport, dport = ends
    return f"{format_address(family, source)}:{sport} > {format_address(family, target)}:{dport}"
