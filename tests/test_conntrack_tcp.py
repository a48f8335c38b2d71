"""TCP in the middle: the table of states, windows, and what a recorded kernel said of sixty wild conversations."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_host import FakeHost
from strategies import u16, u32
from svcsim.conntrack import Status
from svcsim.conntrack_tcp import TRANSITIONS, TcpPhase, TcpState, segment_kind
from svcsim.conntrack_tcp_window import options_of
from svcsim.conntrack_text import format_conn
from svcsim.hooks import CtInfo
from svcsim.packet import Packet
from svcsim.wire import decode

RECORDED = Path(__file__).parent / "recorded" / "conntrack-tcp.jsonl.gz"
CLIENT, SERVER = "10.1.0.2:5000", "10.2.0.2:80"
KINDS = ["SYN", "SYNACK", "FIN", "ACK", "RST"]

#: The specification's table, row by row as it is printed there: direction, kind, and the phases NO to S2.
SPECIFIED = """
orig SYN SS SS IG IG IG IG IG SS SS S2
orig SYNACK IV IV SR IV IV IV IV IV IV SR
orig FIN IV IV FW FW LA LA LA TW CL IV
orig ACK ES IV ES ES CW CW TW TW CL IV
orig RST IV CL CL CL CL CL CL CL CL CL
reply SYN IV S2 IV IV IV IV IV SS IV S2
reply SYNACK IV SR IG IG IG IG IG IG IG SR
reply FIN IV IV FW FW LA LA LA TW CL IV
reply ACK IV IG SR ES CW CW TW TW CL IG
reply RST IV CL CL CL CL CL CL CL CL CL
"""
LETTERS = dict(zip(["NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2", "IG", "IV"], TcpPhase, strict=True))


class Conversation:
    """A client behind cli0 and a server behind pod0; *infos* is what each segment was to its connection."""

    def __init__(self, **parameters: int) -> None:
        self.host = FakeHost(nat=False)
        for name, value in parameters.items():
            self.host.sysctls.write(f"net.netfilter.nf_conntrack_tcp_{name}", str(value))
        self.infos: list[CtInfo] = []

    def __call__(self, way: str, flags: str, seq: int, ack: int = 0, size: int = 0, **fields: object) -> CtInfo:
        """Send a segment: *way* is ``>`` from the client or ``<`` from the server."""
        ends = (CLIENT, SERVER) if way == ">" else (SERVER, CLIENT)
        packet = Packet.tcp(*ends, flags=flags, seq=seq, ack=ack, payload=bytes(size), **fields)
        skb = self.host.forward(packet, back=way == "<")
        assert skb is not None
        self.infos.append(skb.ctinfo)
        return skb.ctinfo

    def open(self) -> Conversation:
        """The three segments of a handshake, from 1000 and 5000."""
        self(">", "S", 1000)
        self("<", "SA", 5000, 1001)
        self(">", "A", 1001, 5001)
        return self

    @property
    def state(self) -> TcpState | None:
        """The one connection's state, None if there is no connection."""
        conns = list(self.host.conntrack)
        state = conns[0].state if conns else None
        assert state is None or isinstance(state, TcpState)
        return state

    @property
    def phase(self) -> str:
        """The one connection's phase, empty if there is no connection."""
        return self.state.phase.name if self.state is not None else ""

    @property
    def seconds(self) -> int:
        """How long it will still live."""
        return next(iter(self.host.conntrack)).remaining(self.host.clock.now) // 10**9

    @property
    def assured(self) -> bool:
        """Whether it is ASSURED."""
        return bool(next(iter(self.host.conntrack)).status & Status.ASSURED)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_table_is_the_specified_one():
    """Each of its hundred fields is what the specification says."""
    rows = [line.split() for line in SPECIFIED.strip().splitlines()]
    assert len(rows) == 10
    for way, kind, *phases in rows:
        row = TRANSITIONS[way == "reply"][KINDS.index(kind)]
        assert list(row) == [LETTERS[letters] for letters in phases], (way, kind)


@pytest.mark.parametrize("is_reply", [False, True])
@pytest.mark.parametrize("kind, flags", list(enumerate(["S", "SA", "FA", "A", "RA"])))
@pytest.mark.parametrize("phase", list(TcpPhase)[:10])
def test_the_tracker_walks_the_table(is_reply, kind, flags, phase):
    """
    A segment that fits the windows takes a connection where the table says.

    What the table ignores or refuses leaves it where it is. From CLOSE and TIME_WAIT a SYN opens anew or is ignored.
    """
    talk = Conversation().open()
    state = talk.state
    assert state is not None
    if phase is TcpPhase.NONE:
        talk.host.conntrack.flush()
    else:
        state.phase = phase
    way = "<" if is_reply else ">"
    seq, ack = (5001, 1001) if is_reply else (1001, 5001)

    talk(way, flags, seq, ack if "A" in flags else 0)

    expected = TRANSITIONS[is_reply and phase is not TcpPhase.NONE][kind][phase]
    if expected is TcpPhase.INVALID:
        assert talk.infos[-1] is CtInfo.INVALID
        assert talk.phase == ("" if phase is TcpPhase.NONE else phase.name)
    elif expected is TcpPhase.IGNORE or (expected is TcpPhase.SYN_SENT and phase >= TcpPhase.TIME_WAIT):
        assert talk.phase == phase.name
        assert talk.infos[-1] is not CtInfo.INVALID
    elif expected is TcpPhase.SYN_SENT and phase is TcpPhase.SYN_SENT:
        assert talk.phase == "SYN_SENT"
    else:
        assert talk.phase == expected.name


@pytest.mark.parametrize("flags", range(256))
def test_flag_combinations(flags):
    """Of the flags that matter nine combinations are segments; push, ECN echo and window reduction do not matter."""
    names = {0x02: 0, 0x22: 0, 0x12: 1, 0x11: 2, 0x31: 2, 0x10: 3, 0x30: 3, 0x04: 4, 0x14: 4}

    assert segment_kind(flags) == names.get(flags & ~0xC8, -1)


# -- lives -------------------------------------------------------------------------------------------------------------


def test_a_handshake():
    """Three segments: 120 s, 60 s, then five days and ASSURED."""
    talk = Conversation()
    talk(">", "S", 1000)
    assert (talk.phase, talk.seconds, talk.infos[-1]) == ("SYN_SENT", 120, CtInfo.NEW)
    talk("<", "SA", 5000, 1001)
    assert (talk.phase, talk.seconds, talk.infos[-1]) == ("SYN_RECV", 60, CtInfo.ESTABLISHED_REPLY)
    assert not talk.assured

    talk(">", "A", 1001, 5001)

    assert (talk.phase, talk.seconds, talk.infos[-1]) == ("ESTABLISHED", 432000, CtInfo.ESTABLISHED)
    assert talk.assured


def test_unacknowledged_data_shortens_the_life():
    """With data on its way 300 s are enough; its acknowledgement brings the five days back."""
    talk = Conversation().open()
    talk(">", "PA", 1001, 5001, 10)
    assert talk.seconds == 300

    talk("<", "A", 5001, 1011)

    assert talk.seconds == 432000


def test_a_closed_window_shortens_the_life():
    """A receiver that takes nothing any more is given 300 s."""
    talk = Conversation().open()

    talk("<", "A", 5001, 1001, window=0)

    assert talk.seconds == 300


def test_the_same_acknowledgement_again_and_again_shortens_the_life():
    """Three repetitions count as retransmissions, and then 300 s are enough."""
    talk = Conversation().open()
    for _ in range(2):
        talk(">", "A", 1001, 5001)
    assert talk.seconds == 432000

    talk(">", "A", 1001, 5001)

    assert talk.seconds == 300


def test_a_farewell():
    """FIN, FIN, ACK: FIN_WAIT 120, LAST_ACK 30, TIME_WAIT 120."""
    talk = Conversation().open()
    talk(">", "FA", 1001, 5001)
    assert (talk.phase, talk.seconds) == ("FIN_WAIT", 120)
    talk("<", "A", 5001, 1002)
    assert (talk.phase, talk.seconds) == ("CLOSE_WAIT", 60)
    talk("<", "FA", 5001, 1002)
    assert (talk.phase, talk.seconds) == ("LAST_ACK", 30)

    talk(">", "A", 1002, 5002)

    assert (talk.phase, talk.seconds) == ("TIME_WAIT", 120)
    talk.host.advance(120)
    assert talk.phase == ""


def test_a_repeated_syn_keeps_nothing_alive():
    """A client that keeps trying is NEW each time, and its entry ends 120 s after the first try."""
    talk = Conversation()
    talk(">", "S", 1000)
    talk.host.advance(100)
    assert talk(">", "S", 1000) is CtInfo.NEW
    assert talk.seconds == 20

    talk.host.advance(20)

    assert talk.phase == ""


def test_a_reset_before_any_answer_forgets_the_connection():
    """Only the client spoke: its reset ends the entry at once, and is still of that connection."""
    talk = Conversation()
    talk(">", "S", 1000)

    assert talk(">", "RA", 1001, 0) is CtInfo.NEW
    assert talk.phase == ""


def test_a_refusal_closes():
    """The server's reset arrives as a reply before any was seen: the entry goes at once too."""
    talk = Conversation()
    talk(">", "S", 1000)

    assert talk("<", "RA", 0, 1001) is CtInfo.ESTABLISHED_REPLY
    assert talk.phase == ""


def test_a_reset_in_place_closes():
    """In an established connection the exact sequence number closes, for 10 s."""
    talk = Conversation().open()
    talk("<", "A", 5001, 1001)

    talk(">", "RA", 1001, 5001)

    assert (talk.phase, talk.seconds) == ("CLOSE", 10)


def test_a_reset_out_of_place_is_not_believed():
    """In window but not exact: the connection stays, as the peer may answer by a challenge, but lives 10 s."""
    talk = Conversation().open()
    talk("<", "A", 5001, 1001)

    assert talk(">", "RA", 1011, 5001) is CtInfo.ESTABLISHED
    assert (talk.phase, talk.seconds) == ("ESTABLISHED", 10)


def test_an_old_reset_is_invalid_unless_told_otherwise():
    """Below what the other side acknowledged a reset is forged or late; the parameter takes it even so."""
    for believing, info in ((0, CtInfo.INVALID), (1, CtInfo.ESTABLISHED)):
        talk = Conversation(ignore_invalid_rst=believing).open()
        talk("<", "A", 5001, 1001)

        assert talk(">", "R", 900) is info


def test_reopening_after_a_farewell_is_a_new_connection():
    """A SYN in TIME_WAIT begins another entry, which is NEW."""
    talk = Conversation().open()
    talk(">", "FA", 1001, 5001)
    talk("<", "FA", 5001, 1002)
    talk(">", "A", 1002, 5002)
    before = next(iter(talk.host.conntrack)).id

    assert talk(">", "S", 9000) is CtInfo.NEW
    assert talk.phase == "SYN_SENT"
    assert next(iter(talk.host.conntrack)).id != before


def test_reopening_after_one_s_own_reset():
    """Who aborted may begin again; the other side's SYN is invalid."""
    talk = Conversation().open()
    talk("<", "A", 5001, 1001)
    talk(">", "RA", 1001, 5001)
    assert talk("<", "S", 7000) is CtInfo.INVALID

    assert talk(">", "S", 9000) is CtInfo.NEW


def test_an_ignored_syn_whose_answer_comes_resynchronises():
    """The client restarted unseen: its SYN passes without effect, the server's answer to it counts."""
    talk = Conversation().open()
    assert talk(">", "S", 90000, tcp_options=bytes.fromhex("01030307")) is CtInfo.ESTABLISHED
    assert talk.phase == "ESTABLISHED"

    talk("<", "SA", 70000, 90001)

    assert talk.phase == "SYN_RECV"
    talk(">", "A", 90001, 70001)
    assert talk.phase == "ESTABLISHED"
    assert talk(">", "PA", 90001, 70001, 5) is CtInfo.ESTABLISHED


def test_a_challenge_is_no_farewell():
    """In LAST_ACK a SYN may be answered by a challenge ACK: that does not acknowledge the FIN."""
    talk = Conversation().open()
    talk(">", "FA", 1001, 5001)
    talk("<", "FA", 5001, 1002)
    assert talk.phase == "LAST_ACK"
    talk(">", "S", 9000)

    talk("<", "A", 5002, 1002)

    assert talk.phase == "LAST_ACK"
    talk("<", "A", 5002, 1002)
    assert talk.phase == "TIME_WAIT"


def test_both_ends_open_at_once():
    """Two SYNs cross, both are answered, and the connection stands."""
    talk = Conversation()
    talk(">", "S", 1000)
    talk("<", "S", 5000)
    assert talk.phase == "SYN_SENT2"
    talk(">", "SA", 1000, 5001)
    talk("<", "SA", 5000, 1001)
    assert talk.phase == "SYN_RECV"

    talk("<", "A", 5001, 1001)

    assert talk.phase == "ESTABLISHED"


def test_picking_up_in_the_middle():
    """By default a bare ACK begins an entry, for 300 s until the other side is heard; tcp_loose=0 refuses it."""
    talk = Conversation()
    assert talk(">", "A", 7_000_000, 9_000_000) is CtInfo.NEW
    assert (talk.phase, talk.seconds, talk.assured) == ("ESTABLISHED", 300, False)
    talk("<", "A", 9_000_000, 7_000_000)
    assert (talk.seconds, talk.assured) == (300, False)

    talk(">", "A", 7_000_000, 9_000_000)

    assert (talk.seconds, talk.assured) == (432000, True)
    assert Conversation(loose=0)(">", "A", 1, 1) is CtInfo.INVALID


@pytest.mark.parametrize("flags", ["SA", "FA", "RA", "R"])
def test_nothing_else_begins_a_connection(flags):
    """An answer, a farewell or a reset of nothing known is INVALID."""
    assert Conversation()("<", flags, 1, 1) is CtInfo.INVALID


def test_a_truncated_header_is_invalid():
    """Less than a TCP header cannot be tracked, and begins nothing."""
    talk = Conversation()
    cut = Packet.opaque("10.1.0.2", "10.2.0.2", 6, b"\x13\x88\x00\x50" + bytes(10))

    skb = talk.host.forward(cut)

    assert skb is not None
    assert skb.ctinfo is CtInfo.INVALID
    assert len(talk.host.conntrack) == 0


def test_rejecting_closes():
    """This host answers a connection with a reset: the entry is closed, for 10 s, once."""
    talk = Conversation().open()
    conn = next(iter(talk.host.conntrack))
    talk.host.conntrack.close(conn)
    assert (talk.phase, talk.seconds) == ("CLOSE", 10)
    talk.host.advance(4)
    talk.host.conntrack.close(conn)
    assert talk.seconds == 6


def test_tracking_again_after_a_pause_learns_windows_anew():
    """Switched off and on again, an established connection is not judged by windows of its earlier life."""
    talk = Conversation().open()
    tracking = talk.host.tracking[next(iter(talk.host.conntrack)).orig[0]]  # type: ignore[index]
    tracking.disable()
    assert talk(">", "PA", 500_000, 900_000, 10) is CtInfo.INVALID  # not looked at
    tracking.enable()

    assert talk(">", "PA", 1_000_000, 2_000_000, 10) is CtInfo.ESTABLISHED
    assert talk("<", "A", 2_000_000, 1_000_010) is CtInfo.ESTABLISHED_REPLY


# -- windows -----------------------------------------------------------------------------------------------------------


def test_far_beyond_the_window_is_invalid():
    """More than the peer allows does not belong, and the entry does not move; tcp_be_liberal takes it."""
    assert Conversation().open()(">", "PA", 1001 + 200_000, 5001, 10) is CtInfo.INVALID
    assert Conversation(be_liberal=1).open()(">", "PA", 1001 + 200_000, 5001, 10) is CtInfo.ESTABLISHED


def test_a_little_beyond_the_window_is_let_through():
    """Some hosts send more than they may: up to another window passes, and its acknowledgement fits."""
    talk = Conversation().open()
    assert talk(">", "PA", 1001 + 100_000, 5001, 10) is CtInfo.ESTABLISHED

    assert talk("<", "A", 5001, 1001 + 100_010) is CtInfo.ESTABLISHED_REPLY


def test_an_acknowledgement_of_what_was_never_sent_is_invalid():
    """Nobody can have received data that did not pass here."""
    assert Conversation().open()(">", "A", 1001, 6001) is CtInfo.INVALID


def test_old_data_is_let_through_and_teaches_nothing():
    """A late retransmission belongs to the connection, but does not prolong it."""
    talk = Conversation().open()
    talk(">", "A", 1001, 5001)
    talk.host.advance(10)

    assert talk(">", "PA", (1001 - 70_000) % 2**32, 5001, 10) is CtInfo.ESTABLISHED
    assert talk.seconds == 432000 - 10


def test_scaled_windows():
    """With both sides' offers a window of 1000 means 128000; with one side's it means 1000."""
    both = bytes.fromhex("01030307")
    for answer, info in ((both, CtInfo.ESTABLISHED), (b"", CtInfo.INVALID)):
        talk = Conversation()
        talk(">", "S", 1000, tcp_options=both)
        talk("<", "SA", 5000, 1001, tcp_options=answer, window=1000)
        talk(">", "A", 1001, 5001)
        talk("<", "A", 5001, 1001, window=1000)

        assert talk(">", "PA", 1001 + 100_000, 5001, 10) is info


def test_a_selective_acknowledgement_reaches_further():
    """The highest SACK edge counts: one beyond what was sent is invalid, if SACK was agreed on."""
    permitted = bytes.fromhex("04020101")
    for options, info in ((permitted, CtInfo.INVALID), (b"", CtInfo.ESTABLISHED_REPLY)):
        talk = Conversation()
        talk(">", "S", 1000, tcp_options=options)
        talk("<", "SA", 5000, 1001, tcp_options=options)
        talk(">", "A", 1001, 5001)
        block = bytes.fromhex("0101050a") + (1500).to_bytes(4) + (2500).to_bytes(4)

        assert talk("<", "A", 5001, 1001, tcp_options=block) is info


def test_resets_out_of_window_from_both_sides_end_a_connection_sooner():
    """The entry is out of step with what both ends think: 300 s instead of five days."""
    talk = Conversation().open()
    talk("<", "A", 5001, 1001)
    talk(">", "FA", 500_001, 5001)
    assert talk.seconds == 432000

    talk("<", "FA", 800_001, 1001)

    assert talk.seconds == 300
    assert talk.infos[-2:] == [CtInfo.INVALID, CtInfo.INVALID]


def test_sequence_numbers_wrap():
    """A conversation across 2**32 is like any other."""
    talk = Conversation()
    top = 2**32 - 5
    talk(">", "S", top)
    talk("<", "SA", top, top + 1)
    talk(">", "A", top + 1, top + 1)
    assert talk(">", "PA", top + 1, top + 1, 10) is CtInfo.ESTABLISHED
    assert talk("<", "A", top + 1, 6) is CtInfo.ESTABLISHED_REPLY
    assert talk.seconds == 432000


@pytest.mark.parametrize(
    "data, found",
    [
        ("", []),
        ("00 0101", []),
        ("01 01 0402", [(4, "")]),
        ("0204", []),  # says four bytes, has two
        ("0201 0402", []),  # silly length
        ("03", []),
        ("030307 00 0402", [(3, "07")]),
    ],
)
def test_options(data, found):
    """Options are read up to the end mark or the first that makes no sense."""
    assert list(options_of(bytes.fromhex(data))) == [(kind, bytes.fromhex(body)) for kind, body in found]


segments = st.tuples(
    st.booleans(),
    st.integers(0, 0xFFF),
    st.integers(0, 8) | u32,
    st.integers(0, 8) | u32,
    u16,
    st.sampled_from([b"", bytes.fromhex("01030302"), bytes.fromhex("04020101"), bytes.fromhex("0101050a") + bytes(8)])
    | st.binary(max_size=8).map(lambda b: b[: len(b) & ~3]),
    st.integers(0, 3),
)


@settings(max_examples=150)
@given(st.lists(segments, max_size=25))
def test_no_conversation_is_too_strange(conversation):
    """Whatever comes, it is tracked or INVALID; numbers stay within 32 bits and phases within the table."""
    host = FakeHost(nat=False)
    for is_reply, flags, seq, ack, window, options, size in conversation:
        ends = (SERVER, CLIENT) if is_reply else (CLIENT, SERVER)
        packet = Packet.tcp(*ends, seq=seq, ack=ack, window=window, tcp_options=options, payload=bytes(size))
        assert packet.header is not None
        header = type(packet.header)(seq, ack, flags, window, 0, options)  # type: ignore[call-arg]
        skb = host.forward(packet.rewritten(header=header), back=is_reply)
        assert skb is not None
        for conn in host.conntrack:
            state = conn.state
            assert isinstance(state, TcpState)
            assert TcpPhase.NONE < state.phase <= TcpPhase.SYN_SENT2
            for side in state.windows.sides:
                assert 0 <= side.end <= 0xFFFFFFFF
                assert 0 <= side.max_end <= 0xFFFFFFFF
                assert 0 <= side.max_ack <= 0xFFFFFFFF


# -- a recorded kernel -------------------------------------------------------------------------------------------------


def recorded() -> list[dict[str, object]]:
    with gzip.open(RECORDED, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("case", recorded(), ids=lambda case: "")
def test_as_the_kernel_said(case):
    """
    Random conversations, sane and insane: each segment's state and the entry after it are what Linux 6.18 said.

    A step is the direction, the packet, its ``--ctstate``, and the line of ``conntrack -L``, with accounting.
    """
    host = FakeHost(nat=False)
    host.sysctls.write("net.netfilter.nf_conntrack_acct", "1")
    for setting in case["sysctls"]:
        name, _, value = setting.partition("=")
        host.sysctls.write(f"net.netfilter.nf_conntrack_{name}", value)
    for number, (is_reply, packet, state, line) in enumerate(case["steps"]):
        skb = host.forward(decode(bytes.fromhex(packet)), back=bool(is_reply))
        assert skb is not None
        assert skb.ctinfo.state == state, number
        mine = [format_conn(conn, host.clock.now).split() for conn in host.conntrack]
        theirs = [line.split() for line in line.splitlines()]
        assert [words[:2] + words[3:] for words in mine] == [words[:2] + words[3:] for words in theirs], number
        for ours, other in zip(mine, theirs, strict=True):
            assert abs(int(ours[2]) - int(other[2])) <= 6, number
