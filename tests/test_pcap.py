"""Capture files in and out."""

from __future__ import annotations

import io
import struct
import sys
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strategies import odd_packets, packets
from svcsim.errors import PacketError, UnsupportedError
from svcsim.link import LinkType, frame_of
from svcsim.packet import Packet
from svcsim.pcap import Captured, Skipped, read_pcap, write_pcap
from svcsim.wire import encode

dpkt = pytest.importorskip("dpkt", reason="capture files need dpkt, the extra pcap")
PACKET = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"hello")
PACKET_6 = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"hello")
RAW = encode(PACKET)
ARP = bytes(12) + b"\x08\x06" + bytes(28)


def capture(link: int, *frames: bytes, magic: int = 0xA1B2C3D4, order: str = "<", fraction: int = 7) -> io.BytesIO:
    """A pcap file whose records are a second apart."""
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(frames):
        out += struct.pack(order + "IIII", 1000 + number, fraction, len(frame), len(frame)) + frame
    return io.BytesIO(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def enhanced(number: int, ticks: int, frame: bytes, order: str = "<", caplen: int | None = None) -> bytes:
    size = len(frame) if caplen is None else caplen
    return block(6, struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, size, size) + frame, order)


def read(data: bytes | io.BytesIO) -> list[Captured]:
    return list(read_pcap(io.BytesIO(data) if isinstance(data, bytes) else data))


# -- pcap --------------------------------------------------------------------------------------------------------------

times = st.integers(0, 2**32 * 10**9 - 1)


@given(st.lists(st.tuples(times, odd_packets()), max_size=5))
def test_captures_come_back(entries):
    """What is written with nanoseconds is read again, times and packets."""
    file = io.BytesIO()
    write_pcap(file, entries)
    file.seek(0)

    assert read(file) == [Captured(n, time, LinkType.RAW, packet) for n, (time, packet) in enumerate(entries, 1)]


@given(times, packets(), st.sampled_from([link for link in LinkType if link not in (228, 229)]), st.booleans())
def test_captures_of_every_link_come_back(time, packet, link, nanosecond):
    """Whatever the link, packets come back; times too, but for what microseconds have no room for."""
    file = io.BytesIO()
    write_pcap(file, [(time, packet)], linktype=link, nanosecond=nanosecond)
    file.seek(0)

    assert read(file) == [Captured(1, time if nanosecond else time // 1000 * 1000, link, packet)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "time"), [(0xA1B2C3D4, 1000 * 10**9 + 7000), (0xA1B23C4D, 1000 * 10**9 + 7)])
def test_times_of_both_resolutions_and_byte_orders(magic, order, time):
    """A capture says how fine its times are and in which order its bytes stand."""
    assert [seen.time for seen in read(capture(LinkType.RAW, RAW, magic=magic, order=order))] == [time]


@given(st.integers(0, 2**32 - 1), st.integers(0, 999_999))
def test_microseconds_are_exact(second, fraction):
    """No microsecond is lost to rounding, now or in eighty years."""
    data = capture(LinkType.RAW).getvalue() + struct.pack("<IIII", second, fraction, len(RAW), len(RAW)) + RAW

    assert read(data)[0].time == second * 10**9 + fraction * 1000


def test_written_files_are_read_by_others():
    """A file that is written says of itself what other readers go by: its records are no longer than it promises."""
    file = io.BytesIO()
    write_pcap(file, [(1, PACKET), (2, PACKET.rewritten(payload=bytes(60_000)))])
    file.seek(0)
    reader = dpkt.pcap.Reader(file)

    longest = max(len(frame) for _, frame in reader)

    assert (reader.datalink(), longest) == (101, 60_028)
    assert reader.snaplen >= longest


@pytest.mark.parametrize(
    ("time", "packet", "options", "message"),
    [
        (-1, PACKET, {}, "record 2: the time -1"),
        (2**32 * 10**9, PACKET, {}, "record 2: the time"),
        (0, PACKET_6, {"linktype": LinkType.IPV4}, "IPv6 packet in a capture of link type IPV4"),
        (0, PACKET.rewritten(ttl=300), {}, "out of range"),
    ],
)
def test_what_cannot_be_written_is_refused(time, packet, options, message):
    """A time, a packet or a family that the file has no room for is refused, and what was written before stands."""
    file = io.BytesIO()

    with pytest.raises(PacketError, match=message):
        write_pcap(file, [(0, PACKET), (time, packet)], **options)
    file.seek(0)
    assert [seen.packet for seen in read_pcap(file)] == [PACKET]


def test_unknown_link_types_cannot_be_written():
    """A link type that cannot be read is not written either, not even a header."""
    file = io.BytesIO()

    with pytest.raises(UnsupportedError, match="link type 147"):
        write_pcap(file, [], linktype=147)
    assert file.getvalue() == b""


# -- pcapng ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order):
    """Sections, interfaces and packets, in both byte orders; other blocks are stepped over."""
    other = block(5, bytes(200), order)
    data = (
        section(order)
        + other
        + interface(LinkType.RAW, order=order)
        + other
        + enhanced(0, 3_500_000, RAW, order)
        + other
    )

    assert read(data) == [Captured(1, 3_500_000_000, LinkType.RAW, PACKET)]


def test_pcapng_of_another_writer():
    """What dpkt writes is read."""
    file = io.BytesIO()
    writer = dpkt.pcapng.Writer(file, linktype=LinkType.RAW)
    writer.writepkt(RAW, ts=3.5)
    file.seek(0)

    assert read(file) == [Captured(1, 3_500_000_000, LinkType.RAW, PACKET)]


@pytest.mark.parametrize(
    ("options", "ticks", "time"),
    [
        (b"", 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (struct.pack("<HHB3x", 9, 1, 9), 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (struct.pack("<HHB3x", 9, 1, 6), 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (struct.pack("<HHB3x", 9, 1, 0x80 | 10), 1536, 1_500_000_000),
        (struct.pack("<HHB3xHHq", 9, 1, 3, 14, 8, 100), 1500, 101_500_000_000),
        (struct.pack("<HHB3x", 9, 1, 12), 1_000_000_000_000, 1_000_000_000),
    ],
)
def test_pcapng_clocks(options, ticks, time):
    """An interface says how fine its clock is, in powers of ten or two, and from when it counts; nothing is lost."""
    data = section() + interface(LinkType.RAW, options) + enhanced(0, ticks, RAW)

    assert [seen.time for seen in read(data)] == [time]


def test_pcapng_of_several_interfaces():
    """Each interface has a link type of its own; a new section begins with none."""
    data = (
        section()
        + interface(LinkType.RAW)
        + interface(LinkType.ETHERNET)
        + enhanced(1, 1, frame_of(LinkType.ETHERNET, PACKET_6))
        + enhanced(0, 2, RAW)
        + section(">")
        + interface(LinkType.LOOP, order=">")
        + enhanced(0, 3, frame_of(LinkType.LOOP, PACKET), ">")
    )

    assert [(seen.number, seen.time, seen.link, seen.packet) for seen in read(data)] == [
        (1, 1000, LinkType.ETHERNET, PACKET_6),
        (2, 2000, LinkType.RAW, PACKET),
        (3, 3000, LinkType.LOOP, PACKET),
    ]


def test_pcapng_blocks_of_other_ages():
    """The packet block that enhanced ones have replaced is read, and the simple one, which has no time."""
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 7, len(RAW), len(RAW)) + RAW)
    simple = block(3, struct.pack("<I", len(RAW)) + RAW)

    assert [(seen.time, seen.packet) for seen in read(section() + interface(LinkType.RAW) + old + simple)] == [
        (7000, PACKET),
        (0, PACKET),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (section()[:8], "cut short by 4"),
        (section()[:10], "cut short by 2"),
        (section().replace(b"\x4d\x3c\x2b\x1a", b"what"), "without byte order"),
        (section() + b"\5\0\0\0", "cut short by 4"),
        (section() + struct.pack("<II", 5, 8), "a block of 8 bytes"),
        (section() + struct.pack("<II", 5, 4_000_000_000) + bytes(100), "cut short"),
        (section() + struct.pack("<II", 6, 4_000_000_000) + bytes(100), "a record of 3999999992 bytes"),
        (section() + struct.pack("<II", 1, 22), "a block of 22 bytes"),
        (section() + enhanced(0, 0, RAW), "a packet of interface 0, of which there are 0"),
        (section() + interface(101) + enhanced(1, 0, RAW), "a packet of interface 1"),
        (section() + interface(101) + enhanced(0, 0, RAW, caplen=5000), "5000 bytes of packet in a block of 68"),
        (section() + interface(101) + enhanced(0, 0, RAW)[:-4] + b"\0\0\0\0", "record 1"),
        (section() + interface(101) + enhanced(0, 0, RAW)[:-1], "record 1: cut short by 1 bytes"),
        (section() + interface(101, struct.pack("<HH", 9, 5000)), "an option of 5000 bytes"),
    ],
)
def test_malformed_pcapng_is_refused(data, message):
    """What cannot be a block, or says what cannot be, is refused with the reason."""
    with pytest.raises(PacketError, match=message):
        read(data)


# -- both --------------------------------------------------------------------------------------------------------------


def test_other_frames_are_skipped():
    """Frames without IP are left out, and told to whoever asks."""
    skipped: list[Skipped] = []

    seen = list(read_pcap(capture(LinkType.ETHERNET, ARP, frame_of(LinkType.ETHERNET, PACKET)), skipped=skipped))

    assert [(s.number, s.packet) for s in seen] == [(2, PACKET)]
    assert skipped == [Skipped(1, 1000 * 10**9 + 7000, "carries no IP")]


def test_broken_packets_name_their_record():
    """A record that holds no packet is named; those before it are read."""
    seen = read_pcap(capture(LinkType.RAW, RAW, RAW[:30], RAW))

    assert next(seen).packet == PACKET
    with pytest.raises(PacketError, match="record 2: cut short: total length 33, there are 30"):
        next(seen)


def test_broken_packets_are_skipped_if_asked():
    """A capture with a small snapshot length can be read for what is whole in it."""
    skipped: list[Skipped] = []

    seen = list(read_pcap(capture(LinkType.RAW, RAW, RAW[:30], RAW), lenient=True, skipped=skipped))

    assert [s.number for s in seen] == [1, 3]
    assert [(s.number, s.reason) for s in skipped] == [(2, "cut short: total length 33, there are 30 (byte 30)")]


@pytest.mark.parametrize("size", range(25, 24 + 16 + 33))
def test_a_cut_file_names_its_record(size):
    """A file that ends inside a record is refused with the record's number, even if the broken are skipped."""
    data = capture(LinkType.RAW, RAW).getvalue()[:size]

    with pytest.raises(PacketError, match="record 1"):
        list(read_pcap(io.BytesIO(data), lenient=True))


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_absurd_lengths_take_no_memory(kind):
    """A record that claims gigabytes is refused before they are asked for."""
    if kind == "pcap":
        data = capture(LinkType.RAW).getvalue() + struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 0xFFFFFFF0)
    else:
        data = section() + struct.pack("<II", 6, 0xFFFFFFF0)
    file = io.BytesIO(data + bytes(1 << 20))
    read(capture(LinkType.RAW, RAW))  # what is imported late is imported now
    tracemalloc.start()
    try:
        with pytest.raises(PacketError, match=r"record 1: a record of 42949672\d\d bytes"):
            read(file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 18
    finally:
        tracemalloc.stop()


def test_unknown_formats_are_refused():
    """Neither format, an unknown link type: each is named."""
    with pytest.raises(PacketError, match="neither pcap nor pcapng"):
        read(b"hello")
    with pytest.raises(PacketError, match="neither pcap nor pcapng"):
        read(b"")
    with pytest.raises(UnsupportedError, match="link type 147"):
        read(capture(147, b"x"))


def test_an_empty_capture_holds_nothing():
    """A header without records is a capture of nothing."""
    assert read(capture(LinkType.RAW)) == []
    assert read(section()) == []


def test_streams_need_not_be_seekable():
    """A pipe that gives a few bytes at a time is read as a file is, one record at a time."""

    class Pipe:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, size: int) -> bytes:
            given, self.data = self.data[: min(size, 5)], self.data[min(size, 5) :]
            return given

    pipe = Pipe(capture(LinkType.RAW, RAW, RAW).getvalue())
    seen = read_pcap(pipe)  # type: ignore[arg-type]

    assert next(seen).packet == PACKET
    assert len(pipe.data) == 16 + len(RAW)
    assert next(seen).number == 2
    assert list(seen) == []


@given(st.sampled_from(["pcap", "big pcap", "modified pcap", "pcapng"]), st.binary(max_size=200))
@example("pcapng", section()[4:] + interface(101) + struct.pack("<II", 6, 32) + bytes(24))
def test_any_bytes_are_read_or_refused(kind, data):
    """Arbitrary bytes behind a right magic number never do anything but yield packets or be refused."""
    magic = {"pcap": 0xD4C3B2A1, "big pcap": 0xA1B2C3D4, "modified pcap": 0x34CDB2A1, "pcapng": 0x0A0D0D0A}[kind]
    try:
        read(magic.to_bytes(4) + data)
    except (PacketError, UnsupportedError):
        pass


@given(st.data())
def test_damaged_captures_are_read_or_refused(data):
    """Captures in which bytes have changed are read or refused, by either format."""
    good = data.draw(
        st.sampled_from(
            [
                capture(LinkType.ETHERNET, frame_of(LinkType.ETHERNET, PACKET), ARP).getvalue(),
                section() + interface(101, struct.pack("<HHB3x", 9, 1, 9)) + enhanced(0, 1, RAW) + enhanced(0, 2, RAW),
            ]
        )
    )
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(4, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        list(read_pcap(io.BytesIO(bytes(raw)), lenient=data.draw(st.booleans())))
    except (PacketError, UnsupportedError):
        pass


@pytest.mark.parametrize("use", [lambda: read(b""), lambda: write_pcap(io.BytesIO(), [])])
def test_what_is_missing_is_named(use, monkeypatch):
    """Without dpkt, reading and writing say what to install."""
    monkeypatch.setitem(sys.modules, "dpkt", None)

    with pytest.raises(UnsupportedError, match=r"pip install svcsim\[pcap\]"):
        use()
