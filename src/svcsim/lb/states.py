"""
The states of IPVS connections: transition tables and timeouts.

Behaviour of: ip_vs_proto_tcp, _udp, _sctp. IPVS sees too little of a connection to check it: any packet of the right
class moves the state. Where replies go past the director (direct routing, tunnels) the INPUT_ONLY table guesses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "DIRECTIONS",
    "SCTP_ACTIVE",
    "SCTP_CLOSED",
    "SCTP_NAMES",
    "SCTP_TABLE",
    "SCTP_TIMEOUTS",
    "TCP_ACTIVE",
    "TCP_CLOSE",
    "TCP_NAMES",
    "TCP_SECURE_TABLE",
    "TCP_TABLE",
    "TCP_TIMEOUTS",
    "UDP_TIMEOUT",
    "sctp_event",
    "tcp_event",
]

#: Which table a packet moves a connection by.
DIRECTIONS = ("INPUT", "OUTPUT", "INPUT_ONLY")

TCP_NAMES = (
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "SYNACK",
)
#: Seconds, by state.
TCP_TIMEOUTS = (2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120)
#: Whether a connection in this state counts as active.
TCP_ACTIVE = (False, True, True, True, False, False, False, False, False, False, True)
UDP_TIMEOUT = 300
TCP_CLOSE = TCP_NAMES.index("CLOSE")

_TCP_CODES = {code: n for n, code in enumerate(("NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"))}


def tcp_event(flags: int) -> int:
    """
    The row of a segment's *flags*: 0 SYN, 1 FIN, 2 ACK, 3 RST; -1 for none of them.

    >>> [tcp_event(flags) for flags in (0x02, 0x12, 0x11, 0x10, 0x14, 0x00)]
    [0, 0, 1, 2, 3, -1]
    """
    if flags & 0x04:
        return 3
    if flags & 0x02:
        return 0
    if flags & 0x01:
        return 1
    return 2 if flags & 0x10 else -1


def _tcp(text: str) -> tuple[tuple[int, ...], ...]:
    """
    Read one direction's table: a row an event (syn, fin, ack, rst), a column an old state.

    The answer has a row for each combination of the six flags; a segment without any that counts closes.
    """
    rows = [tuple(_TCP_CODES[code] for code in row.split()) for row in text.strip().splitlines()]
    rows.append((TCP_CLOSE,) * len(TCP_NAMES))
    return tuple(rows[tcp_event(flags)] for flags in range(64))


#: The next state, by direction, flags and state.
TCP_TABLE = (
    _tcp(
        """
        SR ES ES SR SR SR SR SR SR SR SR
        CL CW SS TW TW TW CL CW LA LI TW
        ES ES SS ES FW TW CL CW CL LI ES
        CL CL CL SR CL CL CL CL LA LI SR
        """
    ),
    _tcp(
        """
        SS ES SS SR SS SS SS SS SS LI SR
        TW FW SS TW FW TW CL TW LA LI TW
        ES ES SS ES FW TW CL CW LA ES ES
        CL CL SS CL CL TW CL CL CL CL CL
        """
    ),
    _tcp(
        """
        SR ES ES SR SR SR SR SR SR SR SR
        CL FW SS TW FW TW CL CW LA LI TW
        ES ES SS ES FW TW CL CW CL LI ES
        CL CL CL SR CL CL CL CL LA LI CL
        """
    ),
)
#: The same while secure_tcp is in effect: a connection is not believed before the server has answered.
TCP_SECURE_TABLE = (
    _tcp(
        """
        SR ES ES SR SR SR SR SR SR SR SA
        CL CW SS TW TW TW CL CW LA LI SA
        ES ES SS SR FW TW CL CW CL LI SA
        CL CL CL SR CL CL CL CL LA LI CL
        """
    ),
    _tcp(
        """
        SS ES SS SA SS SS SS SS SS LI SA
        TW FW SS TW FW TW CL TW LA LI TW
        ES ES SS ES FW TW CL CW LA ES ES
        CL CL SS CL CL TW CL CL CL CL CL
        """
    ),
    _tcp(
        """
        SA ES ES SR SA SA SA SA SA SA SA
        CL FW SS TW FW TW CL CW LA LI TW
        ES ES SS ES FW TW CL CW CL LI ES
        CL CL CL SR CL CL CL CL LA LI CL
        """
    ),
)
SCTP_NAMES = (
    "NONE",
    "INIT1",
    "INIT",
    "C-SENT",
    "C-REPLIED",
    "C-WAIT",
    "COOKIE",
    "C-ECHOED",
    "ESTABLISHED",
    "S-SENT",
    "S-RECEIVED",
    "S-ACK-SENT",
    "REJECTED",
    "CLOSED",
)
SCTP_TIMEOUTS = (2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61)
SCTP_ACTIVE = tuple(name == "ESTABLISHED" for name in SCTP_NAMES)
SCTP_CLOSED = 13

_SCTP_STATES = ("NO", "I1", "IN", "CS", "CR", "CW", "CO", "CE", "ES", "SS", "SR", "SA", "RJ", "CL")
_SCTP_CODES = {code: number for number, code in enumerate(_SCTP_STATES)}
_SCTP_EVENTS = ["d", "i", "ia", "ce", "ca", "s", "sa", "sc", "er", "ab"]


def _sctp(text: str) -> tuple[tuple[int, ...], ...]:
    """Read one direction's changes: a row an event, ``A,B>C`` for each change; every other state stays."""
    rows = []
    for row in text.strip().splitlines():
        states = list(range(len(SCTP_NAMES)))
        for change in row.split():
            olds, _, new = change.partition(">")
            for old in olds.split(","):
                states[_SCTP_CODES[old]] = _SCTP_CODES[new]
        rows.append(tuple(states))
    return tuple(rows)


#: The next state, by direction, event and state.
SCTP_TABLE = (
    _sctp(
        """
        NO>ES
        NO>I1 I1,RJ,CL>IN
        NO,I1,IN>CW CW>CO
        NO,CS>CR I1>IN
        NO,CE>ES
        NO,ES>SR
        NO,SS,SA>CL I1>IN
        NO,I1,IN,SA>CL
        NO,CE>CL
        NO,I1,IN,CS,CR,CO,CE,ES,SS,SR,SA,RJ>CL CW>RJ
        """
    ),
    _sctp(
        """
        NO>ES
        NO,I1,IN,CS,CR,CO,CE,SS,SR,SA,RJ,CL>CW
        NO,I1,IN>CS
        NO,I1,IN,CS,CR,CW,CO>CE
        NO,I1,IN,CS,CR,CW,CO,CE>ES
        NO,I1,IN,CS,CR,CW,CO,CE,ES>SS
        NO,I1,IN,CS,CR,SS,SR>SA
        NO>CL
        NO,I1,IN,CS,CR>CL
        NO,IN,CS,CR,CW,CO,CE,ES,SS,SR,SA,RJ>CL I1>RJ
        """
    ),
    _sctp(
        """
        NO,CW>ES
        NO>I1 I1,CS,CR,CW,RJ,CL>IN
        NO,I1,IN,CS,CR,CW>CE
        NO,I1,IN,CS,CR,CW>ES
        NO,CS,CR,CO,CE>ES
        NO,ES>SR
        NO,ES,SS,SA>CL I1>IN
        NO,I1,IN,CS,CR,SR,SA>CL
        NO>CL
        NO,I1,IN,CO,CR,CS,CE,ES,SS,SR,SA,RJ>CL CW>RJ
        """
    ),
)
#: Chunk types with an event of their own (RFC 9260, 3.2); every other one counts as data.
_CHUNKS: Mapping[int, str] = MappingProxyType(
    {1: "i", 2: "ia", 6: "ab", 7: "s", 8: "sa", 9: "er", 10: "ce", 11: "ca", 14: "sc"}
)
_ABORT, _COOKIES = 6, (10, 11)


def sctp_event(chunks: bytes) -> int:
    """The row of a packet's first chunk; an ABORT behind a cookie counts as the ABORT. -1 if none can be read."""
    if len(chunks) < 4:
        return -1
    kind = chunks[0]
    if kind in _COOKIES:
        at = int.from_bytes(chunks[2:4]) + 3 & ~3
        if at >= 4 and chunks[at : at + 1] == bytes([_ABORT]):
            kind = _ABORT
    return _SCTP_EVENTS.index(_CHUNKS.get(kind, "d"))
