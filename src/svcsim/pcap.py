"""
Capture files: packets out of pcap and pcapng, packets into pcap.

The file formats are dpkt's business, the packets are ours (`svcsim.wire`). Only streams that are handed in are touched,
one record at a time. Needs the extra ``pcap``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

import attrs

from svcsim.errors import PacketError, UnsupportedError
from svcsim.packet import Packet
from svcsim.wire import decode, encode

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Captured", "LinkType", "read_pcap", "write_pcap"]

#: More bytes than this in one record are no packet; the format's own limit is larger than any memory.
_LONGEST_RECORD = 1 << 18
_NANOSECOND_MAGIC = (b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1")
_PCAP_MAGIC = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", *_NANOSECOND_MAGIC)
_PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, frozenset({0x8100, 0x88A8, 0x9100})


class LinkType:
    """What stands before the IP header in each record (https://www.tcpdump.org/linktypes.html)."""

    NULL = 0
    ETHERNET = 1
    RAW_BSD = 12
    RAW = 101
    LOOP = 108
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


@attrs.frozen
class Captured:
    """One packet of a capture: when it was seen (*time*, nanoseconds since 1970), and its place in the file."""

    number: int
    time: int
    packet: Packet


def _dpkt() -> ModuleType:
    try:
        import dpkt
    except ImportError as error:
        raise UnsupportedError("capture files without dpkt", instead="install svcsim[pcap]") from error
    module: ModuleType = dpkt
    return module


def read_pcap(stream: IO[bytes], *, skipped: list[int] | None = None) -> Iterator[Captured]:
    """
    Read the IP packets of a pcap or pcapng stream, in order; `PacketError` names the record that is no good.

    The stream must be seekable. Frames that carry no IP (ARP and so on) are left out; their numbers are appended to
    *skipped*.

    >>> import io
    >>> file = io.BytesIO()
    >>> write_pcap(file, [(1_000_000_007, Packet.udp("192.0.2.1:1", "192.0.2.2:2"))])
    >>> for seen in read_pcap(io.BytesIO(file.getvalue())):
    ...     print(seen.time, seen.packet)
    1000000007 UDP 192.0.2.1:1 > 192.0.2.2:2, length 28
    """
    dpkt = _dpkt()
    trouble = (dpkt.dpkt.Error, ValueError, EOFError, struct.error, IndexError, KeyError, OSError)
    start = stream.tell()
    magic = stream.read(4)
    stream.seek(start)
    bounded = _Bounded(stream)
    try:
        if magic == _PCAPNG_MAGIC:
            reader: Any = dpkt.pcapng.Reader(bounded)
        elif magic in _PCAP_MAGIC:
            reader = dpkt.pcap.Reader(bounded)
        else:
            raise PacketError("neither pcap nor pcapng: unknown magic number", offset=0)
        link = reader.datalink()
    except trouble as error:
        raise PacketError(f"bad capture header: {error or type(error).__name__}") from error
    records = iter(reader)
    number = 0
    while True:
        number += 1
        try:
            seen = next(records, None)
        except trouble as error:
            raise PacketError(f"record {number}: {error or type(error).__name__}") from error
        if seen is None:
            return
        if bounded.missing:
            raise PacketError(f"record {number}: cut short by {bounded.missing} bytes")
        time, data = seen
        try:
            packet = _unwrap(link, bytes(data))
        except PacketError as error:
            raise PacketError(f"record {number}: {error}") from error
        if packet is None:
            if skipped is not None:
                skipped.append(number)
            continue
        yield Captured(number, _nanoseconds(time), packet)


class _Bounded:
    """A stream that hands out no absurd lengths, and remembers whether it ended before what was asked for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.name = getattr(stream, "name", "<stream>")
        self.missing = 0  # bytes that the last read wanted and did not get

    def read(self, size: int = -1) -> bytes:
        if size > _LONGEST_RECORD:
            raise PacketError(f"a record of {size} bytes")
        data = self._stream.read(size)
        self.missing = max(size - len(data), 0)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _nanoseconds(seconds: Decimal | float) -> int:
    """A record's time; a float has room for microseconds alone."""
    if isinstance(seconds, Decimal):
        return int(seconds * 1_000_000_000)
    return round(seconds * 1_000_000) * 1000


def _unwrap(link: int, data: bytes) -> Packet | None:
    """The packet in a frame, None if it carries no IP."""
    if link in (LinkType.RAW, LinkType.RAW_BSD, LinkType.IPV4, LinkType.IPV6):
        return decode(data)
    if link == LinkType.ETHERNET:
        return _of_type(data, 12)
    if link == LinkType.LINUX_SLL:
        return _of_type(data, 14)
    if link == LinkType.LINUX_SLL2:
        if len(data) < 20:
            raise PacketError("cut short inside the link header", offset=len(data))
        return decode(data[20:]) if int.from_bytes(data[:2]) in (_IPV4, _IPV6) else None
    if link in (LinkType.NULL, LinkType.LOOP):
        if len(data) < 5:
            raise PacketError("cut short inside the link header", offset=len(data))
        return decode(data[4:]) if data[4] >> 4 in (4, 6) else None
    raise UnsupportedError(f"link type {link}", instead="capture raw IP, Ethernet, Linux cooked or loopback")


def _of_type(data: bytes, at: int) -> Packet | None:
    """The packet behind an Ethernet type at *at*, and behind VLAN tags."""
    while True:
        if len(data) < at + 2:
            raise PacketError("cut short inside the link header", offset=len(data))
        kind = int.from_bytes(data[at : at + 2])
        if kind not in _VLAN:
            break
        at += 4
    return decode(data[at + 2 :]) if kind in (_IPV4, _IPV6) else None


def write_pcap(stream: IO[bytes], packets: Iterable[tuple[int, Packet]], *, nanosecond: bool = True) -> None:
    """Write (*time* in nanoseconds, packet) pairs as a pcap stream of raw IP."""
    dpkt = _dpkt()
    writer = dpkt.pcap.Writer(stream, nano=nanosecond, linktype=LinkType.RAW)
    unit, digits = (1, -9) if nanosecond else (1000, -6)
    for time, packet in packets:
        writer.writepkt_time(encode(packet), Decimal(time // unit).scaleb(digits))
