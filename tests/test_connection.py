"""A client and a server that speak through a network as hosts do."""

from __future__ import annotations

import pytest

from svcsim.connection import Answer, Connection, respond
from svcsim.network import Network
from svcsim.packet import Packet


def routed(server_port: int = 80) -> Network:
    """A client, a router that tracks connections, and a server behind it."""
    net = Network()
    net.add("client").node.add_interface("eth0", ["192.0.2.9/24"], ["default via 192.0.2.1"])
    router = net.add("router").node
    router.add_interface("eth0", ["192.0.2.1/24"])
    router.add_interface("eth1", ["10.244.0.1/24"])
    router.run("iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP")
    net.add("server").node.add_interface("eth0", ["10.244.0.5/24"], ["default via 10.244.0.1"])
    net.join("wan", "client:eth0", "router:eth0")
    net.join("lan", "router:eth1", "server:eth0")
    for protocol in ("tcp", "udp", "sctp"):
        net.hosts["server"].serve(protocol, server_port, respond)
    return net


def connection(net: Network, protocol: str, target: str = "10.244.0.5:80") -> Connection:
    return Connection(net, "client", protocol, "192.0.2.9:40000", target)


@pytest.mark.parametrize(
    "protocol, states",
    [
        ("tcp", ["ESTABLISHED", "ESTABLISHED", "TIME_WAIT"]),
        ("sctp", ["ESTABLISHED", "ESTABLISHED", "CLOSED"]),
        ("udp", ["", "", ""]),
    ],
)
def test_a_conversation_is_one_to_the_router_too(protocol, states):
    """Connection tracking on the way sees a handshake, data and an end; nothing is invalid."""
    net = routed()
    web = connection(net, protocol)
    seen = []
    for step in (web.open, web.request, web.close):
        step()
        seen.append(net.hosts["router"].node.run("conntrack -L").stdout)
        if protocol != "udp" or step != web.close:
            assert web.heard is Answer.ANSWERED

    assert web.backend == "server"
    for state, text in zip(states, seen, strict=True):
        assert state in text
    assert " 0 0 DROP" not in net.hosts["router"].node.run("iptables -nvL FORWARD").stdout
    assert "[0:0] -A FORWARD" in net.hosts["router"].node.run("iptables-save -c").stdout


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_port_where_nothing_listens(protocol):
    """A reset or an ICMP error is a refusal."""
    web = connection(routed(), protocol, "10.244.0.5:81")
    web.open()

    assert web.heard is Answer.REFUSED
    assert not web.backend


def test_nobody_there():
    """Who does not answer is silence, and a second try is the same packet again."""
    net = routed()
    web = connection(net, "tcp", "10.244.0.77:80")

    first, second = web.open(), web.open()

    assert web.heard is Answer.SILENCE
    assert first.hops[0].packet == second.hops[0].packet


def test_what_the_host_may_not_send_is_refused():
    """A rule in OUTPUT is heard at once."""
    net = routed()
    net.hosts["client"].node.run("iptables -A OUTPUT -p tcp -j DROP")
    web = connection(net, "tcp")
    web.open()

    assert web.heard is Answer.REFUSED


def test_a_server_does_not_answer_answers():
    """Resets, acknowledgements and handshakes of others get no answer."""
    for flags in ("R", "A", "SA", "RA"):
        assert not list(respond(Packet.tcp("192.0.2.1:1", "192.0.2.2:2", flags=flags)))
