"""
Buckets of `-m hashlimit`, one for each key that was seen lately.

Behaviour of: the hash tables of xt_hashlimit. A bucket that was idle for long enough is thrown away at the next clean-up,
and the next packet of its key finds a full one.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family, Prefix
from svcsim.clock import SECOND, Clock
from svcsim.hooks import Skb
from svcsim.packet import Proto
from svcsim.tables.hashlimit_rate import HZ, ByteRate, Rate
from svcsim.tables.transport import ports_of

__all__ = ["Buckets"]

_TICK, _MILLISECOND = SECOND // HZ, SECOND // 1000
_DCCP = 33
_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP, _DCCP, Proto.ESP, Proto.AH})


def _ports(skb: Skb) -> tuple[int, int] | None:
    """The ports, for which IPsec's index is taken as well; None if they are not there."""
    if skb.proto != Proto.AH:
        return ports_of(skb)
    index = skb.payload[4:8]
    return (int.from_bytes(index[:2]), int.from_bytes(index[2:])) if len(index) == 4 else None


@attrs.define(eq=False)
class _Bucket:
    credit: int
    tick: int
    expires: int
    bursts: int


class Buckets:
    """The table of one name: the rule that made it says what it is like."""

    def __init__(
        self,
        clock: Clock,
        rate: Rate,
        mode: tuple[str, ...],
        masks: tuple[int, int],
        interval: int,
        expire: int,
        bits: int,
    ) -> None:
        self._clock, self._rate, self._mode = clock, rate, frozenset(mode)
        self._masks = tuple(Prefix.mask_of(Family.IPV4 if bits == 32 else Family.IPV6, length) for length in masks)
        self._interval, self._expire = interval * _MILLISECOND, expire * _MILLISECOND
        self._cleaned = clock.now
        self._buckets: dict[tuple[int, int, int, int], _Bucket] = {}

    def _clean(self) -> None:
        """Throw away what had expired at the last clean-up that was due."""
        due = (self._clock.now - self._cleaned) // self._interval
        if due:
            self._cleaned += due * self._interval
            for key in [key for key, bucket in self._buckets.items() if bucket.expires < self._cleaned]:
                del self._buckets[key]

    def take(self, skb: Skb) -> bool | None:
        """Pay for *skb*: whether there was enough to do so; None if it is too short to have a key."""
        mode, now, rate = self._mode, self._clock.now, self._rate
        sport = dport = 0
        if ("srcport" in mode or "dstport" in mode) and skb.proto in _PORTED and not skb.original.fragment_offset:
            ports = _ports(skb)
            if ports is None:
                return None
            sport, dport = ports
        key = (
            skb.src & self._masks[0] if "srcip" in mode else 0,
            skb.dst & self._masks[1] if "dstip" in mode else 0,
            sport if "srcport" in mode else 0,
            dport if "dstport" in mode else 0,
        )
        self._clean()
        tick = now // _TICK
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(rate.cap, tick, 0, rate.burst)
        else:
            bucket.credit = min(rate.cap, bucket.credit + (tick - bucket.tick) * rate.per_tick)
            bucket.tick = tick
        bucket.expires = now + self._expire
        cost = rate.cost(skb.length)
        if isinstance(rate, ByteRate) and bucket.credit < cost and bucket.bursts:
            bucket.bursts -= 1
            bucket.credit = rate.cap
        if bucket.credit < cost:
            return False
        bucket.credit -= cost
        return True
