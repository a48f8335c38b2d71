"""
Maglev hashing.

Behaviour of: ip_vs_mh (`ipvsadm -s mh -b mh-fallback,mh-port`) on 64-bit kernels; pinned by the corpus scenarios
ipvs-mh-*. The table is that of "Maglev: A Fast and Reliable Software Network Load Balancer" (Eisenbud et al., 2016).
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler, Surroundings, fold
from svcsim.lb.service import ServiceFlags
from svcsim.packet import Proto

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["TABLE_SIZES", "MaglevHashing", "deal", "siphash_1_3"]

_SIZE = 4093  # CONFIG_IP_VS_MH_TAB_INDEX=12, as every distribution has it
#: The sizes that a kernel can be built with, by that index less 8.
TABLE_SIZES = (251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071)
_OFFSET_KEY = 2654435761
_SKIP_KEY = 2654446892
_FALLBACK, _PORT = ServiceFlags.SCHED1, ServiceFlags.SCHED2
_PORTED = (Proto.TCP, Proto.UDP, Proto.SCTP)
_U32 = 0xFFFFFFFF
_U64 = 0xFFFFFFFFFFFFFFFF


def siphash_1_3(word: int, key: int) -> int:
    """
    The low 32 bits of SipHash-1-3 of the four bytes of *word*, little-endian; both halves of the key are *key*.

    >>> hex(siphash_1_3(int.from_bytes(b"abcd", "little"), 0))
    '0xd52aae89'
    """
    block = 4 << 56 | word
    a, b, c, d = key ^ 0x736F6D6570736575, key ^ 0x646F72616E646F6D, key ^ 0x6C7967656E657261, key ^ 0x7465646279746573
    a, b, c, d = _sip_round(a, b, c, d ^ block)
    a, b, c, d = _sip_round(a ^ block, b, c ^ 0xFF, d)
    a, b, c, d = _sip_round(a, b, c, d)
    a, b, c, d = _sip_round(a, b, c, d)
    return (a ^ b ^ c ^ d) & _U32


def _sip_round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = a + b & _U64
    c = c + d & _U64
    b = (b << 13 & _U64 | b >> 51) ^ a
    d = (d << 16 & _U64 | d >> 48) ^ c
    a = (a << 32 & _U64 | a >> 32) + d & _U64
    c = c + b & _U64
    d = (d << 21 & _U64 | d >> 43) ^ a
    b = (b << 17 & _U64 | b >> 47) ^ c
    return a, b, c << 32 & _U64 | c >> 32, d


@SCHEDULERS.register("mh")
@attrs.define(eq=False)
class MaglevHashing(Scheduler):
    """
    Look the client's address up in a table of 4093 slots that hardly changes when a destination comes or goes.

    Each destination has an order of its own, made from its address and port, in which it claims slots; they claim in
    turns until the table is full. Weights are turns a round, after division by what they have in common. A destination
    that is quiesced keeps its slots, so that bringing it back moves nobody; like one that is overloaded it refuses,
    unless the flag ``mh-fallback`` sends the connection to another slot. With ``mh-port`` the client's port counts too.

    >>> from svcsim.lb.bench import Bench
    >>> whole, rest = Bench("mh", [1, 1, 1]), Bench("mh", [1, 1, 1])
    >>> rest.remove(rest.destinations[2])
    >>> whole.picks(12)
    [0, 0, 1, 2, 1, 1, 1, 1, 0, 0, 2, 1]
    >>> rest.picks(12)
    [0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1]
    """

    flag_names = ("mh-fallback", "mh-port", "flag-3")
    since = (4, 18)

    _slots: list[Destination] = attrs.field(factory=list, init=False)
    _pending: list[Destination] | None = attrs.field(default=None, init=False)

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        self._change(service)

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        slots = self.slots
        if not slots:
            return None
        flags = service.flags
        key = fold(skb.src)
        if flags & _PORT and skb.proto in _PORTED:
            key += skb.sport
        first = siphash_1_3(key & _U32, _OFFSET_KEY) % _SIZE
        destination = slots[first]
        if destination.weight > 0 and not destination.overloaded:
            return destination
        if flags & _FALLBACK and any(d.weight > 0 and not d.overloaded for d in service.destinations):
            for offset in range(_SIZE):
                rehashed = key + (offset + first) % _SIZE & _U32
                destination = slots[siphash_1_3(rehashed, _OFFSET_KEY) % _SIZE]
                if destination.weight > 0 and not destination.overloaded:
                    return destination
        return None

    @property
    def slots(self) -> list[Destination]:
        """The table, dealt out when it is first looked at after a change; empty if every weight has always been 0."""
        if self._pending is not None:
            self._slots, self._pending = deal(self._pending), None
        return self._slots

    def destination_added(self, service: VirtualService, destination: Destination) -> None:
        self._change(service)

    def destination_removed(self, service: VirtualService, destination: Destination, index: int) -> None:
        self._change(service)

    def destination_updated(self, service: VirtualService, destination: Destination) -> None:
        self._change(service)

    def _change(self, service: VirtualService) -> None:
        count = len(service.destinations)
        if count <= _SIZE:  # more do not fit: the kernel keeps the old table and says nothing
            self._pending = service.destinations
        if count == _SIZE:
            self._slots, self._pending = deal(service.destinations), None


def deal(destinations: list[Destination], size: int = _SIZE) -> list[Destination]:
    """Let *destinations* claim the slots of a table of *size*, one of `TABLE_SIZES`, in turns until all are taken."""
    weight_bits = (TABLE_SIZES.index(size) + 8) // 2  # heavier weights are shifted down to so many bits
    common = gcd(*(d.last_weight for d in destinations))
    if common == 0:
        return []
    shift = max(0, (max(d.last_weight for d in destinations) // common).bit_length() - weight_bits)
    turns = [max(1, d.last_weight // common >> shift) if d.last_weight else 0 for d in destinations]
    keys = [d.port + fold(d.address) & _U32 for d in destinations]
    steps = [siphash_1_3(key, _SKIP_KEY) % (size - 1) + 1 for key in keys]
    positions = [siphash_1_3(key, _OFFSET_KEY) % size for key in keys]
    slots, taken, free = [destinations[0]] * size, bytearray(size), size
    while True:
        for number, destination in enumerate(destinations):
            position, step = positions[number], steps[number]
            for _ in range(turns[number]):
                while taken[position]:
                    position = (position + step) % size
                slots[position] = destination
                taken[position] = 1
                free -= 1
                if free == 0:
                    return slots
            positions[number] = position
