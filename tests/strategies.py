"""Hypothesis strategies for what many tests need: addresses, prefixes, packets."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from svcsim.addr import Family, Prefix
from svcsim.packet import Icmp, Packet, Proto, Sctp, Tcp, Udp

__all__ = ["addresses", "packets", "ports", "prefixes", "tcp_packets", "u8", "u16", "u32"]

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
ports = st.integers(1, 0xFFFF)


def addresses(family: Family) -> st.SearchStrategy[int]:
    """Addresses of a family; few, so that they meet, or any."""
    few = {Family.IPV4: 0x0A000000, Family.IPV6: 0x20010DB8 << 96}[family]
    return st.integers(few, few + 7) | st.integers(0, family.all_ones)


def prefixes(family: Family) -> st.SearchStrategy[Prefix]:
    """Prefixes with their host bits clear."""

    def make(value: int, length: int) -> Prefix:
        mask = Prefix.mask_of(family, length)
        return Prefix(family, value & mask, mask)

    return st.builds(make, addresses(family), st.integers(0, family.bits))


_options = st.binary(max_size=40).map(lambda b: b[: len(b) & ~3])


@st.composite
def packets(draw: Any, family: Family | None = None) -> Packet:
    """Whole packets of every kind, with right checksums."""
    chosen = family or draw(st.sampled_from(list(Family)))
    four = chosen is Family.IPV4
    proto = draw(
        st.sampled_from([Proto.TCP, Proto.UDP, Proto.SCTP, Proto.ICMP if four else Proto.ICMPV6, 47, 200]).map(int)
    )
    header: Any = None
    sport = dport = 0
    if proto == Proto.TCP:
        header = Tcp(draw(u32), draw(u32), draw(st.integers(0, 0xFFF)), draw(u16), draw(u16), draw(_options))
    elif proto == Proto.UDP:
        header = Udp()
    elif proto == Proto.SCTP:
        header = Sctp(draw(u32))
    elif proto in (Proto.ICMP, Proto.ICMPV6):
        header = Icmp(draw(u8), draw(u8), draw(u32))
    if header is not None and not isinstance(header, Icmp):
        sport, dport = draw(u16), draw(u16)
    ip: dict[str, Any] = {"ttl": draw(u8), "tos": draw(u8)}
    if four:
        ip |= {"ident": draw(u16), "dont_fragment": draw(st.booleans()), "options": draw(_options)}
    else:
        ip |= {"flow_label": draw(st.integers(0, 0xFFFFF))}
    src, dst = draw(addresses(chosen)), draw(addresses(chosen))
    return Packet(chosen, proto, src, dst, sport, dport, header, draw(st.binary(max_size=64)), **ip)


@st.composite
def tcp_packets(draw: Any) -> Packet:
    """Plain IPv4 segments."""
    header = Tcp(draw(u32), draw(u32), draw(st.integers(0, 63)), draw(u16))
    src, dst = draw(addresses(Family.IPV4)), draw(addresses(Family.IPV4))
    return Packet(Family.IPV4, 6, src, dst, draw(ports), draw(ports), header, draw(st.binary(max_size=16)))
