"""Directors that tell each other of their connections; what goes on after fail-over."""

from __future__ import annotations

import pytest

from lb.directors import CLIENT, arrive, director, run
from svcsim.errors import ConfigError
from svcsim.lb.sync import exchange
from svcsim.packet import Packet

WEB = ("-A -t 10.96.0.10:80 -s rr", *(f"-a -t 10.96.0.10:80 -r 10.244.0.{n}:8080 -m" for n in (5, 6)))


def pair(*commands, master=0, backup=0):
    """A master and a backup, set up alike."""
    nodes = [director(*(commands or WEB)) for _ in range(2)]
    for node, role, syncid in zip(nodes, ("master", "backup"), (master, backup), strict=True):
        run(node, f"ipvsadm --start-daemon {role} --mcast-interface pod0 --syncid {syncid}")
    return nodes


def open_connection(node, port=4000):
    """A handshake, and the third packet."""
    arrive(node, port=port)
    pod = next(conn for conn in node.ipvs.conns if conn.cport == port).daddr & 0xFF
    node.receive(Packet.tcp(f"10.244.0.{pod}:8080", f"{CLIENT}:{port}", flags="SA"), "pod0")
    arrive(node, port=port, flags="A")
    return pod


def test_a_connection_outlives_its_director():
    """After fail-over it goes on where it went, established, and counts there."""
    master, backup = pair()
    pod = open_connection(master)
    assert exchange(master.ipvs, backup.ipvs) == 0  # two packets; the threshold is the third
    arrive(master, flags="A")
    assert exchange(master.ipvs, backup.ipvs) == 1

    (conn,) = backup.ipvs.conns
    assert (conn.state_name, conn.daddr & 0xFF, conn.dest.active) == ("ESTABLISHED", pod, 1)
    (sent,) = arrive(backup, flags="A").sent
    assert sent.packet.dst & 0xFF == pod


def test_a_connection_that_was_never_told_is_lost():
    """Its packets are no beginning, so the backup leaves them to the local stack."""
    master, backup = pair()
    open_connection(master)
    exchange(master.ipvs, backup.ipvs)
    assert [each.device for each in arrive(backup, flags="A").sent] == ["cli0"]


def test_an_end_is_told_at_once():
    """A change of state to another than established does not wait for its packet."""
    master, backup = pair()
    open_connection(master)
    arrive(master, flags="A")
    exchange(master.ipvs, backup.ipvs)
    arrive(master, flags="FA")
    assert exchange(master.ipvs, backup.ipvs) == 1
    (conn,) = backup.ipvs.conns
    assert (conn.state_name, conn.dest.active, conn.dest.inactive) == ("CLOSE_WAIT", 0, 1)
    backup.advance(61)
    assert len(backup.ipvs.conns) == 0
    assert conn.dest.inactive == 0


def test_templates_are_told_and_pin_on_the_other_side():
    """A client keeps its destination over fail-over, for new connections too."""
    master, backup = pair("-A -t 10.96.0.10:80 -s rr -p 100", *WEB[1:])
    pods = {open_connection(master, port) for port in (4000, 4001, 4002, 4003)}
    assert exchange(master.ipvs, backup.ipvs) > 0
    assert any(conn.template for conn in backup.ipvs.conns)
    assert {arrive(backup, port=5000).sent[0].packet.dst & 0xFF} == pods


@pytest.mark.parametrize(("master", "backup", "heard"), [(3, 3, 1), (3, 0, 1), (3, 4, 0)])
def test_a_backup_listens_to_its_syncid(master, backup, heard):
    """Or to all, if it has none."""
    nodes = pair(master=master, backup=backup)
    open_connection(nodes[0])
    arrive(nodes[0], flags="A")
    assert exchange(nodes[0].ipvs, nodes[1].ipvs) == heard


def test_a_destination_that_is_unknown_is_done_without():
    """The backup keeps the connection and forwards it, but counts it nowhere."""
    master, backup = pair()
    pod = open_connection(master)
    arrive(master, flags="A")
    run(backup, f"ipvsadm -d -t 10.96.0.10:80 -r 10.244.0.{pod}:8080")
    exchange(master.ipvs, backup.ipvs)
    (conn,) = backup.ipvs.conns
    assert conn.dest is None
    assert arrive(backup, flags="A").sent[0].packet.dst & 0xFF == pod


def test_backup_only_lets_requests_pass():
    """A director that is nothing but a backup takes no request."""
    _, backup = pair()
    run(backup, "sysctl -qw net.ipv4.vs.backup_only=1")
    arrive(backup)
    assert len(backup.ipvs.conns) == 0


def test_the_queue_has_an_end():
    """What does not fit is lost and counted."""
    master, backup = pair("sysctl -qw net.ipv4.vs.sync_threshold='1 0' net.ipv4.vs.sync_qlen_max=2", *WEB)
    for port in range(4000, 4005):
        open_connection(master, port)
        arrive(master, port=port, flags="FA")
    assert (exchange(master.ipvs, backup.ipvs), master.ipvs.sync.lost > 0) == (2, True)


@pytest.mark.parametrize("text", ["60 10", "x", "1 2 3", "-1 5"])
def test_a_threshold_past_its_period_is_refused(text):
    """And the old one stays."""
    (node, _) = pair()
    with pytest.raises(ConfigError):
        node.sysctls.write("net.ipv4.vs.sync_threshold", text)
    assert node.sysctls.read("net.ipv4.vs.sync_threshold") == "3\t50"
