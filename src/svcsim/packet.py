"""
Packets as values: a 5-tuple, what the transport header adds, and the payload.

A `Packet` never changes. Addresses are integers in host order; ports belong to the packet because they are what this
library studies; the rest of the transport header is one of `Tcp`, `Udp`, `Icmp`, `Sctp`, or None where it is opaque,
cut short, or absent (a fragment but the first). Bytes in and out are in `svcsim.wire`.
"""

from __future__ import annotations

import enum
from operator import attrgetter
from typing import Any, Self

import attrs

from svcsim.addr import Family, format_address, parse_address
from svcsim.errors import PacketError

__all__ = [
    "ConnTuple",
    "Header",
    "Icmp",
    "IcmpType",
    "Icmpv6Type",
    "Packet",
    "Proto",
    "Sctp",
    "Tcp",
    "TcpFlags",
    "Udp",
]

#: What names one direction of a connection: (family, protocol, source, destination, source port, destination port).
#: For ICMP the source port is the echo id and the destination port is ``type << 8 | code``. A plain tuple, because it
#: is hashed for every packet.
ConnTuple = tuple[int, int, int, int, int, int]


class Proto(enum.IntEnum):
    """The transport protocols that have a header of their own here."""

    ICMP = 1
    TCP = 6
    UDP = 17
    GRE = 47
    ESP = 50
    AH = 51
    ICMPV6 = 58
    SCTP = 132
    UDPLITE = 136


class TcpFlags(enum.IntFlag):
    """The control bits of a TCP header; letters as tcpdump prints them."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


class IcmpType(enum.IntEnum):
    """ICMP message types (RFC 792 and its successors)."""

    ECHO_REPLY = 0
    DEST_UNREACH = 3
    SOURCE_QUENCH = 4
    REDIRECT = 5
    ECHO_REQUEST = 8
    TIME_EXCEEDED = 11
    PARAMETER_PROBLEM = 12
    TIMESTAMP_REQUEST = 13
    TIMESTAMP_REPLY = 14
    INFO_REQUEST = 15
    INFO_REPLY = 16
    ADDRESS_MASK_REQUEST = 17
    ADDRESS_MASK_REPLY = 18


class Icmpv6Type(enum.IntEnum):
    """ICMPv6 message types (RFC 4443)."""

    DEST_UNREACH = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    PARAMETER_PROBLEM = 4
    ECHO_REQUEST = 128
    ECHO_REPLY = 129


_PROTO_NAMES = {int(proto): proto.name for proto in Proto}
_ICMP_NAMES = {
    4: {int(kind): kind.name.lower().replace("_", " ") for kind in IcmpType},
    6: {int(kind): kind.name.lower().replace("_", " ") for kind in Icmpv6Type},
}
_FLAG_LETTERS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "W": 128}


@attrs.frozen
class Tcp:
    """What a TCP header says besides ports and checksum; *flags* holds the reserved bits too (12 bits)."""

    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 64240
    urgent: int = 0
    options: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of the header."""
        return 20 + len(self.options)


@attrs.frozen
class Udp:
    """What a UDP header says besides ports and checksum: its *length* field where it differs from the truth."""

    length: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the header."""
        return 8


@attrs.frozen
class Icmp:
    """ICMP or ICMPv6: *type*, *code*, and the four bytes behind the checksum as one integer (echo: id and seq)."""

    type: int
    code: int = 0
    rest: int = 0

    @property
    def size(self) -> int:
        """Bytes of the header."""
        return 8


@attrs.frozen
class Sctp:
    """What the SCTP common header says besides ports and checksum; the chunks are the packet's payload."""

    tag: int = 0

    @property
    def size(self) -> int:
        """Bytes of the header."""
        return 12


#: What a transport header can be.
Header = Tcp | Udp | Icmp | Sctp


@attrs.frozen(init=False)
class Packet:
    """
    One IP packet.

    *checksum* is the transport checksum where it is not the right one (or, UDP over IPv4, not given: 0); None means
    right, and is computed when bytes are asked for. *header_checksum* likewise for the IPv4 header. *options* are IPv4
    options or the chain of IPv6 extension headers, of which *next_header* names the first. *length* is the total length
    in bytes, from the first byte of the IP header.

    >>> print(Packet.tcp("192.0.2.1:40000", "10.96.0.10:80", flags="S"))
    TCP 192.0.2.1:40000 > 10.96.0.10:80 [S] seq 0, length 40
    """

    family: Family
    proto: int
    src: int
    dst: int
    sport: int
    dport: int
    header: Header | None
    payload: bytes = attrs.field(repr=lambda b: f"<{len(b)} bytes>")
    ttl: int
    tos: int
    ident: int
    dont_fragment: bool
    more_fragments: bool
    fragment_offset: int  # in units of 8 bytes
    options: bytes
    next_header: int | None  # IPv6 with extension headers only
    flow_label: int  # IPv6 only
    checksum: int | None
    header_checksum: int | None
    reserved: bool  # IPv4 only: the flag that must be zero, and is carried all the same
    length: int = attrs.field(init=False, eq=False, repr=False)

    def __new__(
        cls,
        family: Family,
        proto: int,
        src: int,
        dst: int,
        sport: int = 0,
        dport: int = 0,
        header: Header | None = None,
        payload: bytes = b"",
        ttl: int = 64,
        tos: int = 0,
        ident: int = 0,
        dont_fragment: bool = True,
        more_fragments: bool = False,
        fragment_offset: int = 0,
        options: bytes = b"",
        next_header: int | None = None,
        flow_label: int = 0,
        checksum: int | None = None,
        header_checksum: int | None = None,
        reserved: bool = False,
    ) -> Self:
        # A packet is made for each one that is read or sent. Filling in what can be written to, and freezing it by its
        # class, takes a quarter of the time of the constructor that attrs would write.
        packet: Any = _new(_Draft)
        packet.family = family
        packet.proto = proto
        packet.src = src
        packet.dst = dst
        packet.sport = sport
        packet.dport = dport
        packet.header = header
        packet.payload = payload
        packet.ttl = ttl
        packet.tos = tos
        packet.ident = ident
        packet.dont_fragment = dont_fragment
        packet.more_fragments = more_fragments
        packet.fragment_offset = fragment_offset
        packet.options = options
        packet.next_header = next_header
        packet.flow_label = flow_label
        packet.checksum = checksum
        packet.header_checksum = header_checksum
        packet.reserved = reserved
        size = (20 if family == 4 else 40) + len(payload)
        if header is not None:
            size += header.size
        packet.length = size + len(options) if options else size
        packet.__class__ = cls
        return packet  # type: ignore[no-any-return]

    def rewritten(self, **changes: Any) -> Packet:
        """
        Return a packet that differs in *changes*; `attrs.evolve` for the packet path.

        >>> print(Packet.echo("192.0.2.1", "192.0.2.2").rewritten(dst=0x0A000001, ttl=63))
        ICMP 192.0.2.1 > 10.0.0.1 echo request id 1 seq 1, length 28, ttl 63
        """
        values = list(_values_of(self))
        try:
            for name, value in changes.items():
                values[_PLACE_OF[name]] = value
        except KeyError:
            unknown = changes.keys() - _PLACE_OF.keys()
            raise PacketError(f"no such field of a packet: {', '.join(sorted(unknown))}") from None
        return Packet(*values)

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), _values_of(self)

    @classmethod
    def tcp(
        cls,
        src: str,
        dst: str,
        *,
        flags: str = "S",
        seq: int = 0,
        ack: int = 0,
        payload: bytes = b"",
        window: int = 64240,
        tcp_options: bytes = b"",
        **ip: Any,
    ) -> Self:
        """Build a segment from ``"192.0.2.1:40000"`` to ``"[2001:db8::1]:80"``; *flags* are letters of ``FSRPAUEW``."""
        header = Tcp(seq, ack, _flag_bits(flags), window, 0, tcp_options)
        return cls._between(src, dst, Proto.TCP, header, payload, ip)

    @classmethod
    def udp(cls, src: str, dst: str, payload: bytes = b"", **ip: Any) -> Self:
        """
        Build a datagram.

        >>> print(Packet.udp("[2001:db8::1]:5353", "[2001:db8::2]:53", b"?", ttl=1))
        UDP [2001:db8::1]:5353 > [2001:db8::2]:53, length 49, ttl 1
        """
        return cls._between(src, dst, Proto.UDP, Udp(), payload, ip)

    @classmethod
    def sctp(cls, src: str, dst: str, chunks: bytes = b"", *, tag: int = 0, **ip: Any) -> Self:
        """Build an SCTP packet around *chunks*, given as bytes."""
        return cls._between(src, dst, Proto.SCTP, Sctp(tag), chunks, ip)

    @classmethod
    def icmp(
        cls, src: str, dst: str, type: int = 8, code: int = 0, *, rest: int = 0, payload: bytes = b"", **ip: Any
    ) -> Self:
        """Build an ICMP or ICMPv6 message of *type* as the family of *src* numbers it."""
        proto = Proto.ICMP if parse_address(src).family is Family.IPV4 else Proto.ICMPV6
        return cls._between(src, dst, proto, Icmp(type, code, rest), payload, ip)

    @classmethod
    def echo(
        cls, src: str, dst: str, *, ident: int = 1, seq: int = 1, reply: bool = False, payload: bytes = b"", **ip: Any
    ) -> Self:
        """
        Build an echo request, or with *reply* its answer.

        >>> print(Packet.echo("192.0.2.1", "192.0.2.2", ident=7))
        ICMP 192.0.2.1 > 192.0.2.2 echo request id 7 seq 1, length 28
        """
        four = parse_address(src).family is Family.IPV4
        kind = (0 if reply else 8) if four else (129 if reply else 128)
        return cls.icmp(src, dst, kind, rest=ident << 16 | seq, payload=payload, **ip)

    @classmethod
    def opaque(cls, src: str, dst: str, proto: int, payload: bytes = b"", **ip: Any) -> Self:
        """Build a packet of a protocol that is not looked into."""
        return cls._between(src, dst, proto, None, payload, ip)

    @classmethod
    def _between(
        cls, src: str, dst: str, proto: int, header: Header | None, payload: bytes, ip: dict[str, Any]
    ) -> Self:
        ported = header is not None and not isinstance(header, Icmp)
        (family, source, sport), (other, target, dport) = (_endpoint(text, ported) for text in (src, dst))
        if family is not other:
            raise PacketError(f"{src} and {dst} are of different families")
        unknown = ip.keys() - _IP_FIELDS
        if unknown:
            raise PacketError(f"no such field of an IP header: {', '.join(sorted(unknown))}")
        return cls(family, int(proto), source, target, sport, dport, header, payload, **ip)

    def __str__(self) -> str:
        ends = [format_address(self.family, a) for a in (self.src, self.dst)]
        header = self.header
        if header is not None and not isinstance(header, Icmp):
            form = "[{}]:{}" if self.family == 6 else "{}:{}"
            ends = [form.format(end, port) for end, port in zip(ends, (self.sport, self.dport), strict=True)]
        name = _PROTO_NAMES.get(self.proto) or f"protocol {self.proto}"
        what = ""
        if isinstance(header, Tcp):
            letters = "".join(letter for letter, bit in _FLAG_LETTERS.items() if header.flags & bit)
            what = f" [{letters or 'none'}] seq {header.seq}" + (f" ack {header.ack}" if header.flags & 16 else "")
        elif isinstance(header, Icmp):
            what = f" {_icmp_name(self.family, header)}"
        if self.fragment_offset or self.more_fragments:
            what += f" fragment at {self.fragment_offset * 8}" + ("+" if self.more_fragments else "")
        ttl = "" if self.ttl == 64 else f", ttl {self.ttl}"
        return f"{name} {ends[0]} > {ends[1]}{what}, length {self.length}{ttl}"


class _Draft(Packet):
    """A packet while it is being made, open to writing."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_new = object.__new__
_NAMES = [field.name for field in attrs.fields(Packet) if field.name != "length"]
_PLACE_OF = {name: place for place, name in enumerate(_NAMES)}
_values_of = attrgetter(*_NAMES)
_IP_FIELDS = _PLACE_OF.keys() - {"family", "proto", "src", "dst", "sport", "dport", "header", "payload"}
_ECHOES = {(4, 8): "echo request", (4, 0): "echo reply", (6, 128): "echo request", (6, 129): "echo reply"}


def _flag_bits(letters: str) -> int:
    bits = 0
    for letter in letters:
        if letter not in _FLAG_LETTERS:
            raise PacketError(f"unknown TCP flag {letter!r}; known: {''.join(_FLAG_LETTERS)}")
        bits |= _FLAG_LETTERS[letter]
    return bits


def _endpoint(text: str, ported: bool) -> tuple[Family, int, int]:
    """Split ``address:port`` or ``[address]:port``; without *ported* the text is an address alone."""
    host, port = text, "0"
    if ported:
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise PacketError(f"not an address and port: {text!r}")
    address = parse_address(host)
    return address.family, address.value, int(port)


def _icmp_name(family: int, header: Icmp) -> str:
    echo = _ECHOES.get((family, header.type))
    if echo is not None:
        return f"{echo} id {header.rest >> 16} seq {header.rest & 0xFFFF}"
    name = _ICMP_NAMES[family].get(header.type, f"type {header.type}")
    return f"{name} code {header.code}"
