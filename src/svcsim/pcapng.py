"""
The blocks of a pcapng stream: sections, interfaces, packets.

Layouts of: draft-ietf-opsawg-pcapng. A file may hold captures of several interfaces, each with its own link type and
clock, and be several files one behind the other; blocks that are neither interfaces nor packets are stepped over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from svcsim.errors import PacketError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MAGIC", "Interface", "Readable", "read_blocks"]

#: The type of the block that every section, and so every file, begins with: the same in both byte orders.
MAGIC = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_KEPT = frozenset({_INTERFACE, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET})
_BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
#: What stands before and behind a packet in its block.
_PACKET_OVERHEAD = 32
_RESOLUTION, _OFFSET = 9, 14
_STEP = 1 << 16


class Readable(Protocol):
    """Where bytes come from: as many as are asked for, fewer only where the stream ends."""

    def read(self, size: int, /) -> bytes: ...


@attrs.frozen
class Interface:
    """
    What one interface says of its packets: *link* type, and how *ticks* of its clock are to be read.

    >>> Interface(link=1, per_second=1 << 10, offset=5).nanoseconds(1536)
    6500000000
    """

    link: int
    per_second: int = 1_000_000
    offset: int = 0  # seconds

    def nanoseconds(self, ticks: int) -> int:
        """The time of *ticks*, since 1970."""
        return ticks * 1_000_000_000 // self.per_second + self.offset * 1_000_000_000


def read_blocks(source: Readable, dpkt: ModuleType) -> Iterator[tuple[int, int, bytes]]:
    """
    The packets of a pcapng stream: (link type, nanoseconds, frame) each.

    A simple packet block has no time; 0 stands in its place.
    """
    order, interfaces = "<", list[Interface]()
    while head := source.read(8):
        if len(head) < 8:
            raise PacketError(f"cut short by {8 - len(head)} bytes")
        if head[:4] == MAGIC:
            head += _exactly(source, 4)
            if head[8:] not in _BYTE_ORDERS:
                raise PacketError("a section without byte order")
            order, interfaces = _BYTE_ORDERS[head[8:]], []
        kind, length = struct.unpack_from(order + "II", head)
        if length < len(head) + 4 or length & 3:
            raise PacketError(f"a block of {length} bytes")
        if kind not in _KEPT:
            _step_over(source, length - len(head))
            continue
        block = head + _exactly(source, length - len(head))
        if kind == _INTERFACE:
            interfaces.append(_interface(block, order, dpkt))
        elif kind == _SIMPLE_PACKET:
            (size,) = struct.unpack_from(order + "I", block, 8)
            yield _at(interfaces, 0).link, 0, block[12 : min(12 + size, length - 4)]
        else:
            packet = _parse(dpkt, "EnhancedPacketBlock" if kind == _ENHANCED_PACKET else "PacketBlock", order, block)
            if packet.caplen > length - _PACKET_OVERHEAD:
                raise PacketError(f"{packet.caplen} bytes of packet in a block of {length}")
            interface = _at(interfaces, packet.iface_id)
            time = interface.nanoseconds(packet.ts_high << 32 | packet.ts_low)
            yield interface.link, time, bytes(packet.pkt_data)


def _parse(dpkt: ModuleType, name: str, order: str, block: bytes) -> Any:
    return getattr(dpkt.pcapng, name + ("LE" if order == "<" else ""))(block)


def _interface(block: bytes, order: str, dpkt: ModuleType) -> Interface:
    """Read an interface block, whose options say how its clock ticks: microseconds, if nothing is said."""
    described = _parse(dpkt, "InterfaceDescriptionBlock", order, block)
    per_second, offset = 1_000_000, 0
    for option in described.opts:
        if option.len != len(option.data):
            raise PacketError(f"an option of {option.len} bytes, of which there are {len(option.data)}")
        if option.code == _RESOLUTION and len(option.data) == 1:
            exponent = option.data[0]
            per_second = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        elif option.code == _OFFSET and len(option.data) == 8:
            offset = int.from_bytes(option.data, "little" if order == "<" else "big", signed=True)
    return Interface(described.linktype, per_second, offset)


def _at(interfaces: list[Interface], number: int) -> Interface:
    if number >= len(interfaces):
        raise PacketError(f"a packet of interface {number}, of which there are {len(interfaces)}")
    return interfaces[number]


def _exactly(source: Readable, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise PacketError(f"cut short by {size - len(data)} bytes")
    return data


def _step_over(source: Readable, size: int) -> None:
    """Read *size* bytes that nobody wants, never many at once."""
    for at in range(0, size, _STEP):
        _exactly(source, min(_STEP, size - at))
