"""The userspace mode's round robin: turns, shuffles, and clients that are remembered."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import SECOND
from svcsim.lb.userspace import DEFAULT_AFFINITY_SECONDS, RoundRobin
from svcsim.rng import Streams

PODS = ["10.244.0.1:80", "10.244.0.2:80", "10.244.0.3:80"]


def balancer(endpoints: list[str] = PODS, *, seconds: int | None = None, seed: int = 1) -> RoundRobin:
    """A balancer with one service port, *web*; with *seconds* it remembers clients for so long."""
    made = RoundRobin(Streams(seed=seed)["shuffle"])
    made.serve("web", affinity=seconds is not None, seconds=seconds or 0)
    made.set_endpoints("web", endpoints)
    return made


def asked(rr: RoundRobin, times: int, client: str = "192.0.2.9", now: int = 0) -> list[str | None]:
    return [rr.next("web", client, now) for _ in range(times)]


@given(st.lists(st.integers(1, 250), min_size=1, max_size=20, unique=True), st.integers(0, 100), st.integers(0, 99))
def test_every_endpoint_has_its_turn(hosts: list[int], times: int, seed: int) -> None:
    """However often it is asked, no endpoint is ahead of another by more than one."""
    pods = [f"10.244.0.{host}:80" for host in hosts]
    rr = balancer(pods, seed=seed)
    assert sorted(rr.endpoints("web")) == sorted(pods)
    counts = Counter(asked(rr, times))
    shares = [counts[pod] for pod in pods]
    assert sum(shares) == times
    assert max(shares) - min(shares) <= 1


def test_the_order_is_drawn() -> None:
    """One seed gives one order; over many seeds each of the six orders of three comes as often as the others."""
    orders = Counter(balancer(seed=seed).endpoints("web") for seed in range(1200))
    assert balancer(seed=5).endpoints("web") == balancer(seed=5).endpoints("web")
    assert len(orders) == 6
    assert min(orders.values()) > 140


@given(st.permutations(PODS), st.integers(0, 7))
def test_the_same_set_changes_nothing(again: list[str], times: int) -> None:
    """Endpoints in another order, or told twice, leave the turns as they are."""
    rr, other = balancer(), balancer()
    asked(rr, times)
    asked(other, times)
    rr.set_endpoints("web", [*again, *again])
    assert asked(rr, 6) == asked(other, 6)


def test_another_set_begins_anew_and_keeps_clients() -> None:
    """A new endpoint does not move who is remembered; one that is gone is forgotten with its clients."""
    rr = balancer(seconds=100)
    held = {f"192.0.2.{host}": rr.next("web", f"192.0.2.{host}", 0) for host in range(3)}
    rr.set_endpoints("web", [*PODS, "10.244.0.4:80"])
    assert {client: rr.next("web", client, 0) for client in held} == held
    rr.set_endpoints("web", PODS[1:])
    for client, endpoint in held.items():
        now = rr.next("web", client, 0)
        assert now == endpoint if endpoint != PODS[0] else now in PODS[1:]


def test_no_endpoints_forget_everything() -> None:
    """When all endpoints are gone there is no answer, and when one of them is back nobody is remembered."""
    rr = balancer(seconds=100)
    assert rr.next("web", "192.0.2.9", 0) in PODS
    rr.set_endpoints("web", [])
    assert rr.next("web", "192.0.2.9", 0) is None
    rr.set_endpoints("web", PODS)
    first, second = rr.endpoints("web")[:2]
    assert [rr.next("web", client, 0) for client in ("192.0.2.8", "192.0.2.9")] == [first, second]


def test_affinity_lasts_from_the_last_use() -> None:
    """A client that comes back in time keeps its endpoint, by whole seconds; each use counts anew."""
    rr = balancer(seconds=10)
    first = rr.next("web", "192.0.2.9", 0)
    assert rr.next("web", "192.0.2.9", 10 * SECOND - 1) == first
    assert rr.next("web", "192.0.2.9", 20 * SECOND - 2) == first
    assert rr.next("web", "192.0.2.9", 30 * SECOND - 2) != first


def test_expire_forgets_whom_nobody_would_remember() -> None:
    """A sync forgets just those clients whose time is over."""
    rr = balancer(seconds=10)
    old, young = rr.next("web", "192.0.2.1", 0), rr.next("web", "192.0.2.2", 5 * SECOND)
    rr.expire(10 * SECOND)
    assert rr.next("web", "192.0.2.2", 10 * SECOND) == young
    assert rr.next("web", "192.0.2.1", 0) != old


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=40))
def test_expiring_is_never_noticed(steps: list[tuple[int, int]]) -> None:
    """Whether syncs come or not, every client gets the same."""
    lazy, eager, now = balancer(seconds=5), balancer(seconds=5), 0
    for client, wait in steps:
        now += wait * SECOND
        eager.expire(now)
        assert lazy.next("web", f"192.0.2.{client}", now) == eager.next("web", f"192.0.2.{client}", now)


def test_reset_takes_the_next_one_and_remembers_it() -> None:
    """After a failed dial the client moves on, and stays there."""
    rr = balancer(seconds=100)
    first = rr.next("web", "192.0.2.9", 0)
    second = rr.next("web", "192.0.2.9", 0, reset=True)
    assert second != first
    assert rr.next("web", "192.0.2.9", 0) == second


def test_the_time_is_that_of_the_first_declaration() -> None:
    """A later time is not heard; where endpoints came before the service it is three hours."""
    rr = balancer(seconds=10)
    rr.serve("web", affinity=True, seconds=1000)
    first = rr.next("web", "192.0.2.9", 0)
    assert rr.next("web", "192.0.2.9", 10 * SECOND) != first

    early = RoundRobin(Streams(seed=1)["shuffle"])
    early.set_endpoints("web", PODS)
    early.serve("web", affinity=True, seconds=10)
    first = early.next("web", "192.0.2.9", 0)
    assert early.next("web", "192.0.2.9", (DEFAULT_AFFINITY_SECONDS - 1) * SECOND) == first


def test_what_nobody_declared_has_no_answer() -> None:
    """An unknown name, and one that was forgotten, are answered by nothing."""
    rr = balancer()
    assert rr.next("db", "192.0.2.9", 0) is None
    assert rr.endpoints("db") == ()
    rr.forget("web")
    rr.forget("web")
    assert rr.next("web", "192.0.2.9", 0) is None
