"""
A packet's transport header as rules look for it.
"""

from __future__ import annotations

from svcsim.hooks import Skb

__all__ = ["answer_without_header", "ports_of"]


def answer_without_header(skb: Skb) -> bool | None:
    """
    What a match says of *skb* that has not the header it looks into.

    A fragment but the first does not match, not even if the test is inverted; a header cut short is dropped (None).
    """
    return False if skb.original.fragment_offset else None


def ports_of(skb: Skb) -> tuple[int, int] | None:
    """The ports in the first four bytes behind the IP header; None if there are not so many."""
    if skb.header is not None:
        return skb.sport, skb.dport
    payload = skb.payload
    if len(payload) < 4:
        return None
    return int.from_bytes(payload[:2]), int.from_bytes(payload[2:4])
