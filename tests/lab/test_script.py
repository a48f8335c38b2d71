"""Scripts: values that say what happens to a service, and happen the same each time."""

from __future__ import annotations

from hypothesis import given

from svcsim.addr import Family
from svcsim.lab.script import Add, Connect, Disconnect, Edit, Rebind, Remove, Wait, run_script
from svcsim.lb.bench import Bench
from svcsim.packet import Packet
from svcsim.testing.strategies import benches, scripts


@given(benches("wlc", family=Family.IPV4), scripts())
def test_a_script_runs_the_same_again(bench, script):
    """A script is a value: run on an equal bench it ends the same, and it says where each connection went."""
    twin = Bench("wlc", flags=bench.service.flags)
    for destination in bench.destinations:
        twin.add(
            destination.weight,
            upper_threshold=destination.upper_threshold,
            lower_threshold=destination.lower_threshold,
        )

    places = run_script(bench, script)

    assert [str(place) for place in run_script(twin, script)] == [str(place) for place in places]
    assert len(places) == sum(isinstance(event, Connect) for event in script)
    assert bench.shares() == twin.shares()


def test_numbers_wrap_around():
    """Every script fits every bench: a number too large begins anew, and where nothing is nothing happens."""
    bench, empty = Bench("rr", [1, 1, 1]), Bench("rr")
    first, second, third = bench.destinations
    run_script(bench, [Edit(4, 0), Remove(5)])
    assert bench.destinations == [first, second] and second.weight == 0 and third not in bench.destinations

    assert run_script(empty, [Remove(0), Edit(3, 1), Disconnect(1), Wait(5), Rebind()]) == []
    assert empty.destinations == [] and empty.clock.now == 5_000_000_000


def test_connections_come_and_go():
    """A segment opens an active connection, a datagram an inactive one; each ends where it is."""
    bench = Bench("rr", [1, 1])
    ends = ("192.0.2.9:40000", "10.96.0.10:80")
    newer, older = run_script(bench, [Connect(Packet.tcp(*ends)), Connect(Packet.udp(*ends))])
    assert (newer.active, newer.inactive, older.active, older.inactive) == (1, 0, 0, 1)

    run_script(bench, [Disconnect(0)])
    assert (newer.active, newer.inactive, older.active, older.inactive) == (1, 0, 0, 0)
    run_script(bench, [Disconnect(7)])
    assert newer.active == 0


def test_add_and_rebind():
    """A destination comes with its thresholds; a service that is made again has a new scheduler of its kind."""
    bench = Bench("rr")
    before = bench.service.scheduler
    run_script(bench, [Add(3, 5, 2), Rebind()])

    (only,) = bench.destinations
    assert (only.weight, only.upper_threshold, only.lower_threshold) == (3, 5, 2)
    assert bench.service.scheduler is not before and bench.service.scheduler.name == "rr"
