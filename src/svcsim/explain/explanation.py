"""
An explanation: what became of a packet and why, told in one line, hop by hop, or with everything.
"""

from __future__ import annotations

from typing import Any

import attrs

from svcsim.errors import PacketError
from svcsim.explain.branches import Branches
from svcsim.explain.data import events_of
from svcsim.explain.fate import backend_of, dropped_by, fate_of, trace_of, undecided_by
from svcsim.explain.likelihood import chances_of
from svcsim.explain.page import page_of
from svcsim.explain.shares import conditions
from svcsim.explain.words import hops_of
from svcsim.hooks import Verdict
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.trace import Trace
from svcsim.wire import encode

__all__ = ["Explanation"]

#: Of so many branches the whole way is told, where something is not modelled.
_TOLD_IN_FULL = 8


@attrs.frozen(eq=False)
class Explanation:
    """
    What became of *packet*, which came in by *iface* (empty: it was sent from here), and why.

    *outcome* is what `Node.receive` or `Node.send` would answer now. *answers* explains the peer's answers, if they were
    asked for, and *remark* says why there are none. *branches* are the other ways that it could go, if they were asked
    for, and whenever something that is not modelled decides.
    """

    packet: Packet
    iface: str
    outcome: Outcome
    answers: tuple[Explanation, ...] = ()
    remark: str = ""
    branches: Branches[Explanation] | None = None

    @property
    def trace(self) -> Trace:
        """Everything that happened, in order."""
        return trace_of(self.outcome)

    @property
    def verdict(self) -> Verdict:
        """The last verdict on the packet's own way."""
        return self.outcome.verdict

    @property
    def dropped_by(self) -> str:
        """What dropped it, empty if nothing did."""
        return dropped_by(self.outcome)

    @property
    def backend(self) -> str:
        """Where it was led if it was for a service, empty if it was not."""
        return backend_of(self.packet, self.outcome)

    @property
    def fate(self) -> str:
        """What became of it in a few words: the backend, who dropped it, where it was sent or delivered."""
        return fate_of(self.packet, self.outcome)

    def line(self) -> str:
        """All in one line; with branches each outcome and its probability."""
        came = f"{self.iface}: {self.packet}" if self.iface else str(self.packet)
        if self.branches is not None:
            unknown = f"{self.fate}; " if undecided_by(self.outcome) else ""
            return f"{came} => {unknown}{self.branches.line()}"
        ends = [f"dropped by {self.dropped_by}"] if self.dropped_by else []
        ends += [f"{'answered' if sent.answer else 'sent'} by {sent}" for sent in self.outcome.sent]
        ends += [f"delivered to {delivery}" for delivery in self.outcome.delivered]
        return f"{came} => {'; '.join(ends) or self.fate}"

    def hops(self) -> str:
        """Hook by hook: the rules that matched, rewrites, routes, the scheduler's pick."""
        return self._told(full=False)

    def full(self) -> str:
        """
        Everything: also each rule that was asked in vain and why, counters, returns, sets, what routes and picks come
        from.
        """
        return self._told(full=True)

    def _told(self, *, full: bool) -> str:
        source = f"{self.iface} receives" if self.iface else "this host sends"
        lines = [f"{source} {self.packet}", *hops_of(self.trace, full=full)]
        lines += [f"chance: {text}" for text in chances_of(self.trace)]
        lines += [f"=> {self.summary}"] if self.summary else []
        if self.branches is not None:
            lines += ["", f"{len(self.branches)} branches:" if len(self.branches) > 1 else "1 branch:"]
            lines += [f"    {line}" for line in self.branches.lines()]
            if full and self.outcome.unknown:
                for branch in self.branches.branches[:_TOLD_IN_FULL]:
                    told = branch.way._told(full=False).splitlines()
                    lines += ["", f"  if {conditions(branch.assumes)}:", *(f"    {line}" for line in told)]
        for answer in self.answers:
            lines += ["", "and the answer:", answer._told(full=full)]
        return "\n".join([*lines, self.remark] if self.remark else lines)

    @property
    def summary(self) -> str:
        """The end of the story, where it is not the last thing told anyway."""
        if self.dropped_by:
            return f"dropped by {self.dropped_by}"
        return self.fate if undecided_by(self.outcome) else ""

    def to_dict(self) -> dict[str, Any]:
        """
        As plain data, ready for JSON.

        ``packet``, ``bytes`` (hex, null if no bytes say this), ``interface``, ``verdict``, ``fate``, ``backend``,
        ``dropped_by``, ``error`` (of a local sender), ``unknown``, ``sent``, ``delivered``, ``events`` (see
        `svcsim.explain.data.events_of`), ``chances``, ``branches`` (null if they were not followed), ``answers`` (as
        this), ``remark``.
        """
        outcome = self.outcome
        return {
            "packet": str(self.packet),
            "bytes": _hex(self.packet),
            "interface": self.iface,
            "verdict": self.verdict.name,
            "fate": self.fate,
            "backend": self.backend,
            "dropped_by": self.dropped_by,
            "error": outcome.error,
            "unknown": list(outcome.unknown),
            "sent": [{"device": s.device, "packet": str(s.packet), "answer": s.answer} for s in outcome.sent],
            "delivered": [{"to": each.to, "packet": str(each.packet)} for each in outcome.delivered],
            "events": events_of(self.trace),
            "chances": chances_of(self.trace),
            "branches": None if self.branches is None else _branches_as_data(self.branches),
            "answers": [answer.to_dict() for answer in self.answers],
            "remark": self.remark,
        }

    def __str__(self) -> str:
        return self.hops()

    def _repr_html_(self) -> str:
        """A page of its own for a notebook: the line, outcomes, hooks with their rules, the rest behind folds."""
        return page_of(self)


def _hex(packet: Packet) -> str | None:
    try:
        return encode(packet).hex()
    except PacketError:
        return None


def _branches_as_data(branches: Branches[Explanation]) -> dict[str, Any]:
    """``outcomes`` with exact and rounded probabilities, ``count``, ``unexplored``, ``wide`` draws."""
    return {
        "count": len(branches),
        "unexplored": float(branches.unexplored),
        "wide": dict(branches.wide),
        "outcomes": [
            {
                "fate": share.fate,
                "probability": float(share.probability),
                "exact": str(share.probability),
                "branches": share.branches,
                "assumes": [{"what": what, "holds": holds} for what, holds in share.assumes],
            }
            for share in branches.by_fate()
        ],
    }
