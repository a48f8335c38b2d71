"""
What happened to a packet, as values, in order.

A `Trace` travels on the skb when somebody asked for it and is None otherwise, so it costs nothing then. An event is
cheap to record: it holds what was there, and is put into words only when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import attrs

from svcsim.addr import format_address
from svcsim.packet import ConnTuple

__all__ = [
    "Delivered",
    "Dropped",
    "Left",
    "Note",
    "Policy",
    "Returned",
    "Rewritten",
    "Routed",
    "RuleMatched",
    "Scheduled",
    "Stage",
    "Told",
    "Trace",
    "TraceEvent",
    "Tracked",
    "Undecided",
    "Walked",
]

# Events are written once and then only read; attrs.define instead of frozen makes them three times as cheap to record.


def _ends(tuple: ConnTuple) -> str:
    """Both ends of a tuple, as a packet shows them."""
    family, _, *rest = tuple
    form = "[{}]:{}" if family == 6 else "{}:{}"
    src, dst, sport, dport = rest
    return f"{form.format(format_address(family, src), sport)} > {form.format(format_address(family, dst), dport)}"


@attrs.define
class Stage:
    """A function registered at a hook ran and gave its verdict."""

    hook: Any
    name: str
    verdict: Any

    def __str__(self) -> str:
        return f"{self.hook.name}: {self.name} -> {self.verdict.name}"


@attrs.define
class Walked:
    """
    Rules *start* to *stop* (from 1, inclusive) of a chain were asked; all but perhaps the last did not match.

    *seen* is the packet as it was then (`svcsim.snapshot.Snapshot`), *state* where it was: enough to ask again why.
    """

    table: str
    chain: Any
    start: int
    stop: int
    seen: Any = attrs.field(default=None, repr=False)
    state: Any = attrs.field(default=None, repr=False)

    @property
    def skb(self) -> Any:
        """The packet as it was then; made anew each time."""
        return self.seen.skb

    def __str__(self) -> str:
        return f"{self.table} {self.chain.name}: rules {self.start}..{self.stop} asked"


@attrs.define
class RuleMatched:
    """
    Rule *number* of *chain* matched and did what it says; *counters* are its packets and bytes with this packet, of
    *length* bytes.
    """

    table: str
    chain: Any
    number: int
    rule: Any
    counters: tuple[int, int] = attrs.field(default=(0, 0), eq=False)
    length: int = attrs.field(default=0, eq=False)

    def __str__(self) -> str:
        return f"{self.table} {self.chain.name} rule {self.number}: {self.rule}"


@attrs.define
class Undecided:
    """Whether rule *number* of *chain* matches nobody knows: a match of it is not modelled."""

    table: str
    chain: Any
    number: int
    rule: Any

    def __str__(self) -> str:
        return f"{self.table} {self.chain.name} rule {self.number}: not known whether it matches: {self.rule}"


@attrs.define
class Returned:
    """*chain* was at its end, or left by RETURN: on in the chain *to*, with rule *number*; past all rules if it is 0."""

    table: str
    chain: Any
    to: Any
    number: int

    def __str__(self) -> str:
        where = f"rule {self.number}" if self.number else "the policy"
        return f"{self.table} {self.chain.name}: back to {where} of {self.to.name}"


@attrs.define
class Policy:
    """No rule decided: the policy of a built-in chain did; *counters* and *length* as of a rule, where there are rules."""

    table: str
    chain: Any
    counters: tuple[int, int] = attrs.field(default=(0, 0), eq=False)
    length: int = attrs.field(default=0, eq=False)

    def __str__(self) -> str:
        return f"{self.table} {self.chain.name}: policy {self.chain.policy.name}"


@attrs.define
class Tracked:
    """Connection tracking gave the packet its place in a connection, or none: *why*."""

    ctinfo: Any
    conn: Any
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"conntrack: {self.ctinfo.name}{why}" + (f" of {self.conn}" if self.conn is not None else "")


@attrs.define
class Rewritten:
    """*by* changed the packet's tuple."""

    by: str
    before: ConnTuple
    after: ConnTuple

    def __str__(self) -> str:
        return f"{self.by}: {_ends(self.before)} => {_ends(self.after)}"


@attrs.define
class Routed:
    """
    A routing decision was made; *again*, because a rewrite or a new mark may have changed the way.

    If the host tells all, *asked* is whom, and of what: destination, source, mark, input device.
    """

    route: Any
    again: bool = False
    asked: tuple[Any, int, int, int, str] | None = attrs.field(default=None, eq=False)

    def __str__(self) -> str:
        return f"{'routed again' if self.again else 'route'}: {self.route}"


@attrs.define
class Scheduled:
    """
    A scheduler picked *destination* of *service*; *probes* buckets of the service table were looked into.

    If the host tells all, *loads* are the destinations as they were before: each with weight, active and inactive
    connections, and whether it was overloaded. *pinned*: persistence had settled it, and the scheduler was not asked.
    """

    service: Any
    destination: Any
    probes: int
    loads: tuple[tuple[Any, int, int, int, bool], ...] = ()
    pinned: bool = False

    def __str__(self) -> str:
        return f"ipvs: {self.service} -> {self.destination}"


@attrs.define
class Left:
    """The packet left by an interface."""

    device: str
    packet: Any

    def __str__(self) -> str:
        return f"sent by {self.device}: {self.packet.packet}"


@attrs.define
class Delivered:
    """The packet reached a local socket or the host's own protocols."""

    to: str

    def __str__(self) -> str:
        return f"delivered to {self.to}"


@attrs.define
class Dropped:
    """The packet went no further, for this *reason*."""

    reason: str

    def __str__(self) -> str:
        return f"dropped: {self.reason}"


@attrs.define
class Note:
    """Anything else worth a line."""

    text: str

    def __str__(self) -> str:
        return self.text


TraceEvent = (
    Stage
    | Walked
    | RuleMatched
    | Undecided
    | Returned
    | Policy
    | Tracked
    | Rewritten
    | Routed
    | Scheduled
    | Left
    | Delivered
    | Dropped
    | Note
)


class Told:
    """Something that is recorded as one thing, and told as several events when somebody reads them."""

    __slots__ = ()

    def events(self) -> Iterator[TraceEvent]:
        """The events; asked for once, and after those of whatever was recorded before."""
        raise NotImplementedError


class Trace(Sequence[TraceEvent]):
    """
    The events of one packet's journey, in order; they can be read at any time, and more may come.

    >>> trace = Trace([Note("in by cli0"), Dropped("no route to 192.0.2.9")])
    >>> print(trace)
    in by cli0
    dropped: no route to 192.0.2.9
    >>> len(trace), trace[0]
    (2, Note(text='in by cli0'))
    """

    __slots__ = ("_events", "_recorded", "append")

    def __init__(self, events: Iterable[TraceEvent] = ()) -> None:
        self._events: list[TraceEvent] = []  # of what was recorded, as far as somebody has read
        self._recorded: list[TraceEvent | Told] = [*events]
        #: Record an event, or what will be told as several.
        self.append: Callable[[TraceEvent | Told], None] = self._recorded.append

    def _read(self) -> list[TraceEvent]:
        for event in self._recorded:
            if isinstance(event, Told):
                self._events.extend(event.events())
            else:
                self._events.append(event)
        self._recorded.clear()
        return self._events

    def __len__(self) -> int:
        return len(self._read())

    @overload
    def __getitem__(self, at: int) -> TraceEvent: ...

    @overload
    def __getitem__(self, at: slice) -> list[TraceEvent]: ...

    def __getitem__(self, at: int | slice) -> TraceEvent | list[TraceEvent]:
        return self._read()[at]

    def __iter__(self) -> Iterator[TraceEvent]:
        return iter(self._read())

    def __repr__(self) -> str:
        return f"Trace({self._read()!r})"

    def __str__(self) -> str:
        return "\n".join(str(event) for event in self)
