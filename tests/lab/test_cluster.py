"""Nodes ready for packets, and the bundled example: loaded from real dumps, it prints them and acts as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcsim import Packet
from svcsim.addr import format_address
from svcsim.conformance.compare import compare
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import read_corpus
from svcsim.errors import ConfigError
from svcsim.lab.cluster import MODES, command, example_node, example_text, iptables_node, ipvs_node
from svcsim.lab.workload import Portal, make_portals, ruleset

RECORDED = Path(__file__).parent.parent / "recorded" / "example-cluster.jsonl.gz"
#: What the README beside the dumps says; kube-proxy's order, by name.
PORTALS = [
    Portal("kube-system/dns:dns", "udp", "10.96.0.10", 53, ("10.244.1.53:53", "10.244.2.53:53")),
    Portal("kube-system/dns:dns-tcp", "tcp", "10.96.0.10", 53, ("10.244.1.53:53", "10.244.2.53:53")),
    Portal("ops/metrics:scrape", "tcp", "10.96.5.90", 9090, ("10.244.1.41:9090", "10.244.2.41:9090")),
    Portal("shop/cart:http", "tcp", "10.96.14.20", 80, ("10.244.1.11:8080", "10.244.2.11:8080")),
    Portal("shop/pay:https", "tcp", "10.96.71.5", 443, ()),
    Portal(
        "shop/search:grpc",
        "tcp",
        "10.96.33.7",
        9000,
        ("10.244.1.21:9000", "10.244.1.22:9000", "10.244.2.21:9000", "10.244.2.22:9000"),
    ),
    Portal(
        "shop/web:http", "tcp", "10.96.200.80", 80, ("10.244.1.31:8080", "10.244.2.31:8080", "10.244.2.32:8080"), 30080
    ),
]


def rules_of(text: str) -> dict[str, list[str]]:
    """The lines of each table of a dump, without those that say when."""
    tables: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            name = line
        elif line and not line.startswith("#"):
            tables.setdefault(name, []).append(line)
    return tables


def reached(node, packet, device="cni0") -> list[str]:
    """Where a packet's copies went."""
    return [f"{format_address(4, s.packet.dst)}:{s.packet.dport}" for s in node.receive(packet, device).sent]


@pytest.mark.parametrize("mode, dump", [("iptables", "iptables-save.txt"), ("ipvs", "ipvs-iptables-save.txt")])
def test_the_rules_come_out_as_they_went_in(mode, dump):
    """iptables-save prints the real dump again, line for line."""
    saved = rules_of(command(example_node(mode), "iptables-legacy-save"))
    recorded = rules_of(example_text(dump))

    assert {name: saved[name] for name in recorded} == recorded


def test_the_virtual_servers_come_out_as_they_went_in():
    """ipvsadm -Sn prints the real dump again, line for line."""
    assert command(example_node("ipvs"), "ipvsadm", "-Sn") == example_text("ipvsadm-save.txt")


def test_the_sets_come_out_as_they_went_in():
    """ipset save prints the real dump again; members have no order, and the seed of a hash is chance."""

    def lines(text: str) -> list[str]:
        return sorted(line.partition(" initval")[0].partition(" bucketsize")[0] for line in text.splitlines())

    assert lines(command(example_node("ipvs"), "ipset", "save")) == lines(example_text("ipvs-ipset-save.txt"))


def test_the_dump_is_what_the_generator_writes():
    """The generator's text for these services, loaded and saved, is what the real kernel saved of it."""
    node = iptables_node(PORTALS)

    assert rules_of(command(node, "iptables-legacy-save")) == rules_of(example_text("iptables-save.txt"))
    assert ruleset(PORTALS).count("\n-A ") == example_text("iptables-save.txt").count("\n-A ")


@pytest.mark.parametrize("mode", MODES)
def test_every_service_is_served(mode):
    """A pod's connection to a cluster IP reaches each of the service's endpoints, and nothing else."""
    node = example_node(mode)
    for portal in PORTALS:
        if not portal.endpoints:
            continue
        make = Packet.udp if portal.proto == "udp" else Packet.tcp
        seen = {
            endpoint
            for number in range(60)
            for endpoint in reached(node, make(f"10.244.1.7:{30_000 + number}", f"{portal.address}:{portal.port}"))
        }

        assert seen == set(portal.endpoints)


@pytest.mark.parametrize("mode", MODES)
def test_without_endpoints_the_client_is_told(mode):
    """A service without endpoints is answered by port unreachable, in either mode."""
    (sent,) = example_node(mode).receive(Packet.tcp("10.244.1.7:40000", "10.96.71.5:443"), "cni0").sent

    assert (sent.device, sent.packet.header.type, sent.packet.header.code) == ("cni0", 3, 3)


@pytest.mark.parametrize("mode", MODES)
def test_a_node_port_is_masqueraded(mode):
    """A stranger who asks for a node port reaches an endpoint in the node's name, and the answer finds the way back."""
    node = example_node(mode)
    for number in range(12):
        ask = Packet.tcp(f"203.0.113.9:{40_000 + number}", "192.0.2.10:30080")
        (sent,) = node.receive(ask, "eth0").sent
        out = sent.packet

        assert f"{format_address(4, out.dst)}:{out.dport}" in PORTALS[-1].endpoints
        assert format_address(4, out.src) in ("10.244.1.1" if sent.device == "cni0" else "192.0.2.10")

        answer = Packet.tcp(
            f"{format_address(4, out.dst)}:{out.dport}", f"{format_address(4, out.src)}:{out.sport}", flags="SA", ack=1
        )
        (back,) = node.receive(answer, sent.device).sent

        assert str(back.packet).startswith(f"TCP 192.0.2.10:30080 > 203.0.113.9:{40_000 + number} [SA]")


@pytest.mark.parametrize("make", [iptables_node, ipvs_node])
def test_made_up_clusters_serve(make):
    """In either mode a made-up cluster answers for each of its services with one of that service's endpoints."""
    portals = make_portals(20, seed=5)
    node = make(portals)
    for portal in portals:
        (endpoint,) = reached(node, Packet.tcp("10.244.1.7:40000", f"{portal.address}:{portal.port}"))

        assert endpoint in portal.endpoints


def test_an_unknown_mode_is_refused():
    """There are dumps of two modes."""
    with pytest.raises(ConfigError, match="no dump of the mode 'nftables'"):
        example_node("nftables")


def test_a_failing_command_is_an_error():
    """What a tool refuses while a node is built is not passed over."""
    with pytest.raises(ConfigError, match="ipvsadm -D"):
        command(example_node("ipvs"), "ipvsadm", "-D", "-t", "192.0.2.1:1")


@pytest.mark.parametrize("recorded", list(read_corpus(RECORDED)), ids=lambda recorded: recorded.scenario.name)
def test_the_example_does_what_a_kernel_did(recorded):
    """A kernel with these dumps was sent connections: its packets, counters and tables are the emulator's."""
    mode = recorded.scenario.name.removeprefix("example-cluster-")
    dump = {"iptables": "iptables-save.txt", "ipvs": "ipvsadm-save.txt"}[mode]

    assert any(example_text(dump) in line for line in recorded.scenario.setup)
    assert compare(recorded.result, run_scenario(recorded.scenario)) is None
