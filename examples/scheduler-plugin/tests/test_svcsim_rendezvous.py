"""What rendezvous hashing promises, measured in the lab, and what every scheduler promises."""

from svcsim_rendezvous import RendezvousHashing

from svcsim import Node, Packet
from svcsim.lab.disruption import measure_disruption
from svcsim.lab.fairness import measure_fairness
from svcsim.lab.sessions import make_sessions
from svcsim.lb.scheduler import SCHEDULERS
from svcsim.testing import check_scheduler

SESSIONS = make_sessions(5000, clients=100_000, held=0)


def test_contract():
    """It goes through the same kit as the kernel's fourteen, by the name under which it is installed."""
    check_scheduler("hrw", must_serve=True)


def test_installed():
    """The entry point leads to it, so the administrator's own command finds it."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24"])
    node.run("ip addr add 10.96.0.20/32 dev lo")
    node.run("ipvsadm -A -t 10.96.0.20:80 -s hrw; ipvsadm -a -t 10.96.0.20:80 -r 192.0.2.7:8080 -m")
    out = node.receive(Packet.tcp("192.0.2.9:40000", "10.96.0.20:80"), "eth0")

    assert SCHEDULERS["hrw"] is RendezvousHashing
    assert "192.0.2.7:8080" in str(out)


def test_shares():
    """Clients are spread as the weights say: chance alone strays as far in more than one of a hundred cases."""
    spread = measure_fairness("hrw", [1, 2, 3, 4], SESSIONS)

    assert spread.of_connections.test.p_value > 0.01


def test_disruption():
    """Nobody moves who need not: not when one leaves, is added, or changes its weight."""
    left = measure_disruption("hrw", [1] * 10, [1] * 9 + [None], SESSIONS).connections
    came = measure_disruption("hrw", [1] * 10, [1] * 11, SESSIONS)
    grew = measure_disruption("hrw", [1] * 10, [1] * 9 + [2], SESSIONS)

    assert left.moved == left.forced > 0
    for change in (came, grew):
        assert abs(change.connections.share - change.least) < 0.015
