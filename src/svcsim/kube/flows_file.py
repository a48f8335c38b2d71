"""
Flows files: objects, a node and a proxy's configuration, and packets for which somebody wrote down what becomes of them.

The objects are Kubernetes' own, with defaults left out, and taken as they are: leading zeros, odd ports and all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError, PacketError
from svcsim.kube.config import IPVSConfig, ProxyConfig
from svcsim.kube.front import lenient_address, proxy_state
from svcsim.kube.objects import EndpointSlice, Service
from svcsim.kube.state import NodeInfo, ProxyState, host_port
from svcsim.kube.structure import structure
from svcsim.packet import Packet

__all__ = ["Flow", "FlowAnswer", "FlowCase", "read_flows", "state_of"]

#: An SCTP INIT: tag, window, streams and first sequence number.
_INIT = bytes.fromhex("010000140000004d000013880001000100000001")
_FAMILIES = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}
_ASKED_FROM = 40000


@attrs.frozen(kw_only=True)
class FlowAnswer:
    """
    What becomes of a flow's packets.

    *output* names every endpoint that can be chosen (``10.0.0.1:80, 10.0.0.2:80``), or is DROP, REJECT, ACCEPT (a rule
    lets it in to this host), or empty: the proxy leaves it alone. *masq*: it is masqueraded.
    """

    output: str
    masq: bool

    def __str__(self) -> str:
        return f"{self.output or 'left alone'}{', masqueraded' if self.masq else ''}"


@attrs.frozen(kw_only=True)
class Flow:
    """A packet of a new connection."""

    name: str
    sourceIP: str
    protocol: str
    destIP: str
    destPort: int
    output: str | None = None
    masq: bool | None = None

    def packet(self, at: int = 0) -> Packet:
        """
        The first packet of its connection number *at*, which differ in their source ports.

        >>> print(Flow(name="x", sourceIP="192.0.2.9", protocol="TCP", destIP="10.96.0.10", destPort=80).packet(1))
        TCP 192.0.2.9:40001 > 10.96.0.10:80 [S] seq 0, length 40
        """
        source = host_port(self.sourceIP, _ASKED_FROM + at)
        target = host_port(self.destIP, self.destPort)
        match self.protocol:
            case "TCP":
                return Packet.tcp(source, target)
            case "UDP":
                return Packet.udp(source, target, b"?")
            case "SCTP":
                return Packet.sctp(source, target, _INIT)
        raise PacketError(f"flow {self.name!r}: the protocol is TCP, UDP or SCTP, not {self.protocol!r}")

    @property
    def expected(self) -> FlowAnswer | None:
        """What the file says becomes of it, if it does."""
        if self.output is None or self.masq is None:
            return None
        return FlowAnswer(output=self.output, masq=self.masq)


@attrs.frozen(kw_only=True)
class FlowNode:
    """The node: its name, addresses (the primary ones first), labels, and devices with theirs."""

    name: str
    nodeIPs: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict)
    interfaces: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    podCIDRs: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class FlowConfig:
    """The proxy's configuration, in one piece for all modes."""

    mode: str
    detectLocalMode: str = "ClusterCIDR"
    clusterCIDRs: tuple[str, ...] = ()
    bridgeInterface: str = ""
    interfaceNamePrefix: str = ""
    masqueradeAll: bool = False
    masqueradeBit: int = 14
    localhostNodePorts: bool = True
    nodePortAddresses: tuple[str, ...] = ()
    serviceCIDRs: tuple[str, ...] = ()
    scheduler: str = ""
    strictARP: bool = False


@attrs.frozen(kw_only=True)
class FlowCase:
    """What is there, and the packets that are asked about; *after* names the case that was there before."""

    name: str
    family: str
    node: FlowNode
    config: FlowConfig
    kind: str = ""
    services: tuple[Service, ...] = ()
    endpointslices: tuple[EndpointSlice, ...] = ()
    flows: tuple[Flow, ...] = ()
    after: str = ""


@attrs.frozen(kw_only=True)
class _File:
    cases: tuple[FlowCase, ...]


def read_flows(text: str, where: str) -> dict[str, FlowCase]:
    """
    The cases of a flows file by their names; *where* begins each complaint.

    >>> read_flows('{"cases": [{"name": "x"}]}', "mine.json")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: mine.json: cases[0].family is missing; cases[0].node is missing; cases[0].config is missing
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON: {error}") from None
    cases: dict[str, FlowCase] = {}
    for case in structure(_File, data, where).cases:
        if case.name in cases:
            raise ConfigError(f"{where}: there are two cases {case.name!r}")
        if case.family not in _FAMILIES:
            raise ConfigError(f"{where}: {case.name}: the family is IPv4 or IPv6, not {case.family!r}")
        cases[case.name] = case
    for case in cases.values():
        _check_order(case, cases, where)
    return cases


def _check_order(case: FlowCase, cases: Mapping[str, FlowCase], where: str) -> None:
    seen = {case.name}
    while case.after:
        if case.after not in cases:
            raise ConfigError(f"{where}: {case.name}: there is no case {case.after!r} that it could come after")
        if case.after in seen:
            raise ConfigError(f"{where}: {case.name}: it comes after itself")
        case = cases[case.after]
        seen.add(case.name)


def state_of(case: FlowCase) -> ProxyState:
    """What the proxy of a case has to serve."""
    family, given = _FAMILIES[case.family], case.config
    ips = (lenient_address(ip) for ip in case.node.nodeIPs)
    info = NodeInfo(
        name=case.node.name,
        ips=tuple(str(ip) for ip in ips if ip is not None and ip.family is family),
        pod_cidrs=tuple(map(Prefix.parse, case.node.podCIDRs)),
        labels=tuple(sorted(case.node.labels.items())),
    )
    config = ProxyConfig(
        mode=given.mode,
        detect_local=given.detectLocalMode,
        cluster_cidrs=tuple(map(Prefix.parse, given.clusterCIDRs)),
        bridge_interface=given.bridgeInterface,
        interface_name_prefix=given.interfaceNamePrefix,
        masquerade_all=given.masqueradeAll,
        masquerade_bit=given.masqueradeBit,
        localhost_node_ports=given.localhostNodePorts,
        node_port_addresses=given.nodePortAddresses,
        ipvs=IPVSConfig(scheduler=given.scheduler, strict_arp=given.strictARP),
    )
    return proxy_state(family, info, case.services, case.endpointslices, config)
