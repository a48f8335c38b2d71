"""
TCP connections as a middlebox sees them: a table of states, and windows.

Behaviour of: nf_conntrack_proto_tcp; window rules after van Rooij, "Real stateful TCP packet filtering in IP Filter"
(2001). A segment that does not fit is not dropped here: it is INVALID and goes on without its connection.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import attrs

from svcsim.clock import SECOND
from svcsim.conntrack import Conn, ConnState, Status
from svcsim.conntrack_tcp_window import FITS, Fit, TcpSide, TcpWindows, fit, plus_length
from svcsim.conntrack_tracker import ACCEPT, INVALID, REOPEN, Outcome, Tracker
from svcsim.packet import Header, Tcp, TcpFlags

__all__ = ["TRANSITIONS", "TcpPhase", "TcpState", "TcpTracker", "segment_kind"]


class TcpPhase(enum.IntEnum):
    """Where a connection stands; the last two are answers of the table and never a connection's own."""

    NONE = 0
    SYN_SENT = 1
    SYN_RECV = 2
    ESTABLISHED = 3
    FIN_WAIT = 4
    CLOSE_WAIT = 5
    LAST_ACK = 6
    TIME_WAIT = 7
    CLOSE = 8
    SYN_SENT2 = 9
    IGNORE = 10
    INVALID = 11


NO, SS, SR, ES, FW, CW, LA, TW, CL, S2, IG, IV = TcpPhase

# What a segment is, by its flags.
SYN, SYNACK, FIN, ACK, RST = range(5)

#: What becomes of a connection: [in reply direction][kind of segment][phase it is in].
TRANSITIONS: tuple[tuple[tuple[TcpPhase, ...], ...], ...] = (
    (  # NO  SS  SR  ES  FW  CW  LA  TW  CL  S2    original direction
        (SS, SS, IG, IG, IG, IG, IG, SS, SS, S2),  # SYN
        (IV, IV, SR, IV, IV, IV, IV, IV, IV, SR),  # SYN+ACK
        (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),  # FIN
        (ES, IV, ES, ES, CW, CW, TW, TW, CL, IV),  # ACK
        (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),  # RST
    ),
    (  # NO  SS  SR  ES  FW  CW  LA  TW  CL  S2    reply direction
        (IV, S2, IV, IV, IV, IV, IV, SS, IV, S2),  # SYN
        (IV, SR, IG, IG, IG, IG, IG, IG, IG, SR),  # SYN+ACK
        (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),  # FIN
        (IV, IG, SR, ES, CW, CW, TW, TW, CL, IG),  # ACK
        (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),  # RST
    ),
)

#: Phases in which both ends have said goodbye or one is gone: such a connection may make room for another.
_CLOSING = frozenset({FW, CW, LA, TW, CL})
_TIMEOUTS = {
    SS: "tcp_timeout_syn_sent",
    SR: "tcp_timeout_syn_recv",
    ES: "tcp_timeout_established",
    FW: "tcp_timeout_fin_wait",
    CW: "tcp_timeout_close_wait",
    LA: "tcp_timeout_last_ack",
    TW: "tcp_timeout_time_wait",
    CL: "tcp_timeout_close",
}
_SYN_SENT2_LIFETIME = 120 * SECOND  # no parameter says so
#: An entry that will be gone sooner than this is not hurried by strange resets.
_SOON = 120 * SECOND
_SEEN_REPLY, _ASSURED, _CONFIRMED = Status.SEEN_REPLY, Status.ASSURED, Status.CONFIRMED

#: What a segment can be; PSH, ECE and CWR say nothing of that.
_ALLOWED = {
    TcpFlags.SYN: SYN,
    TcpFlags.SYN | TcpFlags.URG: SYN,
    TcpFlags.SYN | TcpFlags.ACK: SYNACK,
    TcpFlags.FIN | TcpFlags.ACK: FIN,
    TcpFlags.FIN | TcpFlags.ACK | TcpFlags.URG: FIN,
    TcpFlags.ACK: ACK,
    TcpFlags.ACK | TcpFlags.URG: ACK,
    TcpFlags.RST: RST,
    TcpFlags.RST | TcpFlags.ACK: RST,
}
_SILENT = TcpFlags.PSH | TcpFlags.ECE | TcpFlags.CWR
#: A segment's kind for each value of its flag byte; -1: no host sends such a combination.
_KINDS = tuple(_ALLOWED.get(TcpFlags(flags) & ~_SILENT, -1) for flags in range(256))


def segment_kind(flags: int) -> int:
    """The row of `TRANSITIONS` for a segment with these flags; -1 where the combination is invalid."""
    return _KINDS[flags & 0xFF]


@attrs.define
class TcpState(ConnState):
    """
    What is known of one TCP connection: its *phase* and the *windows* of either side.

    The *ignored* fields remember a SYN that was let through without being believed: the server's answer tells whether
    the tracker was out of step.
    """

    phase: TcpPhase = NO
    windows: TcpWindows = attrs.field(factory=TcpWindows)
    ignored_scale: int | None = None
    ignored_sack: bool = False
    challenge_expected: bool = False
    simultaneous_open: bool = False

    @property
    def label(self) -> str:
        """The state as ``conntrack -L`` shows it."""
        return self.phase.name

    @property
    def closing(self) -> bool:
        """Whether one side has said goodbye."""
        return self.phase in _CLOSING

    def close(self) -> str:
        """Take the connection for closed; if it was already, its time runs on."""
        if self.phase is CL:
            return ""
        self.phase = CL
        return Tracker.PREFIX + _TIMEOUTS[CL]


class TcpTracker(Tracker):
    """The tracker of TCP."""

    PARAMETERS: ClassVar[dict[str, int]] = {
        "tcp_loose": 1,
        "tcp_be_liberal": 0,
        "tcp_ignore_invalid_rst": 0,
        "tcp_max_retrans": 3,
        "tcp_timeout_syn_sent": 120,
        "tcp_timeout_syn_recv": 60,
        "tcp_timeout_established": 432000,
        "tcp_timeout_fin_wait": 120,
        "tcp_timeout_close_wait": 60,
        "tcp_timeout_last_ack": 30,
        "tcp_timeout_time_wait": 120,
        "tcp_timeout_close": 10,
        "tcp_timeout_max_retrans": 300,
        "tcp_timeout_unacknowledged": 300,
    }

    LIMITS: ClassVar[dict[str, int]] = {
        "tcp_loose": 1,
        "tcp_be_liberal": 1,
        "tcp_ignore_invalid_rst": 1,
        "tcp_max_retrans": 255,
    }

    def read_parameters(self) -> None:
        """Take over what the parameters say now."""
        self._loose = self.value("tcp_loose") != 0
        self._liberal = self.value("tcp_be_liberal") != 0
        self._believe_resets = self.value("tcp_ignore_invalid_rst") != 0
        self._max_retransmits = self.value("tcp_max_retrans")
        self._lifetimes = [0] * len(TcpPhase)
        for phase, name in _TIMEOUTS.items():
            self._lifetimes[phase] = self.seconds(name)
        self._lifetimes[S2] = _SYN_SENT2_LIFETIME
        self._retransmitting = self.seconds("tcp_timeout_max_retrans")
        self._unacknowledged = self.seconds("tcp_timeout_unacknowledged")

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Judge a segment."""
        if not isinstance(header, Tcp):
            return INVALID
        kind = _KINDS[header.flags & 0xFF]
        if kind < 0:
            return INVALID
        size = len(payload)
        state = conn.state
        if state is None or not conn.status & _CONFIRMED:
            state = conn.state = self._begin(kind, header, size)
            if state is None:
                return INVALID
        assert isinstance(state, TcpState)
        windows = state.windows
        old = state.phase
        new = TRANSITIONS[is_reply][kind][old]
        checked = True
        if new is not ES or old is not ES:  # within an established connection nothing below applies
            if new is SS and old >= TW:
                if windows.sides[0].began_close or windows.sides[1].began_close or windows.last_was(RST, is_reply):
                    self._table.delete(conn)
                    return REOPEN
                new = IG
            if new is IG:
                if not self._resynchronises(windows, is_reply, kind, header):
                    self._ignore(state, is_reply, kind, header, size)
                    return ACCEPT
                old, new = SS, SR
                self._resynchronise(state)
            elif new is IV:
                return INVALID
            elif new is TW:
                if old is LA and kind == ACK and state.challenge_expected and windows.last_was(SYN, not is_reply):
                    state.challenge_expected = False
                    return ACCEPT  # it answers the SYN that was let through, not the FIN
            elif new is S2:
                state.simultaneous_open = True
            elif new is SR:
                if is_reply and kind == ACK and state.simultaneous_open:
                    new = ES
            elif new is CL and kind == RST and not state.closing:
                verdict = self._judge_reset(conn, state, is_reply, header)
                if verdict is None:
                    return INVALID
                new, checked = verdict
            elif new is CL and kind == RST:
                checked = False  # the ports may be in use again; what was remembered says nothing any more
        if checked:
            found = fit(windows, is_reply, header, size, old, kind == ACK, self._liberal)
            if found is not FITS:
                if found is Fit.IGNORE:
                    return ACCEPT
                self._note_invalid(conn, windows, is_reply, kind)
                return INVALID
        windows.last_kind = kind
        windows.last_is_reply = is_reply
        state.phase = new
        if new is FW and old is not FW:
            windows.sides[is_reply].began_close = True
        return self._settle(conn, windows, old, new, is_reply, kind, length)

    def _begin(self, kind: int, header: Tcp, size: int) -> TcpState | None:
        """The state before a connection's first segment; None if no connection begins like that."""
        first = TRANSITIONS[0][kind][NO]
        if first is IV or (first is ES and not self._loose):
            return None
        state = TcpState()
        sender, receiver = state.windows.sides
        sender.end = sender.max_end = plus_length(header, size)
        sender.max_window = header.window or 1
        if first is SS:
            sender.take_options(header.options)
        else:  # the history is lost: suppose SACK, and judge windows by what is seen, for their scale is not known
            sender.max_end = sender.end + sender.max_window & 0xFFFFFFFF
            sender.sack = receiver.sack = sender.liberal = receiver.liberal = True
        return state

    # -- segments that are let through but not believed ----------------------------------------------------------------

    @staticmethod
    def _resynchronises(windows: TcpWindows, is_reply: bool, kind: int, header: Tcp) -> bool:
        """Whether a SYN+ACK answers the SYN that was ignored: then both ends agree and the tracker was wrong."""
        return kind == SYNACK and windows.last_was(SYN, not is_reply) and header.ack == windows.last_end

    @staticmethod
    def _resynchronise(state: TcpState) -> None:
        """Believe the SYN that was ignored, which was the client's, and forget all of the server but being liberal."""
        windows = state.windows
        client = TcpSide(
            end=windows.last_end,
            max_end=windows.last_end,
            max_window=windows.last_window or 1,
            scale=state.ignored_scale or 0,
            scales=state.ignored_scale is not None,
            sack=state.ignored_sack,
        )
        windows.sides = (client, TcpSide(liberal=windows.sides[1].liberal))
        state.challenge_expected = False

    @staticmethod
    def _ignore(state: TcpState, is_reply: bool, kind: int, header: Tcp, size: int) -> None:
        """Let a segment through unbelieved: this entry may be out of step, and the answer will tell."""
        windows = state.windows
        windows.last_kind = kind
        windows.last_is_reply = is_reply
        windows.last_seq = header.seq
        windows.last_end = plus_length(header, size)
        windows.last_window = header.window
        if kind == SYN and not is_reply:
            offered = TcpSide()
            offered.take_options(header.options)
            state.ignored_scale = offered.scale if offered.scales else None
            state.ignored_sack = offered.sack
            # RFC 5961: the server may answer by a challenge ACK, which must not pass for that of its last FIN.
            state.challenge_expected = state.phase is LA
            state.simultaneous_open = False
        if state.phase is SS and kind == ACK and is_reply:
            windows.last_ack = header.ack

    # -- resets --------------------------------------------------------------------------------------------------------

    def _judge_reset(self, conn: Conn, state: TcpState, is_reply: bool, header: Tcp) -> tuple[TcpPhase, bool] | None:
        """The phase after a reset and whether its window is still to be checked; None if the reset is invalid."""
        windows = state.windows
        other = windows.sides[not is_reply]
        seq = header.seq
        new = CL
        if other.acked and windows.last_kind != SYN:
            established = state.phase is ES and conn.status & _ASSURED != 0
            if seq == 0 and not established:
                return CL, True  # the usual answer to a SYN
            if (seq - other.max_ack) & 0x80000000 and not self._believe_resets:
                return None
            if not established or seq == other.max_ack:
                return CL, True
            if windows.last_was(ACK, is_reply) and seq == windows.last_end:
                return CL, True  # follows this side's own last data
            new = state.phase  # not exactly in place: the peer may answer by a challenge ACK and go on
        seen_reply, assured = conn.status & _SEEN_REPLY, conn.status & _ASSURED
        believed = (seen_reply and windows.last_was(SYN, not is_reply)) or (not assured and windows.last_kind == ACK)
        if believed and header.ack == windows.last_end:
            return new, False  # refuses what was let through above
        if state.phase is SS and windows.last_was(ACK, True) and seq == windows.last_ack:
            return new, False  # answers a challenge ACK
        return new, True

    def _note_invalid(self, conn: Conn, windows: TcpWindows, is_reply: bool, kind: int) -> None:
        """FIN or RST out of window from one side, then from the other: the entry is out of step and shall go soon."""
        if kind not in (FIN, RST) or not conn.status & _ASSURED:
            return
        if windows.last_is_reply == is_reply or windows.last_kind not in (FIN, RST):
            windows.last_kind = kind
            windows.last_is_reply = is_reply
            return
        if conn.remaining(self._clock.now) > max(self._unacknowledged, _SOON):
            self._table.refresh(conn, self._unacknowledged)

    # -- what a good segment does to the entry -------------------------------------------------------------------------

    def _settle(
        self, conn: Conn, windows: TcpWindows, old: TcpPhase, new: TcpPhase, is_reply: bool, kind: int, length: int
    ) -> Outcome:
        lifetime = self._lifetimes[new]
        if windows.retransmits >= self._max_retransmits and lifetime > self._retransmitting:
            lifetime = self._retransmitting
        elif kind == RST:
            lifetime = self._lifetimes[CL]
        elif (windows.sides[0].unacked or windows.sides[1].unacked) and lifetime > self._unacknowledged:
            lifetime = self._unacknowledged
        elif lifetime > self._retransmitting and windows.last_window == 0:
            lifetime = self._retransmitting
        status = conn.status
        if not status & _SEEN_REPLY:
            if kind == RST:  # refused at once: nothing to remember
                self._table.delete(conn)
                return ACCEPT
            if kind == SYN and old is SS:
                return ACCEPT  # a client that keeps trying shall not keep its entry (and mapping) alive
            if new is ES and lifetime > self._unacknowledged:
                lifetime = self._unacknowledged  # picked up in the middle and seen from one side
        elif new is ES and not status & _ASSURED and (old is SR or old is ES):
            conn.status = status | _ASSURED
        self.keep(conn, lifetime, is_reply, length)
        return ACCEPT
