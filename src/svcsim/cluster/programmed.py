"""
One node as its kube-proxy programs it, without the pods: what it holds, and what it costs.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family
from svcsim.cluster.kube_proxy import KubeProxy
from svcsim.cluster.wiring import families_of, nodes_of
from svcsim.errors import MissingError, UnsupportedError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.front import node_info, proxy_state
from svcsim.kube.kernelspace import KernelspaceProgrammer
from svcsim.kube.objects import Node as NodeObject
from svcsim.kube.objects import Objects
from svcsim.kube.programmer import Program, Step
from svcsim.kube.windows import WindowsNode
from svcsim.lb.hns import Hns
from svcsim.node import NEWEST_KERNEL, Node
from svcsim.tables.blob import blob_size

__all__ = ["Holdings", "holdings_of", "program_node", "program_windows"]


def program_node(
    objects: Objects, config: ProxyConfig, name: str = "", *, kernel: str = NEWEST_KERNEL, seed: int = 0
) -> KubeProxy:
    """The kube-proxy of the node called *name* (the first, unless given), after its first sync."""
    nodes, name = _nodes(objects, name)
    if config.mode == "kernelspace":
        raise UnsupportedError("a node of the kernelspace mode in Linux", instead="program_windows")
    host = Node(kernel=kernel, seed=seed)
    held = families_of(nodes[name])
    host.add_interface("eth0", [f"{address}/{family.bits}" for family, address in held.items()], ["default"])
    proxy = KubeProxy(host, nodes[name], config)
    proxy.learn((*objects.services, *objects.slices))
    return proxy


def _nodes(objects: Objects, name: str) -> tuple[dict[str, NodeObject], str]:
    """The nodes by their names, and the name that is meant."""
    nodes = {node.metadata.name: node for node in nodes_of(objects)}
    name = name or next(iter(nodes))
    if name not in nodes:
        raise MissingError(f"there is no node {name!r}; there are {', '.join(nodes)}")
    return nodes, name


def program_windows(objects: Objects, config: ProxyConfig, name: str = "") -> tuple[WindowsNode, Program]:
    """
    A Windows node after its kube-proxy's first sync, and what that was; *name* as for `program_node`.

    The pods that EndpointSlices place on the node are those that its CNI has made.
    """
    nodes, name = _nodes(objects, name)
    ends = [end for piece in objects.slices for end in piece.endpoints if end.nodeName == name and end.addresses]
    pods = {f"cni-{end.addresses[0]}": end.addresses[0] for end in ends}
    subnets = {
        network: address
        for other in nodes.values()
        if other.metadata.name != name
        for family, address in families_of(other).items()
        for network in node_info(other, family).pod_cidrs
    }
    kind = "Overlay" if config.winkernel.source_vip else "L2Bridge"
    hns = Hns(type=kind, addresses=families_of(nodes[name]).values(), subnets=subnets)
    windows = WindowsNode(hns, pods=pods)
    steps: list[Step] = []
    notes: list[str] = []
    for family in families_of(nodes[name]):
        info = node_info(nodes[name], family)
        state = proxy_state(family, info, objects.services, objects.slices, config)
        program = KernelspaceProgrammer().sync(state, windows)
        program.apply(windows)
        steps += program.steps
        notes += program.notes
    return windows, Program(tuple(steps), tuple(notes))


@attrs.frozen(kw_only=True)
class Holdings:
    """
    What a node holds: *rules* in *chains* of its own, *sets* with *entries*, virtual *servers* (load balancers) with
    *destinations* (endpoints), and service *addresses*. *size* is the bytes of its tables and sets in the kernel; virtual servers are not in it.
    """

    rules: int = 0
    chains: int = 0
    sets: int = 0
    entries: int = 0
    servers: int = 0
    destinations: int = 0
    addresses: int = 0
    size: int = 0


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
