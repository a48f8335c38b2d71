"""
Who is a pod: how rules tell packets of this cluster's pods from others.

Behaviour of: kube-proxy's detectLocalMode.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family
from svcsim.kube.config import ProxyConfig
from svcsim.kube.state import NodeInfo

__all__ = ["LocalDetector", "local_detector"]


@attrs.frozen
class LocalDetector:
    """
    The words of a rule for packets of pods, and of others.

    >>> detector = LocalDetector("-s", "10.244.0.0/16")
    >>> detector.local, detector.not_local
    ('-s 10.244.0.0/16', '! -s 10.244.0.0/16')
    """

    option: str
    value: str

    @property
    def local(self) -> str:
        """Matches a packet that a pod sent."""
        return f"{self.option} {self.value}"

    @property
    def not_local(self) -> str:
        """Matches any other packet; what the node itself sends comes in by no device, so it is one."""
        return f"! {self.option} {self.value}"


def local_detector(config: ProxyConfig, node: NodeInfo, family: Family) -> LocalDetector | None:
    """The detector of a configuration; None if it has nothing to go by for *family*."""
    match config.detect_local:
        case "BridgeInterface" if config.bridge_interface:
            return LocalDetector("-i", config.bridge_interface)
        case "InterfaceNamePrefix" if config.interface_name_prefix:
            return LocalDetector("-i", f"{config.interface_name_prefix}+")
        case "ClusterCIDR" | "NodeCIDR" as mode:
            cidrs = config.cluster_cidrs if mode == "ClusterCIDR" else node.pod_cidrs
            first = next((each for each in cidrs if each.family is family), None)
            return LocalDetector("-s", str(first)) if first is not None else None
    return None
