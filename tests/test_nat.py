"""NAT: which tuple a connection gets, where addresses and ports are sought, and that answers find it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import format_address, parse_address
from svcsim.clock import SECOND, Clock
from svcsim.conntrack import Conn, Conntrack, Status, invert
from svcsim.conntrack_tcp import TcpPhase, TcpState
from svcsim.nat import Manip, Nat, NatRange, address_hash
from svcsim.packet import ConnTuple
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls

SRC, DST = Manip.SRC, Manip.DST


def ip(text: str) -> int:
    return parse_address(text).value


CLIENT, OTHER, VIP, VIP2, POD, NODE = (
    ip(text) for text in ("10.1.0.2", "10.1.0.3", "10.96.0.1", "10.96.0.2", "10.2.0.2", "10.2.0.1")
)


class Desk:
    """A table and its NAT; flows are set up, and entered, by one call."""

    def __init__(self, kernel: tuple[int, ...] = (6, 18), seed: int = 0) -> None:
        self.table = Conntrack(Clock(), Sysctls(), Streams())
        self.nat = Nat(self.table, Streams(seed)["nat"], kernel)

    def begin(self, orig: ConnTuple) -> Conn:
        conn = self.table.create(orig, invert(orig))
        assert conn is not None
        self.table.refresh(conn, 30 * SECOND)
        if orig[1] == 6:
            conn.state = TcpState(TcpPhase.SYN_SENT)
        return conn

    def enter(self, orig: ConnTuple, *, dst: NatRange | None = None, src: NatRange | None = None) -> Conn | None:
        """The connection, or None if it had to be dropped."""
        conn = self.begin(orig)
        for manip, nat_range in ((DST, dst), (SRC, src)):
            if nat_range is None:
                self.nat.bind_null(conn, manip)
            else:
                self.nat.set_up(conn, nat_range, manip)
        return self.table.confirm(conn)

    def mapped(self, orig: ConnTuple, **ranges: NatRange) -> ConnTuple:
        """What a flow's packets look like behind NAT."""
        conn = self.enter(orig, **ranges)
        assert conn is not None
        return invert(conn.reply)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def udp(src: int, sport: int, dst: int, dport: int) -> ConnTuple:
    return (4, 17, src, dst, sport, dport)


def tcp(src: int, sport: int, dst: int, dport: int) -> ConnTuple:
    return (4, 6, src, dst, sport, dport)


def echo(src: int, dst: int, ident: int) -> ConnTuple:
    return (4, 1, src, dst, ident, 8 << 8)


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "src, dst, value, in_eight, persistent, in_eleven",
    [
        ("10.1.0.2", "10.96.0.1", 0x796536C5, 5, 3, 105),
        ("10.1.0.3", "10.96.0.1", 0xF2F49000, 9, 8, 110),
        ("10.1.0.4", "10.96.0.1", 0xA518E694, 7, 8, 107),
        ("10.1.0.2", "10.96.0.2", 0x69518C63, 5, 3, 104),
        ("192.168.7.9", "172.30.0.41", 0xB9C44F56, 7, 9, 107),
    ],
)
def test_the_hash_of_a_client_and_its_peer(src, dst, value, in_eight, persistent, in_eleven):
    """The specification's vectors: the hash, and the address of 10.2.0.2-9 and 10.2.0.100-110 that it picks."""
    peer = int.from_bytes(ip(dst).to_bytes(4), "little")
    assert address_hash(ip(src), peer) == value
    for first, last, steady, expected in (
        (2, 9, False, in_eight),
        (2, 9, True, persistent),
        (100, 110, False, in_eleven),
    ):
        nat_range = NatRange(ip(f"10.2.0.{first}"), ip(f"10.2.0.{last}"), persistent=steady)
        found = Desk().mapped(udp(ip(src), 5000, ip(dst), 53), dst=nat_range)
        assert format_address(4, found[3]) == f"10.2.0.{expected}"


@pytest.mark.parametrize(
    "src, dst, first, last, persistent, target, source",
    [
        ("fd01::82c9:bde7", 1, "fd02::10", "fd02::20", False, "fd02::13", "fd02::13"),
        ("fd01::82c9:bde7", 2, "fd02::1:0", "fd02::5:ffff", False, "fd02::5:228", "fd02::5:22b"),
        (
            "fd01::82c9:bde7", 3, "fd02:0:1::", "fd02:0:9:ffff:ffff:ffff:ffff:ffff", True,
            "fd02:0:6:59ac:982f:930d:982f:930d", "fd02:0:6:59ac:982f:930d:982f:930d",
        ),
        (
            "fd01::82c9:bde7", 4, "fd03::", "fd05:1:2:3:4:5:6:7", False,
            "fd03:eeeb:9c9b:646c:f0ff:fff0::", "fd03:eeeb:7775:dc6c:7775:dc6c:7775:dc6c",
        ),
    ],
)  # fmt: skip
def test_ipv6_ranges(src, dst, first, last, persistent, target, source):
    """Word by word, as Linux 6.18 mapped one client to fdaa::N and from fdbb::N."""
    nat_range = NatRange(ip(first), ip(last), persistent=persistent)

    found = Desk().mapped((6, 17, ip(src), ip(f"fdaa::{dst}"), 1000, 53), dst=nat_range)
    assert format_address(6, found[3]) == target
    found = Desk().mapped((6, 17, ip(src), ip(f"fdbb::{dst}"), 1000, 53), src=nat_range)
    assert format_address(6, found[2]) == source


@given(
    st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 300), st.booleans()
)
def test_an_address_of_the_range_is_picked(client, vip, first, span, persistent):
    """Whoever asks, the address lies in the range; the port plays no part."""
    last = min(first + span, 2**32 - 1)
    nat_range = NatRange(first, last, persistent=persistent)

    found = {Desk().mapped(udp(client, port, vip, 53), dst=nat_range)[3] for port in (1, 5000, 65535)}

    assert len(found) == 1
    assert first <= found.pop() <= last


def test_netmap_keeps_host_bits(desk):
    """The network is exchanged, in either direction."""
    nat_range = NatRange(ip("10.6.0.0"), ip("10.6.0.255"), netmap=True)
    assert desk.mapped(udp(CLIENT, 1, ip("10.96.0.77"), 53), dst=nat_range)[3] == ip("10.6.0.77")
    assert desk.mapped(udp(ip("10.1.0.9"), 1, POD, 53), src=nat_range)[2] == ip("10.6.0.9")


# -- destinations ------------------------------------------------------------------------------------------------------


def test_a_plain_destination(desk):
    """Address alone, port alone, both: what is not named stays; the original tuple never changes."""
    for nat_range, address, port in (
        (NatRange.of(POD), POD, 80),
        (NatRange.of(None, 8080), VIP, 8080),
        (NatRange.of(POD, 8080), POD, 8080),
    ):
        conn = Desk().enter(tcp(CLIENT, 5000, VIP, 80), dst=nat_range)
        assert conn.orig == tcp(CLIENT, 5000, VIP, 80)
        assert invert(conn.reply) == tcp(CLIENT, 5000, address, port)
        assert conn.status & Status.NAT == Status.DST_NAT
        assert conn.status & Status.NAT_DONE == Status.NAT_DONE


def test_mapping_to_itself_is_no_translation(desk):
    """Where nothing changes the DST_NAT bit stays clear."""
    conn = desk.enter(tcp(CLIENT, 5000, VIP, 80), dst=NatRange.of(VIP, 80))

    assert conn.status & Status.NAT == 0


def test_a_range_of_ports_starts_at_the_lowest(desk):
    """Everybody whose tuple is free gets the lowest port; one who is in the range keeps his."""
    nat_range = NatRange(POD, POD, 8000, 8003)
    assert desk.mapped(udp(CLIENT, 5000, VIP, 80), dst=nat_range)[5] == 8000
    assert desk.mapped(udp(CLIENT, 5001, VIP, 80), dst=nat_range)[5] == 8000
    assert desk.mapped(udp(CLIENT, 5000, VIP, 8002), dst=nat_range)[5] == 8002
    assert desk.mapped(udp(CLIENT, 5000, VIP2, 80), dst=nat_range)[5] == 8001  # 8000 is taken for this client port


def test_ports_before_6_8_start_anywhere():
    """Older kernels, and ``--random`` on any, draw the first port to try."""
    for kernel, random in (((6, 1), False), ((6, 18), True)):
        desk = Desk(kernel)
        ports = [
            desk.mapped(udp(CLIENT, port, VIP, 80), dst=NatRange(POD, POD, 8000, 8003, random=random))[5]
            for port in range(1000, 1200)
        ]
        assert set(ports) == {8000, 8001, 8002, 8003}
        assert all(30 < ports.count(port) < 80 for port in set(ports))


def test_a_shifted_range(desk):
    """``8000-8100/80``: port 80 becomes 8000, 85 becomes 8005, wrapping at the end."""
    nat_range = NatRange(POD, POD, 8000, 8009, base_port=80)
    assert [desk.mapped(tcp(CLIENT, 5000 + i, VIP, 80 + i), dst=nat_range)[5] for i in (0, 5, 9, 10)] == [
        8000, 8005, 8009, 8000,
    ]  # fmt: skip


def test_two_services_of_one_endpoint(desk):
    """The second flow of one client port clashes; its source port changes although no rule says so."""
    desk.enter(udp(CLIENT, 5000, VIP, 53), dst=NatRange.of(POD))

    conn = desk.enter(udp(CLIENT, 5000, VIP2, 53), dst=NatRange.of(POD))

    _, _, src, dst, sport, dport = invert(conn.reply)
    assert (src, dst, dport) == (CLIENT, POD, 53)
    assert 1024 <= sport <= 65535
    assert sport != 5000
    assert conn.status & Status.NAT == Status.NAT


def test_echo_ids_are_ports(desk):
    """Three services of one endpoint, one client, one id: the ids are 77, 0 and 1, set with the destination."""
    ids = []
    for vip in (VIP, VIP2, ip("10.96.0.3")):
        conn = desk.enter(echo(CLIENT, vip, 77), dst=NatRange.of(POD))
        ids.append(conn.reply[4])
    assert ids == [77, 0, 1]


# -- sources -----------------------------------------------------------------------------------------------------------


def test_a_source_keeps_its_port_if_it_can(desk):
    """The first keeps it; a second client of the same port, to the same server, gets another one."""
    to_node = NatRange.of(NODE)
    assert desk.mapped(udp(CLIENT, 5000, POD, 53), src=to_node) == udp(NODE, 5000, POD, 53)
    other = desk.mapped(udp(OTHER, 5000, POD, 53), src=to_node)
    assert other[2] == NODE
    assert other[4] != 5000


def test_one_source_has_one_mapping(desk):
    """The same client port, to another server, reuses the port that it was given."""
    to_node = NatRange.of(NODE)
    desk.mapped(udp(CLIENT, 5000, POD, 53), src=to_node)
    port = desk.mapped(udp(OTHER, 5000, POD, 53), src=to_node)[4]

    assert desk.mapped(udp(OTHER, 5000, VIP, 53), src=to_node)[4] == port
    assert desk.mapped(udp(OTHER, 5000, VIP2, 53), src=NatRange(NODE, NODE, random_fully=True))[4] != port


@pytest.mark.parametrize(
    "port, lowest, highest",
    [
        (1, 1, 511),
        (300, 1, 511),
        (511, 1, 511),
        (512, 600, 1023),
        (700, 600, 1023),
        (1023, 600, 1023),
        (1024, 1024, 65535),
        (60000, 1024, 65535),
    ],
)
def test_a_port_keeps_its_class(port, lowest, highest):
    """Privileged ports stay privileged, also where the draw is forced."""
    for fully in (False, True):
        desk = Desk()
        desk.enter(tcp(OTHER, port, POD, 80), src=NatRange.of(NODE))
        found = {
            desk.mapped(tcp(CLIENT, port, POD, 80 + i), src=NatRange(NODE, NODE, random_fully=fully))[4]
            for i in range(200 if fully else 1)
        }
        assert all(lowest <= each <= highest for each in found)
        assert len(found) > 20 or not fully


def test_a_given_port_is_taken_even_if_it_is_taken(desk):
    """One port alone leaves no choice: the second flow clashes, and is dropped when it is confirmed."""
    nat_range = NatRange(NODE, NODE, 7000, 7000)
    assert desk.enter(tcp(CLIENT, 5000, POD, 80), src=nat_range) is not None

    assert desk.enter(tcp(OTHER, 5000, POD, 80), src=nat_range) is None
    assert desk.table.statistics.insert_failed == 1


def test_a_small_range_fills_up(desk):
    """Six flows on four ports: each port once, and two are dropped."""
    nat_range = NatRange(NODE, NODE, 7000, 7003)
    found = [desk.enter(tcp(ip("10.1.0.10") + i, 5000, POD, 80), src=nat_range) for i in range(6)]

    assert sorted(invert(conn.reply)[4] for conn in found if conn is not None) == [7000, 7001, 7002, 7003]
    assert found[4:] == [None, None]


def test_other_protocols_have_no_ports(desk):
    """Two clients behind one address talk ESP to one peer: the second is lost."""
    esp = (4, 50, CLIENT, POD, 0, 0)
    assert desk.mapped(esp, src=NatRange.of(NODE)) == (4, 50, NODE, POD, 0, 0)
    assert desk.enter((4, 50, OTHER, POD, 0, 0), src=NatRange.of(NODE)) is None


def test_a_finished_connection_gives_its_port_up():
    """
    Late in a search TIME_WAIT makes room, if the new connection's sequence numbers lie ahead; not before 6.5.
    """
    for kernel, ahead, expected in (((6, 18), 1, True), ((6, 18), -1, False), ((6, 1), 1, False)):
        desk = Desk(kernel)
        nat_range = NatRange(NODE, NODE, 7000, 7001)
        for i in range(2):
            conn = desk.enter(tcp(ip("10.1.0.10") + i, 5000, POD, 80), src=nat_range)
            conn.state.phase = TcpPhase.TIME_WAIT
            conn.state.windows.sides[0].end = 1000
        fresh = desk.begin(tcp(CLIENT, 5000, POD, 80))
        fresh.state.windows.sides[0].end = 1000 + ahead
        desk.nat.bind_null(fresh, DST)
        desk.nat.set_up(fresh, nat_range, SRC)

        assert (desk.table.confirm(fresh) is fresh) == expected
        assert len(desk.table) == 2


def test_a_living_connection_gives_nothing_up(desk):
    """Only what is over may be evicted."""
    nat_range = NatRange(NODE, NODE, 7000, 7000, random=True)
    old = desk.enter(tcp(OTHER, 5000, POD, 80), src=nat_range)
    old.state.phase = TcpPhase.ESTABLISHED
    fresh = desk.begin(tcp(CLIENT, 5000, POD, 80))
    fresh.state.windows.sides[0].end = 5

    desk.nat.set_up(fresh, nat_range, SRC)

    assert desk.table.confirm(fresh) is None
    assert desk.table.find(old.orig) == (old, False)


def test_a_search_in_a_crowd_ends(desk):
    """With every port of a class taken, a bounded number of tries is made and the clash is left to confirmation."""
    for port in range(1, 512):
        assert desk.enter(udp(OTHER, port, POD, 53), src=NatRange.of(NODE)) is not None

    before = desk.table.statistics.found
    assert desk.enter(udp(CLIENT, 300, POD, 53), src=NatRange.of(NODE)) is None
    assert desk.table.statistics.found - before <= 128 + 64 + 32 + 16 + 8 + 2


def test_confirmed_connections_stay_as_they_are(desk):
    """Setting up an entry that is in the table does nothing."""
    conn = desk.enter(udp(CLIENT, 5000, VIP, 53))
    conn.status &= ~Status.NAT_DONE

    desk.nat.set_up(conn, NatRange.of(POD), DST)
    desk.nat.bind_null(conn, SRC)

    assert conn.reply == invert(conn.orig)
    assert not conn.status & (Status.NAT | Status.NAT_DONE)


def test_a_flow_begun_from_both_ends_keeps_its_port():
    """Since 6.12 a source is not remapped because the answer was faster; before it is."""
    for kernel, same in (((6, 18), True), ((6, 1), False)):
        desk = Desk(kernel)
        theirs = desk.enter(udp(POD, 53, CLIENT, 5000))
        mine = desk.begin(udp(CLIENT, 5000, POD, 53))
        desk.nat.bind_null(mine, SRC)
        assert (invert(mine.reply) == mine.orig) == same
        assert (desk.table.confirm(mine) is theirs) == same


flows = st.tuples(
    st.sampled_from([6, 17, 132, 1, 99]),
    st.sampled_from([CLIENT, OTHER, ip("10.1.0.4")]),
    st.sampled_from([1, 300, 512, 700, 1024, 5000, 5001, 65535]),
    st.sampled_from([VIP, VIP2, POD]),
    st.sampled_from([53, 80, 8001]),
)
dst_ranges = st.none() | st.builds(
    lambda low, span, ports, random: NatRange(POD, POD + span, *(ports or (None, None)), random=random),
    st.just(POD), st.integers(0, 3), st.none() | st.sampled_from([(8000, 8000), (8000, 8003)]), st.booleans(),
)  # fmt: skip
src_ranges = st.none() | st.builds(
    lambda span, ports, fully: NatRange(NODE, NODE + span, *(ports or (None, None)), random_fully=fully),
    st.integers(0, 1), st.none() | st.sampled_from([(7000, 7001), (1024, 65535)]), st.booleans(),
)  # fmt: skip


@given(st.lists(st.tuples(flows, dst_ranges, src_ranges), max_size=25), st.sampled_from([(6, 1), (6, 18)]))
def test_answers_find_their_way(steps, kernel):
    """
    Whatever is mapped: answers to what leaves find the entry, no two entries share them, and ports stay in class.

    Ranges are kept to, and what no rule touches keeps its address. A source that was mapped before may be mapped to the
    same again, whatever class that is of.
    """
    desk = Desk(kernel)
    replies = set()
    mapped = set()
    for (proto, src, sport, dst, dport), dst_range, src_range in steps:
        orig = (
            echo(src, dst, sport) if proto == 1 else (4, proto, src, dst, sport * (proto != 99), dport * (proto != 99))
        )
        if desk.table.find(orig) is not None:
            continue
        conn = desk.enter(orig, dst=dst_range, src=src_range)
        if conn is None:
            continue
        assert conn.orig == orig
        assert desk.table.find(conn.reply) == (conn, True)
        if conn.status & Status.NAT_CLASH:
            continue
        assert conn.reply not in replies
        replies.add(conn.reply)
        _, _, new_src, new_dst, new_sport, _ = invert(conn.reply)
        assert new_dst == dst if dst_range is None else dst_range.min_addr <= new_dst <= dst_range.max_addr
        assert new_src == src if src_range is None else src_range.min_addr <= new_src <= src_range.max_addr
        again = (proto, src, sport, new_src, new_sport) in mapped
        mapped.add((proto, src, sport, new_src, new_sport))
        if not again and proto in (6, 17, 132) and (src_range is None or src_range.min_port is None):
            classes = [range(1, 512), range(512, 1024), range(1024, 65536)]
            assert next(c for c in classes if sport in c) == next(c for c in classes if new_sport in c)


def test_draws_can_be_repeated():
    """The same seed gives the same ports, another one others."""
    runs = [
        [Desk(seed=seed).mapped(udp(CLIENT, 5000, POD, 53), src=NatRange(NODE, NODE, random_fully=True)) for _ in "ab"]
        for seed in (1, 2)
    ]
    assert runs[0][0] == runs[0][1]
    assert runs[0][0] != runs[1][0]
