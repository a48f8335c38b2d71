"""Link layers of captures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import packets
from svcsim.errors import PacketError, UnsupportedError
from svcsim.link import LinkType, frame_of, packet_in
from svcsim.packet import Packet
from svcsim.wire import encode

V4 = Packet.udp("192.0.2.1:1", "192.0.2.2:2", b"hello")
V6 = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2", b"hello")
EVERYWHERE = [link for link in LinkType if link not in (LinkType.IPV4, LinkType.IPV6)]


@given(st.sampled_from(EVERYWHERE), packets())
def test_frames_come_back(link, packet):
    """What is put into a frame is found in it, whatever the link."""
    assert packet_in(link, frame_of(link, packet)) == packet


@pytest.mark.parametrize(
    ("link", "before"),
    [
        (LinkType.RAW, ""),
        (LinkType.RAW_BSD, ""),
        (LinkType.IPV4, ""),
        (LinkType.ETHERNET, "ffffffffffff 020000000001 0800"),
        (LinkType.ETHERNET, "ffffffffffff 020000000001 8100 0007 0800"),
        (LinkType.ETHERNET, "ffffffffffff 020000000001 88a8 0007 8100 0008 0800"),
        (LinkType.LINUX_SLL, "0000 0001 0006 0200000000010000 0800"),
        (LinkType.LINUX_SLL, "0000 0001 0006 0200000000010000 8100 0007 0800"),
        (LinkType.LINUX_SLL2, "0800 0000 00000002 0001 00 06 0200000000010000"),
        (LinkType.LINUX_SLL2, "8100 0000 00000002 0001 00 06 0200000000010000 0007 0800"),
        (LinkType.NULL, "02000000"),
        (LinkType.NULL, "00000002"),
        (LinkType.LOOP, "00000002"),
    ],
)
def test_link_headers(link, before):
    """The packet is found behind each link header, and the padding of short frames left out."""
    assert packet_in(link, bytes.fromhex(before) + encode(V4) + bytes(9)) == V4


@pytest.mark.parametrize(
    ("link", "before"),
    [
        (LinkType.IPV6, ""),
        (LinkType.ETHERNET, "ffffffffffff 020000000001 86dd"),
        (LinkType.LINUX_SLL2, "86dd 0000 00000002 0001 00 06 0200000000010000"),
        (LinkType.NULL, "1e000000"),
        (LinkType.NULL, "0a000000"),
        (LinkType.LOOP, "00000018"),
        (LinkType.LOOP, "0000001c"),
    ],
)
def test_link_headers_of_ipv6(link, before):
    """IPv6 has a number of its own on each system; all of them are known."""
    assert packet_in(link, bytes.fromhex(before) + encode(V6)) == V6


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (LinkType.ETHERNET, "ffffffffffff 020000000001 0806 00010800 06040001"),
        (LinkType.ETHERNET, "ffffffffffff 020000000001 8100 0007 0806 0001"),
        (LinkType.ETHERNET, "0180c2000000 020000000001 0026 424203"),
        (LinkType.LINUX_SLL, "0000 0001 0006 0200000000010000 0806 0001"),
        (LinkType.LINUX_SLL2, "0806 0000 00000002 0001 00 06 0200000000010000 0001"),
        (LinkType.NULL, "07000000 4500"),
        (LinkType.LOOP, "02000000 4500"),
    ],
)
def test_other_frames_carry_no_packet(link, frame):
    """ARP, spanning tree, other address families: no IP, and no error."""
    assert packet_in(link, bytes.fromhex(frame)) is None


@given(st.sampled_from(EVERYWHERE), packets(), st.data())
def test_cut_frames_are_refused(link, packet, data):
    """A frame that ends before its packet does is refused, wherever it ends."""
    frame = frame_of(link, packet)
    size = data.draw(st.integers(0, len(frame) - 1))

    with pytest.raises(PacketError):
        packet_in(link, frame[:size])


def test_tags_without_end_are_refused():
    """A frame of nothing but VLAN tags is read once, to its end."""
    with pytest.raises(PacketError, match="link header"):
        packet_in(LinkType.ETHERNET, bytes(12) + b"\x81\x00\x00\x07" * 10_000)


@given(st.sampled_from(list(LinkType)), st.binary(max_size=80))
def test_any_frame_is_read_or_refused(link, frame):
    """Arbitrary frames hold a packet, none, or are refused."""
    try:
        packet_in(link, frame)
    except PacketError:
        pass


@pytest.mark.parametrize(("link", "packet"), [(LinkType.IPV4, V6), (LinkType.IPV6, V4)])
def test_links_of_one_family_take_no_other(link, packet):
    """A capture that says IPv4 holds no IPv6, and the other way round."""
    with pytest.raises(PacketError, match="link type IPV"):
        frame_of(link, packet)


def test_unknown_link_types_are_named():
    """What cannot be read is refused by its number."""
    with pytest.raises(UnsupportedError, match="link type 147"):
        LinkType.of(147)
