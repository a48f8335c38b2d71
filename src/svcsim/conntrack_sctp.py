"""
SCTP associations as a middlebox sees them: a table of states, and verification tags.

Behaviour of: nf_conntrack_proto_sctp (RFC 9260, sections 8.4 and 8.5 on tags and packets out of the blue). A packet's
chunks are judged in order; one that does not fit makes the packet INVALID.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import attrs

from svcsim.conntrack import Conn, ConnState, Status
from svcsim.conntrack_tracker import ACCEPT, INVALID, Outcome, Tracker
from svcsim.packet import Header, Sctp

__all__ = ["TRANSITIONS", "SctpPhase", "SctpState", "SctpTracker"]


class SctpPhase(enum.IntEnum):
    """Where an association stands; INVALID is an answer of the table and never an association's own."""

    NONE = 0
    CLOSED = 1
    COOKIE_WAIT = 2
    COOKIE_ECHOED = 3
    ESTABLISHED = 4
    SHUTDOWN_SENT = 5
    SHUTDOWN_RECD = 6
    SHUTDOWN_ACK_SENT = 7
    HEARTBEAT_SENT = 8
    INVALID = 9


NO, CL, CW, CE, ES, SS, SR, SA, HS, IV = SctpPhase

# Chunk types (RFC 9260, 3.2).
DATA, INIT, INIT_ACK, _, HEARTBEAT, HEARTBEAT_ACK, ABORT, SHUTDOWN, SHUTDOWN_ACK, ERROR, COOKIE_ECHO, COOKIE_ACK = (
    range(12)
)
SHUTDOWN_COMPLETE = 14

#: What becomes of an association: [in reply direction][chunk type][phase it is in]; other chunks change nothing.
TRANSITIONS: tuple[dict[int, tuple[SctpPhase, ...]], dict[int, tuple[SctpPhase, ...]]] = (
    {  #                  NO  CL  CW  CE  ES  SS  SR  SA  HS    original direction
        INIT:              (CL, CL, CW, CE, ES, CL, CL, SA, CW),
        INIT_ACK:          (CL, CL, CW, CE, ES, SS, SR, SA, CL),
        ABORT:             (CL, CL, CL, CL, CL, CL, CL, CL, CL),
        SHUTDOWN:          (CL, CL, CW, CE, SS, SS, SR, SA, CL),
        SHUTDOWN_ACK:      (SA, CL, CW, CE, ES, SA, SA, SA, SA),
        ERROR:             (CL, CL, CW, CE, ES, SS, SR, SA, CL),
        COOKIE_ECHO:       (CL, CL, CE, CE, ES, SS, SR, SA, CL),
        COOKIE_ACK:        (CL, CL, CW, ES, ES, SS, SR, SA, CL),
        SHUTDOWN_COMPLETE: (CL, CL, CW, CE, ES, SS, SR, CL, CL),
        HEARTBEAT:         (HS, CL, CW, CE, ES, SS, SR, SA, HS),
        HEARTBEAT_ACK:     (CL, CL, CW, CE, ES, SS, SR, SA, HS),
    },
    {  #                  NO  CL  CW  CE  ES  SS  SR  SA  HS    reply direction
        INIT:              (IV, CL, CW, CE, ES, SS, SR, SA, IV),
        INIT_ACK:          (IV, CW, CW, CE, ES, SS, SR, SA, IV),
        ABORT:             (IV, CL, CL, CL, CL, CL, CL, CL, IV),
        SHUTDOWN:          (IV, CL, CW, CE, SR, SS, SR, SA, IV),
        SHUTDOWN_ACK:      (IV, CL, CW, CE, ES, SA, SA, SA, IV),
        ERROR:             (IV, CL, CW, CL, ES, SS, SR, SA, IV),
        COOKIE_ECHO:       (IV, CL, CE, CE, ES, SS, SR, SA, IV),
        COOKIE_ACK:        (IV, CL, CW, ES, ES, SS, SR, SA, IV),
        SHUTDOWN_COMPLETE: (IV, CL, CW, CE, ES, SS, SR, CL, IV),
        HEARTBEAT:         (IV, CL, CW, CE, ES, SS, SR, SA, HS),
        HEARTBEAT_ACK:     (IV, CL, CW, CE, ES, SS, SR, SA, ES),
    },
)  # fmt: skip

#: Chunks that must be their packet's only one, or at least its first.
_ALONE, _FIRST = frozenset({INIT, INIT_ACK, SHUTDOWN_COMPLETE}), frozenset({COOKIE_ECHO, COOKIE_ACK})
#: Chunks that no association begins with (section 8.4).
_NEVER_FIRST = frozenset({ABORT, SHUTDOWN_COMPLETE, COOKIE_ACK})
#: Chunks that have rules of their own for the verification tag (section 8.5.1), or none.
_OWN_TAG_RULES = frozenset({INIT, SHUTDOWN_COMPLETE, COOKIE_ECHO, ABORT, SHUTDOWN_ACK, HEARTBEAT, HEARTBEAT_ACK})
_T_FLAG = 1
_INIT_SIZE = 16
_PARAMETERS = {
    CL: ("sctp_timeout_closed", 10),
    CW: ("sctp_timeout_cookie_wait", 3),
    CE: ("sctp_timeout_cookie_echoed", 3),
    ES: ("sctp_timeout_established", 210),
    SS: ("sctp_timeout_shutdown_sent", 3),
    SR: ("sctp_timeout_shutdown_recd", 3),
    SA: ("sctp_timeout_shutdown_ack_sent", 3),
    HS: ("sctp_timeout_heartbeat_sent", 30),
}


@attrs.define
class SctpState(ConnState):
    """What is known of one association: *tags* is what packets of either direction must carry."""

    phase: SctpPhase = NO
    tags: list[int] = attrs.field(factory=lambda: [0, 0])
    opened: list[bool] = attrs.field(factory=lambda: [False, False])  # by an INIT of this direction
    strange_heartbeat: bool = False  # one with another tag was let through, in this direction:
    last_is_reply: bool = False

    @property
    def label(self) -> str:
        """The state as ``conntrack -L`` shows it."""
        return self.phase.name

    @property
    def closing(self) -> bool:
        """Whether it is being shut down."""
        return self.phase in (SS, SR, SA)


@attrs.define
class _Chunk:
    type: int
    flags: int
    body: bytes

    @property
    def initiate_tag(self) -> int | None:
        """The tag that an INIT or INIT ACK asks for; None if it is cut short."""
        return int.from_bytes(self.body[:4]) if len(self.body) >= _INIT_SIZE else None


def _chunks(data: bytes) -> list[_Chunk] | None:
    """The chunks of a packet; None if they cannot stand so."""
    chunks: list[_Chunk] = []
    at, alone = 0, False
    while at + 4 <= len(data):
        type, size = data[at], int.from_bytes(data[at + 2 : at + 4])
        alone = alone or type in _ALONE
        if size == 0 or (chunks and (alone or type in _FIRST)):
            return None
        chunks.append(_Chunk(type, data[at + 1], data[at + 4 :]))
        at += size + 3 & ~3
    return chunks or None


class SctpTracker(Tracker):
    """The tracker of SCTP."""

    PARAMETERS: ClassVar[dict[str, int]] = dict(_PARAMETERS.values())

    def read_parameters(self) -> None:
        """Take over what the parameters say now."""
        self._lifetimes = [self.seconds(_PARAMETERS[CL][0])] * len(SctpPhase)
        for phase, (name, _) in _PARAMETERS.items():
            self._lifetimes[phase] = self.seconds(name)

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Judge a packet, chunk by chunk."""
        chunks = _chunks(payload) if isinstance(header, Sctp) else None
        if chunks is None:
            return INVALID
        assert isinstance(header, Sctp)
        types = {chunk.type for chunk in chunks}
        if conn.state is None or not conn.status & Status.CONFIRMED:
            conn.state = None if types & _NEVER_FIRST else self._begin(chunks, header.tag)
        state = conn.state
        if not isinstance(state, SctpState):
            return INVALID
        if not types & _OWN_TAG_RULES and header.tag != state.tags[is_reply]:
            return INVALID
        refreshed, strange, phase = True, False, NO
        for chunk in chunks:
            if chunk.type in (HEARTBEAT, HEARTBEAT_ACK):
                known = self._heartbeat(state, is_reply, chunk.type, header.tag, DATA in types or strange)
                if known is None:
                    return INVALID
                if not known:
                    strange, refreshed = True, False
                    continue
            elif not self._tag_fits(state, is_reply, chunk, header.tag):
                return INVALID
            old = state.phase
            row = TRANSITIONS[is_reply].get(chunk.type)
            phase = row[old] if row is not None else old
            if phase is IV or not self._note_tag(state, is_reply, chunk, old):
                return INVALID
            if chunk.type == INIT and old is CL and phase is CL and conn.status & Status.CONFIRMED:
                refreshed = False  # a client that keeps trying shall not keep its entry (and mapping) alive
            state.phase = phase
            if phase is ES and old is not ES:
                conn.status |= Status.ASSURED
        if refreshed:
            self.keep(conn, self._lifetimes[phase], is_reply, length)
        return ACCEPT

    @staticmethod
    def _begin(chunks: list[_Chunk], tag: int) -> SctpState | None:
        """The state before an association's first packet; None if none begins like that."""
        state = SctpState()
        for chunk in chunks:
            if chunk.type not in TRANSITIONS[0]:
                return None
            if chunk.type == INIT:
                wanted = chunk.initiate_tag
                if tag or wanted is None:
                    return None
                state.tags[1] = wanted
            elif chunk.type == HEARTBEAT:
                state.tags[0] = tag
            elif chunk.type == SHUTDOWN_ACK:
                state.tags[1] = tag
        return state

    @staticmethod
    def _tag_fits(state: SctpState, is_reply: bool, chunk: _Chunk, tag: int) -> bool:
        """The special rules of section 8.5.1."""
        if chunk.type == INIT:
            return tag == 0
        if chunk.type in (ABORT, SHUTDOWN_COMPLETE):
            return tag == state.tags[not is_reply if chunk.flags & _T_FLAG else is_reply]
        if chunk.type == COOKIE_ECHO:
            return tag == state.tags[is_reply]
        if chunk.type == COOKIE_ACK:
            state.opened = [False, False]
        return True

    @staticmethod
    def _heartbeat(state: SctpState, is_reply: bool, type: int, tag: int, strict: bool) -> bool | None:
        """
        Judge a heartbeat or its answer by its tag; None if it is invalid, False if it is let through and no more.

        A path that opens with a heartbeat teaches its tags; one with a strange tag counts when its answer comes.
        """
        if state.tags[is_reply] == 0:
            state.tags[is_reply] = tag
        elif tag == state.tags[is_reply]:
            state.strange_heartbeat = False
        elif strict:
            return None
        elif type == HEARTBEAT:
            state.strange_heartbeat, state.last_is_reply = True, is_reply
            return False
        elif not state.strange_heartbeat or state.last_is_reply == is_reply:
            return None
        else:
            state.strange_heartbeat = False
            state.tags[is_reply] = tag
            state.tags[not is_reply] = 0
        return True

    @staticmethod
    def _note_tag(state: SctpState, is_reply: bool, chunk: _Chunk, old: SctpPhase) -> bool:
        """Note the tag that an INIT or INIT ACK asks its peer for; False if it may not ask for it."""
        if chunk.type not in (INIT, INIT_ACK):
            return True
        wanted = chunk.initiate_tag
        if wanted is None:
            return False
        other, opened = not is_reply, state.opened
        known = state.tags[other]
        if chunk.type == INIT:
            if old is NO or known != wanted:  # else it is stale or repeated
                if opened[is_reply] and opened[other]:
                    opened[other] = False
                opened[is_reply] = True
        elif known != wanted and ((not opened[other] and known) or (opened[is_reply] and opened[other])):
            return False
        state.tags[other] = wanted
        return True
