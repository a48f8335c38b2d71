"""Capture files in and out."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import packets
from svcsim.errors import PacketError, UnsupportedError
from svcsim.packet import Packet
from svcsim.pcap import LinkType, read_pcap, write_pcap
from svcsim.wire import encode

dpkt = pytest.importorskip("dpkt")
PACKET = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"hello")


def capture(link: int, *frames: bytes, nano: bool = False) -> io.BytesIO:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack("<IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(frames):
        out += struct.pack("<IIII", 1000 + number, 7, len(frame), len(frame)) + frame
    return io.BytesIO(out)


@given(st.lists(st.tuples(st.integers(0, 2**31 * 10**9), packets()), max_size=5))
def test_captures_come_back(entries):
    """What is written with nanoseconds is read again, times and packets."""
    file = io.BytesIO()
    write_pcap(file, entries)
    file.seek(0)

    assert [(c.time, c.packet) for c in read_pcap(file)] == entries


def test_microseconds():
    """A capture of microseconds is read and written so."""
    file = io.BytesIO()
    write_pcap(file, [(1_000_000_123_456_789, PACKET)], nanosecond=False)
    file.seek(0)

    assert [c.time for c in read_pcap(file)] == [1_000_000_123_456_000]
    assert [c.time for c in read_pcap(capture(LinkType.RAW, encode(PACKET), nano=True))] == [1000 * 10**9 + 7]


@pytest.mark.parametrize(
    ("link", "before"),
    [
        (LinkType.RAW, b""),
        (LinkType.RAW_BSD, b""),
        (LinkType.IPV4, b""),
        (LinkType.ETHERNET, bytes(12) + b"\x08\x00"),
        (LinkType.ETHERNET, bytes(12) + b"\x81\x00\x00\x07\x88\xa8\x00\x08\x08\x00"),
        (LinkType.LINUX_SLL, bytes(14) + b"\x08\x00"),
        (LinkType.LINUX_SLL2, b"\x08\x00" + bytes(18)),
        (LinkType.NULL, b"\x02\0\0\0"),
        (LinkType.LOOP, b"\0\0\0\x02"),
    ],
)
def test_link_types(link, before):
    """The packet is found behind each link header, and the padding of short frames left out."""
    frame = before + encode(PACKET) + (bytes(9) if link == LinkType.ETHERNET else b"")

    assert [c.packet for c in read_pcap(capture(link, frame))] == [PACKET]


def test_pcapng():
    """pcapng is read by its own format."""
    file = io.BytesIO()
    writer = dpkt.pcapng.Writer(file, linktype=LinkType.RAW)
    writer.writepkt(encode(PACKET), ts=3.5)
    file.seek(0)

    assert [(c.time, c.packet) for c in read_pcap(file)] == [(3_500_000_000, PACKET)]


def test_other_frames_are_skipped():
    """Frames without IP are left out, and their numbers told to whoever asks."""
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    skipped: list[int] = []

    seen = list(read_pcap(capture(LinkType.ETHERNET, arp, bytes(12) + b"\x08\x00" + encode(PACKET)), skipped=skipped))

    assert ([c.number for c in seen], skipped) == ([2], [1])


@given(st.integers(25, 24 + 16 + 33))
def test_a_cut_file_names_its_record(size):
    """A file that ends inside a record is refused with the record's number."""
    data = capture(LinkType.RAW, encode(PACKET)).getvalue()
    if size >= len(data):
        return
    with pytest.raises(PacketError, match="record 1"):
        list(read_pcap(io.BytesIO(data[:size])))


def test_absurd_lengths_are_refused():
    """A record that claims gigabytes is refused before they are asked for."""
    data = capture(LinkType.RAW).getvalue() + struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 0xFFFFFFF0)

    with pytest.raises(PacketError, match="record 1: a record of 4294967280 bytes"):
        list(read_pcap(io.BytesIO(data)))


def test_broken_packets_name_their_record():
    """A record that holds no packet is named."""
    with pytest.raises(PacketError, match="record 2"):
        list(read_pcap(capture(LinkType.RAW, encode(PACKET), b"\x45")))


def test_unknown_formats_are_refused():
    """Neither format, an unknown link type: each is named."""
    with pytest.raises(PacketError, match="neither pcap nor pcapng"):
        list(read_pcap(io.BytesIO(b"hello")))
    with pytest.raises(UnsupportedError, match="link type 147"):
        list(read_pcap(capture(147, b"x")))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    """Arbitrary bytes behind a right magic number never do anything but yield packets or be refused."""
    for magic in (b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a"):
        try:
            list(read_pcap(io.BytesIO(magic + data)))
        except (PacketError, UnsupportedError):
            pass
