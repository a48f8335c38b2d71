"""
The other end of a scenario: how a peer answers what a host has sent.
"""

from __future__ import annotations

from typing import Any

from svcsim.addr import Family
from svcsim.checksum import internet, word_sum
from svcsim.icmp import is_error
from svcsim.packet import Header, Icmp, Packet, Proto, Tcp, Udp
from svcsim.wire import encode

__all__ = ["answer", "refusal"]

_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
_ECHO_REPLY = {Family.IPV4: 0, Family.IPV6: 129}
_ICMP = {Family.IPV4: Proto.ICMP, Family.IPV6: Proto.ICMPV6}
_UNREACHABLE = {Family.IPV4: (3, 3), Family.IPV6: (1, 4)}
#: What an error quotes: the IPv4 header and 8 bytes, IPv6 the whole.
_QUOTED = {Family.IPV4: 28, Family.IPV6: None}


def answer(packet: Packet, event: dict[str, Any]) -> Packet | None:
    """
    The answer to *packet*: ends swapped, what *event* says, TTL 64; None for an ICMP error, which is never answered.

    What is neither TCP nor UDP comes back as an echo request does: its first four bytes are new, the rest is the same.

    >>> print(answer(Packet.tcp("192.0.2.1:4000", "192.0.2.2:80", seq=1000), {"flags": "SA", "ack": 1001}))
    TCP 192.0.2.2:80 > 192.0.2.1:4000 [SA] seq 5000 ack 1001, length 40
    """
    if is_error(packet):
        return None
    four = packet.family is Family.IPV4
    raw = encode(packet)
    # The first header behind the fixed one, whatever it is: peers send neither options nor extension headers.
    proto, body = (raw[9], raw[20:]) if four else (raw[6], raw[40:])
    data = bytes.fromhex(event.get("data", ""))
    sport, dport = int.from_bytes(body[2:4], "big"), int.from_bytes(body[0:2], "big")
    if proto == Proto.TCP:
        flags = sum(_FLAGS[letter] for letter in set(event.get("flags", "SA")))
        return _back(packet, proto, Tcp(event.get("seq", 5000), event.get("ack", 1001), flags), data, sport, dport)
    if proto == Proto.UDP:
        return _back(packet, proto, Udp(), data, sport, dport)
    if proto == _ICMP[packet.family]:
        header = Icmp(_ECHO_REPLY[packet.family], 0, int.from_bytes(body[4:8], "big"))
        return _back(packet, proto, header, body[8:])
    same = bytes((_ECHO_REPLY[packet.family], 0, 0, 0)) + body[4:]
    ends = packet.src.to_bytes(4 if four else 16, "big") + packet.dst.to_bytes(4 if four else 16, "big")
    checksum = internet(same, word_sum(ends) + proto + len(same))
    return _back(packet, proto, None, same[:2] + checksum.to_bytes(2, "big") + same[4:])


def refusal(packet: Packet, event: dict[str, Any]) -> Packet | None:
    """
    The ICMP error by which *packet*'s destination refuses it; None about another error.

    >>> print(refusal(Packet.udp("192.0.2.1:4000", "192.0.2.2:53"), {}))
    ICMP 192.0.2.2 > 192.0.2.1 dest unreach code 3, length 56
    """
    if is_error(packet):
        return None
    family = packet.family
    kind, code = _UNREACHABLE[family]
    header = Icmp(event.get("type", kind), event.get("code", code))
    return _back(packet, int(_ICMP[family]), header, encode(packet)[: _QUOTED[family]])


def _back(packet: Packet, proto: int, header: Header | None, payload: bytes, sport: int = 0, dport: int = 0) -> Packet:
    """A packet in the opposite direction."""
    return Packet(
        packet.family, proto, packet.dst, packet.src, sport=sport, dport=dport, header=header, payload=payload
    )
