"""
On which of a node's addresses node ports are taken.

Behaviour of: kube-proxy's nodePortAddresses.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.kube.config import ProxyConfig
from svcsim.kube.state import NodeInfo
from svcsim.node import Node

__all__ = ["NodePortAddresses", "is_loopback", "node_addresses"]

_LOOPBACK = {Family.IPV4: Prefix.parse("127.0.0.0/8"), Family.IPV6: Prefix.parse("::1/128")}


def node_addresses(node: Node, family: Family, *, without: str = "") -> Iterator[int]:
    """The addresses of a node's devices, in their order, but those of the device *without*."""
    for device in node.devices.values():
        if device.name != without:
            yield from (held.address for held in device.of_family(family))


def is_loopback(address: str) -> bool:
    """
    Whether an address is one of the host to itself.

    >>> is_loopback("127.1.2.3"), is_loopback("::1"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    found = parse_address(address)
    return found.value in _LOOPBACK[found.family]


@attrs.frozen
class NodePortAddresses:
    """
    The networks of one *family* whose addresses take node ports; everything if one of them is.

    >>> config = ProxyConfig(node_port_addresses=("192.0.2.0/24", "::/0"))
    >>> chosen = NodePortAddresses.of(config, NodeInfo(name="a"), Family.IPV4)
    >>> node = Node()
    >>> _ = node.add_interface("eth0", ["192.0.2.5/24", "198.51.100.5/24"])
    >>> chosen.all, chosen.loopback, chosen.found_on(node)
    (False, False, ('192.0.2.5',))
    """

    family: Family
    networks: tuple[Prefix, ...]

    @classmethod
    def of(cls, config: ProxyConfig, node: NodeInfo, family: Family) -> NodePortAddresses:
        """What a configuration says for *family*: its networks, the node's own addresses for ``primary``, or all."""
        if config.node_port_addresses == ("primary",):
            networks = [Prefix(family, parse_address(ip).value, family.all_ones) for ip in node.ips]
        else:
            networks = [Prefix.parse(text) for text in config.node_port_addresses]
        own = tuple(each for each in networks if each.family is family)
        return cls(family, own or (Prefix(family, 0, 0),))

    @property
    def all(self) -> bool:
        """Whether every address takes them."""
        return any(each.mask == 0 for each in self.networks)

    @property
    def loopback(self) -> bool:
        """Whether a loopback address is among them."""
        loopback = _LOOPBACK[self.family]
        return any(each.value in loopback or loopback.value in each for each in self.networks)

    def found_on(self, node: Node) -> tuple[str, ...]:
        """Those of the node's addresses that are among them, canonical, each once."""
        held = node_addresses(node, self.family)
        chosen = dict.fromkeys(each for each in held if any(each in network for network in self.networks))
        return tuple(format_address(self.family, each) for each in chosen)
