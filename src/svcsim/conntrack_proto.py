"""
The trackers of protocols that have little state: UDP, ICMP, GRE, and all that have none; and the list of all trackers.

Behaviour of: nf_conntrack_proto_udp, _icmp, _icmpv6, _gre and _generic.
"""

from __future__ import annotations

from typing import ClassVar

from svcsim.addr import Family
from svcsim.clock import SECOND
from svcsim.conntrack import Conn, Conntrack, Status
from svcsim.conntrack_sctp import SctpTracker
from svcsim.conntrack_tcp import TcpTracker
from svcsim.conntrack_tracker import ACCEPT, INVALID, Outcome, Tracker
from svcsim.packet import Header, Icmp, Proto, Udp

__all__ = ["GenericTracker", "GreTracker", "IcmpTracker", "UdpTracker", "trackers_of"]

#: How long a UDP flow is taken for one question and its answer.
_PROBE = 2 * SECOND
_SEEN_REPLY, _ASSURED, _CONFIRMED, _NAT_CLASH = Status.SEEN_REPLY, Status.ASSURED, Status.CONFIRMED, Status.NAT_CLASH
#: ICMP messages that may open a connection: those that ask.
_QUESTIONS = {Proto.ICMP: frozenset({8, 13, 15, 17}), Proto.ICMPV6: frozenset({128, 139})}


class UdpTracker(Tracker):
    """The tracker of UDP: a flow that lasts is ASSURED and lives longer."""

    PARAMETERS: ClassVar[dict[str, int]] = {"udp_timeout": 30, "udp_timeout_stream": 120}

    def read_parameters(self) -> None:
        """Take over what the parameters say now."""
        self._single = self.seconds("udp_timeout")
        self._stream = self.seconds("udp_timeout_stream")

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Judge a datagram: its length field may be shorter than the packet, never longer or less than a header."""
        if not isinstance(header, Udp):
            return INVALID
        if header.length is not None and not 8 <= header.length <= 8 + len(payload):
            return INVALID
        return self.renew(conn, is_reply, length)

    def renew(self, conn: Conn, is_reply: bool, length: int) -> Outcome:
        """Let the flow live on."""
        status = conn.status
        lifetime = self._single
        if not status & _CONFIRMED:
            conn.stream_after = self._clock.now + _PROBE
        elif status & _SEEN_REPLY and self._clock.now > conn.stream_after:
            lifetime = self._stream
            if not status & _NAT_CLASH:
                conn.status = status | _ASSURED
        self.keep(conn, lifetime, is_reply, length)
        return ACCEPT


class UdpLiteTracker(UdpTracker):
    """The tracker of UDP-Lite, whose header is the start of the payload here."""

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Judge a datagram: its checksum is never left out, and covers the header at least."""
        coverage, checksum = int.from_bytes(payload[4:6]), int.from_bytes(payload[6:8])
        if len(payload) < 8 or not checksum or (coverage and not 8 <= coverage <= len(payload)):
            return INVALID
        return self.renew(conn, is_reply, length)


class IcmpTracker(Tracker):
    """The tracker of ICMP, or with *family* IPv6 of ICMPv6: questions and their answers."""

    PARAMETERS: ClassVar[dict[str, int]] = {"icmp_timeout": 30, "icmpv6_timeout": 30}

    def __init__(self, table: Conntrack, family: Family) -> None:
        self._parameter = "icmp_timeout" if family is Family.IPV4 else "icmpv6_timeout"
        self._questions = _QUESTIONS[Proto.ICMP if family is Family.IPV4 else Proto.ICMPV6]
        super().__init__(table)

    def read_parameters(self) -> None:
        """Take over what the parameters say now."""
        self._lifetime = self.seconds(self._parameter)

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Judge a message: a connection begins by asking."""
        if not isinstance(header, Icmp) or conn.orig[5] >> 8 not in self._questions:
            return INVALID
        self.keep(conn, self._lifetime, is_reply, length)
        return ACCEPT


class GreTracker(Tracker):
    """The tracker of GRE."""

    PARAMETERS: ClassVar[dict[str, int]] = {"gre_timeout": 30, "gre_timeout_stream": 180}

    def read_parameters(self) -> None:
        """Take over what the parameters say now."""
        self._single = self.seconds("gre_timeout")
        self._stream = self.seconds("gre_timeout_stream")

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Judge a packet: one behind the first answer makes the flow ASSURED."""
        answered = conn.status & _SEEN_REPLY
        self.keep(conn, self._stream if answered else self._single, is_reply, length)
        if answered and not conn.status & _NAT_CLASH:
            conn.status |= _ASSURED
        return ACCEPT


class GenericTracker(Tracker):
    """The tracker of whatever has none of its own: addresses and time, nothing more."""

    PARAMETERS: ClassVar[dict[str, int]] = {"generic_timeout": 600}

    def read_parameters(self) -> None:
        """Take over what the parameters say now."""
        self._lifetime = self.seconds("generic_timeout")

    def track(self, conn: Conn, is_reply: bool, header: Header | None, payload: bytes, length: int) -> Outcome:
        """Let the flow live on."""
        self.keep(conn, self._lifetime, is_reply, length)
        return ACCEPT


def trackers_of(table: Conntrack, family: Family) -> tuple[dict[int, Tracker], Tracker]:
    """The trackers of one family by protocol, and the one of all other protocols."""
    icmp = Proto.ICMP if family is Family.IPV4 else Proto.ICMPV6
    special: dict[int, Tracker] = {
        Proto.TCP: TcpTracker(table),
        Proto.UDP: UdpTracker(table),
        Proto.UDPLITE: UdpLiteTracker(table),
        icmp: IcmpTracker(table, family),
        Proto.GRE: GreTracker(table),
        Proto.SCTP: SctpTracker(table),
    }
    return special, GenericTracker(table)
