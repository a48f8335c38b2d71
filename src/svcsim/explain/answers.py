"""
The way back: what the peer of a packet answers, and why there is no answer.
"""

from __future__ import annotations

from svcsim.addr import Family
from svcsim.explain.fate import dropped_by, endpoint, own_sent, trace_of, undecided_by
from svcsim.lb.service import ForwardingMethod
from svcsim.outcome import Outcome
from svcsim.packet import Icmp, Packet, Proto, Sctp, Tcp, Udp
from svcsim.trace import Scheduled

__all__ = ["answer_to", "answers_of", "no_answer", "socket_of"]

_SOCKETS: dict[int, str] = {Proto.TCP: "tcp", Proto.UDP: "udp", Proto.SCTP: "sctp"}
_ECHO = {Family.IPV4: (8, 0), Family.IPV6: (128, 129)}
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_MASK = 0xFFFFFFFF
_INIT, _INIT_ACK = 1, 2
#: What an SCTP peer says of itself: its tag, window, streams and first sequence number.
_INIT_ACK_CHUNK = bytes((_INIT_ACK, 0, 0, 20)) + bytes.fromhex("000013880001000000020002") + bytes.fromhex("00001388")
_REASONS = {
    ForwardingMethod.ROUTE: "it was handed over as it was, and its answer goes from there straight to the client",
    ForwardingMethod.TUNNEL: "it went there in a tunnel, and its answer goes from there straight to the client",
    ForwardingMethod.BYPASS: "it was passed on to whom it was for, whose answer knows nothing of IPVS",
}


def answer_to(packet: Packet) -> Packet | None:
    """
    What the peer of *packet* answers: ends swapped, fresh TTL. None: nothing is known, or nothing is said.

    A segment is acknowledged, a datagram comes back as it was, an SCTP INIT gets an INIT ACK.

    >>> print(answer_to(Packet.echo("192.0.2.1", "192.0.2.2", ident=7)))
    ICMP 192.0.2.2 > 192.0.2.1 echo reply id 7 seq 1, length 28
    """
    header, family = packet.header, packet.family
    if isinstance(header, Icmp):
        request, reply = _ECHO[family]
        if header.type != request:
            return None
        source, target = endpoint(family, packet.dst, None), endpoint(family, packet.src, None)
        return Packet.icmp(source, target, reply, rest=header.rest, payload=packet.payload)
    source, target = endpoint(family, packet.dst, packet.dport), endpoint(family, packet.src, packet.sport)
    if isinstance(header, Tcp):
        if header.flags & _RST:
            return None
        flags = "SA" if header.flags & (_SYN | _ACK) == _SYN else "A"
        sent = len(packet.payload) + (header.flags & 1) + (header.flags >> 1 & 1)  # FIN and SYN count as a byte each
        return Packet.tcp(source, target, flags=flags, seq=5000, ack=header.seq + sent & _MASK)
    if isinstance(header, Udp):
        return Packet.udp(source, target, packet.payload)
    if isinstance(header, Sctp) and packet.payload[:1] == bytes((_INIT,)) and len(packet.payload) >= 8:
        return Packet.sctp(source, target, _INIT_ACK_CHUNK, tag=int.from_bytes(packet.payload[4:8]))
    return None


def answers_of(outcome: Outcome) -> list[tuple[Packet, str]]:
    """The answers to what left or was delivered, each with the device that it comes in by, empty if from here."""
    told: list[tuple[Packet, str]] = []
    for sent in own_sent(outcome):
        answer = answer_to(sent.packet)
        if answer is not None:
            told.append((answer, sent.device))
    if not own_sent(outcome):
        for delivery in outcome.delivered:
            if delivery.to.endswith("icmp"):
                continue  # the host itself answers, and has
            answer = answer_to(delivery.packet)
            if answer is not None:
                told.append((answer, ""))
    return told


def socket_of(packet: Packet) -> tuple[str, int] | None:
    """The socket that somebody has who sends *packet*: its protocol and port; None if it takes none."""
    name = _SOCKETS.get(packet.proto)
    return None if name is None or packet.header is None or not packet.sport else (name, packet.sport)


def no_answer(outcome: Outcome) -> str:
    """Why no answer comes by this host, empty if one does."""
    for event in trace_of(outcome):
        if isinstance(event, Scheduled) and event.destination is not None:
            method = event.destination.method
            if method in (ForwardingMethod.ROUTE, ForwardingMethod.TUNNEL, ForwardingMethod.BYPASS):
                return f"no answer of {event.destination} comes back this way ({method.label}): {_REASONS[method]}"
    if undecided_by(outcome):
        return "whether anybody answers is not known"
    if dropped_by(outcome):
        told = [str(sent.packet) for sent in outcome.sent if sent.answer]
        return f"nobody answers but this host: {'; '.join(told)}" if told else "nobody answers: it was dropped"
    if answers_of(outcome):
        return ""
    if outcome.delivered:
        told = [str(sent.packet) for sent in outcome.sent]
        return f"this host answers itself: {'; '.join(told)}" if told else "this host does not answer"
    return "no answer is known to such a packet" if own_sent(outcome) else "nobody answers: it did not arrive"
