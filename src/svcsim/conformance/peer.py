"""
The other end of a scenario: how a peer answers what a host has sent.
"""

from __future__ import annotations

from typing import Any

from svcsim.addr import Family
from svcsim.icmp import is_error
from svcsim.packet import Icmp, Packet, Proto, Tcp, Udp
from svcsim.wire import encode

__all__ = ["answer", "refusal"]

_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
_ECHO_REPLY = {Family.IPV4: 0, Family.IPV6: 129}


def answer(packet: Packet, event: dict[str, Any]) -> Packet | None:
    """The answer to *packet*: ends swapped, what *event* says, TTL 64; None for what is never answered."""
    if is_error(packet):
        return None
    header, data = packet.header, bytes.fromhex(event.get("data", ""))
    changes: dict[str, Any] = {
        "src": packet.dst,
        "dst": packet.src,
        "sport": packet.dport,
        "dport": packet.sport,
        "ttl": 64,
        "tos": 0,
        "ident": 0,
        "dont_fragment": True,
        "more_fragments": False,
        "fragment_offset": 0,
        "options": b"",
        "next_header": None,
        "flow_label": 0,
        "checksum": None,
        "header_checksum": None,
        "payload": data,
    }
    if isinstance(header, Tcp):
        flags = sum(_FLAGS[letter] for letter in event.get("flags", "SA"))
        changes["header"] = Tcp(event.get("seq", 5000), event.get("ack", 1001), flags)
    elif isinstance(header, Udp):
        changes["header"] = Udp()
    elif isinstance(header, Icmp):
        changes["header"] = Icmp(_ECHO_REPLY[packet.family], 0, header.rest)
        changes["payload"] = packet.payload
    else:
        return None
    return packet.rewritten(**changes)


def refusal(packet: Packet, event: dict[str, Any]) -> Packet | None:
    """The ICMP error by which *packet*'s destination refuses it; None about another error."""
    if is_error(packet):
        return None
    four = packet.family is Family.IPV4
    raw = encode(packet)
    kind, code = event.get("type", 3 if four else 1), event.get("code", 3 if four else 4)
    return Packet(
        packet.family,
        int(Proto.ICMP if four else Proto.ICMPV6),
        packet.dst,
        packet.src,
        header=Icmp(kind, code),
        payload=raw[:28] if four else raw,
    )
