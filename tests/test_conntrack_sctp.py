"""SCTP in the middle: a recorded association, its table of states, tags and chunks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_host import FakeHost
from strategies import u8, u32
from svcsim.conntrack import Conn, Status
from svcsim.conntrack_sctp import TRANSITIONS, SctpPhase, SctpState
from svcsim.hooks import CtInfo
from svcsim.packet import Packet

CLIENT, SERVER = "10.1.0.2:7000", "10.2.0.2:7001"
DATA, INIT, INIT_ACK, HEARTBEAT, HEARTBEAT_ACK, ABORT, SHUTDOWN, SHUTDOWN_ACK = 0, 1, 2, 4, 5, 6, 7, 8
ERROR, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE = 9, 10, 11, 14


def chunk(type: int, body: bytes = b"", flags: int = 0) -> bytes:
    return bytes([type, flags]) + (4 + len(body)).to_bytes(2) + body + bytes(-len(body) % 4)


def init(tag: int, type: int = INIT) -> bytes:
    return chunk(type, tag.to_bytes(4) + bytes(12))


class Association:
    """A client behind cli0 and a server behind pod0."""

    def __init__(self) -> None:
        self.host = FakeHost(nat=False)

    def __call__(self, way: str, tag: int, *chunks: bytes) -> CtInfo:
        """Send a packet: *way* is ``>`` from the client or ``<`` from the server."""
        ends = (CLIENT, SERVER) if way == ">" else (SERVER, CLIENT)
        skb = self.host.forward(Packet.sctp(*ends, b"".join(chunks), tag=tag), back=way == "<")
        assert skb is not None
        return skb.ctinfo

    def open(self) -> Association:
        """The four packets of a handshake; the client's packets carry 9, the server's 7."""
        self(">", 0, init(7))
        self("<", 7, init(9, INIT_ACK))
        self(">", 9, chunk(COOKIE_ECHO, b"cookie"))
        self("<", 7, chunk(COOKIE_ACK))
        return self

    @property
    def conn(self) -> Conn:
        """The one entry."""
        (conn,) = self.host.conntrack
        return conn

    @property
    def phase(self) -> str:
        """Its phase."""
        state = self.conn.state
        assert isinstance(state, SctpState)
        return state.label

    @property
    def seconds(self) -> int:
        """How long it will still live."""
        return self.conn.remaining(self.host.clock.now) // 10**9


def test_a_recorded_association():
    """Handshake, data and shutdown, phase by phase as Linux 6.18 listed them."""
    talk = Association()
    story = [
        (">", 0, init(7), "CLOSED", 10),
        (">", 0, init(7), "CLOSED", 10),
        ("<", 7, init(9, INIT_ACK), "COOKIE_WAIT", 3),
        (">", 9, chunk(COOKIE_ECHO, b"cook"), "COOKIE_ECHOED", 3),
        ("<", 7, chunk(COOKIE_ACK), "ESTABLISHED", 210),
        (">", 9, chunk(DATA, bytes(12), 3), "ESTABLISHED", 210),
        (">", 9, chunk(SHUTDOWN, b"xxxx"), "SHUTDOWN_SENT", 3),
        ("<", 7, chunk(SHUTDOWN_ACK), "SHUTDOWN_ACK_SENT", 3),
        (">", 9, chunk(SHUTDOWN_COMPLETE), "CLOSED", 10),
    ]
    for way, tag, data, phase, seconds in story:
        assert talk(way, tag, data) is not CtInfo.INVALID
        assert (talk.phase, talk.seconds) == (phase, seconds)
    assert talk.conn.status & Status.ASSURED


def test_the_table_is_whole():
    """Eleven chunk types move an association, in either direction, from any of nine phases; none leads to NONE."""
    for rows in TRANSITIONS:
        assert sorted(rows) == sorted({1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 14})
        for row in rows.values():
            assert len(row) == 9
            assert SctpPhase.NONE not in row
    assert all(row[SctpPhase.NONE] is SctpPhase.INVALID for row in TRANSITIONS[1].values())
    assert all(SctpPhase.INVALID not in row for row in TRANSITIONS[0].values())


def test_a_repeated_init_keeps_nothing_alive():
    """The entry ends 10 s after the first try."""
    talk = Association()
    talk(">", 0, init(7))
    talk.host.advance(6)
    talk(">", 0, init(7))
    assert talk.seconds == 4


@pytest.mark.parametrize("first", [ABORT, SHUTDOWN_COMPLETE, COOKIE_ACK, DATA, 3])
def test_out_of_the_blue(first):
    """These chunks begin no association."""
    talk = Association()
    assert talk(">", 5, chunk(first, bytes(12))) is CtInfo.INVALID
    assert len(talk.host.conntrack) == 0


@pytest.mark.parametrize(
    "way, tag, data",
    [
        (">", 8, chunk(DATA, bytes(12))),  # a wrong tag
        (">", 0, init(7) + chunk(DATA, bytes(12))),  # INIT is alone
        (">", 9, chunk(DATA, bytes(12)) + chunk(COOKIE_ECHO)),  # COOKIE ECHO is first
        (">", 9, b"\0\0\0\0"),  # no length
        (">", 9, b""),  # no chunk
        (">", 1, init(7)),  # INIT carries no tag
        (">", 0, chunk(INIT, b"short")),
        (">", 8, chunk(ABORT)),
        (">", 9, chunk(ABORT, flags=1)),  # with T the peer's tag
        (">", 8, chunk(COOKIE_ECHO)),
        ("<", 7, init(8, INIT_ACK)),  # asks for another tag than before
        (
            ">",
            8,
            chunk(HEARTBEAT, bytes(4)),
        ),
    ],
)
def test_what_does_not_fit(way, tag, data):
    """Wrong tags and impossible chunks are INVALID and leave the association as it is; a strange heartbeat passes."""
    talk = Association().open()

    found = talk(way, tag, data)

    assert talk.phase == "ESTABLISHED"
    assert (found is CtInfo.INVALID) == (data[:1] != bytes([HEARTBEAT]))


@pytest.mark.parametrize("tag, flags", [(9, 0), (7, 1)])
def test_an_abort_closes(tag, flags):
    """With its own tag, or with the peer's and the T flag."""
    talk = Association().open()
    assert talk(">", tag, chunk(ABORT, flags=flags)) is CtInfo.ESTABLISHED
    assert (talk.phase, talk.seconds) == ("CLOSED", 10)


def test_a_second_path_opens_with_heartbeats():
    """A new path of a known association: request, answer, established."""
    talk = Association()
    assert talk(">", 9, chunk(HEARTBEAT, bytes(8))) is CtInfo.NEW
    assert (talk.phase, talk.seconds) == ("HEARTBEAT_SENT", 30)
    talk("<", 7, chunk(HEARTBEAT_ACK, bytes(8)))
    assert (talk.phase, talk.seconds) == ("ESTABLISHED", 210)
    assert talk(">", 9, chunk(DATA, bytes(12))) is CtInfo.ESTABLISHED


def test_a_restarted_end_is_believed_when_its_heartbeat_is_answered():
    """A strange tag passes without effect; the peer's answer with a strange tag of its own is taken over."""
    talk = Association().open()
    talk.host.advance(100)
    assert talk(">", 80, chunk(HEARTBEAT, bytes(8))) is CtInfo.ESTABLISHED
    assert talk.seconds == 110
    assert talk("<", 70, chunk(HEARTBEAT_ACK, bytes(8))) is CtInfo.ESTABLISHED_REPLY
    assert talk(">", 80, chunk(HEARTBEAT, bytes(8))) is CtInfo.ESTABLISHED
    assert talk(">", 80, chunk(DATA, bytes(12))) is CtInfo.ESTABLISHED


def test_a_shutting_down_association_may_be_given_up():
    """A full table may take it although it is ASSURED."""
    talk = Association().open()
    assert not talk.conn.state.closing
    talk(">", 9, chunk(SHUTDOWN, bytes(4)))
    assert talk.conn.state.closing


chunks = st.one_of(
    st.builds(lambda t, f, b: chunk(t, b, f), st.sampled_from([*TRANSITIONS[0], 0, 3]), u8, st.binary(max_size=20)),
    st.binary(max_size=12),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 7, 9]) | u32, st.lists(chunks, max_size=3)), max_size=15))
def test_no_packet_is_too_strange(packets):
    """Whatever comes, it is tracked or INVALID."""
    talk = Association().open()
    for is_reply, tag, parts in packets:
        talk("<" if is_reply else ">", tag, *parts)
        for conn in talk.host.conntrack:
            assert isinstance(conn.state, SctpState)
            assert SctpPhase.NONE < conn.state.phase < SctpPhase.INVALID
