"""Connections as text: lines of a real kernel read and written back, and whatever else a line can say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import SECOND, Clock
from svcsim.conntrack import Conn, Conntrack, Status, invert
from svcsim.conntrack_text import ConnLine, format_conn, load_connections, parse_line, proc_nf_conntrack
from svcsim.errors import ConfigError, ExistsError
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls

#: As Linux 6.18 and conntrack 1.4.7 printed them.
LINES = """\
udp      17 29 src=10.1.0.2 dst=10.96.0.1 sport=7000 dport=53 [UNREPLIED] src=10.2.0.2 dst=10.2.0.1 sport=53 dport=7000 mark=7 use=1
icmp     1 29 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=1 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 type=0 code=0 id=1 mark=0 use=1
tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.96.0.1 sport=7000 dport=80 src=10.2.0.2 dst=10.1.0.2 sport=80 dport=7000 [ASSURED] mark=0 use=1
tcp      6 99 SYN_SENT2 src=1.1.1.3 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.3 sport=2 dport=1 mark=0 use=1
unknown  99 599 src=10.1.0.2 dst=10.2.0.2 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 mark=0 use=1
udp      17 29 src=fd01::2 dst=fd02::2 sport=4 dport=2 [UNREPLIED] src=fd02::2 dst=fd01::2 sport=2 dport=4 mark=0 use=1
icmpv6   58 29 src=fd01::2 dst=fd02::2 type=128 code=0 id=1 src=fd02::2 dst=fd01::2 type=129 code=0 id=1 mark=0 use=1
gre      47 29 src=10.1.0.2 dst=10.2.0.2 srckey=0x0 dstkey=0x5 packets=1 bytes=48 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 srckey=0x5 dstkey=0x0 packets=0 bytes=0 mark=0 use=1
gre      47 179 src=10.1.0.2 dst=10.2.0.2 srckey=0x0 dstkey=0x0 packets=2 bytes=67 src=10.2.0.2 dst=10.1.0.2 srckey=0x0 dstkey=0x0 packets=1 bytes=45 [ASSURED] mark=0 use=1
sctp     132 8 ESTABLISHED src=1.1.1.11 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.11 sport=2 dport=1 mark=0 use=1
udplite  136 29 src=10.1.0.3 dst=10.2.0.2 sport=7000 dport=7001 [UNREPLIED] src=10.2.0.9 dst=10.1.0.3 sport=7001 dport=7000 mark=0 use=1
""".splitlines()
PROC = """\
ipv4     2 gre      47 179 timeout=30, stream_timeout=180 src=10.1.0.2 dst=10.2.0.2 srckey=0x0 dstkey=0x0 packets=2 bytes=67 src=10.2.0.2 dst=10.1.0.2 srckey=0x0 dstkey=0x0 packets=1 bytes=45 [ASSURED] mark=0 zone=0 use=2
ipv6     10 udp      17 9 src=00fd:0000:0000:0000:0000:0000:0000:0001 dst=00fd:0000:0000:0000:0000:0000:0000:0002 sport=1 dport=2 src=00fd:0000:0000:0000:0000:0000:0000:0002 dst=00fd:0000:0000:0000:0000:0000:0000:0001 sport=2 dport=1 mark=0 zone=0 use=2
ipv4     2 tcp      6 599 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=1 dport=7001 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 sport=7001 dport=1 mark=9 zone=0 use=2
ipv4     2 unknown  99 4 src=1.1.1.1 dst=2.2.2.2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 mark=0 zone=0 use=2
"""


@pytest.fixture
def table() -> Conntrack:
    return Conntrack(Clock(), Sysctls(), Streams())


def text_of(conn: Conn, **options: bool) -> str:
    return format_conn(conn, -1, **options)  # a moment before it began, so that the whole second shows


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[0])
def test_recorded_lines_survive(table, line):
    """A kernel's line, read and installed, is written back to the letter."""
    assert text_of(parse_line(line).install(table)) == line


@pytest.mark.parametrize("prefix, suffix", [("ipv4     2 ", ""), ("", " id=2110141631"), ("ipv4     2 ", " id=5")])
def test_longer_forms_are_read_too(table, prefix, suffix):
    """``-o extended`` and ``-o id`` say nothing that matters."""
    assert parse_line(f"{prefix}{LINES[0]}{suffix}") == parse_line(LINES[0])
    assert parse_line(f"{prefix}{LINES[1]}{suffix}") == parse_line(LINES[1])


def test_longer_forms_are_written(table):
    """Family in front, id behind."""
    conn = parse_line(LINES[0]).install(table)

    assert text_of(conn, extended=True, with_id=True) == f"ipv4     2 {LINES[0]} id={conn.id}"


def test_the_kernel_s_own_listing(table):
    """`/proc/net/nf_conntrack` as the kernel wrote it: addresses spelled out, zone, use 2, and GRE's times."""
    load_connections(table, PROC)
    for conn in table:
        conn.timer.reset(conn.timer.deadline + 1)

    assert proc_nf_conntrack(table) == PROC


def test_seconds_left_are_whole(table):
    """A connection of 30 s shows 29 at once, 0 in its last second."""
    conn = parse_line(LINES[0].replace(" 29 ", " 30 ")).install(table)

    assert format_conn(conn, 0).split()[2] == "29"
    assert format_conn(conn, 29 * SECOND + 1).split()[2] == "0"


def test_loading_a_node_s_connections(table):
    """A whole listing becomes the table: found in both directions, expiring, translated where the tuples say so."""
    text = "\n".join([*LINES[:3], "", "conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown."])

    assert load_connections(table, text) == 3

    snat_and_dnat = next(iter(table))
    assert snat_and_dnat.status & Status.NAT == Status.NAT
    assert snat_and_dnat.mark == 7
    assert table.find(snat_and_dnat.reply) == (snat_and_dnat, True)
    table.clock.advance(30 * SECOND)
    assert len(table) == 1


def test_loading_is_all_or_nothing(table):
    """A line that cannot be read, or a tuple twice, leaves the table as it was."""
    for bad in ("nonsense", LINES[0], LINES[0].replace("10.1.0.2", "10.1.0.9", 1).replace("dport=7000", "dport=7000")):
        with pytest.raises(ConfigError):
            load_connections(table, "\n".join([LINES[0], bad]))
        assert len(table) == 0


def test_installing_what_is_there_is_refused(table):
    """Two entries cannot share a tuple."""
    line = parse_line(LINES[0])
    line.install(table)
    with pytest.raises(ExistsError):
        line.install(table)
    assert len(table) == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "udp 17",
        "udp 17 29",
        "udp x 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
        "udp 300 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
        "udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2",
        "udp 17 29 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1",
        "udp 17 29 src=1.1.1.1 dst=fd::2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
        "udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=70000 src=2.2.2.2 dst=1.1.1.1 sport=70000 dport=1",
        "udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 zone=5 use=1",
        "udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 [OFFLOAD] use=1",
        "tcp 6 29 ASLEEP src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
        "tcp 6 29 INVALID src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
        "icmp 1 29 src=1.1.1.1 dst=2.2.2.2 type=3 code=0 id=1 src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=1",
        f"udp 17 {'9' * 5000} src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
    ],
)
def test_what_is_no_line(line):
    """It is refused by a clear error."""
    with pytest.raises(ConfigError):
        parse_line(line)


@given(st.text(max_size=120) | st.lists(st.sampled_from(" ".join(LINES).split()), max_size=25).map(" ".join))
def test_no_line_crashes(line):
    """Any text is a line or a `ConfigError`."""
    try:
        parse_line(line)
    except ConfigError:
        pass


u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)


@st.composite
def conn_lines(draw: st.DrawFn) -> ConnLine:
    """Connections of every protocol, translated or not."""
    family = draw(st.sampled_from([4, 6]))
    address = st.integers(1, (1 << (32 if family == 4 else 128)) - 1)
    proto = draw(st.sampled_from([6, 17, 132, 136, 47, 1 if family == 4 else 58, 99]))
    sport, dport = draw(u16), draw(u16)
    if proto in (1, 58):
        dport = (8 if proto == 1 else 128) << 8 | draw(st.integers(0, 255))
    elif proto == 99:
        sport = dport = 0
    orig = (family, proto, draw(address), draw(address), sport, dport)
    reply, status = invert(orig), draw(st.sampled_from([0, Status.SEEN_REPLY, Status.SEEN_REPLY | Status.ASSURED]))
    if draw(st.booleans()):
        mapped = draw(address)
        if mapped != reply[2]:
            reply = (*reply[:2], mapped, *reply[3:])
            status |= Status.NAT_DONE | Status.DST_NAT
    label = {6: "CLOSE_WAIT", 132: "SHUTDOWN_SENT"}.get(proto, "")
    counters = draw(st.none() | st.tuples(u32, u32, u32, u32))
    return ConnLine(orig, reply, draw(st.integers(1, 10**6)), status, label, draw(u32), counters)


@given(conn_lines())
def test_every_connection_survives(line):
    """Written and read back, a connection says the same."""
    table = Conntrack(Clock(), Sysctls(), Streams())

    assert parse_line(text_of(line.install(table))) == line
