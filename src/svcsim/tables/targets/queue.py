"""
Hand a packet to a program.

Behaviour of: xt_NFQUEUE, and the old QUEUE. No program listens here: the packet is dropped, or with ``--queue-bypass``
goes on as if accepted, as on a host where none does.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.options import Args, Option, c_integer
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target
from svcsim.trace import Dropped

__all__ = ["NfqueueTarget", "QueueTarget"]


def _lost(skb: Skb, queue: int) -> Verdict:
    if skb.trace is not None:
        skb.trace.append(Dropped(f"no program listens at queue {queue}"))
    return Verdict.STOLEN


@TARGETS.register("NFQUEUE")
@attrs.frozen
class NfqueueTarget(Target):
    """``--queue-num n`` or ``--queue-balance first:last``, ``--queue-bypass``, ``--queue-cpu-fanout``."""

    options = (
        Option("queue-num", excludes=("queue-balance",)),
        Option("queue-balance", excludes=("queue-num",)),
        Option("queue-bypass", arity=0),
        Option("queue-cpu-fanout", arity=0, requires=("queue-balance",)),
    )

    first: int = 0
    last: int = 0
    bypass: bool = False
    fanout: bool = False

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read queues and what to do without a listener."""
        first = last = args.number("queue-num", 0, 65535) or 0
        if "queue-balance" in args:
            low, _, high = args.text("queue-balance").partition(":")
            ends = c_integer(low, 0, 65535), c_integer(high, 0, 65535)
            if ends[0] is None or ends[1] is None:
                raise UsageError(f'Bad range "{args.text("queue-balance")}"')
            first, last = ends[0], ends[1]
            if first >= last:
                raise UsageError(f"{first} should be less than {last}")
        return cls(first, last, "queue-bypass" in args, "queue-cpu-fanout" in args)

    def emit(self) -> str:
        """The queues."""
        text = f"--queue-num {self.first}" if self.first == self.last else f"--queue-balance {self.first}:{self.last}"
        return f"{text}{' --queue-bypass' if self.bypass else ''}{' --queue-cpu-fanout' if self.fanout else ''}"

    def describe(self, numeric: bool) -> str:
        """``NFQUEUE balance 2:5 bypass cpu-fanout``."""
        text = f"num {self.first}" if self.first == self.last else f"balance {self.first}:{self.last}"
        return f"NFQUEUE {text}{' bypass' if self.bypass else ''}{' cpu-fanout' if self.fanout else ''}"

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Find nobody there."""
        return Verdict.ACCEPT if self.bypass else _lost(skb, self.first)


@TARGETS.register("QUEUE")
@attrs.frozen
class QueueTarget(Target):
    """Queue 0."""

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Find nobody there."""
        return _lost(skb, 0)
