"""
A packet as one line of the kernel's log.

Behaviour of: nf_log_syslog. Link-layer addresses are left out: there is no link layer.
"""

from __future__ import annotations

from svcsim.addr import Family, format_address
from svcsim.hooks import HookState, Skb
from svcsim.packet import Icmp, Packet, Proto, Sctp, Tcp, Udp

__all__ = ["log_line"]

#: Bits of *flags*: what a line says only if it is asked to.
_SEQUENCE, _TCP_OPTIONS, _IP_OPTIONS, _UID = 1, 2, 4, 8
_TCP_FLAGS = {"URG": 0x20, "ACK": 0x10, "PSH": 0x08, "RST": 0x04, "SYN": 0x02, "FIN": 0x01}
_NAMES = {Proto.TCP: "TCP", Proto.UDP: "UDP", Proto.UDPLITE: "UDPLITE", Proto.ICMP: "ICMP", Proto.ICMPV6: "ICMPv6"}
_ECHOES = frozenset({0, 8, 128, 129})


def log_line(skb: Skb, state: HookState, flags: int = 0) -> str:
    """The line about *skb*, without prefix; *flags* as LOG's options set them."""
    packet = skb.packet
    words = [f"IN={state.indev}", f"OUT={state.outdev}"]
    words += _ipv4(packet, flags) if skb.family is Family.IPV4 else _ipv6(packet)
    words += _transport(packet, flags)
    if flags & _UID and skb.owner is not None:
        words.append(f"UID={skb.owner}")
    if skb.mark:
        words.append(f"MARK=0x{skb.mark:x}")
    return " ".join(words) + " "


def _ipv4(packet: Packet, flags: int) -> list[str]:
    words = [f"{side}={format_address(4, address)}" for side, address in (("SRC", packet.src), ("DST", packet.dst))]
    words += [f"LEN={packet.length}", f"TOS=0x{packet.tos & 0x1E:02X}", f"PREC=0x{packet.tos & 0xE0:02X}"]
    words += [f"TTL={packet.ttl}", f"ID={packet.ident}"]
    words += ["DF"] if packet.dont_fragment else []
    words += ["MF"] if packet.more_fragments else []
    if packet.fragment_offset:
        words.append(f"FRAG:{packet.fragment_offset}")
    if flags & _IP_OPTIONS and packet.options:
        words.append(f"OPT ({packet.options.hex().upper()})")
    return words


def _ipv6(packet: Packet) -> list[str]:
    words = []
    for side, address in (("SRC", packet.src), ("DST", packet.dst)):
        digits = f"{address:032x}"
        words.append(f"{side}={':'.join(digits[at : at + 4] for at in range(0, 32, 4))}")
    return [
        *words,
        f"LEN={packet.length}",
        f"TC={packet.tos}",
        f"HOPLIMIT={packet.ttl}",
        f"FLOWLBL={packet.flow_label}",
    ]


def _transport(packet: Packet, flags: int) -> list[str]:
    name = _NAMES[Proto(packet.proto)] if packet.proto in _NAMES else str(packet.proto)
    words, header = [f"PROTO={name}"], packet.header
    if packet.fragment_offset:
        return words
    if isinstance(header, Tcp):
        words += [f"SPT={packet.sport}", f"DPT={packet.dport}"]
        if flags & _SEQUENCE:
            words += [f"SEQ={header.seq}", f"ACK={header.ack}"]
        words += [f"WINDOW={header.window}", f"RES=0x{header.flags >> 6 & 0x3F:02X}"]
        words += [flag for flag, bit in _TCP_FLAGS.items() if header.flags & bit]
        words.append(f"URGP={header.urgent}")
        if flags & _TCP_OPTIONS and header.options:
            words.append(f"OPT ({header.options.hex().upper()})")
    elif isinstance(header, Udp):
        words += [f"SPT={packet.sport}", f"DPT={packet.dport}", f"LEN={8 + len(packet.payload)}"]
    elif isinstance(header, Icmp):
        words += [f"TYPE={header.type}", f"CODE={header.code}"]
        if header.type in _ECHOES:
            words += [f"ID={header.rest >> 16}", f"SEQ={header.rest & 0xFFFF}"]
    elif (header is None and packet.proto in _NAMES) or isinstance(header, Sctp):
        words += [] if isinstance(header, Sctp) else [f"INCOMPLETE [{len(packet.payload)} bytes]"]
    return words
