"""
kube-proxy's own configuration file: KubeProxyConfiguration, as YAML or JSON.

Behaviour of: kube-proxy's strict decoding; a field that it does not know is refused. Settings that have nothing to do
with what it programs are read and left out.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from svcsim.addr import Prefix
from svcsim.errors import ConfigError
from svcsim.kube.config import ConntrackConfig, IPVSConfig, ProxyConfig, WinkernelConfig
from svcsim.kube.manifests import documents
from svcsim.kube.structure import structure

__all__ = ["read_config", "seconds_of"]

_KIND, _VERSION = "KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
#: Read for the sake of strictness alone.
_UNUSED = frozenset(
    {
        "apiVersion", "kind", "featureGates", "clientConnection", "logging", "hostnameOverride", "bindAddress",
        "healthzBindAddress", "metricsBindAddress", "bindAddressHardFail", "enableProfiling", "oomScoreAdj",
        "showHiddenMetricsForVersion", "configSyncPeriod", "portRange", "windowsRunAsService",
    }
)  # fmt: skip


@attrs.frozen(kw_only=True)
class _Rules:
    masqueradeBit: int = 14
    masqueradeAll: bool = False
    localhostNodePorts: bool = True
    syncPeriod: str = ""
    minSyncPeriod: str = ""


@attrs.frozen(kw_only=True)
class _IPVS:
    syncPeriod: str = ""
    minSyncPeriod: str = ""
    scheduler: str = ""
    excludeCIDRs: tuple[str, ...] = ()
    strictARP: bool = False
    tcpTimeout: str = ""
    tcpFinTimeout: str = ""
    udpTimeout: str = ""


@attrs.frozen(kw_only=True)
class _Conntrack:
    maxPerCore: int = 32768
    min: int = 131072
    tcpEstablishedTimeout: str = "24h"
    tcpCloseWaitTimeout: str = "1h"
    tcpBeLiberal: bool = False
    udpTimeout: str = ""
    udpStreamTimeout: str = ""


@attrs.frozen(kw_only=True)
class _Winkernel:
    networkName: str = ""
    enableDSR: bool = False
    sourceVip: str = ""
    rootHnsEndpointName: str = ""
    forwardHealthCheckVip: bool = False


@attrs.frozen(kw_only=True)
class _DetectLocal:
    bridgeInterface: str = ""
    interfaceNamePrefix: str = ""


@attrs.frozen(kw_only=True)
class _File:
    mode: str = ""
    clusterCIDR: str = ""
    detectLocalMode: str = ""
    detectLocal: _DetectLocal = attrs.field(factory=_DetectLocal)
    nodePortAddresses: tuple[str, ...] = ()
    iptables: _Rules = attrs.field(factory=_Rules)
    nftables: _Rules = attrs.field(factory=_Rules)
    ipvs: _IPVS = attrs.field(factory=_IPVS)
    conntrack: _Conntrack = attrs.field(factory=_Conntrack)
    winkernel: _Winkernel = attrs.field(factory=_Winkernel)


def seconds_of(text: str, otherwise: float = 0.0) -> float:
    """
    A duration as Go writes it, in seconds; *otherwise* if there is none.

    >>> seconds_of("1h2m3.5s"), seconds_of("250ms"), seconds_of("0"), seconds_of("", 30.0)
    (3723.5, 0.25, 0.0, 30.0)
    >>> seconds_of("5 minutes")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: not a duration (such as 30s or 1m30s): '5 minutes'
    """
    if not text:
        return otherwise
    if text == "0":
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise ConfigError(f"not a duration (such as 30s or 1m30s): {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def read_config(text: str, where: str) -> ProxyConfig:
    """
    What a configuration file says.

    >>> read_config("kind: KubeProxyConfiguration\\nmode: ipvs\\nipvs: {scheduler: sh, minSyncPeriod: 5s}\\n", "p.yaml").ipvs.scheduler
    'sh'
    >>> read_config("kind: KubeProxyConfiguration\\nipvs: {sheduler: sh}\\n", "p.yaml")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: p.yaml: document 1: unknown field ipvs.sheduler
    """
    found = [(place, value) for place, value in documents(text, where) if _is_ours(value)]
    if len(found) != 1:
        raise ConfigError(f"{where}: it takes one {_KIND}, not {len(found)}")
    place, data = found[0]
    if data.get("apiVersion", _VERSION) != _VERSION:
        raise ConfigError(f"{place}: apiVersion is {_VERSION}, not {data['apiVersion']!r}")
    data = {key: value for key, value in data.items() if key not in _UNUSED}
    unknown = list(_unknown(data, _File, ""))
    if unknown:
        raise ConfigError(f"{place}: unknown field {', '.join(unknown)}")
    given = structure(_File, data, place)
    try:
        return _config(given)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _is_ours(value: Any) -> bool:
    return isinstance(value, dict) and value.get("kind") == _KIND


def _unknown(data: Any, model: Any, path: str) -> list[str]:
    """The fields of *data* that *model* has not, by their paths."""
    if not isinstance(data, dict) or not attrs.has(model):
        return []
    fields = {each.name: each.type for each in attrs.fields(attrs.resolve_types(model))}
    found = [f"{path}{key}" for key in data if key not in fields]
    for key, value in data.items():
        if key in fields:
            found += _unknown(value, fields[key], f"{path}{key}.")
    return found


def _config(given: _File) -> ProxyConfig:
    mode, ipvs, conntrack = given.mode or "iptables", given.ipvs, given.conntrack
    rules = given.nftables if mode == "nftables" else given.iptables
    periods = ipvs if mode == "ipvs" else rules
    for each in (given.iptables, given.nftables, ipvs):  # also those that this mode does not read have to be durations
        seconds_of(each.syncPeriod), seconds_of(each.minSyncPeriod)
    return ProxyConfig(
        mode=mode,
        detect_local=given.detectLocalMode or "ClusterCIDR",
        cluster_cidrs=tuple(Prefix.parse(text.strip()) for text in given.clusterCIDR.split(",") if text.strip()),
        bridge_interface=given.detectLocal.bridgeInterface,
        interface_name_prefix=given.detectLocal.interfaceNamePrefix,
        masquerade_all=rules.masqueradeAll,
        masquerade_bit=rules.masqueradeBit,
        localhost_node_ports=given.iptables.localhostNodePorts,
        node_port_addresses=given.nodePortAddresses,
        min_sync_period=seconds_of(periods.minSyncPeriod, 0.0 if mode == "ipvs" else 1.0),
        sync_period=seconds_of(periods.syncPeriod, 30.0),
        ipvs=IPVSConfig(
            scheduler=ipvs.scheduler,
            exclude_cidrs=tuple(map(Prefix.parse, ipvs.excludeCIDRs)),
            strict_arp=ipvs.strictARP,
            tcp_timeout=round(seconds_of(ipvs.tcpTimeout)),
            tcp_fin_timeout=round(seconds_of(ipvs.tcpFinTimeout)),
            udp_timeout=round(seconds_of(ipvs.udpTimeout)),
        ),
        winkernel=WinkernelConfig(
            network_name=given.winkernel.networkName,
            enable_dsr=given.winkernel.enableDSR,
            source_vip=given.winkernel.sourceVip,
            root_hns_endpoint_name=given.winkernel.rootHnsEndpointName,
            forward_health_check_vip=given.winkernel.forwardHealthCheckVip,
        ),
        conntrack=ConntrackConfig(
            max_per_core=conntrack.maxPerCore,
            min=conntrack.min,
            tcp_established_timeout=seconds_of(conntrack.tcpEstablishedTimeout),
            tcp_close_wait_timeout=seconds_of(conntrack.tcpCloseWaitTimeout),
            tcp_be_liberal=conntrack.tcpBeLiberal,
            udp_timeout=seconds_of(conntrack.udpTimeout),
            udp_stream_timeout=seconds_of(conntrack.udpStreamTimeout),
        ),
    )
