"""What the public strategies draw is what they say, and they draw the odd cases."""

from __future__ import annotations

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from svcsim.addr import Family
from svcsim.hooks import Skb
from svcsim.lab.script import Add, Connect, Disconnect, Edit, Rebind, Remove, Wait
from svcsim.lb.bench import Bench
from svcsim.lb.schedulers.rr import RoundRobin
from svcsim.lb.table import ServiceTable
from svcsim.testing.strategies import (
    events,
    families,
    packets,
    requests,
    scripts,
    service_keys,
    services,
    tcp_packets,
    weights,
)
from svcsim.wire import decode, encode

QUICK = settings(max_examples=1000, database=None)


@given(packets() | tcp_packets(Family.IPV6) | requests())
def test_packets_have_right_checksums(packet):
    """They survive the wire: nothing in them is out of place."""
    assert decode(encode(packet)) == packet


@given(families.flatmap(lambda family: st.tuples(st.just(family), requests(family), events(family))))
def test_a_family_is_kept(drawn):
    """Whoever asks for a family gets no other."""
    family, packet, event = drawn

    assert packet.family is family
    if isinstance(event, Connect):
        assert event.packet.family is family


@given(weights(min_size=2, max_size=4, most=9))
def test_weights_keep_their_bounds(found):
    """No more and no fewer than asked for, none negative; common multiples may pass *most*."""
    assert 2 <= len(found) <= 4
    assert all(weight >= 0 for weight in found)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda found: not found,
        lambda found: 0 in found and any(found),
        lambda found: len(found) > 2 and len(set(found)) == 1 and found[0] > 1,
        lambda found: len(set(found)) > 2 and all(weight % 3 == 0 for weight in found),
    ],
    ids=["none", "a quiesced one", "all the same", "a common divisor"],
)
def test_weights_have_their_odd_cases(wanted):
    """No destination, one that is quiesced, equal ones, and such with a common divisor are all drawn."""
    find(weights(), wanted, settings=QUICK)


@given(st.lists(service_keys(), unique=True, max_size=8))
def test_keys_name_services(keys):
    """Different keys stand side by side in a table and are found again."""
    table = ServiceTable()
    made = [Bench("rr").service for _ in keys]
    for service, key in zip(made, keys, strict=True):
        service.key = key
        table.add(service)

    assert [table.get(key) for key in keys] == made


@given(services(RoundRobin) | services("sed", family=Family.IPV6), st.data())
def test_services_can_be_asked(service, data):
    """Their scheduler is bound, and their destinations know them."""
    chosen = service.scheduler.schedule(service, Skb(data.draw(requests(service.key.family))))

    assert (chosen is None) == (not any(d.weight and not d.overloaded for d in service.destinations))
    assert all(d.service is service for d in service.destinations)


@pytest.mark.parametrize("kind", [Add, Remove, Edit, Connect, Disconnect, Wait, Rebind])
def test_scripts_have_every_event(kind):
    """Nothing that can happen is left out."""
    find(scripts(None), lambda script: any(isinstance(event, kind) for event in script), settings=QUICK)
