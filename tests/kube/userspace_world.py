"""A client, a node with the userspace mode, and pods, on one segment each."""

from __future__ import annotations

from collections.abc import Iterator

from svcsim.addr import Family
from svcsim.connection import Connection, respond
from svcsim.kube.config import ProxyConfig
from svcsim.kube.state import EndpointInfo, NodeInfo, ProxyState, ServedPort, ServicePortInfo, ServicePortName
from svcsim.kube.userspace import UserspaceProgrammer
from svcsim.kube.userspace_proxy import ProxyStatistics, UserspaceProxy
from svcsim.network import Application, Network
from svcsim.packet import Packet

VIP, NODE, CLIENT = "10.96.0.10", "192.0.2.1", "192.0.2.9"


def info(name: str = "web", protocol: str = "TCP", vip: str = VIP, port: int = 80, **more: object) -> ServicePortInfo:
    """What a Service says of its only port."""
    made = ServicePortInfo(name=ServicePortName("default", name, "", protocol), cluster_ip=vip, port=port)
    return ServicePortInfo(**{**{a: getattr(made, a) for a in ("name", "cluster_ip", "port")}, **more})  # type: ignore[arg-type]


def state(*ports: ServedPort) -> ProxyState:
    """All that the proxy has to serve."""
    config = ProxyConfig(mode="userspace")
    return ProxyState(family=Family.IPV4, node=NodeInfo(name="node", ips=(NODE,)), config=config, ports=ports)


def silent(packet: Packet) -> Iterator[Packet]:
    """An application that is stuck."""
    return iter(())


class World:
    """The network, with so many pods of 10.244.0.0/24 behind the node; *stuck* ones take packets and say nothing."""

    def __init__(self, pods: int = 3, *, stuck: tuple[int, ...] = (), seed: int = 1, port: int = 8080) -> None:
        self.net = net = Network(seed=seed)
        self.node = net.add("node")
        self.node.node.add_interface("eth0", [f"{NODE}/24"])
        client = net.add("client")
        client.node.add_interface("eth0", [f"{CLIENT}/24"])
        client.node.run(f"ip route add default via {NODE}")
        net.join("lan", "node:eth0", "client:eth0")
        self.node.node.add_interface("cbr0", ["10.244.0.1/24"])
        self.node.node.run("sysctl -qw net.ipv4.ip_forward=1")
        ends = ["node:cbr0"]
        for number in range(pods):
            pod = net.add(f"pod{number}")
            pod.node.add_interface("eth0", [f"10.244.0.{10 + number}/24"])
            pod.node.run("ip route add default via 10.244.0.1")
            application: Application = silent if number in stuck else respond
            for protocol in ("tcp", "udp"):
                pod.serve(protocol, port, application)
            ends.append(f"pod{number}:eth0")
        net.join("pods", *ends)
        self.endpoints = tuple(EndpointInfo(address=f"10.244.0.{10 + number}", port=port) for number in range(pods))
        self.programmer = UserspaceProgrammer()
        self.programmer.start(net, self.node)
        self.calls = 0

    @property
    def process(self) -> UserspaceProxy:
        assert self.programmer.process is not None
        return self.programmer.process

    @property
    def statistics(self) -> ProxyStatistics:
        return self.process.statistics

    def serve(self, *infos: ServicePortInfo, endpoints: tuple[EndpointInfo, ...] | None = None) -> None:
        """Let every one of *infos* be served by the pods, or by *endpoints*."""
        by = self.endpoints if endpoints is None else endpoints
        self.programmer.sync(state(*(ServedPort(each, by) for each in infos)), self.node.node).apply(self.node.node)

    def call(self, protocol: str = "tcp", target: str = f"{VIP}:80", *, port: int = 0) -> Connection:
        """A new client's connection, not opened yet."""
        self.calls += 1
        return Connection(self.net, "client", protocol, f"{CLIENT}:{port or 40000 + self.calls}", target)
