"""
What a host says about a packet that it will not carry: ICMP errors, resets, echo replies.

Behaviour of: icmp_send, icmpv6_send, nf_reject and the TCP reset of a host without a listener. Pure functions: a packet
in, the answering packet out, or None where no answer may be given.
"""

from __future__ import annotations

from svcsim.addr import Family
from svcsim.checksum import internet
from svcsim.hooks import Skb
from svcsim.packet import Icmp, IcmpType, Icmpv6Type, Packet, Proto, Tcp, TcpFlags
from svcsim.wire import encode

__all__ = ["echo_reply", "error_about", "is_error", "reset_of"]

#: The longest ICMP error: 576 bytes (RFC 1812, 4.3.2.3), IPv6 1280 (RFC 4443, 2.4).
_LONGEST = {Family.IPV4: 576, Family.IPV6: 1280}
#: ICMP errors carry precedence "internetwork control" beside the type of service of what they are about.
_INTERNETWORK_CONTROL, _TOS_BITS = 0xC0, 0x1E
#: ICMP messages that ask or answer; an error about any other message is never sent (RFC 1122, 3.2.2).
_QUERIES = frozenset({0, 8, 9, 10, 13, 14, 15, 16, 17, 18})


def error_about(skb: Skb, type: int, code: int, rest: int, source: int) -> Packet | None:
    """
    Build the ICMP error of *type* and *code* from address *source* about *skb*, which is quoted as it stands now.

    *rest* is the message's second word (next-hop MTU, gateway, pointer). None where no error may be sent: about a
    fragment but the first, about an ICMP error, to or about a broadcast or multicast address.
    """
    if skb.original.fragment_offset or not _may_be_told(skb, type):
        return None
    quoted = skb.packet
    family = skb.family
    if skb.proto == Proto.TCP and family is Family.IPV4 and skb.owner is None and skb.indev in ("", "lo"):
        # A reset of REJECT's, met by another REJECT: its checksum is that of the pseudo-header until it leaves.
        pseudo = skb.src + skb.dst + skb.proto + skb.length - 20 - len(quoted.options)
        quoted = quoted.rewritten(checksum=internet(b"", pseudo) ^ 0xFFFF)
    header = 20 if family is Family.IPV4 else 40
    quote = encode(quoted)[: _LONGEST[family] - header - 8]
    return Packet(
        family=family,
        proto=int(Proto.ICMP if family is Family.IPV4 else Proto.ICMPV6),
        src=source,
        dst=skb.src,
        header=Icmp(type, code, rest),
        payload=quote,
        tos=skb.tos & _TOS_BITS | _INTERNETWORK_CONTROL if family is Family.IPV4 else 0,
        dont_fragment=False,
    )


def is_error(packet: Packet) -> bool:
    """Whether *packet* is an ICMP error, about which nothing is ever sent (RFC 1122, 3.2.2)."""
    header = packet.header
    if not isinstance(header, Icmp):
        return False
    return header.type < 128 if packet.family is Family.IPV6 else header.type in (3, 4, 5, 11, 12)


def _may_be_told(skb: Skb, type: int) -> bool:
    header = skb.header
    if skb.family is Family.IPV4:
        if skb.src in (0, 0xFFFFFFFF) or skb.src >> 28 == 0xE or skb.dst >> 28 == 0xE or skb.dst == 0xFFFFFFFF:
            return False
        return not (isinstance(header, Icmp) and header.type not in _QUERIES)
    if skb.src == 0 or skb.src >> 120 == 0xFF:
        return False
    if skb.dst >> 120 == 0xFF and type not in (Icmpv6Type.PACKET_TOO_BIG, Icmpv6Type.PARAMETER_PROBLEM):
        return False
    return not (isinstance(header, Icmp) and header.type < 128)


def reset_of(skb: Skb, *, tos: int = 0) -> Packet | None:
    """
    Build the TCP reset that answers *skb*; None if it is a reset itself or no TCP segment.

    A segment with ACK is answered from the sequence number that it acknowledges; another by acknowledging all of it.
    """
    header = skb.header
    if not isinstance(header, Tcp) or header.flags & TcpFlags.RST:
        return None
    if header.flags & TcpFlags.ACK:
        answer = Tcp(seq=header.ack, flags=int(TcpFlags.RST), window=0)
    else:
        syn, fin = bool(header.flags & TcpFlags.SYN), bool(header.flags & TcpFlags.FIN)
        taken = header.seq + syn + fin + len(skb.payload)
        answer = Tcp(ack=taken & 0xFFFFFFFF, flags=int(TcpFlags.RST | TcpFlags.ACK), window=0)
    return Packet(skb.family, skb.proto, skb.dst, skb.src, skb.dport, skb.sport, answer, tos=tos)


def echo_reply(skb: Skb) -> Packet | None:
    """Build the answer to an echo request; None for any other packet."""
    header = skb.header
    if not isinstance(header, Icmp):
        return None
    four = skb.family is Family.IPV4
    if header.type != (IcmpType.ECHO_REQUEST if four else Icmpv6Type.ECHO_REQUEST):
        return None
    answer = Icmp(IcmpType.ECHO_REPLY if four else Icmpv6Type.ECHO_REPLY, 0, skb.sport << 16 | header.rest & 0xFFFF)
    return Packet(
        skb.family,
        skb.proto,
        skb.dst,
        skb.src,
        header=answer,
        payload=skb.payload,
        tos=skb.tos,
        dont_fragment=False,
    )
