"""Hypothesis strategies that many tests need: the public ones of packets, and odd packets."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from svcsim.addr import Family
from svcsim.packet import Icmp, Packet, Sctp, Udp
from svcsim.testing.strategies import addresses, families, packets, ports, prefixes, tcp_packets
from svcsim.wire import encode

__all__ = [
    "addresses",
    "extension_chains",
    "families",
    "odd_packets",
    "packets",
    "ports",
    "prefixes",
    "tcp_packets",
    "u8",
    "u16",
    "u32",
]

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)


@st.composite
def extension_chains(draw: Any, proto: int, *, fragment: bool = False) -> tuple[int, bytes, int, int]:
    """
    IPv6 extension headers before *proto*: (kind of the first, their bytes, offset word and id of the fragment header).

    With *fragment* one of them is a fragment header; that of a later fragment is the last.
    """
    before = draw(st.lists(st.sampled_from([0, 43, 51, 60]), max_size=2))
    behind = draw(st.lists(st.sampled_from([51, 60]), max_size=1))
    place = draw(st.integers(0, 3)) << 3 | draw(st.integers(0, 1)) if fragment else 0
    kinds = before + ([44] if fragment else []) + ([] if place >> 3 else behind)
    ident, chain = draw(u32) if fragment else 0, b""
    for kind, following in itertools.pairwise([*kinds, proto]):
        if kind == 44:
            chain += bytes([following, draw(u8)]) + place.to_bytes(2) + ident.to_bytes(4)
        else:
            units = draw(st.integers(0, 2))
            size = (units + 1) * 8
            length = size // 4 - 2 if kind == 51 else units
            chain += bytes([following, length]) + draw(st.binary(min_size=size - 2, max_size=size - 2))
    return (kinds or [proto])[0], chain, place, ident


@st.composite
def odd_packets(draw: Any, family: Family | None = None) -> Packet:
    """
    Packets as `decode` gives them, common or not.

    Wrong checksums and lengths, fragments, extension headers, headers that are cut short: whatever bytes can hold.
    """
    packet: Packet = draw(packets(family))
    four, changes = packet.family is Family.IPV4, dict[str, Any]()
    shape = draw(st.sampled_from(["whole", "whole", "first fragment", "later fragment", "short"]))
    place = ident = 0
    if four:
        changes["reserved"] = draw(st.booleans())
        if shape.endswith("fragment"):
            place = draw(st.integers(1, 0x1FFF)) << 3 if shape.startswith("later") else 0
            place |= 1 if shape.startswith("first") else draw(st.integers(0, 1))
    else:
        first, chain, place, ident = draw(extension_chains(packet.proto, fragment=shape.endswith("fragment")))
        if chain:
            changes |= {"options": chain, "next_header": first, "ident": ident}
    changes |= {"fragment_offset": place >> 3, "more_fragments": bool(place & 1)}
    if place >> 3 or packet.header is None:
        return packet.rewritten(**changes, header=None, sport=0, dport=0)
    if shape == "short":
        start = 0 if isinstance(packet.header, Icmp) else draw(st.integers(0, 1)) * 4
        ends = packet.sport.to_bytes(2) + packet.dport.to_bytes(2)
        known = {} if start else {"sport": 0, "dport": 0}
        return packet.rewritten(**changes, **known, header=None, payload=(ends + b"123")[: start or 3])
    if isinstance(packet.header, Udp):
        changes["header"] = Udp(draw(st.none() | u16.filter(lambda n: n != 8 + len(packet.payload))))
    checksum = draw(u32 if isinstance(packet.header, Sctp) else u16)
    if place:
        return packet.rewritten(**changes, checksum=checksum)  # only the whole has a right one
    packet = packet.rewritten(**changes)
    wrong = packet.rewritten(checksum=checksum)
    return wrong if draw(st.booleans()) and encode(wrong) != encode(packet) else packet
