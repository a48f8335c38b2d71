"""
How a kube-proxy is configured: the fields of KubeProxyConfiguration that decide what it programs.

Behaviour of: kube-proxy's configuration (kubeproxy.config.k8s.io/v1alpha1), with its defaults.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Prefix
from svcsim.errors import ConfigError

__all__ = ["DETECT_LOCAL_MODES", "ConntrackConfig", "IPVSConfig", "ProxyConfig", "WinkernelConfig"]

#: How a packet of a pod is told from others: by address, or by the device that it comes in by.
DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", "None")
#: More connections than these are not asked for, however many processors there are.
_MOST_CONNECTIONS = 1 << 20


@attrs.frozen(kw_only=True)
class IPVSConfig:
    """
    What only the ipvs mode reads; timeouts in seconds, 0 keeps the kernel's.

    An empty *scheduler* is rr.
    """

    scheduler: str = ""
    exclude_cidrs: tuple[Prefix, ...] = ()
    strict_arp: bool = False
    tcp_timeout: int = 0
    tcp_fin_timeout: int = 0
    udp_timeout: int = 0


@attrs.frozen(kw_only=True)
class ConntrackConfig:
    """
    What a proxy sets of connection tracking when it starts; timeouts in seconds, None or 0 leave the kernel's.

    There is room for *max_per_core* connections for each processor, for *min* at least.

    >>> ConntrackConfig().limit(cores=8), ConntrackConfig().limit(cores=1), ConntrackConfig(max_per_core=0).limit(cores=8)
    (262144, 131072, 0)
    """

    max_per_core: int = 32768
    min: int = 131072
    tcp_established_timeout: float | None = 86400.0
    tcp_close_wait_timeout: float | None = 3600.0
    tcp_be_liberal: bool = False
    udp_timeout: float = 0.0
    udp_stream_timeout: float = 0.0

    def limit(self, cores: int) -> int:
        """The most connections of a node with so many *cores*; 0 leaves the kernel's."""
        if not self.max_per_core:
            return 0
        return max(min(self.max_per_core * cores, _MOST_CONNECTIONS), self.min)

    def sysctls(self, cores: int) -> dict[str, int]:
        """The kernel's parameters that a proxy writes."""
        prefix, times = (
            "net.netfilter.nf_conntrack_",
            {
                "tcp_timeout_established": self.tcp_established_timeout,
                "tcp_timeout_close_wait": self.tcp_close_wait_timeout,
                "udp_timeout": self.udp_timeout,
                "udp_timeout_stream": self.udp_stream_timeout,
            },
        )
        return {
            **({f"{prefix}max": self.limit(cores)} if self.limit(cores) else {}),
            **{prefix + name: round(seconds) for name, seconds in times.items() if seconds},
            **({f"{prefix}tcp_be_liberal": 1} if self.tcp_be_liberal else {}),
        }


@attrs.frozen(kw_only=True)
class WinkernelConfig:
    """What only the kernelspace mode reads; *root_hns_endpoint_name* is the id of the host's own endpoint."""

    network_name: str = ""
    enable_dsr: bool = False
    source_vip: str = ""
    root_hns_endpoint_name: str = ""
    forward_health_check_vip: bool = False


@attrs.frozen(kw_only=True)
class ProxyConfig:
    """
    The settings of one kube-proxy; periods in seconds.

    *detect_local* is one of `DETECT_LOCAL_MODES`; *cluster_cidrs*, *bridge_interface* and *interface_name_prefix* serve
    the mode of that name. *node_port_addresses* holds CIDRs, or the one word ``primary``; none means every address.
    *min_sync_period* is 1 s, but 0 in the ipvs mode.

    >>> ProxyConfig(mode="ipvs").mark
    16384
    >>> ProxyConfig(masquerade_bit=32)
    Traceback (most recent call last):
    svcsim.errors.ConfigError: masqueradeBit is a bit of a 32-bit mark, not 32
    """

    mode: str = "iptables"
    detect_local: str = "ClusterCIDR"
    cluster_cidrs: tuple[Prefix, ...] = ()
    bridge_interface: str = ""
    interface_name_prefix: str = ""
    masquerade_all: bool = False
    masquerade_bit: int = 14
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()
    min_sync_period: float = attrs.field()
    sync_period: float = 30.0
    ipvs: IPVSConfig = attrs.field(factory=IPVSConfig)
    conntrack: ConntrackConfig = attrs.field(factory=ConntrackConfig)
    winkernel: WinkernelConfig = attrs.field(factory=WinkernelConfig)

    @min_sync_period.default
    def _min_sync_period(self) -> float:
        return 0.0 if self.mode == "ipvs" else 1.0

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.masquerade_bit <= 31:
            raise ConfigError(f"masqueradeBit is a bit of a 32-bit mark, not {self.masquerade_bit}")
        if self.detect_local not in DETECT_LOCAL_MODES:
            known = ", ".join(DETECT_LOCAL_MODES)
            raise ConfigError(f"detectLocalMode is one of {known}, not {self.detect_local!r}")

    @property
    def mark(self) -> int:
        """The mark of packets that shall be masqueraded."""
        return 1 << self.masquerade_bit
