"""The hashed virtual-service table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import Family
from svcsim.lb.scheduler import make_scheduler
from svcsim.lb.service import ServiceKey, VirtualService
from svcsim.lb.table import ServiceTable
from svcsim.packet import Proto

TCP, UDP = int(Proto.TCP), int(Proto.UDP)


def service(key):
    return VirtualService(key, make_scheduler("rr", (6, 18)))


keys = st.builds(
    ServiceKey,
    st.just(Family.IPV4),
    st.sampled_from([TCP, UDP]),
    st.integers(0, 5),
    st.sampled_from([0, 21, 80, 1024]),
) | st.builds(ServiceKey.of_mark, st.integers(1, 4))


def expected(services, mark, proto, address, port):
    """The documented order of looking, written as four questions to a plain mapping."""
    by_key = {s.key: s for s in services}
    if mark and (found := by_key.get(ServiceKey.of_mark(mark))):
        return found
    exact = by_key.get(ServiceKey(Family.IPV4, proto, address, port))
    if exact is None and proto == TCP and (port == 20 or port >= 1024):
        exact = by_key.get(ServiceKey(Family.IPV4, TCP, address, 21))
    return exact or by_key.get(ServiceKey(Family.IPV4, proto, address, 0))


@given(
    st.lists(keys, unique=True, max_size=12),
    st.integers(0, 4),
    st.sampled_from([TCP, UDP]),
    st.integers(0, 5),
    st.sampled_from([0, 20, 21, 80, 443, 1024, 2000]),
)
def test_the_order_of_looking(chosen, mark, proto, address, port):
    """A mark beats the exact address and port, that beats FTP's, and that beats port 0."""
    table = ServiceTable()
    services = [service(key) for key in chosen]
    for each in services:
        table.add(each)

    assert table.find(Family.IPV4, mark, proto, address, port) is expected(services, mark, proto, address, port)


@given(st.lists(keys, unique=True, max_size=12), st.data())
def test_what_is_removed_is_not_found(chosen, data):
    """Removing a service leaves the others, and leaves the table as if it had never been."""
    table = ServiceTable()
    services = {key: service(key) for key in chosen}
    for each in services.values():
        table.add(each)
    for key in data.draw(st.permutations(chosen)):
        table.remove(services.pop(key))
        assert table.get(key) is None
        assert set(table) == set(services.values())
    assert len(table) == 0
    assert table.find(Family.IPV4, 1, TCP, 1, 80) is None


def test_probes_do_not_grow_with_services():
    """With services spread over the buckets a look-up takes one probe, whether there are ten or two hundred."""
    for count in (10, 200):
        table = ServiceTable()
        for number in range(count):
            table.add(service(ServiceKey(Family.IPV4, TCP, 0x0A600000 + number, 80)))
        table.find(Family.IPV4, 0, TCP, 0x0A600000, 80)

        assert table.probes == 1


def test_the_newest_of_a_bucket_comes_first():
    """A dump goes bucket by bucket, the newest service of one first, marks last."""
    table = ServiceTable()
    first, second = (service(ServiceKey(Family.IPV4, TCP, address, 80)) for address in (1, 257 << 8 | 0))
    mark = service(ServiceKey.of_mark(7))
    for each in (mark, first, second):
        table.add(each)

    assert list(table)[-1] is mark
    assert len(table) == 3


def test_families_are_apart():
    """An IPv6 service is not found by an IPv4 packet of the same number."""
    table = ServiceTable()
    table.add(service(ServiceKey(Family.IPV6, TCP, 1, 80)))

    assert table.find(Family.IPV4, 0, TCP, 1, 80) is None
    assert table.find(Family.IPV6, 0, TCP, 1, 80) is not None
