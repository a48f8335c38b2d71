"""
Link layers: the IP packet in a captured frame, and a frame around a packet.

Layouts of: https://www.tcpdump.org/linktypes.html. Addresses of the link are not kept, and written as zeros.
"""

from __future__ import annotations

import enum

from svcsim.addr import Family
from svcsim.errors import PacketError, UnsupportedError
from svcsim.packet import Packet
from svcsim.wire import decode, encode

__all__ = ["LinkType", "frame_of", "packet_in"]


class LinkType(enum.IntEnum):
    """What stands before the IP header, by its number in capture files."""

    NULL = 0  # BSD loopback: the address family in the order of the host that captured
    ETHERNET = 1
    RAW_BSD = 12
    RAW = 101
    LOOP = 108  # as NULL, in network order
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276

    @classmethod
    def of(cls, number: int) -> LinkType:
        """The link type of this *number*; `UnsupportedError` names one that cannot be read."""
        try:
            return cls(number)
        except ValueError:
            way_out = "capture raw IP, Ethernet, Linux cooked or loopback"
            raise UnsupportedError(f"link type {number}", instead=way_out) from None


_RAW = frozenset({LinkType.RAW, LinkType.RAW_BSD, LinkType.IPV4, LinkType.IPV6})
#: Protocols as Ethernet numbers them, and the tags that may stand before them (802.1Q, 802.1ad, and its forerunner).
_TYPE_OF = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}
_IP_TYPES = frozenset(_TYPE_OF.values())
_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
#: Address families: IPv4 is 2 everywhere, IPv6 something else on each BSD, on macOS and on Linux.
_AF_OF = {Family.IPV4: 2, Family.IPV6: 30}
_AF_IP = frozenset({2, 10, 24, 28, 30})
_ARPHRD_NONE = 0xFFFE


def packet_in(link: LinkType, frame: bytes) -> Packet | None:
    """
    The packet in a frame, None if it carries no IP; VLAN tags are stepped over.

    >>> tagged = bytes(12) + bytes.fromhex("8100 0007 0800") + encode(Packet.udp("192.0.2.1:1", "192.0.2.2:2"))
    >>> print(packet_in(LinkType.ETHERNET, tagged))
    UDP 192.0.2.1:1 > 192.0.2.2:2, length 28
    """
    if link in _RAW:
        return decode(frame)
    if link is LinkType.NULL or link is LinkType.LOOP:
        _need(frame, 4)
        big, little = int.from_bytes(frame[:4]), int.from_bytes(frame[:4], "little")
        is_ip = big in _AF_IP or (link is LinkType.NULL and little in _AF_IP)
        return decode(frame[4:]) if is_ip else None
    # Ethernet and cooked frames name the protocol just before it, but for the second kind of cooked ones.
    at, begins = {LinkType.ETHERNET: (12, 14), LinkType.LINUX_SLL: (14, 16), LinkType.LINUX_SLL2: (0, 20)}[link]
    _need(frame, begins)
    kind = int.from_bytes(frame[at : at + 2])
    while kind in _TAGS:
        _need(frame, begins + 4)
        kind = int.from_bytes(frame[begins + 2 : begins + 4])
        begins += 4
    return decode(frame[begins:]) if kind in _IP_TYPES else None


def frame_of(link: LinkType, packet: Packet) -> bytes:
    """
    A frame that carries *packet*.

    >>> packet = Packet.udp("[2001:db8::1]:1", "[2001:db8::2]:2")
    >>> all(packet_in(link, frame_of(link, packet)) == packet for link in LinkType if link is not LinkType.IPV4)
    True
    """
    family, data = packet.family, encode(packet)
    kind = _TYPE_OF[family].to_bytes(2)
    match link:
        case LinkType.ETHERNET:
            return bytes(12) + kind + data
        case LinkType.LINUX_SLL:
            return bytes(2) + _ARPHRD_NONE.to_bytes(2) + bytes(10) + kind + data
        case LinkType.LINUX_SLL2:
            return kind + bytes(6) + _ARPHRD_NONE.to_bytes(2) + bytes(10) + data
        case LinkType.NULL:
            return _AF_OF[family].to_bytes(4, "little") + data
        case LinkType.LOOP:
            return _AF_OF[family].to_bytes(4) + data
        case LinkType.IPV4 | LinkType.IPV6 if (link is LinkType.IPV4) is not (family is Family.IPV4):
            raise PacketError(f"an IPv{family:d} packet in a capture of link type {link.name}")
    return data


def _need(frame: bytes, size: int) -> None:
    if len(frame) < size:
        raise PacketError("cut short inside the link header", offset=len(frame))
