"""
A client's side of one connection through a network, and a server that answers it.

Both speak as a host's stack would: a handshake, requests and their answers, an end; sequence numbers are kept, so that
connection tracking and IPVS on the way see a real conversation.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

import attrs

from svcsim.addr import format_address
from svcsim.network import Journey, Network
from svcsim.packet import Icmp, Packet, Sctp, Tcp, TcpFlags, Udp

__all__ = ["Answer", "Connection", "respond"]

_SERVER_SEQ, _CLIENT_SEQ = 5000, 1000
_MASK = 0xFFFFFFFF
_DATA, _INIT, _INIT_ACK, _SACK, _SHUTDOWN, _SHUTDOWN_ACK, _COOKIE_ECHO, _COOKIE_ACK, _SHUTDOWN_COMPLETE = (
    0, 1, 2, 3, 7, 8, 10, 11, 14
)  # fmt: skip
#: What a server answers to an SCTP chunk by another, which says no more than its type.
_SCTP_ANSWERS = {
    _DATA: _SACK,
    _INIT: _INIT_ACK,
    _COOKIE_ECHO: _COOKIE_ACK,
    _SHUTDOWN: _SHUTDOWN_ACK,
}
_TAG = 0x5EED


def _chunk(kind: int) -> bytes:
    return struct.pack("!BBHI", kind, 0, 20, _TAG) + bytes(12) if kind in (_INIT, _INIT_ACK) else bytes((kind, 0, 0, 4))


def _join(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _ends(packet: Packet) -> tuple[str, str]:
    """Both ends of *packet*, its destination first."""
    return (
        _join(format_address(packet.family, packet.dst), packet.dport),
        _join(format_address(packet.family, packet.src), packet.sport),
    )


def respond(packet: Packet) -> Iterator[Packet]:
    """
    Answer as a server that takes every connection and sends back what it gets.

    >>> for answer in respond(Packet.tcp("192.0.2.9:40000", "10.244.0.5:80", seq=7)):
    ...     print(answer)
    TCP 10.244.0.5:80 > 192.0.2.9:40000 [SA] seq 5000 ack 8, length 40
    """
    here, there = _ends(packet)
    header = packet.header
    if isinstance(header, Udp):
        yield Packet.udp(here, there, packet.payload)
    elif isinstance(header, Sctp) and packet.payload and packet.payload[0] in _SCTP_ANSWERS:
        yield Packet.sctp(here, there, _chunk(_SCTP_ANSWERS[packet.payload[0]]), tag=_TAG)
    elif isinstance(header, Tcp):
        flags = TcpFlags(header.flags)
        opens, ends = bool(flags & TcpFlags.SYN), bool(flags & TcpFlags.FIN)
        ack = header.seq + len(packet.payload) + opens + ends & _MASK
        if flags & TcpFlags.RST or (opens and flags & TcpFlags.ACK):
            return
        if opens:
            yield Packet.tcp(here, there, flags="SA", seq=_SERVER_SEQ, ack=ack)
        elif packet.payload or ends:
            yield Packet.tcp(here, there, flags="FA" if ends else "PA", seq=header.ack, ack=ack, payload=packet.payload)


class Answer(enum.Enum):
    """What a client hears: an answer, a refusal (a reset or an ICMP error), or nothing."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENCE = "silence"


@attrs.define(eq=False)
class Connection:
    """
    A connection of *host* in *network* from *source* to *target*, both ``address:port``, by tcp, udp or sctp.

    Each step gives the `Journey` of what it caused; *heard* says what the client heard at the last one. *backend* names
    the host that took the first packet, and *seen* is the packet as that one got it.

    >>> net = Network()
    >>> for name, address in (("client", "192.0.2.1/24"), ("server", "192.0.2.2/24")):
    ...     _ = net.add(name).node.add_interface("eth0", [address])
    >>> lan = net.join("lan", "client:eth0", "server:eth0")
    >>> net.hosts["server"].serve("tcp", 80, respond)
    >>> web = Connection(net, "client", "tcp", "192.0.2.1:40000", "192.0.2.2:80")
    >>> opened = web.open()
    >>> web.heard, web.backend, str(web.seen)
    (<Answer.ANSWERED: 'answered'>, 'server', 'TCP 192.0.2.1:40000 > 192.0.2.2:80 [S] seq 1000, length 40')
    >>> asked = web.request(b"GET / HTTP/1.1")
    >>> closed = web.close()
    """

    network: Network
    host: str
    protocol: str
    source: str
    target: str
    heard: Answer = Answer.SILENCE
    backend: str = ""
    seen: Packet | None = None
    trace: bool = attrs.field(default=False, kw_only=True)
    _seq: int = attrs.field(default=_CLIENT_SEQ, init=False)
    _ack: int = attrs.field(default=0, init=False)

    def open(self) -> Journey:
        """Send the first packet, and what finishes the handshake if it is answered. Called again, it is tried again."""
        if self.protocol == "udp":
            return self.request()
        if self.protocol == "sctp":
            journey = self._say(Packet.sctp(self.source, self.target, _chunk(_INIT)))
            if self.heard is Answer.ANSWERED:
                self._join(journey, self._say(Packet.sctp(self.source, self.target, _chunk(_COOKIE_ECHO), tag=_TAG)))
            return journey
        self._seq = _CLIENT_SEQ
        journey = self._say(self._segment("S"))
        if self.heard is Answer.ANSWERED:
            self._seq += 1
            self._join(journey, self._quietly(self._segment("A")))
        return journey

    def request(self, payload: bytes = b"request") -> Journey:
        """Send *payload* on the open connection, and take the answer."""
        if self.protocol == "udp":
            return self._say(Packet.udp(self.source, self.target, payload))
        if self.protocol == "sctp":
            return self._say(Packet.sctp(self.source, self.target, _chunk(_DATA), tag=_TAG))
        journey = self._say(self._segment("PA", payload))
        self._seq = self._seq + len(payload) & _MASK
        if self.heard is Answer.ANSWERED:
            self._join(journey, self._quietly(self._segment("A")))
        return journey

    def close(self) -> Journey:
        """End the connection as a client does that has got what it wanted."""
        if self.protocol == "udp":
            return Journey()
        if self.protocol == "sctp":
            journey = self._say(Packet.sctp(self.source, self.target, _chunk(_SHUTDOWN), tag=_TAG))
            done = Packet.sctp(self.source, self.target, _chunk(_SHUTDOWN_COMPLETE), tag=_TAG)
            return self._join(journey, self._quietly(done))
        journey = self._say(self._segment("FA"))
        self._seq = self._seq + 1 & _MASK
        if self.heard is Answer.ANSWERED:
            self._join(journey, self._quietly(self._segment("A")))
        return journey

    def _segment(self, flags: str, payload: bytes = b"") -> Packet:
        return Packet.tcp(self.source, self.target, flags=flags, seq=self._seq, ack=self._ack, payload=payload)

    @staticmethod
    def _join(journey: Journey, more: Journey) -> Journey:
        journey.hops += more.hops
        journey.lost += more.lost
        return journey

    def _quietly(self, packet: Packet) -> Journey:
        """Send what needs no answer."""
        heard = self.heard
        journey = self._say(packet)
        self.heard = heard
        return journey

    def _say(self, packet: Packet) -> Journey:
        """Send *packet* from a socket that takes what comes back, and note what the client hears."""
        host = self.network.host(self.host)
        address, _, port = self.source.rpartition(":")
        socket = host.node.listen(self.protocol, int(port), address.strip("[]"))
        try:
            journey = self.network.send(self.host, packet, trace=self.trace)
        finally:
            host.node.stack.close(socket)
        self.heard = Answer.SILENCE
        for at, got in journey.delivered():
            if at == self.host and self._is_back(got, packet):
                self._hear(got)
            elif not self.backend and got.payload == packet.payload and type(got.header) is type(packet.header):
                self.backend, self.seen = at, got
        if not journey.hops[0].outcome.sent and journey.hops[0].outcome.error:
            self.heard = Answer.REFUSED
        return journey

    @staticmethod
    def _is_back(got: Packet, sent: Packet) -> bool:
        """Whether *got* is for the client: an answer to its port, or an ICMP error."""
        return isinstance(got.header, Icmp) or got.dport == sent.sport

    def _hear(self, got: Packet) -> None:
        header = got.header
        if isinstance(header, Icmp):
            self.heard = Answer.REFUSED
        elif isinstance(header, Tcp):
            refused = bool(header.flags & TcpFlags.RST)
            self.heard = Answer.REFUSED if refused else Answer.ANSWERED
            ends = bool(header.flags & TcpFlags.SYN) + bool(header.flags & TcpFlags.FIN)
            self._ack = header.seq + len(got.payload) + ends & _MASK
        else:
            self.heard = Answer.ANSWERED
