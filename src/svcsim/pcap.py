"""
Capture files: packets out of pcap and pcapng, packets into pcap.

The file formats are dpkt's business, the packets are ours (`svcsim.wire`). Only streams that are handed in are touched,
one record at a time; they need not be seekable. Needs the extra ``pcap``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import IO, TYPE_CHECKING

import attrs

from svcsim import pcapng
from svcsim.errors import PacketError, UnsupportedError
from svcsim.link import LinkType, frame_of, packet_in
from svcsim.packet import Packet

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Captured", "Skipped", "read_pcap", "write_pcap"]

#: More bytes than this in one record are no packet: the longest that tcpdump captures, and what pcapng may add to them.
_SNAPLEN = 1 << 18
_LONGEST_RECORD = _SNAPLEN + (1 << 16)
_END_OF_TIME = (1 << 32) * 1_000_000_000
_BIG_ENDIAN = (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xcd\x34")  # microseconds, nanoseconds, Kuznetzov's
_PCAP_MAGIC = frozenset(_BIG_ENDIAN) | {magic[::-1] for magic in _BIG_ENDIAN}


@attrs.frozen
class Captured:
    """One packet of a capture: its record's *number* from 1, the *time* it was seen (ns since 1970), and its link."""

    number: int
    time: int
    link: LinkType
    packet: Packet


@attrs.frozen
class Skipped:
    """One record of a capture that was left out, and why."""

    number: int
    time: int
    reason: str


def read_pcap(stream: IO[bytes], *, lenient: bool = False, skipped: list[Skipped] | None = None) -> Iterator[Captured]:
    """
    Read the IP packets of a pcap or pcapng stream, in order; `PacketError` names the record that is no good.

    Frames that carry no IP (ARP and so on) are left out, and if *lenient* those too whose packet is cut short or
    impossible, as in a capture with a small snapshot length; *skipped* is told which.

    >>> import io
    >>> file = io.BytesIO()
    >>> write_pcap(file, [(1_000_000_007, Packet.udp("192.0.2.1:1", "192.0.2.2:2"))])
    >>> for seen in read_pcap(io.BytesIO(file.getvalue())):
    ...     print(seen.time, seen.packet)
    1000000007 UDP 192.0.2.1:1 > 192.0.2.2:2, length 28
    """
    dpkt = _dpkt()
    records = _records(_Source(stream), dpkt)
    number = 0
    while True:
        number += 1
        try:
            record = next(records, None)
        except _troubles(dpkt) as error:
            raise PacketError(f"record {number}: {str(error) or type(error).__name__}") from error
        if record is None:
            return
        link_number, time, frame = record
        packet, reason = None, "carries no IP"
        try:
            link = LinkType.of(link_number)
            packet = packet_in(link, frame)
        except PacketError as error:
            if not lenient:
                raise PacketError(f"record {number}: {error}") from error
            reason = str(error)
        if packet is not None:
            yield Captured(number, time, link, packet)
        elif skipped is not None:
            skipped.append(Skipped(number, time, reason))


def write_pcap(
    stream: IO[bytes],
    packets: Iterable[tuple[int, Packet]],
    *,
    linktype: int = LinkType.RAW,
    nanosecond: bool = True,
) -> None:
    """Write (*time* in nanoseconds since 1970, packet) pairs as a pcap stream; microseconds cut off what is finer."""
    dpkt = _dpkt()
    link = LinkType.of(linktype)
    writer = dpkt.pcap.Writer(stream, snaplen=_SNAPLEN, linktype=int(link), nano=nanosecond)
    unit, digits = (1, -9) if nanosecond else (1000, -6)
    for number, (time, packet) in enumerate(packets, 1):
        if not 0 <= time < _END_OF_TIME:
            raise PacketError(f"record {number}: the time {time} does not fit a pcap file")
        writer.writepkt_time(frame_of(link, packet), Decimal(time // unit).scaleb(digits))


def _dpkt() -> ModuleType:
    try:
        import dpkt
        import dpkt.pcapng
    except ImportError as error:
        raise UnsupportedError("capture files without dpkt", instead="pip install svcsim[pcap]") from error
    module: ModuleType = dpkt
    return module


def _troubles(dpkt: ModuleType) -> tuple[type[Exception], ...]:
    """What reading a malformed stream may raise."""
    return (PacketError, dpkt.dpkt.Error, ValueError, EOFError, struct.error, IndexError, KeyError, ArithmeticError)


def _records(source: _Source, dpkt: ModuleType) -> Iterator[tuple[int, int, bytes]]:
    """(Link type, nanoseconds, frame) of each record."""
    if source.magic == pcapng.MAGIC:
        yield from pcapng.read_blocks(source, dpkt)
        return
    if source.magic not in _PCAP_MAGIC:
        raise PacketError("neither pcap nor pcapng: unknown magic number")
    reader = dpkt.pcap.Reader(source)
    link = reader.datalink() & 0xFFFF  # above are the lengths of what follows a frame
    for time, frame in reader:
        if source.missing:
            raise PacketError(f"cut short by {source.missing} bytes")
        yield link, _nanoseconds(time), frame


class _Source:
    """A stream that hands out no absurd lengths, and all of what is asked for unless it ends."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.missing = 0  # bytes that the last read wanted and did not get
        self._ahead = b""
        self._ahead = self.read(4)
        self.magic = self._ahead

    def read(self, size: int, /) -> bytes:
        if size > _LONGEST_RECORD:
            raise PacketError(f"a record of {size} bytes")
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        while len(data) < size:  # a pipe may give less than it was asked for
            more = self._stream.read(size - len(data))
            if not more:
                break
            data += more
        self.missing = size - len(data)
        return data


def _nanoseconds(seconds: Decimal | float) -> int:
    """A record's time; a float has room for microseconds alone."""
    if isinstance(seconds, Decimal):
        return int(seconds * 1_000_000_000)
    return round(seconds * 1_000_000) * 1000
