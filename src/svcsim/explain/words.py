"""
A packet's journey in words: hook by hook, which rules matched and which did not, what was rewritten, where it went.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from svcsim.addr import Family
from svcsim.explain.balancing import loads_of, reason_of
from svcsim.explain.fate import endpoint, trace_of
from svcsim.explain.places import placed
from svcsim.explain.refusals import chance_of, refusals, sets_asked
from svcsim.hooks import Hook, Verdict
from svcsim.outcome import Outcome
from svcsim.packet import ConnTuple
from svcsim.route import RouteEntry, RouteRule
from svcsim.tables.matches.comment import CommentMatch
from svcsim.tables.rule import Rule
from svcsim.trace import (
    Delivered,
    Dropped,
    Left,
    Note,
    Policy,
    Returned,
    Rewritten,
    Routed,
    RuleMatched,
    Scheduled,
    Stage,
    TraceEvent,
    Tracked,
    Undecided,
    Walked,
)

__all__ = ["Line", "counters_of", "decision_of", "ends_of", "hops_of", "journey", "told_of"]

_INDENT = "    "
_TABLES = {255: "local", 254: "main", 253: "default"}


def journey(outcome: Outcome) -> list[str]:
    """
    Tell the trace of an outcome, a line for each thing that mattered.

    A function that looked at the packet and let it pass without a word is left out.
    """
    return hops_of(trace_of(outcome))


def hops_of(trace: Sequence[TraceEvent], *, full: bool = False) -> list[str]:
    """
    A trace in lines, each hook's indented under its name.

    *full*: with each rule that was asked in vain and why, counters, returns, the routes' tables and rules, the
    destinations' loads, and each function that let the packet pass.
    """
    lines: list[str] = []
    hook: Hook | None = None
    for line in told_of(trace, full=full):
        if line.hook is not hook:
            hook = line.hook
            lines += [hook.name] if hook is not None else []
        lines.append(line.text if hook is None else _INDENT + line.text)
    return lines


@attrs.frozen
class Line:
    """One line of a story: *text*, of what happened (*event*) and at which *hook*, None between hooks."""

    hook: Hook | None
    text: str
    event: TraceEvent


def told_of(trace: Sequence[TraceEvent], *, full: bool = False) -> Iterator[Line]:
    """The lines of `hops_of`, each with what it tells of."""
    for (hook, event), before, after in zip(placed(trace), [None, *trace], [*trace[1:], None], strict=False):
        for text in _all_told(event, before, after) if full else [_told(event, before, after)]:
            if text:
                yield Line(hook, text, event)


def _all_told(event: TraceEvent, before: TraceEvent | None, after: TraceEvent | None) -> list[str]:
    """One event with all that is known of it."""
    match event:
        case Walked(table=table, chain=chain):
            matched = after.number if isinstance(after, RuleMatched) and after.chain is chain else 0
            return [f"{table} {chain.name} {refusal}" for refusal in refusals(event, but=matched)]
        case RuleMatched(rule=rule):
            chance = chance_of(rule)
            likely = "" if chance is None else f" [matches with probability {chance:.4g}]"
            sets = sets_asked(rule, before) if isinstance(before, Walked) else []
            return [_told(event, None, after) + likely + counters_of(event), *(f"{_INDENT}{told}" for told in sets)]
        case Returned():
            return [str(event)]
        case Policy(table=table, chain=chain):
            return [f"{table} {chain.name}: policy {chain.policy.name}{counters_of(event)}"]
        case Stage(name=name, verdict=verdict):
            return [f"{name}: {verdict.name}"]
        case Tracked(conn=conn) if conn is not None:
            return [f"{_told(event, before, after)}: {conn}"]
        case Routed():
            return [f"{event}{decision_of(event)}"]
        case Scheduled():
            loads = [
                f"{_INDENT}{load['destination']} {load['method']} weight {load['weight']}, {load['active']} active, "
                f"{load['inactive']} inactive{', overloaded' if load['overloaded'] else ''}"
                for load in loads_of(event)
            ]
            return [_told(event, before, after), *loads, f"{_INDENT}{reason_of(event)}"]
    return [_told(event, before, after)]


def counters_of(event: RuleMatched | Policy) -> str:
    """`` [12:720 => 13:780]``: packets and bytes before and after; empty where nothing was counted."""
    packets, bytes = event.counters
    return f" [{packets - 1}:{bytes - event.length} => {packets}:{bytes}]" if packets else ""


def decision_of(event: Routed) -> str:
    """Behind a route: the policy rule and the entry that it comes from; empty where neither was asked."""
    if event.asked is None:
        return ""
    routing, *question = event.asked
    rule, entry = routing.decide(*question)
    if rule is None or (entry is not None and entry.kind is not event.route.kind):
        return ""
    if entry is not None and event.route.table != rule.table:
        return ""
    return f" (rule {_rule_text(rule)}{_entry_text(entry, rule)})"


def _rule_text(rule: RouteRule) -> str:
    words = [f"{rule.priority}: from {rule.source or 'all'}"]
    words += [f"to {rule.destination}"] if rule.destination is not None else []
    words += [f"fwmark {rule.mark:#x}" + ("" if rule.mask == 0xFFFFFFFF else f"/{rule.mask:#x}")] if rule.mask else []
    words += [f"iif {rule.indev}"] if rule.indev else []
    words += [f"oif {rule.outdev}"] if rule.outdev else []
    return " ".join(words)


def _entry_text(entry: RouteEntry | None, rule: RouteRule) -> str:
    if entry is None:
        return f" {rule.kind.value}"
    prefix = entry.prefix if entry.prefix.mask else "default"
    return f" lookup {_TABLES.get(rule.table, rule.table)}, {prefix}"


def _told(event: TraceEvent, before: TraceEvent | None, after: TraceEvent | None) -> str:
    """One event, between its neighbours, as a line; empty if there is nothing to tell."""
    match event:
        case Stage(name=name, verdict=verdict):
            return f"{name}: dropped" if verdict is Verdict.DROP else ""
        case Walked(table=table, chain=chain, start=start, stop=stop):
            if isinstance(after, RuleMatched | Undecided):
                return ""  # told with the rule that matched
            return f"{table} {chain.name}: no match in rule{f' {stop}' if start == stop else f's {start} to {stop}'}"
        case RuleMatched(table=table, chain=chain, number=number, rule=rule):
            passed = number - before.start if isinstance(before, Walked) else 0
            others = f" ({passed} before it did not match)" if passed else ""
            return f"{table} {chain.name} rule {number}{others}: {_rule(rule)}"
        case Undecided(table=table, chain=chain, number=number, rule=rule):
            return f"{table} {chain.name} rule {number}: not known whether it matches: {_rule(rule)}"
        case Policy(table=table, chain=chain):
            return f"{table} {chain.name}: policy {chain.policy.name}" if len(chain) else ""
        case Tracked(ctinfo=ctinfo, why=why):
            return f"conntrack: {ctinfo.value}" + (f" ({why})" if why else "")
        case Rewritten(by=by, before=old, after=new):
            return f"{by}: {ends_of(old)}  =>  {ends_of(new)}"
        case Routed():
            return "" if isinstance(after, Routed) and str(after) == str(event) else str(event)
        case Scheduled(service=service, destination=destination, probes=probes):
            found = f"found at place {probes} of its bucket" if probes else "found"
            picks = "keeps" if event.pinned else "picks"
            return f"ipvs: {service}, {found}, {picks} {destination}"
        case Left(device=device, packet=sent):
            return f"sent by {device}: {sent.packet}"
        case Delivered(to=to):
            return f"delivered to {to}"
        case Dropped(reason=reason):
            return f"dropped: {reason}"
        case Note(text=text):
            return text
        case Returned():
            return ""


def _rule(rule: Rule) -> str:
    """A rule as iptables-save prints it, but for its comment, which comes last."""
    comments = [match.text for match in rule.matches if isinstance(match, CommentMatch)]
    others = tuple(match for match in rule.matches if not isinstance(match, CommentMatch))
    return " # ".join((str(rule._replace(matches=others)), *comments))


def ends_of(ends: ConnTuple) -> str:
    """Both ends of a tuple, as a packet shows them."""
    family, _, source, target, sport, dport = ends
    return f"{endpoint(Family(family), source, sport)} > {endpoint(Family(family), target, dport)}"
