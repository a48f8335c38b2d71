"""
The wires of a cluster: nodes on a common link, pods behind their nodes, and the world outside.

Every pod has a device of its own on its node, without an address but the node's (or all share a bridge, if the proxy
tells pods by that), and reaches everything by its node. A node reaches another's pods by that node's address
(*routed*), or through a device labelled *vxlan*, with the MTU of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from svcsim.addr import Family, parse_address
from svcsim.errors import ConfigError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.front import lenient_address, node_info
from svcsim.kube.objects import Node, NodeAddress, NodeStatus, ObjectMeta, Objects, Pod
from svcsim.kube.programmer import Program, Step
from svcsim.network import Host, Network

__all__ = ["LINKS", "OUTSIDE", "Wiring", "addresses_of", "families_of", "nodes_of"]

#: How nodes reach each other's pods.
LINKS = ("routed", "vxlan")
#: The host that stands for everything outside of the cluster.
OUTSIDE = "outside"
_LAN, _OVERLAY = "lan", "overlay"
_VXLAN_MTU = 1450
_NAME_LENGTH = 15
_OWN_NETWORK = {Family.IPV4: "192.168.250.", Family.IPV6: "fd00:feed::"}


def addresses_of(pod: Pod) -> tuple[str, ...]:
    """The addresses of a pod, canonical."""
    texts = [each.ip for each in pod.status.podIPs] or [pod.status.podIP]
    found = (lenient_address(text) for text in texts if text)
    return tuple(str(each) for each in found if each is not None)


def families_of(node: Node) -> dict[Family, str]:
    """The primary address of a node for each family that it has."""
    ips = {family: node_info(node, family).ips for family in Family}
    return {family: held[0] for family, held in ips.items() if held}


def nodes_of(objects: Objects) -> tuple[Node, ...]:
    """
    The nodes that objects tell of; if they only name them, nodes with addresses of the families that pods have.

    >>> from svcsim.kube.objects import PodSpec, PodStatus
    >>> pod = Pod(metadata=ObjectMeta(name="x"), spec=PodSpec(nodeName="a"), status=PodStatus(podIP="10.0.0.1"))
    >>> [(node.metadata.name, families_of(node)) for node in nodes_of(Objects(pods=(pod,)))]
    [('a', {<Family.IPV4: 4>: '192.168.250.1'})]
    """
    if objects.nodes:
        return objects.nodes
    ends = [endpoint for piece in objects.slices for endpoint in piece.endpoints]
    names = {pod.spec.nodeName for pod in objects.pods} | {end.nodeName for end in ends}
    texts = [address for pod in objects.pods for address in addresses_of(pod)]
    texts += [address for end in ends for address in end.addresses[:1]]
    families = {found.family for found in map(lenient_address, texts) if found is not None} or {Family.IPV4}
    return tuple(
        Node(
            metadata=ObjectMeta(name=name, namespace=""), status=NodeStatus(addresses=_own_addresses(number, families))
        )
        for number, name in enumerate(sorted(name for name in names if name) or ["node-1"], 1)
    )


def _own_addresses(number: int, families: Iterable[Family]) -> tuple[NodeAddress, ...]:
    texts = (f"{_OWN_NETWORK[each]}{number if each is Family.IPV4 else f'{number:x}'}" for each in sorted(families))
    return tuple(NodeAddress(type="InternalIP", address=text) for text in texts)


def _add_host(network: Network, name: str, **options: str) -> Host:
    """Add a host whose traces can be explained in full."""
    host = network.add(name, **options)
    host.node.tells_all = True
    return host


def _run(host: Host, commands: Iterable[str]) -> None:
    Program(tuple(map(Step, commands))).apply(host.node)


def _full(address: str) -> str:
    """An address with the prefix length of a host."""
    return f"{address}/{parse_address(address).family.bits}"


@attrs.define
class Wiring:
    """Lays the links of a cluster in *network*."""

    network: Network
    config: ProxyConfig
    link: str = "routed"
    delay: float = 0.0
    _nodes: dict[str, Node] = attrs.field(factory=dict, init=False)
    _devices: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        if self.link not in LINKS:
            raise ConfigError(f"nodes are linked {' or '.join(LINKS)}, not {self.link!r}")
        _add_host(self.network, OUTSIDE).node.add_interface("eth0")
        self.network.join(_LAN, f"{OUTSIDE}:eth0", delay=self.delay)
        _run(self.network.host(OUTSIDE), (f"ip {option} route add default dev eth0" for option in ("-4", "-6")))

    def add_node(self, node: Node, kernel: str) -> Host:
        """Add a node, reachable by all that are there."""
        name, own = node.metadata.name, families_of(node)
        host = _add_host(self.network, name, kernel=kernel)
        host.node.add_interface("eth0", map(_full, own.values()))
        self.network.join(_LAN, f"{name}:eth0")
        _run(host, self._host_settings(own))
        if self.link == "vxlan":
            host.node.add_interface("vxlan0", map(_full, own.values()), mtu=_VXLAN_MTU)
            self.network.join(_OVERLAY, f"{name}:vxlan0", delay=self.delay, label="vxlan")
        for other in self._nodes.values():
            _run(host, self._way_to(node, other))
            _run(self.network.host(other.metadata.name), self._way_to(other, node))
        self._nodes[name] = node
        return host

    @staticmethod
    def _host_settings(own: dict[Family, str]) -> Iterator[str]:
        yield "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        yield "sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0"
        for family in own:
            yield f"ip -{family.value} route add default dev eth0"

    def _way_to(self, node: Node, other: Node) -> Iterator[str]:
        """The routes from *node* to the pods of *other*, where their networks are known."""
        mine = families_of(node)
        for family, address in families_of(other).items():
            if family in mine:
                for network in node_info(other, family).pod_cidrs:
                    yield f"ip route add {network} {self._by(address)}"

    def _by(self, address: str) -> str:
        device = "vxlan0" if self.link == "vxlan" else "eth0"
        return f"via {address} dev {device} onlink"

    def add_pod(self, name: str, addresses: Iterable[str], node: str) -> Host:
        """Add a pod's host behind *node*, and the routes to it that no pod network covers."""
        held = [parse_address(text) for text in addresses]
        pod, home = _add_host(self.network, name), self.network.host(node)
        gateways = families_of(self._nodes[node])
        pod.node.add_interface("eth0", (_full(str(each)) for each in held))
        device = self._device_of(home, gateways)
        self.network.join(f"{node} {device}", f"{name}:eth0", *([] if device in home.links else [f"{node}:{device}"]))
        for address in held:
            gateway = gateways.get(address.family)
            if gateway is None:
                raise ConfigError(f"pod {name} has the address {address}, but node {node} has none of that family")
            _run(pod, [f"ip route add default via {gateway} dev eth0 onlink"])
            _run(home, [f"ip route replace {_full(str(address))} dev {device}"])
            for other in self._nodes.values():
                if other.metadata.name != node and not self._covered(self._nodes[node], address.family, address.value):
                    _run(
                        self.network.host(other.metadata.name),
                        [f"ip route replace {_full(str(address))} {self._by(gateway)}"],
                    )
        return pod

    @staticmethod
    def _covered(node: Node, family: Family, address: int) -> bool:
        return any(address in network for network in node_info(node, family).pod_cidrs)

    def _device_of(self, home: Host, gateways: dict[Family, str]) -> str:
        """The node's device for a new pod: the bridge, or one more of its own."""
        bridge = self.config.bridge_interface
        prefix = self.config.interface_name_prefix or "veth"
        if not bridge:
            self._devices += 1
        name = bridge or f"{prefix}{self._devices}"
        if len(name) > _NAME_LENGTH:
            raise ConfigError(f"the name of a device is too long: {name}")
        if name not in home.node.devices:
            home.node.add_interface(name, map(_full, gateways.values()))
            _run(home, [f"sysctl -qw net.ipv4.conf.{name}.send_redirects=0"])
        return name

    def add_client(self, address: str) -> None:
        """Let the world outside have *address*."""
        outside = self.network.host(OUTSIDE).node
        found = parse_address(address)
        if all(held.address != found.value for held in outside.devices["eth0"].of_family(found.family)):
            _run(self.network.host(OUTSIDE), [f"ip addr add {_full(str(found))} dev eth0"])

    def lead(self, address: str, node: str) -> None:
        """Let what goes to *address* from outside go to *node*, as an external load balancer or a route would."""
        found = parse_address(address)
        gateway = families_of(self._nodes[node]).get(found.family)
        if gateway is None:
            raise ConfigError(f"node {node} has no address of the family of {address}")
        _run(self.network.host(OUTSIDE), [f"ip route replace {_full(str(found))} via {gateway} dev eth0 onlink"])
