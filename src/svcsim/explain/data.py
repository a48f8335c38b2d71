"""
A trace as plain data, ready for JSON. The keys are part of the interface: they stay, others may come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from svcsim.explain.balancing import loads_of, reason_of
from svcsim.explain.places import placed
from svcsim.explain.refusals import chance_of, refusals, sets_asked
from svcsim.explain.words import decision_of, ends_of
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

__all__ = ["events_of"]


def events_of(trace: Sequence[TraceEvent]) -> list[dict[str, Any]]:
    """
    The events, each with ``hook`` (null between hooks), ``event`` (its kind), ``text``, and what else is known.

    ====================  ==============================================================================================
    ``Stage``             ``name``, ``verdict``
    ``Walked``            ``table``, ``chain``, ``first``, ``last``, ``not_matched``: rules with ``number``, ``rule``,
                          the first ``test`` that failed and ``why``
    ``RuleMatched``       ``table``, ``chain``, ``number``, ``rule``, ``packets``, ``bytes`` (before and after),
                          ``probability`` if it depends on a draw, ``sets`` if it looked into any
    ``Undecided``         ``table``, ``chain``, ``number``, ``rule``: something in it is not modelled
    ``Returned``          ``table``, ``chain``, ``to``, ``number`` (0: the policy is next)
    ``Policy``            ``table``, ``chain``, ``policy``, ``packets``, ``bytes``
    ``Tracked``           ``state``, ``connection``, ``why``
    ``Rewritten``         ``by``, ``before``, ``after``
    ``Routed``            ``route``, ``again``, ``decided_by``
    ``Scheduled``         ``service``, ``scheduler``, ``destination``, ``pinned``, ``reason``, ``destinations``
    ``Left``              ``device``, ``packet``
    ``Delivered``         ``to``
    ``Dropped``           ``reason``
    ``Note``              nothing
    ====================  ==============================================================================================
    """
    told: list[dict[str, Any]] = []
    for (where, event), before, after in zip(placed(trace), [None, *trace], [*trace[1:], None], strict=False):
        entry = {"hook": None if where is None else where.name, "event": type(event).__name__, "text": str(event)}
        told.append(entry | _known(event, before, after))
    return told


def _known(event: TraceEvent, before: TraceEvent | None, after: TraceEvent | None) -> dict[str, Any]:
    match event:
        case Walked(table=table, chain=chain, start=start, stop=stop):
            matched = after.number if isinstance(after, RuleMatched) and after.chain is chain else 0
            failed = [
                {"number": each.number, "rule": str(each.rule), "test": each.test, "why": each.why}
                for each in refusals(event, but=matched)
            ]
            return {"table": table, "chain": chain.name, "first": start, "last": stop, "not_matched": failed}
        case RuleMatched(table=table, chain=chain, number=number, rule=rule):
            known = {"table": table, "chain": chain.name, "number": number, "rule": str(rule)} | _counted(event)
            chance = chance_of(rule)
            known |= {} if chance is None else {"probability": chance}
            sets = sets_asked(rule, before) if isinstance(before, Walked) else []
            return known | ({"sets": sets} if sets else {})
        case Undecided(table=table, chain=chain, number=number, rule=rule):
            return {"table": table, "chain": chain.name, "number": number, "rule": str(rule)}
        case Returned(table=table, chain=chain, to=to, number=number):
            return {"table": table, "chain": chain.name, "to": to.name, "number": number}
        case Policy(table=table, chain=chain):
            return {"table": table, "chain": chain.name, "policy": chain.policy.name} | _counted(event)
        case Tracked(ctinfo=ctinfo, conn=conn, why=why):
            return {"state": ctinfo.name, "connection": None if conn is None else str(conn), "why": why}
        case Rewritten(by=by, before=old, after=new):
            return {"by": by, "before": ends_of(old), "after": ends_of(new)}
        case Routed(route=route, again=again):
            return {"route": str(route), "again": again, "decided_by": decision_of(event).strip(" ()")}
        case Scheduled(service=service, destination=destination, pinned=pinned):
            known = {"service": str(service.key), "scheduler": service.scheduler.name, "destination": str(destination)}
            return known | {"pinned": pinned, "reason": reason_of(event), "destinations": loads_of(event)}
    return _simple(event)


def _simple(event: TraceEvent) -> dict[str, Any]:
    match event:
        case Stage(name=name, verdict=verdict):
            return {"name": name, "verdict": verdict.name}
        case Left(device=device, packet=sent):
            return {"device": device, "packet": str(sent.packet)}
        case Delivered(to=to):
            return {"to": to}
        case Dropped(reason=reason):
            return {"reason": reason}
        case Note():
            return {}
    raise AssertionError(event)


def _counted(event: RuleMatched | Policy) -> dict[str, Any]:
    """Counters before and after; null where nothing was counted."""
    packets, bytes = event.counters
    if not packets:
        return {"packets": None, "bytes": None}
    return {"packets": [packets - 1, packets], "bytes": [bytes - event.length, bytes]}
