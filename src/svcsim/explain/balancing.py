"""
Why a scheduler picked what it picked: the destinations as it saw them, and the number that it compared.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from svcsim.trace import Scheduled

__all__ = ["loads_of", "reason_of"]

_Load = tuple[Any, int, int, int, bool]


def _overhead(load: _Load) -> Fraction:
    return Fraction((load[2] << 8) + load[3])


#: What each scheduler compares, in words and as a number; the least wins, the earlier of two at a tie.
_COMPARED: dict[str, tuple[str, Callable[[_Load], Fraction]]] = {
    "lc": ("256 x active + inactive", _overhead),
    "wlc": ("(256 x active + inactive) / weight", lambda load: _overhead(load) / load[1]),
    "sed": ("(active + 1) / weight", lambda load: Fraction(load[2] + 1, load[1])),
    "nq": ("0 if idle, else (active + 1) / weight", lambda load: Fraction(load[2] and load[2] + 1, load[1])),
}
#: What decides where no number is compared.
_SAID = {
    "rr": "its turn, weights but 0 do not count",
    "wrr": "its turn, as often in a cycle as its weight says",
    "dh": "the hash of the destination address",
    "sh": "the hash of the client's address",
    "mh": "Maglev's hash of the client's address",
    "lblc": "where this destination address went last, or the least loaded",
    "lblcr": "the least busy of those that serve this destination address",
    "fo": "the heaviest that can be used",
    "ovf": "the heaviest that is not full: active no more than weight",
    "twos": "the less loaded of two that were drawn by weight",
}


def reason_of(event: Scheduled) -> str:
    """In a line why the destination of *event* was picked."""
    if event.pinned:
        return "persistence keeps this client where it went before; the scheduler was not asked"
    name = event.service.scheduler.name
    if name not in _COMPARED:
        return f"{name}: {_SAID.get(name, 'as this scheduler says')}"
    words, number = _COMPARED[name]
    usable = [load for load in event.loads if load[1] > 0 and not load[4]]
    scores = ", ".join(f"{load[0]} {float(number(load)):.4g}" for load in usable)
    return f"{name}: the least of {words}: {scores}"


def loads_of(event: Scheduled) -> list[dict[str, Any]]:
    """The destinations in the service's order, as they were before."""
    return [
        {
            "destination": str(destination),
            "method": destination.method.label,
            "weight": weight,
            "active": active,
            "inactive": inactive,
            "overloaded": overloaded,
            "picked": destination is event.destination,
        }
        for destination, weight, active, inactive, overloaded in event.loads
    ]
