"""
The names of the chains that the iptables mode makes for each service port and endpoint.

Behaviour of: kube-proxy; pinned by the names of the kernel's rules on real nodes. A chain's name is too short for a
service's, so it carries a hash.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from svcsim.kube.state import ServicePortName

__all__ = ["PER_SERVICE", "ChainNames", "endpoint_chain"]

#: How the names of chains that belong to one service port begin.
PER_SERVICE = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")
_KEPT = 16


class ChainNames:
    """
    The chains of one service port: endpoints of the cluster, endpoints of this node, entry from outside, source ranges.

    >>> names = ChainNames(ServicePortName("ns1", "svc1", "p80", "TCP"))
    >>> names.cluster, names.external
    ('KUBE-SVC-XPGD46QRK7WJZT7O', 'KUBE-EXT-XPGD46QRK7WJZT7O')
    """

    def __init__(self, name: ServicePortName) -> None:
        mark = _hashed(f"{name}{name.protocol.lower()}")
        self.cluster = f"KUBE-SVC-{mark}"
        self.local = f"KUBE-SVL-{mark}"
        self.external = f"KUBE-EXT-{mark}"
        self.firewall = f"KUBE-FW-{mark}"


def endpoint_chain(name: ServicePortName, endpoint: str) -> str:
    """
    The chain of one *endpoint* (``10.0.0.1:80``) of a service port.

    >>> endpoint_chain(ServicePortName("ns1", "svc1", "p80", "TCP"), "10.180.0.1:80")
    'KUBE-SEP-SXIVWICOYRO3J4NJ'
    """
    return f"KUBE-SEP-{_hashed(f'{name}{name.protocol.lower()}{endpoint}')}"


@lru_cache(maxsize=1 << 16)
def _hashed(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:_KEPT].decode()
