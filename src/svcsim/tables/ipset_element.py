"""
The elements of IP sets: what a packet looks like to a set.

An element is a tuple with one part for each dimension of its set's type: an address, a network ``(value, length)``, a
port ``(protocol, number)``, an interface ``(name, physdev)``, a MAC, a mark; None for a MAC that is not known yet.
"""

from __future__ import annotations

from svcsim.hooks import HookState, Skb
from svcsim.packet import Icmp, Proto

__all__ = ["Element", "Part", "element_of_packet"]

Part = int | tuple[int, int] | tuple[str, bool] | None
Element = tuple[Part, ...]

_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE})


def element_of_packet(
    kinds: tuple[str, ...], directions: tuple[bool, ...], skb: Skb, state: HookState, mark_mask: int
) -> Element | None:
    """
    What *skb* is to a set of these *kinds*; each of *directions* says whether a dimension is the source's.

    Networks are full-length. None where the packet has no such thing: no port in a later fragment, no MAC.
    """
    parts: list[Part] = []
    for kind, of_source in zip(kinds, directions, strict=False):
        if kind in ("ip", "plain-ip"):
            parts.append(skb.src if of_source else skb.dst)
        elif kind == "net":
            parts.append((skb.src if of_source else skb.dst, skb.family.bits))
        elif kind in ("port", "bare port"):
            port = _port_of(skb, of_source)
            if port is None or (kind == "bare port" and skb.proto not in (Proto.TCP, Proto.UDP)):
                return None
            parts.append(port if kind == "bare port" else (skb.proto, port))
        elif kind == "iface":
            name = state.indev if of_source else state.outdev
            if not name:
                return None
            parts.append((name, False))
        elif kind == "mark":
            parts.append(skb.mark & mark_mask)
        else:
            return None
    return tuple(parts)


def _port_of(skb: Skb, of_source: bool) -> int | None:
    if isinstance(skb.header, Icmp):
        return skb.header.type << 8 | skb.header.code
    if skb.proto in _PORTED:
        if skb.header is None:
            return None
        return skb.sport if of_source else skb.dport
    return None if skb.original.fragment_offset and skb.proto in (Proto.ICMP, Proto.ICMPV6) else 0
