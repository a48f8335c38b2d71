"""Connections, the table that finds them, and their time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import SECOND, Clock
from svcsim.lb.conn import ConnTable, VsConn
from svcsim.lb.service import ForwardingMethod

#: Of `conn`, as a request has them.
ENDS = (4, 6, 1, 1000, 2, 80)


def table():
    expired = []
    clock = Clock()
    return clock, ConnTable(clock, expired.append), expired


def conn(cport=1000, method=ForwardingMethod.MASQ, **fields):
    return VsConn(4, 6, 1, cport, 2, 80, 3, 8080, method, None, **fields)


def test_found_from_both_sides():
    """A masqueraded connection is found by the client's packets and by the destination's."""
    _, conns, _ = table()
    one = conn()
    conns.add(one)

    assert conns.incoming(*ENDS) is one
    assert conns.outgoing(4, 6, 1, 1000, 3, 8080) is one


def test_routed_replies_come_from_the_virtual_address():
    """A directly routed connection's replies carry the virtual address."""
    _, conns, _ = table()
    one = conn(method=ForwardingMethod.ROUTE)
    conns.add(one)

    assert conns.outgoing(*ENDS) is one


def test_a_newer_one_hides_an_older():
    """Of two connections with one key the newer is found, and the older again when the newer is gone."""
    _, conns, expired = table()
    old, new = conn(), conn()
    conns.add(old)
    conns.add(new)
    assert conns.incoming(*ENDS) is new

    conns.expire(new)
    assert conns.incoming(*ENDS) is old
    conns.expire(old)
    assert (conns.incoming(*ENDS), expired, len(conns)) == (None, [new, old], 0)


def test_the_older_may_go_first():
    """The hidden one can expire without the other noticing."""
    _, conns, _ = table()
    old, new = conn(), conn()
    conns.add(old)
    conns.add(new)
    conns.expire(old)

    assert conns.incoming(*ENDS) is new
    conns.expire(new)
    assert conns.incoming(*ENDS) is None


def test_time():
    """A connection ends when its timeout has passed since it was last touched."""
    clock, conns, expired = table()
    one = conn()
    one.timeout = 10 * SECOND
    conns.add(one)
    clock.advance(9 * SECOND)
    conns.touch(one)
    clock.advance(9 * SECOND)

    assert (one.remaining(clock.now), expired) == (1, [])
    clock.advance(SECOND)
    assert expired == [one]


def test_a_template_waits_for_its_connections():
    """A template that connections depend on lives on a minute at a time."""
    clock, conns, expired = table()
    template = conn(cport=0, template=True)
    template.timeout = 5 * SECOND
    conns.add(template)
    child = conn()
    child.depend_on(template)
    child.timeout = 30 * SECOND
    conns.add(child)

    clock.advance(29 * SECOND)
    assert (template.timeout, len(conns)) == (60 * SECOND, 2)
    clock.advance(40 * SECOND)
    assert expired == [child, template]


def test_an_invalid_template_is_not_found():
    """It stays in the listing until its time is up."""
    _, conns, _ = table()
    template = conn(cport=0, template=True)
    conns.add(template)
    conns.invalidate(template)

    assert (conns.template(4, 6, 1, 2, 80), list(conns), template.vport) == (None, [template], 0xFFFF)
    conns.expire(template)
    assert len(conns) == 0


@given(st.lists(st.integers(1, 65535), unique=True, max_size=30))
def test_the_listing_has_each_once(cports):
    """A listing by buckets has every connection."""
    _, conns, _ = table()
    for cport in cports:
        conns.add(conn(cport))

    assert sorted(c.cport for c in conns.listed()) == sorted(cports)
