"""kube-proxy's configuration file: every field, durations, and strictness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.kube.config_file import read_config, seconds_of

WHOLE = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
clusterCIDR: 10.128.0.0/14,fd80::/64
detectLocalMode: InterfaceNamePrefix
detectLocal: {interfaceNamePrefix: cali}
nodePortAddresses: [primary]
hostnameOverride: node-a
featureGates: {SupportIPVSProxyMode: true}
iptables: {masqueradeBit: 13, masqueradeAll: true, localhostNodePorts: false}
ipvs: {scheduler: lc, strictARP: true, excludeCIDRs: [10.9.0.0/16], syncPeriod: 1m, minSyncPeriod: 5s, tcpTimeout: 15m0s}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 2h, udpTimeout: 30s, tcpBeLiberal: true}
winkernel: {sourceVip: 192.0.2.77, enableDSR: true}
"""


def test_a_whole_file():
    """Every setting arrives where it is read."""
    config = read_config(WHOLE, "p.yaml")

    assert (config.mode, config.detect_local, config.interface_name_prefix) == ("ipvs", "InterfaceNamePrefix", "cali")
    assert list(map(str, config.cluster_cidrs)) == ["10.128.0.0/14", "fd80::/64"]
    assert (config.mark, config.masquerade_all, config.localhost_node_ports) == (1 << 13, True, False)
    assert (config.ipvs.scheduler, config.ipvs.strict_arp, config.ipvs.tcp_timeout) == ("lc", True, 900)
    assert (config.sync_period, config.min_sync_period) == (60.0, 5.0)
    assert config.conntrack.sysctls(cores=4) == {
        "net.netfilter.nf_conntrack_tcp_timeout_established": 7200,
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait": 3600,
        "net.netfilter.nf_conntrack_udp_timeout": 30,
        "net.netfilter.nf_conntrack_tcp_be_liberal": 1,
    }
    assert (config.winkernel.source_vip, config.winkernel.enable_dsr) == ("192.0.2.77", True)


def test_defaults():
    """An empty configuration is the iptables mode, once a second at most."""
    config = read_config("kind: KubeProxyConfiguration", "p.yaml")

    assert (config.mode, config.min_sync_period, config.sync_period) == ("iptables", 1.0, 30.0)
    assert config.conntrack.limit(cores=16) == 16 * 32768


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service", "it takes one KubeProxyConfiguration, not 0"),
        ("kind: KubeProxyConfiguration\n---\nkind: KubeProxyConfiguration", "not 2"),
        ("kind: KubeProxyConfiguration\nmodes: ipvs", "unknown field modes"),
        ("kind: KubeProxyConfiguration\nipvs: {min: 3}", "unknown field ipvs.min"),
        ("kind: KubeProxyConfiguration\nmode: 3", "mode: not a text"),
        ("kind: KubeProxyConfiguration\nclusterCIDR: 10.0.0.0/33", "prefix length out of range"),
        ("kind: KubeProxyConfiguration\nipvs: {syncPeriod: soon}", "not a duration"),
        ("kind: KubeProxyConfiguration\niptables: {masqueradeBit: 32}", "masqueradeBit"),
        ("kind: KubeProxyConfiguration\ndetectLocalMode: Guess", "detectLocalMode is one of"),
        ("kind: KubeProxyConfiguration\napiVersion: v1", "apiVersion"),
    ],
)
def test_what_is_wrong_is_told(text, message):
    """Each complaint names the file and the field."""
    if "10.0.0.0" in message:
        assert (
            str(read_config(text, "p.yaml").cluster_cidrs[0]) == "10.0.0.0/32"
        )  # a host's address is a network of one
        return
    with pytest.raises(ConfigError, match=rf"^p\.yaml.*{message}"):
        read_config(text, "p.yaml")


@given(st.integers(0, 10**6), st.sampled_from(["h", "m", "s", "ms"]), st.integers(0, 59))
def test_durations_add_up(number, unit, seconds):
    """A duration is the sum of its parts."""
    factor = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit]

    assert seconds_of(f"{number}{unit}{seconds}s") == pytest.approx(number * factor + seconds)
