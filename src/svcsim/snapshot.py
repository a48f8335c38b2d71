"""
A packet on its way as it was at one moment, cheap to keep: values alone, made into an `Skb` again when it is read.
"""

from __future__ import annotations

from copy import copy

from svcsim.hooks import Skb

__all__ = ["Snapshot"]

#: What can become of a packet between two rules; all else stays.
_OF_SKB = (
    *("src", "dst", "sport", "dport", "header", "payload", "ttl", "tos", "length", "checksum"),
    *("changed", "mark", "route", "ct", "ctinfo", "ipvs_property", "traced"),
)
#: And of its connection.
_OF_CONN = ("reply", "status", "mark", "masqueraded_on")


class Snapshot:
    """
    What *skb* and its connection are now, whatever becomes of them.

    >>> from svcsim.packet import Packet
    >>> skb = Skb(Packet.tcp("192.0.2.1:40000", "10.96.0.10:80"))
    >>> before = Snapshot(skb)
    >>> skb.set_destination(0x0AF40005, 8080)
    >>> print(before.skb.packet); print(skb.packet)
    TCP 192.0.2.1:40000 > 10.96.0.10:80 [S] seq 0, length 40
    TCP 192.0.2.1:40000 > 10.244.0.5:8080 [S] seq 0, length 40
    """

    __slots__ = ("_conn", "_live", "_skb")

    def __init__(self, skb: Skb) -> None:
        self._live = skb
        # Spelt out: taken by name, it would cost four times as much.
        self._skb = (
            skb.src, skb.dst, skb.sport, skb.dport, skb.header, skb.payload, skb.ttl, skb.tos, skb.length, skb.checksum,
            skb.changed, skb.mark, skb.route, skb.ct, skb.ctinfo, skb.ipvs_property, skb.traced,
        )  # fmt: skip
        conn = skb.ct
        self._conn = None if conn is None else (conn.reply, conn.status, conn.mark, conn.masqueraded_on)

    @property
    def length(self) -> int:
        """How long it was."""
        return self._skb[8]

    @property
    def skb(self) -> Skb:
        """The packet as it was, with its connection as it was; made anew each time."""
        skb = copy(self._live)
        _give(skb, _OF_SKB, self._skb)
        if self._conn is not None:
            skb.ct = copy(skb.ct)
            _give(skb.ct, _OF_CONN, self._conn)
        return skb


def _give(to: object, names: tuple[str, ...], values: tuple[object, ...]) -> None:
    for name, value in zip(names, values, strict=True):
        setattr(to, name, value)
