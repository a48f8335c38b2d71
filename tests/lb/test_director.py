"""A packet's way through the director: requests, replies, what is not its own."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lb.directors import CLIENT, VIP, arrive, counters, director, run
from svcsim.packet import Packet, Proto

WEB = ("-A -t 10.96.0.10:80 -s rr", "-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m")


def test_a_request_goes_to_its_destination_and_the_answer_comes_back_from_the_service():
    """Masquerading rewrites both ways, and each way takes one hop."""
    node = director(*WEB)

    (there,) = arrive(node).sent
    assert str(there.packet) == f"TCP {CLIENT}:4000 > 10.244.0.5:8080 [S] seq 1, length 40, ttl 63"
    (back,) = node.receive(Packet.tcp("10.244.0.5:8080", f"{CLIENT}:4000", flags="SA"), "pod0").sent
    assert str(back.packet) == f"TCP {VIP}:80 > {CLIENT}:4000 [SA] seq 0 ack 0, length 40, ttl 63"


@pytest.mark.parametrize(("flags", "why"), [("A", "is no beginning"), ("R", "is an end"), ("RS", "is an end")])
def test_only_a_syn_opens_a_connection(flags, why):
    """Anything else to a service goes on to the local stack, which resets it."""
    node = director(*WEB)
    arrive(node, flags=flags)
    assert len(node.ipvs.conns) == 0, why


def test_sloppy_tcp_opens_by_any_segment_but_a_reset():
    """sloppy_tcp takes up a connection in its middle."""
    node = director(*WEB, "sysctl -qw net.ipv4.vs.sloppy_tcp=1")
    arrive(node, flags="R")
    assert len(node.ipvs.conns) == 0
    arrive(node, flags="A")
    assert [conn.state_name for conn in node.ipvs.conns] == ["ESTABLISHED"]


def test_ftp_data_is_never_scheduled():
    """A client's source port 20 means an active FTP server that connects out; it goes to the local stack."""
    node = director(*WEB)
    arrive(node, port=20)
    assert len(node.ipvs.conns) == 0


def test_ftp_behind_masquerading_tracks_connections():
    """From the first masqueraded destination of port 21 on, as long as the service is there."""
    node = director("-A -t 10.96.0.10:21 -s rr", "-a -t 10.96.0.10:21 -r 10.244.0.5:21 -g")
    family = next(iter(node.tracking))
    assert not node.tracking[family].enabled
    run(node, "ipvsadm -e -t 10.96.0.10:21 -r 10.244.0.5:21 -m", "ipvsadm -e -t 10.96.0.10:21 -r 10.244.0.5:21 -m")
    assert node.tracking[family].enabled
    run(node, "ipvsadm -D -t 10.96.0.10:21")
    assert not node.tracking[family].enabled


def test_without_a_destination_the_client_is_told():
    """Port unreachable, for TCP too, and no connection is left."""
    node = director("-A -t 10.96.0.10:80 -s rr")
    (told,) = arrive(node).sent
    assert (told.packet.header.type, told.packet.header.code) == (3, 3)
    assert len(node.ipvs.conns) == 0


def test_a_destination_that_is_gone_gets_nothing_more():
    """Its connections stay and their packets are dropped, unless expire_nodest_conn ends them."""
    node = director(*WEB)
    arrive(node)
    run(node, "ipvsadm -d -t 10.96.0.10:80 -r 10.244.0.5:8080")
    assert arrive(node, flags="A").sent == []
    assert len(node.ipvs.conns) == 1

    run(node, "sysctl -qw net.ipv4.vs.expire_nodest_conn=1", "ipvsadm -a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m")
    assert arrive(node).sent[0].packet.dst & 0xFF == 6


def test_a_destination_comes_back_from_the_trash_with_its_connections():
    """Added again in time it serves those that it had, and its counters go on."""
    node = director(*WEB)
    arrive(node)
    run(node, "ipvsadm -d -t 10.96.0.10:80 -r 10.244.0.5:8080", "ipvsadm -a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m")
    assert len(arrive(node, flags="A").sent) == 1
    assert counters(node) == [(1, 0, 0)]


def test_the_trash_is_emptied():
    """A destination that nothing refers to is forgotten after its time, and starts anew."""
    node = director(*WEB, "-d -t 10.96.0.10:80 -r 10.244.0.5:8080")
    assert node.ipvs._trash
    node.advance(241)
    assert not node.ipvs._trash


@pytest.mark.parametrize(("mode", "replaced"), [(0, False), (1, True), (2, True), (3, True)])
def test_a_closed_connections_port_comes_again(mode, replaced):
    """conn_reuse_mode schedules the new connection anew; without it the old one is taken up."""
    node = director(*WEB, "-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m", f"sysctl -qw net.ipv4.vs.conn_reuse_mode={mode}")
    first = arrive(node).sent[0].packet.dst
    arrive(node, flags="A")
    arrive(node, flags="R")
    again = arrive(node).sent[0].packet.dst
    assert (again != first) is replaced


@pytest.mark.parametrize("proto", [50, 51])
def test_ipsec_follows_its_key_exchange(proto):
    """ESP and AH go where the UDP connection of port 500 goes."""
    node = director("-A -u 10.96.0.10:500 -s rr", "-a -u 10.96.0.10:500 -r 10.244.0.5:500 -g")
    assert node.receive(Packet.opaque(CLIENT, VIP, proto, bytes(24)), "cli0").sent[:1] != []
    node.receive(Packet.udp(f"{CLIENT}:500", f"{VIP}:500"), "cli0")
    (sent,) = node.receive(Packet.opaque(CLIENT, VIP, proto, bytes(24)), "cli0").sent
    assert (sent.device, sent.packet.proto) == ("pod0", proto)


@pytest.mark.parametrize("scheduler", ["rr", "lc", "sh"])
def test_one_packet_scheduling_leaves_nothing_behind(scheduler):
    """Every datagram is a connection of its own that ends with it."""
    node = director(f"-A -u 10.96.0.10:53 -s {scheduler} -o", "-a -u 10.96.0.10:53 -r 10.244.0.5:53 -m")
    for _ in range(3):
        node.receive(Packet.udp(f"{CLIENT}:4000", f"{VIP}:53"), "cli0")
    (service,) = node.ipvs.services
    assert (service.stats.conns, len(node.ipvs.conns)) == (3, 0)
    assert (service.destinations[0].active, service.destinations[0].inactive) == (0, 0)


def test_a_local_client_is_served_too():
    """What a process of the host sends to a service is scheduled in LOCAL_OUT."""
    node = director(*WEB)
    (sent,) = node.send(Packet.tcp("192.0.2.1:5000", f"{VIP}:80")).sent
    assert (sent.device, sent.packet.dport) == ("pod0", 8080)


class Churn(RuleBasedStateMachine):
    """Connections, destinations and time, in any order."""

    def __init__(self):
        super().__init__()
        self.node = director("-A -t 10.96.0.10:80 -s rr -p 20", "--set 10 5 5")
        for pod in (5, 6, 7):
            run(self.node, f"ipvsadm -a -t 10.96.0.10:80 -r 10.244.0.{pod}:8080 -m -x 3")

    @rule(port=st.integers(4000, 4004), client=st.integers(9, 11), flags=st.sampled_from(["S", "A", "FA", "R"]))
    def request(self, port, client, flags):
        free = {
            d.address
            for service in self.node.ipvs.services
            for d in service.destinations
            if d.weight and not d.overloaded
        }
        held = {conn.daddr for conn in self.node.ipvs.conns if conn.caddr & 0xFF == client}
        before = {conn.serial for conn in self.node.ipvs.conns}
        arrive(self.node, port=port, client=f"192.0.2.{client}", flags=flags)
        for conn in self.node.ipvs.conns:  # whoever came new went where there was room, or where its template led
            assert conn.serial in before or conn.daddr in free | held

    @rule(pod=st.integers(5, 7), weight=st.integers(0, 2))
    def edit(self, pod, weight):
        self.node.run(f"ipvsadm -e -t 10.96.0.10:80 -r 10.244.0.{pod}:8080 -m -w {weight} -x 3")

    @rule(pod=st.integers(5, 7), verb=st.sampled_from(["-a", "-d"]))
    def come_and_go(self, pod, verb):
        self.node.run(f"ipvsadm {verb} -t 10.96.0.10:80 -r 10.244.0.{pod}:8080" + " -m -x 3" * (verb == "-a"))

    @rule(seconds=st.sampled_from([0.5, 5, 30]))
    def wait(self, seconds):
        self.node.advance(seconds)

    @invariant()
    def counters_are_the_table(self):
        shown = [(d.active, d.inactive, d.persistent) for s in self.node.ipvs.services for d in s.destinations]
        assert shown == counters(self.node)

    @invariant()
    def dependants_are_there(self):
        conns = set(self.node.ipvs.conns)
        for conn in conns:
            assert conn.control is None or conn.control in conns
            assert not conn.dependants or conn.dependants <= conns

    def teardown(self):
        """In the end nothing is left: no connection, no destination in the trash."""
        self.node.run("ipvsadm -C")
        self.node.advance(2000)
        assert len(self.node.ipvs.conns) == 0
        assert not self.node.ipvs._trash


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)


def test_an_unmodelled_protocol_passes():
    """What has no connections is none of the director's business."""
    node = director(*WEB)
    assert node.receive(Packet.opaque(CLIENT, VIP, int(Proto.GRE) if hasattr(Proto, "GRE") else 47), "cli0").sent
    assert len(node.ipvs.conns) == 0
