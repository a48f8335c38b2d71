"""
Connections as `conntrack -o save` and `-o xml` write them.

Behaviour of: conntrack-tools 1.4.7 and libnetfilter_conntrack 1.0.9; a listing's plain lines are in `conntrack_text`.
"""

from __future__ import annotations

from svcsim.addr import Family, format_address
from svcsim.clock import SECOND
from svcsim.conntrack import Conn, Status
from svcsim.conntrack_sctp import SctpState
from svcsim.conntrack_tcp import TcpPhase
from svcsim.conntrack_text import protocol_label
from svcsim.packet import ConnTuple, Proto

__all__ = ["XML_END", "XML_START", "saved_line", "xml_flow"]

XML_START = '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n'
XML_END = "</conntrack>\n"
_STATUS_WORDS = (
    (Status.EXPECTED, "EXPECTED"),
    (Status.SEEN_REPLY, "SEEN_REPLY"),
    (Status.ASSURED, "ASSURED"),
    (Status.FIXED_TIMEOUT, "FIXED_TIMEOUT"),
)
_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE})
_LAYER3 = {Family.IPV4: (2, "ipv4"), Family.IPV6: (10, "ipv6")}


def _seconds(conn: Conn, now: int) -> int:
    return max(conn.remaining(now) - 1, 0) // SECOND


def saved_line(conn: Conn, now: int, command: str) -> str:
    """The options with which `conntrack` makes this connection again; marks are not among them."""
    orig, reply, proto, status = conn.orig, conn.reply, conn.proto, conn.status
    names = [name for bit, name in _STATUS_WORDS if status & bit]
    words = [command, f"-t {_seconds(conn, now)}", f"-u {','.join(names) or 'UNSET'}"]
    options = ("-s", "-d", "-g" if status & Status.DST_NAT else "-r", "-n" if status & Status.SRC_NAT else "-q")
    addresses = (orig[2], orig[3], reply[2], reply[3])
    words += [f"{option} {format_address(orig[0], value)}" for option, value in zip(options, addresses, strict=True)]
    label = protocol_label(proto)
    words.append(f"-p {proto if label == 'unknown' else label}")
    if proto in _PORTED:
        words += [f"--sport {orig[4]} --dport {orig[5]} --reply-port-src {reply[4]} --reply-port-dst {reply[5]}"]
    elif proto == Proto.GRE:
        words += [f"--srckey {orig[4]} --dstkey {orig[5]} --reply-key-src {reply[4]} --reply-key-dst {reply[5]}"]
    elif proto in (Proto.ICMP, Proto.ICMPV6):
        words += [f"--{label}-type {orig[5] >> 8} --{label}-code {orig[5] & 0xFF} --{label}-id {orig[4]}"]
    if conn.state is not None:
        words.append(f"--state {conn.state.label}")
        if isinstance(conn.state, SctpState):
            words.append(f"--orig-vtag {conn.state.tags[0]} --reply-vtag {conn.state.tags[1]}")
    return " ".join(words) + "\n"


def xml_flow(conn: Conn, now: int, *, use: int = 1) -> str:
    """One ``<flow>``. The names of SCTP's states are those that TCP has for the same numbers, as the library prints."""
    counters = conn.counters
    ways = (
        _direction("original", conn.orig, counters[:2] if counters else None),
        _direction("reply", conn.reply, counters[2:] if counters else None),
    )
    state = ""
    if conn.state is not None:
        label = TcpPhase(conn.state.phase).name if isinstance(conn.state, SctpState) else conn.state.label
        state = f"<state>{label}</state>"
    marks = "<assured/>" if conn.status & Status.ASSURED else ""
    marks += "" if conn.status & Status.SEEN_REPLY else "<unreplied/>"
    own = f"<timeout>{_seconds(conn, now)}</timeout><mark>{conn.mark}</mark><use>{use}</use><id>{conn.id}</id>{marks}"
    return f'<flow>{"".join(ways)}<meta direction="independent">{state}{own}</meta></flow>\n'


def _direction(name: str, tuple: ConnTuple, counters: list[int] | None) -> str:
    family, proto, src, dst, sport, dport = tuple
    number, layer3 = _LAYER3[Family(family)]
    ends = f"<src>{format_address(family, src)}</src><dst>{format_address(family, dst)}</dst>"
    ports = ""
    if proto in _PORTED or protocol_label(proto) == "dccp":
        ports = f"<sport>{sport}</sport><dport>{dport}</dport>"
    elif proto == Proto.GRE:
        ports = f"<srckey>{sport:#x}</srckey><dstkey>{dport:#x}</dstkey>"
    counted = ""
    if counters is not None:
        counted = f"<counters><packets>{counters[0]}</packets><bytes>{counters[1]}</bytes></counters>"
    return (
        f'<meta direction="{name}"><layer3 protonum="{number}" protoname="{layer3}">{ends}</layer3>'
        f'<layer4 protonum="{proto}" protoname="{protocol_label(proto)}">{ports}</layer4>{counted}</meta>'
    )
