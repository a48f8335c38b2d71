"""
One node as its kube-proxy programs it, without the pods: what it holds, and what it costs.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family
from svcsim.cluster.kube_proxy import KubeProxy
from svcsim.cluster.wiring import families_of, nodes_of
from svcsim.errors import MissingError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.objects import Objects
from svcsim.node import NEWEST_KERNEL, Node
from svcsim.tables.blob import blob_size

__all__ = ["Holdings", "holdings_of", "program_node"]


def program_node(
    objects: Objects, config: ProxyConfig, name: str = "", *, kernel: str = NEWEST_KERNEL, seed: int = 0
) -> KubeProxy:
    """The kube-proxy of the node called *name* (the first, unless given), after its first sync."""
    nodes = {node.metadata.name: node for node in nodes_of(objects)}
    name = name or next(iter(nodes))
    if name not in nodes:
        raise MissingError(f"there is no node {name!r}; there are {', '.join(nodes)}")
    host = Node(kernel=kernel, seed=seed)
    held = families_of(nodes[name])
    host.add_interface("eth0", [f"{address}/{family.bits}" for family, address in held.items()], ["default"])
    proxy = KubeProxy(host, nodes[name], config)
    proxy.learn((*objects.services, *objects.slices))
    return proxy


@attrs.frozen(kw_only=True)
class Holdings:
    """
    What a node holds: *rules* in *chains* of its own, *sets* with *entries*, virtual *servers* with *destinations*, and
    service *addresses*. *size* is the bytes of its tables and sets in the kernel; virtual servers are not in it.
    """

    rules: int
    chains: int
    sets: int
    entries: int
    servers: int
    destinations: int
    addresses: int
    size: int


def holdings_of(node: Node) -> Holdings:
    """
    What *node* holds now.

    >>> node = Node()
    >>> _ = node.run("iptables -t nat -N WEB; iptables -t nat -A WEB -j RETURN")
    >>> holdings_of(node)
    Holdings(rules=1, chains=1, sets=0, entries=0, servers=0, destinations=0, addresses=0, size=1264)
    """
    tables = [table for family in Family for table in node.rules[family].tables.values()]
    chains = [chain for table in tables for chain in table.chains.values()]
    services = list(node.ipvs.services)
    dummies = [device for device in node.devices.values() if device.kind == "dummy"]
    return Holdings(
        rules=sum(chain.length for chain in chains),
        chains=sum(not chain.builtin for chain in chains),
        sets=len(node.ipsets),
        entries=sum(len(held.entries) for held in node.ipsets),
        servers=len(services),
        destinations=sum(len(service.destinations) for service in services),
        addresses=sum(len(device.addresses) for device in dummies),
        size=sum(map(blob_size, tables)) + sum(held.memory for held in node.ipsets),
    )
