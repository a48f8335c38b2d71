"""When a kube-proxy syncs again, and what it writes of connection tracking when it starts."""

from __future__ import annotations

from svcsim.cluster.programmed import program_node
from svcsim.cluster.sketch import Sketch
from svcsim.kube.config import ConntrackConfig, ProxyConfig


def proxy_of(sketch, **config):
    return program_node(sketch.objects, ProxyConfig(**config))


def test_a_failed_sync_is_repeated():
    """It is tried again after syncPeriod, once however often it failed meanwhile, and then all is written."""
    sketch = Sketch("a")
    sketch.service("web", {80: 8080}, {"web-1": "a"})
    proxy = proxy_of(sketch, sync_period=30.0)
    node = proxy.host
    node.run("iptables -t nat -N KUBE-SVC-OLD; iptables -t nat -A PREROUTING -j KUBE-SVC-OLD")  # stale, and in use
    sketch.pod("web-2")
    for pods in (["web-1", "web-2"], ["web-2"]):
        node.advance(2)
        proxy.learn([sketch.endpoints("web", pods)])
    assert [bool(sync.error) for sync in proxy.syncs] == [False, True, True]

    node.advance(29)
    assert len(proxy.syncs) == 3
    node.run("iptables -t nat -D PREROUTING -j KUBE-SVC-OLD")
    node.advance(31)

    assert [bool(sync.error) for sync in proxy.syncs] == [False, True, True, False]
    assert "10.244.1.3:8080" in node.run("iptables-save -t nat").stdout
    node.advance(120)
    assert len(proxy.syncs) == 4


def test_connection_tracking_is_set_up():
    """The room for connections and their timeouts are those of the configuration."""
    sketch = Sketch("a")
    sketch.service("web")

    node = proxy_of(sketch, conntrack=ConntrackConfig(max_per_core=100, min=50, udp_timeout=77)).host

    assert (
        node.run("sysctl -n net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_udp_timeout").stdout
        == "400\n77\n"
    )
