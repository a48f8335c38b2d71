"""What happened to a packet, in words."""

from __future__ import annotations

from types import SimpleNamespace as Thing

import pytest

from svcsim import trace
from svcsim.hooks import CtInfo, Hook, Verdict
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
    Trace,
    Tracked,
    Walked,
)

ASKED = (4, 6, 0xC0000201, 0x0A60000A, 40000, 80)
MAPPED = (4, 6, 0xC0000201, 0x0AF40002, 40000, 8080)
ASKED_6 = (6, 17, 1, 2, 53, 54)
CHAIN = Thing(name="FORWARD", policy=Verdict.DROP)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Stage(Hook.FORWARD, "filter", Verdict.DROP), "FORWARD: filter -> DROP"),
        (Walked("filter", CHAIN, 1, 7), "filter FORWARD: rules 1..7 asked"),
        (RuleMatched("filter", CHAIN, 7, "-j DROP"), "filter FORWARD rule 7: -j DROP"),
        (Policy("filter", CHAIN), "filter FORWARD: policy DROP"),
        (Tracked(CtInfo.INVALID, None), "conntrack: INVALID"),
        (Tracked(CtInfo.NEW, "a connection"), "conntrack: NEW of a connection"),
        (
            Rewritten("nat", ASKED, MAPPED),
            "nat: 192.0.2.1:40000 > 10.96.0.10:80 => 192.0.2.1:40000 > 10.244.0.2:8080",
        ),
        (Rewritten("ipvs", ASKED_6, ASKED_6), "ipvs: [::1]:53 > [::2]:54 => [::1]:53 > [::2]:54"),
        (Routed("unicast by pod0"), "route: unicast by pod0"),
        (Scheduled("TCP 10.96.0.10:80", "10.244.0.2:80", 1), "ipvs: TCP 10.96.0.10:80 -> 10.244.0.2:80"),
        (Left("pod0", Thing(packet="a packet")), "sent by pod0: a packet"),
        (Delivered("a socket"), "delivered to a socket"),
        (Dropped("no route"), "dropped: no route"),
        (Note("in by cli0"), "in by cli0"),
    ],
)
def test_events_can_be_read(event, text):
    """Each kind of event says what happened in one line."""
    assert str(event) == text


def test_a_trace_keeps_the_order():
    """A trace is its events, one a line, in the order in which they happened."""
    events = Trace([Note("first")])
    events.append(Dropped("second"))

    assert str(events) == "first\ndropped: second"
    assert [type(event) for event in events] == [Note, Dropped]


def test_an_event_holds_what_was_there():
    """Words are made when an event is read: recording one asks nothing of what it holds."""

    class Silent:
        def __str__(self) -> str:
            raise AssertionError("asked for its text")

    event = Routed(Silent())

    with pytest.raises(AssertionError, match="asked"):
        str(event)


def test_every_event_is_listed():
    """What a trace may hold is public, each with the parts that it was made of."""
    kinds = set(trace.TraceEvent.__args__)

    assert {kind.__name__ for kind in kinds} | {"Told", "Trace", "TraceEvent"} == set(trace.__all__)
