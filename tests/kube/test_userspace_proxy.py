"""The userspace mode's process: it dials in turn, tries again, passes on both ways, and ends both when one ends."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from kube.userspace_world import CLIENT, World, info
from svcsim.addr import format_address
from svcsim.clock import SECOND
from svcsim.connection import Answer
from svcsim.network import Journey
from svcsim.packet import Packet, Tcp, TcpFlags

DNAT = """*nat
-A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.0.10:8080
-A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.244.0.11:8080
-A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -j DNAT --to-destination 10.244.0.12:8080
COMMIT
"""


def said(world: World, pod: str, journeys: list[Journey]) -> bytes:
    """What *pod* heard of payload in *journeys*."""
    return b"".join(p.payload for j in journeys for at, p in j.delivered() if at == pod)


def test_a_stuck_pod_costs_a_third_by_dnat_and_a_quarter_second_here() -> None:
    """One pod of three says nothing: DNAT leaves a third of the connections hanging, the process serves them all."""
    by_dnat = World(stuck=(1,))
    done = by_dnat.node.node.run(f"iptables-restore <<'EOF'\n{DNAT}EOF")
    assert done.returncode == 0, done.stderr
    hanging = 0
    for _ in range(150):
        web = by_dnat.call()
        web.open()
        web.wait(10)
        web.request()
        hanging += web.heard is not Answer.ANSWERED
    assert 30 <= hanging <= 70

    world = World(stuck=(1,))
    world.serve(info())
    waited: Counter[float] = Counter()
    for _ in range(60):
        web = world.call()
        web.open()
        assert web.heard is Answer.ANSWERED
        begun = world.net.clock.now
        web.request(b"GET /")
        while world.statistics.bytes < 10 * world.calls:  # five bytes there and five back for each
            web.wait(0.25)
        waited[(world.net.clock.now - begun) / SECOND] += 1
        web.close()
    assert waited.keys() == {0.0, 0.25}
    assert 29 <= waited[0.25] == world.statistics.retries <= 31
    assert world.statistics.given_up == 0


def test_every_pod_sees_the_node() -> None:
    """Three calls reach three pods, each from the node's own address."""
    world = World()
    world.serve(info())
    reached = set()
    for _ in range(3):
        web = world.call()
        web.open()
        assert web.seen is not None
        assert format_address(web.seen.family, web.seen.src) == "10.244.0.1"
        reached.add(web.backend)
    assert reached == {"pod0", "pod1", "pod2"}


@settings(max_examples=25)
@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6), st.booleans())
def test_what_is_said_arrives_in_its_order(words: list[bytes], late: bool) -> None:
    """A pod hears all words as they were said, even those said while a stuck pod was tried in vain."""
    world = World(pods=2, stuck=(0,) if late else ())
    world.serve(info())
    web = world.call()
    journeys = [web.open()]
    journeys += [web.request(word) for word in words]
    journeys.append(web.wait(1))
    heard = [said(world, pod, list(journeys)) for pod in ("pod0", "pod1")]
    assert b"".join(words) in heard
    back = b"".join(p.payload for j in journeys for at, p in j.delivered() if at == "client")
    assert back == b"".join(words)
    assert world.statistics.bytes == 2 * sum(map(len, words))


def test_four_dials_and_no_more() -> None:
    """With nobody to answer there are dials at 0, 250 and 750 ms and 1.75 s, and the client is let go after 3.75 s."""
    world = World(pods=1, stuck=(0,))
    world.serve(info())
    web = world.call()
    web.open()
    journey = web.wait(3.7)
    dials = [hop.at for hop in journey.hops if hop.host == "pod0"]
    assert [round(at / 1e6) for at in dials] == [250, 750, 1750]
    assert (world.statistics.dials, world.statistics.retries, world.statistics.given_up) == (4, 3, 0)
    ended = web.wait(0.1)
    assert world.statistics.given_up == 1
    assert ends(ended, "client") == 1


def ends(journey: Journey, host: str) -> int:
    """How many ends of a connection *host* heard of."""
    return sum(
        isinstance(p.header, Tcp) and bool(p.header.flags & TcpFlags.FIN) for at, p in journey.delivered() if at == host
    )


def test_a_refusal_is_followed_by_the_next_dial_at_once() -> None:
    """A pod that answers by a reset costs a dial and no time."""
    world = World(pods=2)
    world.net.host("pod0").leave("tcp", 8080)
    world.serve(info())
    for _ in range(4):
        web = world.call()
        web.open()
        web.request(b"hello")
        assert web.heard is Answer.ANSWERED
    assert world.net.clock.now == 0
    assert (world.statistics.accepted, world.statistics.given_up) == (4, 0)
    assert world.statistics.retries in (3, 4)  # the order of the two is drawn


def test_without_endpoints_the_client_is_let_go() -> None:
    """A service port without endpoints accepts, and closes."""
    world = World(pods=0)
    world.serve(info())
    journey = world.call().open()
    assert ends(journey, "client") == 1
    assert (world.statistics.accepted, world.statistics.dials, world.statistics.given_up) == (1, 0, 1)


def test_both_end_when_the_client_ends() -> None:
    """The client's end ends the pod's connection too, and no port stays behind."""
    world = World(pods=1)
    world.serve(info())
    held = dict(world.node.applications)
    web = world.call()
    web.open()
    web.request()
    assert len(world.node.applications) == len(held) + 1
    journey = web.close()
    assert ends(journey, "pod0") == 1
    assert ends(journey, "client") == 1
    assert world.node.applications == held


def test_a_failed_dial_forgets_the_client() -> None:
    """With affinity the first call to a stuck pod moves on, and the next one of that client goes where it was served."""
    world = World(pods=2, stuck=(0,))
    world.serve(info(affinity_seconds=100))
    for _ in range(4):
        web = world.call()
        web.open()
        web.wait(0.25)
        web.request()
        assert web.heard is Answer.ANSWERED
    assert world.statistics.retries <= 1
    assert world.process.choose(info().name, CLIENT) == "10.244.0.11:8080"


def test_a_second_syn_is_the_same_connection() -> None:
    """A client that repeats its first segment is accepted once, and nothing is left of it in the end."""
    world = World(pods=1)
    world.serve(info())
    held = dict(world.node.applications)
    web = world.call()
    syn = Packet.tcp(web.source, web.target, flags="S", seq=1000)
    world.net.send("client", syn)
    web.open()
    web.request()
    assert web.heard is Answer.ANSWERED
    assert world.statistics.accepted == world.statistics.dials == 1
    web.close()
    assert world.node.applications == held


def test_a_port_used_anew_leaves_nothing_of_its_old_connection() -> None:
    """A new connection of the same client's port ends what was there before."""
    world = World(pods=1, stuck=(0,))
    world.serve(info())
    held = dict(world.node.applications)
    for _ in range(3):
        world.call(port=40000).open()
    assert len(world.node.applications) == len(held) + 1
    world.net.advance(10)
    assert world.node.applications == held


def test_a_taken_over_port_changes_its_protocol() -> None:
    """A service port that gets the port of one that is gone is served as what it is."""
    world = World(pods=1)
    world.serve(info())
    world.serve(info("dns", "UDP", "10.96.0.53", 53))
    dns = world.call("udp", "10.96.0.53:53")
    dns.open()
    assert dns.heard is Answer.ANSWERED
    assert world.statistics.dials == 1


# -- UDP --------------------------------------------------------------------------------------------------------------


def test_udp_sessions_last_while_somebody_talks() -> None:
    """A session keeps its pod for 250 ms after each datagram; after that the next pod has its turn."""
    world = World()
    world.serve(info("dns", "UDP"))
    dns = world.call("udp")
    dns.open()
    first = dns.backend
    for _ in range(4):
        world.net.advance(0.249)
        dns.open()
        assert (dns.backend, dns.heard) == (first, Answer.ANSWERED)
    held = len(world.node.applications)
    world.net.advance(0.25)
    assert len(world.node.applications) == held - 1
    dns.open()
    assert dns.backend != first
    assert world.statistics.accepted == 2


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(1, 20))
def test_udp_clients_take_turns(pods: int, clients: int) -> None:
    """Each client port is a session of its own, and no pod has more than one client more than another."""
    world = World(pods=pods)
    world.serve(info("dns", "UDP"))
    reached: Counter[str] = Counter({f"pod{number}": 0 for number in range(pods)})
    for _ in range(clients):
        dns = world.call("udp")
        dns.open()
        reached[dns.backend] += 1
    assert max(reached.values()) - min(reached.values()) <= 1
    assert sum(reached.values()) == clients


def test_udp_without_endpoints_is_dropped() -> None:
    """A datagram for a service port without endpoints is read and forgotten."""
    world = World(pods=0)
    world.serve(info("dns", "UDP"))
    dns = world.call("udp")
    dns.open()
    assert dns.heard is Answer.SILENCE
    assert world.statistics.given_up == 1


def test_a_datagram_is_read_into_4096_bytes() -> None:
    """What is longer is cut, as the process's buffer is no longer."""
    world = World(pods=1)
    for name in ("client", "node"):
        world.net.host(name).node.run("ip link set eth0 mtu 9000")
    world.net.host("node").node.run("ip link set cbr0 mtu 9000")
    world.serve(info("dns", "UDP"))
    dns = world.call("udp")
    journey = dns.request(bytes(5000))
    assert [len(p.payload) for at, p in journey.delivered() if at == "pod0"] == [4096]


def test_crossings_are_counted() -> None:
    """A datagram and its answer cross four times: read, written, read, written."""
    world = World(pods=1)
    world.serve(info("dns", "UDP"))
    world.call("udp").open()
    assert world.statistics.crossings == 4
