"""Who is a pod, and which addresses take node ports."""

from __future__ import annotations

import pytest

from svcsim import Node
from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.detector import local_detector
from svcsim.kube.node_ports import NodePortAddresses
from svcsim.kube.state import NodeInfo

CIDRS = tuple(map(Prefix.parse, ("fd00::/64", "10.1.0.0/16", "10.2.0.0/16")))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"detect_local": "ClusterCIDR", "cluster_cidrs": CIDRS}, "-s 10.1.0.0/16"),
        ({"detect_local": "NodeCIDR"}, "-s 10.9.0.0/24"),
        ({"detect_local": "BridgeInterface", "bridge_interface": "cni0"}, "-i cni0"),
        ({"detect_local": "InterfaceNamePrefix", "interface_name_prefix": "cali"}, "-i cali+"),
        ({"detect_local": "ClusterCIDR"}, None),
        ({"detect_local": "BridgeInterface"}, None),
        ({"detect_local": "None", "cluster_cidrs": CIDRS}, None),
    ],
)
def test_detectors(config, words):
    """The first network of the family, or a device; None where there is nothing to go by."""
    node = NodeInfo(name="a", pod_cidrs=(Prefix.parse("10.9.0.0/24"),))

    found = local_detector(ProxyConfig(**config), node, Family.IPV4)

    assert (found.local if found is not None else None) == words
    assert found is None or found.not_local == f"! {words}"


def test_unknown_ways_to_tell():
    """A mode that does not exist is refused with those that do."""
    with pytest.raises(ConfigError, match=r"detectLocalMode is one of ClusterCIDR, .*, not 'Smell'"):
        ProxyConfig(detect_local="Smell")


def chosen(*words, family=Family.IPV4):
    node = Node()
    node.add_interface("eth0", ["192.0.2.10/24", "198.51.100.10/24", "2001:db8::10/64"])
    info = NodeInfo(name="a", ips=("192.0.2.10", "2001:db8::10"))
    addresses = NodePortAddresses.of(ProxyConfig(node_port_addresses=words), info, family)
    return addresses.all, addresses.loopback, addresses.found_on(node)


def test_addresses_of_node_ports():
    """All unless networks say otherwise; a network of the other family says nothing."""
    everywhere = (True, True, ("127.0.0.1", "192.0.2.10", "198.51.100.10"))

    assert chosen() == everywhere
    assert chosen("2001:db8::/32") == everywhere
    assert chosen("0.0.0.0/0", "192.0.2.0/24") == everywhere
    assert chosen("192.0.2.0/24") == (False, False, ("192.0.2.10",))
    assert chosen("127.0.0.0/8", "198.51.100.10/32") == (False, True, ("127.0.0.1", "198.51.100.10"))
    assert chosen("primary") == (False, False, ("192.0.2.10",))
    assert chosen("primary", family=Family.IPV6) == (False, False, ("2001:db8::10",))
    assert chosen("203.0.113.0/24") == (False, False, ())
