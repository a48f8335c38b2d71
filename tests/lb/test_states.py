"""The state tables of IPVS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.lb.states import (
    SCTP_NAMES,
    SCTP_TABLE,
    SCTP_TIMEOUTS,
    TCP_CLOSE,
    TCP_NAMES,
    TCP_SECURE_TABLE,
    TCP_TABLE,
    TCP_TIMEOUTS,
    sctp_event,
    tcp_event,
)

INPUT, OUTPUT, INPUT_ONLY = range(3)
SYN, FIN, ACK, RST = 0x02, 0x01, 0x10, 0x04


def walk(*steps, table=TCP_TABLE):
    state = 0
    names = []
    for direction, flags in steps:
        state = table[direction][flags][state]
        names.append(TCP_NAMES[state])
    return names


def test_a_masqueraded_life():
    """Handshake, client's end, server's end."""
    assert walk((INPUT, SYN), (OUTPUT, SYN | ACK), (INPUT, ACK), (INPUT, FIN | ACK), (OUTPUT, FIN | ACK)) == [
        "SYN_RECV", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "TIME_WAIT",
    ]  # fmt: skip


def test_a_life_seen_from_one_side():
    """With replies past the director, the client's packets alone move the state."""
    assert walk((INPUT_ONLY, SYN), (INPUT_ONLY, ACK), (INPUT_ONLY, FIN | ACK), (INPUT_ONLY, ACK)) == [
        "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "FIN_WAIT",
    ]  # fmt: skip


def test_a_reset_while_the_handshake_lasts_is_not_believed():
    """A client's reset leaves SYN_RECV, a server's closes it."""
    assert walk((INPUT, SYN), (INPUT, RST))[-1] == "SYN_RECV"
    assert walk((INPUT, SYN), (OUTPUT, RST))[-1] == "CLOSE"


def test_secure_tcp_waits_for_the_server():
    """In defence an ACK alone does not establish a connection."""
    assert walk((INPUT, SYN), (INPUT, ACK), table=TCP_SECURE_TABLE)[-1] == "SYN_RECV"
    assert walk((INPUT, SYN), (OUTPUT, SYN | ACK), (INPUT, ACK), table=TCP_SECURE_TABLE)[-2:] == ["SYNACK", "SYNACK"]


@pytest.mark.parametrize("table", [TCP_TABLE, TCP_SECURE_TABLE, SCTP_TABLE])
def test_tables_are_whole(table):
    """Every direction and event (TCP: combination of flags) has an answer for every state."""
    states = len(SCTP_NAMES) if table is SCTP_TABLE else len(TCP_NAMES)
    events = 10 if table is SCTP_TABLE else 64

    assert [len(direction) for direction in table] == [events] * 3
    assert all(len(row) == states and max(row) < states for direction in table for row in direction)
    assert len(TCP_TIMEOUTS) == len(TCP_NAMES)
    assert len(SCTP_TIMEOUTS) == len(SCTP_NAMES)


@given(st.integers(0, 63))
def test_events_by_precedence(flags):
    """RST counts before SYN, that before FIN, that before ACK."""
    order = [(RST, 3), (SYN, 0), (FIN, 1), (ACK, 2)]
    expected = next((event for bit, event in order if flags & bit), -1)

    assert tcp_event(flags) == expected
    assert expected >= 0 or TCP_TABLE[INPUT][flags] == (TCP_CLOSE,) * len(TCP_NAMES)


@given(st.binary(max_size=24))
def test_any_chunks_have_an_event(chunks):
    """Whatever stands in an SCTP packet, it is an event or unreadable."""
    assert -1 <= sctp_event(chunks) <= 9


def test_an_abort_behind_a_cookie_is_the_abort():
    """Of two bundled chunks the second counts where it is an ABORT behind a cookie."""
    cookie = bytes([10, 0, 0, 4])
    assert sctp_event(cookie) == 3
    assert sctp_event(cookie + bytes([6, 0, 0, 4])) == 9
