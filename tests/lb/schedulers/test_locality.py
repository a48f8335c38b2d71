"""lblc and lblcr: an address keeps its destinations while they are not too busy, and is forgotten in the end."""

import pytest

from svcsim.clock import SECOND
from svcsim.hooks import Skb
from svcsim.lb.bench import Bench
from svcsim.lb.schedulers import LocalityLeastConnection, LocalityLeastConnectionReplicated
from svcsim.lb.service import Destination
from svcsim.packet import Packet

DAY = 86400 * SECOND
A, B = "203.0.113.1:80", "203.0.113.2:80"


def remembered(bench: Bench) -> int:
    """How many addresses the scheduler knows."""
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, LocalityLeastConnection | LocalityLeastConnectionReplicated)
    return len(scheduler.map.entries)


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_an_address_stays_where_it_went_first(name: str) -> None:
    """By weighted least connection the first time; afterwards load does not count while it is not too busy."""
    bench = Bench(name, [10, 10, 10])
    first = bench.connect(to=A)
    second = bench.connect(to=B)

    assert first is bench.destinations[2]
    assert second is bench.destinations[1]
    assert {bench.connect(to=A) for _ in range(8)} == {first}


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_too_busy_means_over_its_weight_while_another_is_under_half(name: str) -> None:
    """More active connections than weight is borne until some destination has fewer than half of its own."""
    bench = Bench(name, [4, 4])
    other, known = bench.destinations
    other.active = 2
    assert bench.connect(to=A) is known
    known.active = 5
    assert bench.connect(to=A) is known

    known.active, other.active = 5, 1
    assert bench.connect(to=A) is other


def test_lblc_moves_for_good_and_lblcr_replicates() -> None:
    """When the rush is over lblc stays with the new destination; lblcr has both and takes the less busy one."""
    expected = {}
    for name in ("lblc", "lblcr"):
        bench = Bench(name, [4, 4])
        other, known = bench.destinations
        bench.connect(to=A)
        known.active = 5
        assert bench.connect(to=A) is other
        known.active = other.active = 0
        other.active = 1
        expected[name] = bench.connect(to=A) is known
    assert expected == {"lblc": False, "lblcr": True}


def test_lblc_goes_on_with_an_overloaded_destination() -> None:
    """Only weight 0, removal or too many connections end an assignment; lblcr leaves an overloaded one."""
    for name, index in (("lblc", 1), ("lblcr", 0)):
        bench = Bench(name, [9, 9])
        assert bench.connect(to=A) is bench.destinations[1]
        bench.destinations[1].overloaded = True
        assert bench.connect(to=A) is bench.destinations[index]


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_a_destination_that_is_gone_or_quiesced_is_not_used(name: str) -> None:
    """Its addresses go elsewhere, but it is remembered until they do; with no other there is none."""
    bench = Bench(name, [1, 1])
    other, known = bench.destinations
    bench.connect(to=A)
    assert bench.service.scheduler.holds(known)
    bench.remove(known)
    assert bench.connect(to=A) is other
    assert bench.service.scheduler.holds(other)

    bench.edit(other, 0)
    assert bench.connect(to=A) is None
    bench.service.scheduler.unbind(bench.service)
    assert not bench.service.scheduler.holds(other)


def test_lblcr_lets_the_busiest_replica_go_after_a_day_without_change() -> None:
    """Strictly more than lblcr_expiration after the set last changed, the next connection shrinks it by one."""
    bench = Bench("lblcr", [4, 4])
    other, known = bench.destinations
    bench.connect(to=A)
    known.active = 5
    bench.connect(to=A)
    known.active, other.active = 4, 1
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, LocalityLeastConnectionReplicated)
    (entry,) = scheduler.map.entries.values()

    def size_after(duration: int) -> int:
        bench.clock.advance(duration)
        bench.connect(to=A)
        return len(entry.members)

    assert [size_after(DAY // 2), size_after(DAY // 2), size_after(1)] == [2, 2, 1]
    assert entry.members == [other]
    assert entry.last_change == bench.clock.now


def test_of_two_equally_busy_replicas_the_newer_goes() -> None:
    """The first of the set, into which replicas are put at the head."""
    bench = Bench("lblcr", [4, 4])
    other, known = bench.destinations
    bench.connect(to=A)
    known.active = 5
    bench.connect(to=A)
    bench.clock.advance(DAY // 2)
    bench.connect(to=A)
    bench.clock.advance(DAY // 2 + 1)
    known.active = other.active = 2
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, LocalityLeastConnectionReplicated)
    (entry,) = scheduler.map.entries.values()

    # It was found before it went, so it serves this time.
    assert bench.connect(to=A) is other
    assert entry.members == [known]


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_an_address_is_forgotten_after_a_day_at_the_next_full_check(name: str) -> None:
    """Full checks come every half hour or so; an address used since is kept."""
    bench = Bench(name, [1])
    bench.connect(to=A)
    bench.clock.advance(DAY // 2)
    bench.connect(to=B)
    bench.clock.advance(DAY // 2 + 1800 * SECOND)
    assert remembered(bench) == 1

    bench.clock.advance(DAY)
    assert remembered(bench) == 0


def test_the_sysctl_shortens_the_memory() -> None:
    """lblc_expiration is read when it is needed; a full check comes every 30 minutes, counted from the first minute."""
    bench = Bench("lblc", [1])
    bench.sysctls.write("net.ipv4.vs.lblc_expiration", "60")
    bench.connect(to=A)
    bench.clock.advance(29 * 60 * SECOND)
    assert remembered(bench) == 1

    bench.clock.advance(60 * SECOND)
    assert remembered(bench) == 0


def test_a_map_too_large_loses_what_is_idle_six_minutes_bucket_by_bucket() -> None:
    """Each minute at most a third more than the surplus goes, whole buckets at a time, where the last time ended."""
    bench = Bench("lblc", [1])
    skb = Skb(Packet.tcp("198.51.100.1:1", "203.0.113.1:80"))
    surplus = 300
    for address in range(16384 + surplus):
        skb.dst = 0x0A000000 + address
        bench.take(skb)
    bench.clock.advance(359 * SECOND)
    assert remembered(bench) == 16384 + surplus

    bench.clock.advance(SECOND)
    gone = 16384 + surplus - remembered(bench)
    assert surplus * 4 // 3 <= gone <= surplus * 4 // 3 + 40  # the last bucket goes as a whole
    bench.clock.advance(300 * SECOND)
    assert remembered(bench) == 16384 + surplus - gone


def test_an_exchanged_scheduler_stops_its_clockwork() -> None:
    """After ``unbind`` no timer of it fires and it knows nothing."""
    bench = Bench("lblc", [1])
    bench.connect(to=A)
    old = bench.service.scheduler
    assert isinstance(old, LocalityLeastConnection)
    bench.exchange("rr")
    bench.clock.advance(DAY)

    assert not old.map.entries
    assert isinstance(bench.connect(to=A), Destination)
