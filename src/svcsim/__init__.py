"""
svcsim: the Linux service dataplane in memory.

A `Node` takes the commands that administrators type and the packets that arrive, and answers as a real host would:
netfilter hooks, iptables chains, connection tracking and NAT, IPVS with its schedulers, and why. A `Cluster` is many of
them, programmed by kube-proxies.
"""

from typing import TYPE_CHECKING, Any

from svcsim.addr import Address, Family, Prefix
from svcsim.clock import Clock
from svcsim.errors import ConfigError, PacketError, SvcsimError, UnsupportedError
from svcsim.hooks import Hook, HookEntry, Priority, Verdict
from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet, Proto, TcpFlags
from svcsim.wire import decode, encode

if TYPE_CHECKING:
    from svcsim.cluster import Cluster

__version__ = "0.1.0"
__all__ = [
    "Address",
    "Clock",
    "Cluster",
    "ConfigError",
    "Family",
    "Hook",
    "HookEntry",
    "Node",
    "Outcome",
    "Packet",
    "PacketError",
    "Prefix",
    "Priority",
    "Proto",
    "SvcsimError",
    "TcpFlags",
    "UnsupportedError",
    "Verdict",
    "decode",
    "encode",
]


def __getattr__(name: str) -> Any:
    """What is made of many parts is imported when first asked for."""
    if name == "Cluster":
        from svcsim.cluster import Cluster

        return Cluster
    raise AttributeError(f"module 'svcsim' has no attribute {name!r}")
