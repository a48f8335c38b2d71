"""
Connections as text: the lines of ``conntrack -L`` and of ``/proc/net/nf_conntrack``, written and read.

Behaviour of: conntrack-tools 1.4.7 and the kernel's own listing, which spells IPv6 addresses out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import attrs

from svcsim.addr import Family, format_address, parse_address
from svcsim.clock import SECOND
from svcsim.conntrack import Conn, ConnState, Conntrack, Status, opposite
from svcsim.conntrack_sctp import SctpPhase, SctpState
from svcsim.conntrack_tcp import TcpPhase, TcpState
from svcsim.errors import ConfigError
from svcsim.packet import ConnTuple, Proto

__all__ = [
    "PROTOCOLS",
    "ConnLine",
    "format_conn",
    "load_connections",
    "parse_line",
    "proc_nf_conntrack",
    "proc_stat_nf_conntrack",
    "protocol_label",
    "state_of",
]

#: Protocols that a listing knows by name; any other is ``unknown``.
PROTOCOLS = {
    "icmp": int(Proto.ICMP),
    "tcp": int(Proto.TCP),
    "udp": int(Proto.UDP),
    "gre": int(Proto.GRE),
    "icmpv6": int(Proto.ICMPV6),
    "sctp": int(Proto.SCTP),
    "udplite": int(Proto.UDPLITE),
    "dccp": 33,
}
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_DCCP = PROTOCOLS["dccp"]
#: The kernel tracks DCCP no more; the tool still knows it.
_KERNEL_NAMES = {number: name for number, name in _NAMES.items() if number != _DCCP}
_FAMILIES = {Family.IPV4: ("ipv4", 2), Family.IPV6: ("ipv6", 10)}
_STATISTICS = (
    "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  "
    "expect_new expect_create expect_delete search_restart"
)
AddressFormat = Callable[[int, int], str]
_BY_ID = (Proto.ICMP, Proto.ICMPV6)
_NO_PORTS = ("", "")
_PORT_WORDS: dict[int, tuple[str, str]] = {
    Proto.TCP: ("sport", "dport"),
    Proto.UDP: ("sport", "dport"),
    Proto.SCTP: ("sport", "dport"),
    Proto.UDPLITE: ("sport", "dport"),
    Proto.GRE: ("srckey", "dstkey"),
}
_KEYS = frozenset({"src", "dst", "sport", "dport", "type", "code", "id", "srckey", "dstkey", "packets", "bytes"})
_TAIL = frozenset({"mark", "zone", "use", "id", "secctx", "delta-time"})


def format_conn(conn: Conn, now: int, *, extended: bool = False, with_id: bool = False, use: int = 1) -> str:
    """
    The line of ``conntrack -L``, with ``-o extended`` and ``-o id`` on request.

    Seconds left are whole ones: a connection of 30 seconds shows 29 at once.
    """
    seconds = max(conn.remaining(now) - 1, 0) // SECOND
    return (
        (_family_words(conn.orig[0]) if extended else "")
        + _head(conn, seconds)
        + _middle(conn, format_address)
        + f"mark={conn.mark} use={use}"
        + (f" id={conn.id}" if with_id else "")
    )


def proc_nf_conntrack(table: Conntrack) -> str:
    """The text of ``/proc/net/nf_conntrack``."""
    values = table.sysctls.values
    prefix = "net.netfilter.nf_conntrack_gre_timeout"
    gre = f"timeout={values.get(prefix, 30)}, stream_timeout={values.get(prefix + '_stream', 180)} "
    lines = []
    for conn in table:
        seconds = max(conn.remaining(table.clock.now) - 1, 0) // SECOND
        own = gre if conn.proto == Proto.GRE else ""
        middle = _middle(conn, _spelled_out)
        lines.append(
            f"{_family_words(conn.orig[0])}{_head(conn, seconds, _KERNEL_NAMES)}{own}{middle}mark={conn.mark} zone=0 use=2\n"
        )
    return "".join(lines)


def proc_stat_nf_conntrack(table: Conntrack) -> str:
    """The text of ``/proc/net/stat/nf_conntrack``, of a host with one processor."""
    counted = table.statistics
    numbers = (
        counted.clash_resolve, counted.found, 0, counted.invalid, 0, 0, counted.chaintoolong, counted.insert,
        counted.insert_failed, counted.drop, counted.early_drop, counted.error,
    )  # fmt: skip
    behind = (0, 0, 0, counted.search_restart)
    words = (" ".join(f"{number:08x}" for number in part) for part in (numbers, behind))
    return f"{_STATISTICS}\n{len(table):08x}  {'  '.join(words)}\n"


def _family_words(family: int) -> str:
    name, number = _FAMILIES[Family(family)]
    return f"{name:<8} {number} "


def protocol_label(proto: int) -> str:
    """
    The name that the tool has for a protocol.

    >>> protocol_label(17), protocol_label(50)
    ('udp', 'unknown')
    """
    return _NAMES.get(proto, "unknown")


def _head(conn: Conn, seconds: int, names: dict[int, str] = _NAMES) -> str:
    proto = conn.proto
    state = f"{conn.state.label} " if conn.state is not None else ""
    return f"{names.get(proto, 'unknown'):<8} {proto} {seconds} {state}"


def _middle(conn: Conn, address: AddressFormat) -> str:
    status, counters = conn.status, conn.counters
    sent, answered = ("", "")
    if counters is not None:
        sent = f"packets={counters[0]} bytes={counters[1]} "
        answered = f"packets={counters[2]} bytes={counters[3]} "
    return (
        _tuple(conn.orig, address)
        + sent
        + ("" if status & Status.SEEN_REPLY else "[UNREPLIED] ")
        + _tuple(conn.reply, address)
        + answered
        + ("[ASSURED] " if status & Status.ASSURED else "")
    )


def _tuple(tuple: ConnTuple, address: AddressFormat) -> str:
    family, proto, src, dst, sport, dport = tuple
    ends = f"src={address(family, src)} dst={address(family, dst)} "
    if proto in _BY_ID:
        return f"{ends}type={dport >> 8} code={dport & 0xFF} id={sport} "
    if proto == Proto.GRE:
        return f"{ends}srckey={sport:#x} dstkey={dport:#x} "
    tool = proto == _DCCP and address is format_address
    return f"{ends}sport={sport} dport={dport} " if proto in _PORT_WORDS or tool else ends


def _spelled_out(family: int, value: int) -> str:
    if family == 4:
        return format_address(4, value)
    digits = f"{value:032x}"
    return ":".join(digits[at : at + 4] for at in range(0, 32, 4))


# -- reading --------------------------------------------------------------------------------------------------------


@attrs.frozen
class ConnLine:
    """What a line says of a connection; *seconds* are those left, *label* is the state of TCP and SCTP."""

    orig: ConnTuple
    reply: ConnTuple
    seconds: int
    status: int = 0
    label: str = ""
    mark: int = 0
    counters: tuple[int, int, int, int] | None = None

    def install(self, table: Conntrack) -> Conn:
        """Make this connection in *table*; refused if one of its tuples is taken."""
        conn = table.create(self.orig, self.reply)
        if conn is None:
            raise ConfigError("the connection table is full")
        conn.status |= self.status & ~(Status.CONFIRMED | Status.DYING)
        conn.mark = self.mark
        conn.state = state_of(self.orig[1], self.label) if self.label else None
        conn.counters = list(self.counters) if self.counters is not None else conn.counters
        conn.lifetime = self.seconds * SECOND
        table.insert(conn)
        return conn


def state_of(proto: int, label: str) -> ConnState:
    """The state of this name of a TCP or SCTP connection; windows and tags are learnt from its next packets."""
    try:
        if proto == Proto.TCP:
            phase = TcpPhase.SYN_SENT2 if label == "LISTEN" else TcpPhase[label]
            if phase <= TcpPhase.SYN_SENT2:
                return TcpState(phase)
        elif proto == Proto.SCTP:
            association = SctpPhase[label]
            if association is not SctpPhase.INVALID:
                return SctpState(association)
    except KeyError:
        pass
    raise ConfigError(f"unknown {_NAMES.get(proto, 'protocol').upper()} state `{label}'", exit_code=2)


def parse_line(line: str) -> ConnLine:
    """
    Read a line of ``conntrack -L`` (extended or not) or of ``/proc/net/nf_conntrack``.

    >>> line = parse_line("udp      17 29 src=10.1.0.2 dst=10.96.0.1 sport=5000 dport=53 [UNREPLIED] "
    ...                   "src=10.2.0.2 dst=10.1.0.2 sport=53 dport=5000 mark=0 use=1")
    >>> line.seconds, line.status & Status.DST_NAT != 0, line.status & Status.SEEN_REPLY != 0
    (29, True, False)
    """
    words = line.split()
    if words[:1] in (["ipv4"], ["ipv6"]):
        words = words[2:]
    if len(words) < 4 or not all(word.isdecimal() and len(word) <= 10 for word in words[1:3]) or int(words[1]) > 255:
        _refuse(line)
    proto, seconds = int(words[1]), int(words[2])
    label, status, ends, tail = "", Status.SEEN_REPLY, list[dict[str, str]](), dict[str, str]()
    for word in words[3:]:
        key, equals, value = word.rstrip(",").partition("=")
        if word == "[UNREPLIED]":
            status &= ~Status.SEEN_REPLY
        elif word == "[ASSURED]":
            status |= Status.ASSURED
        elif not equals:
            if word.startswith("[") or ends or label:
                _refuse(line)
            label = word
        elif key == "src":
            ends.append({key: value})
        elif ends and not tail and key in _KEYS and key not in ends[-1]:
            ends[-1][key] = value
        elif key in _TAIL:
            tail[key] = value
        elif ends or key not in ("timeout", "stream_timeout"):
            _refuse(line)
    if len(ends) != 2 or tail.get("zone", "0") != "0":
        _refuse(line)
    try:
        orig, reply = (_read_tuple(proto, end) for end in ends)
        counted = ends if "packets" in ends[0] else []
        counters = tuple(int(end[key]) for end in counted for key in ("packets", "bytes"))
        mark = int(tail.get("mark", "0"))
    except (KeyError, ValueError):
        _refuse(line)
    back = opposite(orig)
    if back is None or orig[0] != reply[0]:
        _refuse(line)
    if reply != back:
        status |= Status.NAT_DONE
        status |= Status.SRC_NAT if (reply[3], reply[5]) != (back[3], back[5]) else 0
        status |= Status.DST_NAT if (reply[2], reply[4]) != (back[2], back[4]) else 0
    if label:
        state_of(proto, label)
    return ConnLine(orig, reply, seconds, status, label, mark, _four(counters))


def load_connections(table: Conntrack, text: str) -> int:
    """
    Make the connections that *text* lists, as `conntrack -L` printed them on some host; answer how many those are.

    All lines are read before the first connection is made.
    """
    lines = [parse_line(line) for line in text.splitlines() if line.strip() and not line.startswith("conntrack v")]
    tuples = [tuple for line in lines for tuple in {line.orig, line.reply}]
    if len(set(tuples)) != len(tuples) or any(table.find(tuple) is not None for tuple in tuples):
        raise ConfigError("two connections of one tuple")
    for line in lines:
        line.install(table)
    return len(lines)


def _four(counters: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    if not counters:
        return None
    packets, size, back, back_size = counters
    return packets, size, back, back_size


def _read_tuple(proto: int, words: dict[str, str]) -> ConnTuple:
    src, dst = parse_address(words["src"]), parse_address(words["dst"])
    if src.family is not dst.family:
        raise ValueError("two families")
    if proto in _BY_ID:
        sport, dport = int(words["id"]), int(words["type"]) << 8 | int(words["code"])
    else:
        sport, dport = (int(words[name], 0) if name else 0 for name in _PORT_WORDS.get(proto, _NO_PORTS))
    if not (0 <= sport <= 0xFFFF and 0 <= dport <= 0xFFFF):
        raise ValueError("no such port")
    return (src.family, proto, src.value, dst.value, sport, dport)


def _refuse(line: str) -> NoReturn:
    raise ConfigError(f"not a line of conntrack -L: {line[:200]!r}")
