"""Clients at work: drawn from a seed, and let loose on a service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.lab.sessions import Session, make_sessions, place_sessions
from svcsim.lb.bench import Bench


def test_sessions_follow_their_seed():
    """The same seed draws the same; each number keeps its bound, and requests have their tail."""
    wanted = {"clients": 9, "addresses": 4, "held": 5, "most_requests": 50}
    found = make_sessions(2000, **wanted, seed=1)

    assert found == make_sessions(2000, **wanted, seed=1) != make_sessions(2000, **wanted, seed=2)
    assert {session.held for session in found} == set(range(6))
    assert {session.to for session in found} == {0x0A60000A + n for n in range(4)}
    assert len({session.client for session in found}) == 9
    assert max(session.requests for session in found) == 50
    # Of a tail r^-1.2, 2^-1.2 = 43.5 % carry two or more.
    assert sum(session.requests >= 2 for session in found) / 2000 == pytest.approx(2**-1.2, abs=0.04)


def test_one_draw_does_not_shift_another():
    """More addresses change where clients go, not who they are or how much they ask."""
    one, many = make_sessions(50, seed=3), make_sessions(50, addresses=9, seed=3)

    assert [(s.client, s.requests, s.held) for s in one] == [(s.client, s.requests, s.held) for s in many]


@given(st.lists(st.integers(0, 6), max_size=30))
def test_sessions_are_open_for_so_many_arrivals(held):
    """Behind least connection the load that each arrival finds is that of the sessions still open; at the end none is."""
    bench = Bench("lc", [1])
    loads = []
    take = bench.take
    bench.take = lambda skb: (loads.append(bench.destinations[0].active), take(skb))[1]
    places = place_sessions(bench, [Session(n, n, held=h) for n, h in enumerate(held)])

    assert loads == [sum(now <= n + held[n] for n in range(now)) for now in range(len(held))]
    assert places == bench.destinations * len(held)
    assert bench.destinations[0].active == 0


def test_a_session_goes_where_it_asks():
    """Client, port and address reach the scheduler."""
    sessions = make_sessions(60, addresses=9, held=0)
    for name, flags in (("dh", 0), ("sh", 0x10)):
        bench, twin = Bench(name, [1] * 5, flags=flags), Bench(name, [1] * 5, flags=flags)
        places = place_sessions(bench, sessions)
        asked = [twin.connect(f"198.51.100.{s.client & 0xFF}:{s.port}", f"10.96.0.{s.to & 0xFF}:80") for s in sessions]

        assert list(map(str, places)) == list(map(str, asked))
        assert len(set(map(str, places))) > 1


def test_refusals():
    """Nobody, more than there is room for, and what is negative."""
    for bad in ({"clients": 0}, {"clients": 1 << 30}, {"addresses": 0}, {"held": -1}, {"most_requests": 0}):
        with pytest.raises(ConfigError, match="sessions want"):
            make_sessions(5, **bad)
    with pytest.raises(ConfigError, match="sessions want"):
        make_sessions(-1)
    for bad in ({"requests": 0}, {"held": -1}):
        with pytest.raises(ConfigError, match="a session has a request"):
            Session(1, 1, **bad)
