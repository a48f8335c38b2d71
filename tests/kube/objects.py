"""What the tests of proxy modes are made of: small states, and clusters drawn from a seed."""

from __future__ import annotations

import random
from typing import Any

from corpus.clusters import Cluster, Net, draw_cluster
from svcsim.addr import Family, Prefix
from svcsim.kube.config import ProxyConfig
from svcsim.kube.state import EndpointInfo, NodeInfo, ProxyState, ServedPort, ServicePortInfo, ServicePortName
from svcsim.node import Node

__all__ = ["NETS", "draw", "host", "pods", "port", "state"]

#: Other addresses than the recorded corpus has.
NETS = (
    Net("192.0.2.10", "10.128.3.", "10.200.0.", ("198.51.100.", "203.0.113."), "10.128.0.0/14"),
    Net("2001:db8:7::a", "fd80::3:", "fd90::", ("2001:db8:8::", "2001:db8:9::"), "fd80::/64", six=True),
)


def host(net: Net = NETS[0], **options: Any) -> Node:
    """A node with the address of *net*."""
    node = Node(**options)
    node.add_interface("eth0", [f"{net.node}/{64 if net.six else 24}"])
    node.add_interface("pods", [f"{net.address(net.pod, 1)}/{64 if net.six else 24}"])
    return node


def draw(seed: int, mode: str, *, six: bool = False) -> tuple[random.Random, Cluster]:
    """A random cluster for a *mode*, and what else is drawn."""
    rng = random.Random(seed)
    return rng, draw_cluster(rng, NETS[six], mode)


def pods(*numbers: int, **fields: Any) -> tuple[EndpointInfo, ...]:
    """Endpoints by their last numbers, in kube-proxy's order."""
    made = [EndpointInfo(address=f"10.128.3.{number}", port=8080, **fields) for number in numbers]
    return tuple(sorted(made, key=str))


def port(name: str = "web", endpoints: tuple[EndpointInfo, ...] = (), **fields: Any) -> ServedPort:
    """A service port with its endpoints."""
    protocol = fields.pop("protocol", "TCP")
    given = {"cluster_ip": "10.200.0.9", "port": 80} | fields
    return ServedPort(ServicePortInfo(name=ServicePortName("shop", name, "http", protocol), **given), endpoints)


def state(
    *ports: ServedPort, mode: str = "iptables", labels: tuple[tuple[str, str], ...] = (), **config: Any
) -> ProxyState:
    """What a proxy serves."""
    settings = {"cluster_cidrs": (Prefix.parse("10.128.0.0/14"),)} | config
    return ProxyState(
        family=Family.IPV4,
        node=NodeInfo(name="node-a", ips=("192.0.2.10",), labels=labels),
        config=ProxyConfig(mode=mode, **settings),
        ports=ports,
    )
