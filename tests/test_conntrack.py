"""The connection table: tuples, finding, confirming, clashes, time, and what a full table gives up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import SECOND, Clock
from svcsim.conntrack import Conn, Conntrack, Status, invert, opposite
from svcsim.conntrack_index import BucketIndex, SourceIndex
from svcsim.errors import ConfigError, ExistsError
from svcsim.packet import ConnTuple, Proto
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls

CLIENT, OTHER, VIP, POD, POD2 = 0x0A010002, 0x0A010003, 0x0A600001, 0x0A020002, 0x0A020003


def udp(src: int, sport: int, dst: int, dport: int) -> ConnTuple:
    return (4, int(Proto.UDP), src, dst, sport, dport)


@pytest.fixture
def table() -> Conntrack:
    return Conntrack(Clock(), Sysctls(), Streams())


def make(table: Conntrack, orig: ConnTuple, reply: ConnTuple | None = None, status: int = 0) -> Conn:
    conn = table.create(orig, reply or invert(orig))
    assert conn is not None
    conn.status |= status
    table.refresh(conn, 30 * SECOND)
    return conn


def enter(table: Conntrack, orig: ConnTuple, reply: ConnTuple | None = None, status: int = 0) -> Conn:
    conn = make(table, orig, reply, status)
    assert table.confirm(conn) is conn
    return conn


small = st.integers(0, 3)
tuples = st.one_of(
    st.tuples(st.just(4), st.sampled_from([6, 17, 132, 99]), small, small, small, small),
    st.tuples(
        st.just(4),
        st.just(1),
        small,
        small,
        small,
        st.sampled_from([8, 0, 13, 14, 15, 16, 17, 18]).map(lambda t: t << 8),
    ),
    st.tuples(
        st.just(6), st.just(58), small, small, small, st.sampled_from([128, 129, 139, 140]).map(lambda t: t << 8)
    ),
)


@given(tuples)
def test_the_opposite_of_the_opposite_is_the_tuple(tuple):
    """Answers to answers are of the first tuple again."""
    assert invert(invert(tuple)) == tuple


@pytest.mark.parametrize("family, proto, kind", [(4, 1, 3), (4, 1, 5), (4, 1, 9), (4, 1, 19), (6, 58, 1), (6, 58, 135)])
def test_messages_that_are_never_answered_have_no_opposite(family, proto, kind):
    """An ICMP error, a redirect or an advertisement opens no connection."""
    assert opposite((family, proto, 1, 2, 0, kind << 8)) is None


def test_the_code_of_a_question_is_that_of_its_answer():
    """ICMP codes are kept as they are, types change."""
    assert opposite((4, 1, 1, 2, 77, 8 << 8 | 3)) == (4, 1, 2, 1, 77, 0 << 8 | 3)


def test_a_connection_is_found_by_either_tuple_once_confirmed(table):
    """Before confirmation nothing is found; after it both directions are."""
    query = udp(CLIENT, 5000, VIP, 53)
    conn = make(table, query)
    assert table.find(query) is None
    assert len(table) == 0

    assert table.confirm(conn) is conn

    assert table.find(query) == (conn, False)
    assert table.find(invert(query)) == (conn, True)
    assert conn.confirmed
    assert list(table) == [conn]
    assert table.sysctls.read("net.netfilter.nf_conntrack_count") == "1"


def test_time_starts_at_confirmation(table):
    """A packet may wait before it is confirmed: the timeout runs from then, and ends the entry exactly."""
    conn = make(table, udp(CLIENT, 5000, VIP, 53))
    table.clock.advance(100 * SECOND)
    table.confirm(conn)
    table.clock.advance(30 * SECOND - 1)
    assert table.find(conn.orig) is not None
    assert conn.remaining(table.clock.now) == 1

    table.clock.advance(1)

    assert table.find(conn.orig) is None
    assert table.find(conn.reply) is None
    assert len(table) == 0


def test_refresh_puts_the_end_off_or_forward(table):
    """A refreshed entry lives from now; a shorter time is kept too."""
    conn = enter(table, udp(CLIENT, 5000, VIP, 53))
    table.clock.advance(20 * SECOND)
    table.refresh(conn, 120 * SECOND)
    table.clock.advance(100 * SECOND)
    table.refresh(conn, 10 * SECOND)

    table.clock.advance(10 * SECOND)

    assert len(table) == 0


def test_a_fixed_timeout_is_not_refreshed(table):
    """FIXED_TIMEOUT holds whatever comes."""
    conn = enter(table, udp(CLIENT, 5000, VIP, 53), status=Status.FIXED_TIMEOUT)
    table.refresh(conn, 1000 * SECOND)

    table.clock.advance(30 * SECOND)

    assert len(table) == 0


def test_a_deleted_connection_never_comes_back(table):
    """Deleting is final, for an entry and for one that waits to be confirmed."""
    conn = enter(table, udp(CLIENT, 5000, VIP, 53))
    table.delete(conn)
    table.delete(conn)
    waiting = make(table, udp(CLIENT, 5001, VIP, 53))
    table.delete(waiting)

    assert table.confirm(waiting) is None
    assert len(table) == 0
    assert table.statistics.insert_failed == 1


def test_a_packet_to_oneself_is_one_connection(table):
    """Source and destination alike: the entry's two tuples are one; it is found as a reply, and listed once."""
    conn = enter(table, udp(CLIENT, 7, CLIENT, 7))

    assert table.find(conn.orig) == (conn, True)
    assert list(table) == [conn]
    table.delete(conn)
    assert list(table) == []


# -- clashes -----------------------------------------------------------------------------------------------------------


def test_tcp_clashes_cost_the_packet(table):
    """Two TCP flows of one tuple cannot be: the later packet is dropped, and counted."""
    orig = (4, 6, CLIENT, VIP, 5000, 80)
    enter(table, orig)

    assert table.confirm(make(table, orig)) is None
    assert (table.statistics.drop, table.statistics.insert_failed) == (1, 1)


def test_the_same_flow_twice_is_merged(table):
    """Two packets of one UDP flow that raced: the second joins the first's entry, and is accounted there."""
    table.sysctls.write("net.netfilter.nf_conntrack_acct", "1")
    query, answer = udp(CLIENT, 5000, VIP, 53), udp(POD, 53, CLIENT, 5000)
    winner = enter(table, query, answer, Status.DST_NAT | Status.DST_NAT_DONE)
    loser = make(table, query, answer)
    assert loser.counters is not None
    loser.counters[:2] = [1, 29]

    assert table.confirm(loser) is winner
    assert winner.counters == [1, 29, 0, 0]
    assert table.statistics.clash_resolve == 1


def test_a_flow_begun_from_both_ends_is_merged(table):
    """The mirror of an entry is that entry."""
    query = udp(CLIENT, 5000, POD, 53)
    winner = enter(table, query, status=Status.DST_NAT_DONE)

    assert table.confirm(make(table, invert(query))) is winner


def test_an_entry_that_nat_never_saw_takes_any_clashing_packet(table):
    """Without NAT the entry in the table can only be the same flow."""
    winner = enter(table, udp(CLIENT, 5000, VIP, 53))

    assert table.confirm(make(table, udp(CLIENT, 5000, VIP, 53), udp(POD, 53, CLIENT, 5000))) is winner


def test_two_servers_for_two_queries_of_one_socket(table):
    """The loser's answer finds home for a second; the loser is not listed and not ASSURED."""
    query = udp(CLIENT, 5000, VIP, 53)
    done = Status.DST_NAT | Status.DST_NAT_DONE
    winner = enter(table, query, udp(POD, 53, CLIENT, 5000), done)
    loser = make(table, query, udp(POD2, 53, CLIENT, 5000), done)

    assert table.confirm(loser) is loser

    assert table.find(query) == (winner, False)
    assert table.find(udp(POD2, 53, CLIENT, 5000)) == (loser, True)
    assert loser.status & Status.NAT_CLASH
    assert loser.status & Status.FIXED_TIMEOUT
    assert list(table) == [winner]
    assert len(table) == 2
    table.clock.advance(SECOND)
    assert table.find(udp(POD2, 53, CLIENT, 5000)) is None
    assert table.find(query) == (winner, False)


def test_a_clash_of_replies_costs_the_packet(table):
    """Where even the answer's tuple is taken nothing can be saved."""
    done = Status.SRC_NAT | Status.SRC_NAT_DONE
    enter(table, udp(CLIENT, 5000, POD, 53), udp(POD, 53, VIP, 6000), done)

    assert table.confirm(make(table, udp(OTHER, 5000, POD, 53), udp(POD, 53, VIP, 6000), done)) is None


@given(st.lists(st.tuples(tuples, tuples, st.booleans(), st.integers(0, 2)), max_size=30))
def test_no_two_entries_share_a_tuple(steps):
    """Whatever is entered, deleted and expires: a tuple finds an entry that has it, and the count is right."""
    table = Conntrack(Clock(), Sysctls(), Streams())
    made = []
    for orig, other, translated, action in steps:
        reply = (*orig[:2], *other[2:]) if translated and orig[1] not in (1, 58) else invert(orig)
        conn = make(table, orig, reply, Status.DST_NAT_DONE if translated else 0)
        made.append(conn)
        table.confirm(conn)
        if action == 1:
            table.delete(made[len(made) // 2])
        elif action == 2:
            table.clock.advance(11 * SECOND)
        seen = []
        for entry in made:
            if entry.confirmed and not entry.status & Status.DYING:
                found = table.find(entry.reply)
                assert found is not None
                assert found[0] is entry
                if not entry.status & Status.NAT_CLASH:
                    assert table.find(entry.orig) in ((entry, False), (entry, True))
                seen.append(entry)
        assert len(table) == len(seen)
        assert set(table) == {entry for entry in seen if not entry.status & Status.NAT_CLASH}


# -- limits and indexes ------------------------------------------------------------------------------------------------


def test_a_full_table_gives_up_what_is_not_assured(table):
    """Eight buckets are searched for entries to forget; with one bucket in all, everything that is not ASSURED goes."""
    table.sysctls.write("net.netfilter.nf_conntrack_max", "4")
    table.sysctls.write("net.netfilter.nf_conntrack_buckets", "1")
    kept = enter(table, udp(CLIENT, 1, VIP, 53), status=Status.ASSURED)
    for port in (2, 3, 4):
        enter(table, udp(CLIENT, port, VIP, 53))

    newcomer = enter(table, udp(CLIENT, 5, VIP, 53))

    assert list(table) == [kept, newcomer]
    assert table.statistics.early_drop == 3


def test_a_table_full_of_assured_entries_refuses(table):
    """There is no room, and nothing changes."""
    table.sysctls.write("net.netfilter.nf_conntrack_max", "2")
    for port in (1, 2):
        enter(table, udp(CLIENT, port, VIP, 53), status=Status.ASSURED)

    assert table.create(udp(CLIENT, 3, VIP, 53), udp(VIP, 53, CLIENT, 3)) is None
    assert len(table) == 2
    assert table.statistics.early_drop == 0


def test_the_buckets_follow_the_table(table):
    """After the index was made, what comes and goes is in it and out of it."""
    table.sysctls.write("net.netfilter.nf_conntrack_max", "2")
    table.sysctls.write("net.netfilter.nf_conntrack_buckets", "8")
    for port in range(1, 50):
        enter(table, udp(CLIENT, port, VIP, 53))
        assert len(table) <= 2


def test_a_bucket_index_looks_near_first():
    """The first bucket with something wanted decides, and no more than eight are looked into."""
    index = BucketIndex[str](key=1, size=1 << 20)
    here = udp(CLIENT, 1, VIP, 53)
    index.add(here, "near")

    assert index.first_with(here, lambda item: True) == ["near"]
    assert index.first_with(here, lambda item: False) == []
    assert index.first_with(udp(CLIENT, 2, VIP, 53), lambda item: True) == []  # a million buckets away


def test_a_source_index_is_newest_first():
    """What shares protocol, address and port is one source, whatever it talks to."""
    index = SourceIndex[str]()
    index.add(udp(CLIENT, 1, VIP, 53), "a")
    index.add(udp(CLIENT, 1, POD, 80), "b")
    index.add(udp(CLIENT, 2, POD, 80), "c")
    index.discard(udp(CLIENT, 9, POD, 80), "nobody")

    assert list(index.of(udp(CLIENT, 1, 0, 0))) == ["b", "a"]
    index.discard(udp(CLIENT, 1, POD, 80), "b")
    assert list(index.of(udp(CLIENT, 1, 0, 0))) == ["a"]


def test_sources_are_those_whose_nat_is_settled(table):
    """Only connections that have passed source NAT say how their source is mapped; made late, the index is complete."""
    settled = enter(table, udp(CLIENT, 1, VIP, 53), status=Status.SRC_NAT_DONE)
    enter(table, udp(CLIENT, 1, POD, 53))

    assert list(table.of_source(udp(CLIENT, 1, POD2, 53))) == [settled]
    later = enter(table, udp(CLIENT, 1, POD2, 53), status=Status.SRC_NAT_DONE)
    assert list(table.of_source(udp(CLIENT, 1, POD2, 53))) == [later, settled]
    table.delete(later)
    assert list(table.of_source(udp(CLIENT, 1, POD2, 53))) == [settled]


def test_taken_does_not_count_the_flow_itself(table):
    """A tuple is not taken by the same flow, nor by an entry of the same original tuple."""
    query = udp(CLIENT, 5000, VIP, 53)
    conn = enter(table, query)

    assert not table.is_taken(conn.reply, conn)
    assert not table.is_taken(conn.reply, make(table, query))
    assert table.is_taken(conn.reply, make(table, udp(OTHER, 1, VIP, 53)))
    assert table.statistics.found == 1


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_what_is_there_cannot_be_inserted(table):
    """An administrator's entry may not clash; the table stays as it was."""
    conn = enter(table, udp(CLIENT, 5000, VIP, 53))

    with pytest.raises(ExistsError, match="Such conntrack exists"):
        table.insert(make(table, conn.orig))
    assert list(table) == [conn]


def test_flush_and_delete_where(table):
    """What is unwanted goes, or all, losers of clashes too."""
    conns = [enter(table, udp(CLIENT, port, VIP, 53)) for port in range(5)]

    assert table.delete_where(lambda conn: conn.orig[4] < 2) == 2
    assert list(table) == conns[2:]
    table.flush()
    assert len(table) == 0
    table.clock.advance(100 * SECOND)  # no timer of the forgotten fires


@pytest.mark.parametrize(
    "name, text", [("max", "-1"), ("buckets", "0"), ("acct", "2"), ("count", "5"), ("checksum", "x")]
)
def test_parameters_refuse_what_the_kernel_refuses(table, name, text):
    """A value out of range, or of a parameter that is only read, changes nothing."""
    before = table.sysctls.read(f"net.netfilter.nf_conntrack_{name}")

    with pytest.raises(ConfigError):
        table.sysctls.write(f"net.netfilter.nf_conntrack_{name}", text)
    assert table.sysctls.read(f"net.netfilter.nf_conntrack_{name}") == before


def test_a_connection_reads_well(table):
    """In a trace a connection names its ends."""
    conn = make(table, udp(CLIENT, 5000, VIP, 53), udp(POD, 53, CLIENT, 5000))

    assert str(conn) == "udp 10.1.0.2:5000 > 10.96.0.1:53 answered by 10.2.0.2:53 > 10.1.0.2:5000"
