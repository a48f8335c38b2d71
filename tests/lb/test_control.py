"""What is configured: services, destinations, refusals, the trash."""

from __future__ import annotations

import pytest

from svcsim import ConfigError, Family, Hook, Node, Packet
from svcsim.errors import ExistsError, MissingError
from svcsim.lb.service import ForwardingMethod, ServiceKey
from svcsim.packet import Proto

WEB = ServiceKey(Family.IPV4, int(Proto.TCP), 0xAC1E0001, 80)
SERVER = 0x64400009


@pytest.fixture
def node():
    made = Node()
    made.add_interface("eth1", ["100.64.0.1/24"])
    made.run("ip addr add 172.30.0.1/32 dev lo")
    made.ipvs.add_service(WEB, "rr")
    return made


def syn(cport):
    return Packet.tcp(f"100.64.0.7:{cport}", "172.30.0.1:80")


def state(node):
    return [
        (s.key, s.scheduler.name, s.flags, [(d.address, d.port, d.weight) for d in s.destinations])
        for s in node.ipvs.services
    ]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda i: i.add_service(WEB), ExistsError, "Service already exists"),
        (lambda i: i.add_service(ServiceKey.of_mark(1), "zz"), MissingError, "Scheduler or persistence engine"),
        (lambda i: i.edit_service(WEB, "zz"), MissingError, "Scheduler or persistence engine"),
        (lambda i: i.edit_service(ServiceKey.of_mark(1)), MissingError, "No such service"),
        (lambda i: i.delete_service(ServiceKey.of_mark(1)), MissingError, "No such service"),
        (lambda i: i.add_destination(ServiceKey.of_mark(1), SERVER, 80), MissingError, "Service not defined"),
        (lambda i: i.add_destination(WEB, SERVER, 80), ExistsError, "Destination already exists"),
        (lambda i: i.edit_destination(WEB, SERVER, 81), MissingError, "No such destination"),
        (lambda i: i.delete_destination(WEB, SERVER, 81), MissingError, "No such destination"),
        (lambda i: i.add_destination(WEB, SERVER, 81, weight=-1), ConfigError, "out of range"),
        (lambda i: i.add_destination(WEB, SERVER, 81, lower_threshold=2), ConfigError, "out of range"),
        (lambda i: i.add_destination(WEB, 0xE0000001, 80), ConfigError, "Invalid operation"),
    ],
)
def test_refusals_change_nothing(node, change, kind, message):
    """A refused change has the tool's words and leaves everything as it was."""
    node.ipvs.add_destination(WEB, SERVER, 80)
    before = state(node)

    with pytest.raises(kind, match=message):
        change(node.ipvs)
    assert state(node) == before


def test_hooks_hang_while_services_exist(node):
    """The first service of a family registers the hook functions, deleting the last removes them."""
    hooks = node.hooks[Family.IPV4]
    assert [e.name for e in hooks.at(Hook.LOCAL_IN)] == ["ipvs reply", "ipvs request"]

    node.ipvs.delete_service(WEB)
    assert all(not hooks.at(hook) for hook in Hook)


def test_the_newest_destination_comes_first(node):
    """A destination is added at the head of the list, and an edit leaves it in its place."""
    for port in (1, 2, 3):
        node.ipvs.add_destination(WEB, SERVER, port)
    node.ipvs.edit_destination(WEB, SERVER, 1, weight=9)

    assert [d.port for d in node.ipvs.service(WEB).destinations] == [3, 2, 1]


def test_a_destination_comes_back_from_the_trash(node):
    """Deleted and added again, it has its counters still; after three minutes without connections it has not."""
    node.ipvs.add_destination(WEB, SERVER, 80)
    node.receive(syn(1), "eth1")
    node.ipvs.delete_destination(WEB, SERVER, 80)
    again = node.ipvs.add_destination(WEB, SERVER, 80)
    assert (again.active, again.stats.conns) == (1, 1)

    node.ipvs.delete_destination(WEB, SERVER, 80)
    node.advance(60 + 240)
    assert node.ipvs.add_destination(WEB, SERVER, 80).stats.conns == 0


def test_timeouts_apply_from_the_next_packet(node):
    """A new timeout leaves running timers alone; zero keeps the old value."""
    node.ipvs.add_destination(WEB, SERVER, 80)
    node.receive(syn(1), "eth1")
    node.ipvs.set_timeouts(tcp=50, udp=7)
    assert node.ipvs.timeouts == (50, 120, 7)
    node.receive(Packet.tcp("100.64.0.7:1", "172.30.0.1:80", flags="A"), "eth1")
    (conn,) = node.ipvs.connections()

    assert (conn.state_name, conn.remaining(node.clock.now)) == ("ESTABLISHED", 50)


def test_changing_the_scheduler_starts_it_anew(node):
    """The same name keeps the turn that runs, another name begins from the list as it is."""
    for port in (1, 2, 3):
        node.ipvs.add_destination(WEB, SERVER, port)
    service = node.ipvs.service(WEB)
    picks = []

    def pick(cport):
        node.receive(syn(cport), "eth1")
        picks.append(max(node.ipvs.conns, key=lambda c: c.cport).dport)

    pick(1)
    node.ipvs.edit_service(WEB, "rr")
    pick(2)
    node.ipvs.edit_service(WEB, "lc")
    node.ipvs.edit_service(WEB, "rr")
    pick(3)

    assert picks == [3, 2, 3]
    assert service.scheduler.name == "rr"


def test_only_tunnels_mix_families(node):
    """An IPv6 destination of an IPv4 service is refused but for tunnelling."""
    with pytest.raises(ConfigError, match="Invalid operation"):
        node.ipvs.add_destination(WEB, 1 << 120, 80, family=Family.IPV6)
    node.ipvs.add_destination(WEB, 0x20010DB8 << 96, 80, family=Family.IPV6, method=ForwardingMethod.TUNNEL)
