"""
A client's side of one connection through a network, and a server that answers it.

Both speak as a host's stack would: a handshake, requests and their answers, an end; sequence numbers are kept, so that
connection tracking and IPVS on the way see a real conversation.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterator
from typing import Self

import attrs

from svcsim.addr import format_address
from svcsim.network import Journey, Network
from svcsim.packet import Icmp, Packet, Sctp, Tcp, TcpFlags, Udp

__all__ = ["Answer", "Connection", "Side", "respond"]

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


@attrs.define
class Side:
    """
    One end of a TCP connection, from *here* to *there* (``address:port``): what it says has the right numbers.

    >>> client = Side.dialling("192.0.2.9:40000", "10.244.0.5:80")
    >>> server = Side.accepting(client.segment("S"))
    >>> client.take(server.segment("SA"))
    (b'', False)
    >>> print(client.segment("PA", b"GET"))
    TCP 192.0.2.9:40000 > 10.244.0.5:80 [PA] seq 1001 ack 5001, length 43
    """

    here: str
    there: str
    seq: int
    ack: int = 0

    @classmethod
    def dialling(cls, here: str, there: str) -> Self:
        """The end that begins."""
        return cls(here, there, _CLIENT_SEQ)

    @classmethod
    def accepting(cls, syn: Packet) -> Self:
        """The end that got *syn*."""
        side = cls(*_ends(syn), _SERVER_SEQ)
        side.take(syn)
        return side

    @property
    def port(self) -> int:
        """The port of this end."""
        return int(self.here.rpartition(":")[2])

    def segment(self, flags: str, payload: bytes = b"") -> Packet:
        """The next segment from here."""
        packet = Packet.tcp(self.here, self.there, flags=flags, seq=self.seq, ack=self.ack, payload=payload)
        self.seq = self.seq + _length(packet) & _MASK
        return packet

    def take(self, packet: Packet) -> tuple[bytes, bool]:
        """Hear a segment from there: what is in it, and whether it is the last one."""
        header = packet.header
        assert isinstance(header, Tcp)
        self.ack = header.seq + _length(packet) & _MASK
        return packet.payload, bool(header.flags & TcpFlags.FIN)


def _length(packet: Packet) -> int:
    """What a segment takes of the sequence."""
    header = packet.header
    assert isinstance(header, Tcp)
    return len(packet.payload) + bool(header.flags & TcpFlags.SYN) + bool(header.flags & TcpFlags.FIN)


class Answer(enum.Enum):
    """What a client hears: an answer, a refusal (a reset or an ICMP error), or nothing."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENCE = "silence"


@attrs.define(eq=False)
class Connection:
    """
    A connection of *host* in *network* from *source* to *target*, both ``address:port``, by tcp, udp or sctp.

    Each step gives the `Journey` of what it caused; *heard* says what the client heard at the last one.

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
    trace: bool = attrs.field(default=False, kw_only=True)
    #: The hosts that took the first packet or what was made of it, and the packet as each got it.
    takers: dict[str, Packet] = attrs.field(factory=dict, init=False)
    _side: Side = attrs.field(init=False)

    @_side.default
    def _new_side(self) -> Side:
        return Side.dialling(self.source, self.target)

    @property
    def backend(self) -> str:
        """The host that took the first packet: the last one, if a proxy passed it on."""
        return next(reversed(self.takers), "")

    @property
    def seen(self) -> Packet | None:
        """The first packet, as the backend got it."""
        return self.takers.get(self.backend)

    def open(self) -> Journey:
        """Send the first packet, and what finishes the handshake if it is answered. Called again, it is tried again."""
        self.takers.clear()
        if self.protocol == "udp":
            return self.request()
        if self.protocol == "sctp":
            journey = self._say(Packet.sctp(self.source, self.target, _chunk(_INIT)))
            if self.heard is Answer.ANSWERED:
                self._join(journey, self._say(Packet.sctp(self.source, self.target, _chunk(_COOKIE_ECHO), tag=_TAG)))
            return journey
        self._side = self._new_side()
        journey = self._say(self._side.segment("S"))
        if self.heard is Answer.ANSWERED:
            self._join(journey, self._quietly(self._side.segment("A")))
        return journey

    def request(self, payload: bytes = b"request") -> Journey:
        """Send *payload* on the open connection, and take the answer."""
        if self.protocol == "udp":
            return self._say(Packet.udp(self.source, self.target, payload))
        if self.protocol == "sctp":
            return self._say(Packet.sctp(self.source, self.target, _chunk(_DATA), tag=_TAG))
        journey = self._say(self._side.segment("PA", payload))
        if self.heard is Answer.ANSWERED:
            self._join(journey, self._quietly(self._side.segment("A")))
        return journey

    def wait(self, seconds: float) -> Journey:
        """Let time pass and listen."""
        return self._listening(lambda: self.network.advance(seconds, trace=self.trace), None)

    def close(self) -> Journey:
        """End the connection as a client does that has got what it wanted."""
        if self.protocol == "udp":
            return Journey()
        if self.protocol == "sctp":
            journey = self._say(Packet.sctp(self.source, self.target, _chunk(_SHUTDOWN), tag=_TAG))
            done = Packet.sctp(self.source, self.target, _chunk(_SHUTDOWN_COMPLETE), tag=_TAG)
            return self._join(journey, self._quietly(done))
        journey = self._say(self._side.segment("FA"))
        if self.heard is Answer.ANSWERED:
            self._join(journey, self._quietly(self._side.segment("A")))
        return journey

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
        return self._listening(lambda: self.network.send(self.host, packet, trace=self.trace), packet)

    def _listening(self, act: Callable[[], Journey], said: Packet | None) -> Journey:
        """Do something with the client's socket open, and note what it hears."""
        host = self.network.host(self.host)
        address, _, port = self.source.rpartition(":")
        socket = host.node.listen(self.protocol, int(port), address.strip("[]"))
        try:
            journey = act()
        finally:
            host.node.stack.close(socket)
        self.heard = Answer.SILENCE
        for at, got in journey.delivered():
            if at == self.host and (isinstance(got.header, Icmp) or self._is_answer(got)):
                self._hear(got)
            elif at not in self.takers and self._begins(got, said):
                self.takers[at] = got
        if said is not None and not journey.hops[0].outcome.sent and journey.hops[0].outcome.error:
            self.heard = Answer.REFUSED
        return journey

    def _is_answer(self, got: Packet) -> bool:
        """Whether *got* is from whom the client speaks to, and not from a backend that it knows nothing of."""
        return (_join(format_address(got.family, got.src), got.sport), got.dport) == (self.target, self._side.port)

    @staticmethod
    def _begins(got: Packet, said: Packet | None) -> bool:
        """Whether *got* is what a backend hears first: a TCP SYN, or what the client *said*."""
        if isinstance(got.header, Tcp):
            return bool(got.header.flags & TcpFlags.SYN) and not got.header.flags & TcpFlags.ACK
        return said is not None and got.payload == said.payload and type(got.header) is type(said.header)

    def _hear(self, got: Packet) -> None:
        header = got.header
        if isinstance(header, Icmp):
            self.heard = Answer.REFUSED
        elif isinstance(header, Tcp):
            refused = bool(header.flags & TcpFlags.RST)
            self.heard = Answer.REFUSED if refused else Answer.ANSWERED
            if not refused:
                self._side.take(got)
        else:
            self.heard = Answer.ANSWERED
