"""Clusters: who answers whom in every mode, how news travel, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.objects import draw
from svcsim import Cluster
from svcsim.addr import Family
from svcsim.cluster import Sketch
from svcsim.connection import Answer
from svcsim.errors import ConfigError, ExistsError, MissingError, UnsupportedError
from svcsim.kube.objects import Objects
from svcsim.kube.topology import choose

MODES = ("iptables", "ipvs", "userspace")


def shop(mode="iptables", *, nodes=("a", "b"), **options):
    sketch = Sketch(*nodes)
    sketch.pod("client", nodes[0])
    pods = {f"web-{n}": nodes[n % len(nodes)] for n in range(3)}
    sketch.service("web", {80: 8080}, pods, nodePort=30080, ip="198.51.100.1")
    sketch.service("dns", 53, pods, protocol="UDP")
    return sketch, sketch.cluster(mode=mode, **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("link", ["routed", "vxlan"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("client", "web"),
        ("client", "dns"),
        ("client", "b:30080"),
        ("a", "web"),
        ("203.0.113.7", "a:30080"),
        ("203.0.113.7", "198.51.100.1:80"),
        ("web-0", "web"),
        ("client", "web-1:8080"),
    ],
)
def test_everybody_reaches_every_service(mode, link, source, target):
    """From pods, nodes and outside, by every way in, over both links, there and back, request and all."""
    _, cluster = shop(mode, link=link)

    for _ in range(6):
        call = cluster.connect(source, target)
        assert call.heard is Answer.ANSWERED
        assert call.request(b"hello") is Answer.ANSWERED
        assert call.backend.startswith("default/web-")
        call.close()


@pytest.mark.parametrize("mode", MODES)
def test_all_endpoints_get_some(mode):
    """Each of three endpoints gets its share of connections; round robin to the last one."""
    _, cluster = shop(mode)

    got = Counter(cluster.connect("client", "web", trace=False).backend for _ in range(60))

    assert len(got) == 3
    if mode != "iptables":
        assert set(got.values()) == {20}


def test_explanations_tell_every_hop():
    """A call names each host on the way there and back, and its text says who answered."""
    _, cluster = shop(nodes=("a", "b"))
    call = next(c for c in (cluster.connect("client", "web") for _ in range(40)) if c.backend.endswith("web-1"))

    hosts = [host for host, _ in call.explanations()]

    assert hosts[:4] == ["default/client", "a", "b", "default/web-1"]
    assert "KUBE-SVC-" in call.explain()
    assert str(call) in call.explain(full=True)


def test_news_travel():
    """A node that hears later serves the old endpoints until then."""
    sketch, cluster = shop(news={"b": 5.0})
    cluster.advance(10)
    cluster.apply(sketch.endpoints("web", ["web-0"]))

    assert cluster.endpoints("web", node="a") == ["10.244.1.3:8080"]
    assert len(cluster.endpoints("web", node="b")) == 3
    cluster.advance(5)
    assert cluster.endpoints("web", node="b") == ["10.244.1.3:8080"]


def test_syncs_keep_their_distance():
    """Changes within minSyncPeriod come in one sync at its end; what changes nothing makes none."""
    sketch, cluster = shop(min_sync_period=10.0)
    proxy = cluster.proxies["a"]
    cluster.advance(20)
    before = len(proxy.syncs)
    for pods in (["web-0"], ["web-1"], ["web-2"], ["web-2"]):
        cluster.apply(sketch.endpoints("web", pods))
        cluster.advance(1)

    cluster.advance(20)

    assert [sync.at // 10**9 for sync in proxy.syncs[before:]] == [20, 30]


def test_objects_come_and_go():
    """Services, endpoints and pods are made and deleted; who is gone is silence, not refusal."""
    sketch, cluster = shop("ipvs")
    late = sketch.service("late", 80, {"late-0": "b"})
    cluster.apply(sketch.objects.pods[-1], late, sketch.endpoints("late"))
    assert cluster.connect("client", "late").backend == "default/late-0"

    cluster.delete(sketch.objects.pods[-1])
    assert cluster.connect("client", "late").heard is Answer.SILENCE
    cluster.delete(late)
    with pytest.raises(MissingError, match="late"):
        cluster.connect("client", "late")
    with pytest.raises(MissingError, match="there is no Service default/late"):
        cluster.delete(late)


def test_stale_udp_entries_go():
    """A client that keeps its port is sent on when its endpoint is gone; one of TCP is not."""
    sketch, cluster = shop()
    cluster.advance(2)
    first = cluster.connect("client", "dns", port=5353).backend
    others = [name for name in ("web-0", "web-1", "web-2") if not first.endswith(name)]

    cluster.apply(sketch.endpoints("dns", others))
    cluster.advance(2)

    assert cluster.connect("client", "dns", port=5353).backend != first


def test_a_dead_pod_is_replaced_in_userspace_mode_alone():
    """With one of three pods silent, the kernel's modes lose connections, and the userspace proxy dials on."""
    lost = {}
    for mode in MODES:
        _, cluster = shop(mode)
        cluster.stop("web-0")
        calls = [cluster.connect("client", "web", trace=False) for _ in range(30)]
        lost[mode] = sum(
            call.request() is not Answer.ANSWERED and call.wait(0.3) is not Answer.ANSWERED for call in calls
        )

    assert lost["userspace"] == 0
    assert lost["ipvs"] == 10
    assert 2 < lost["iptables"] < 20


def test_userspace_statistics():
    """Dials, retries, bytes and crossings are counted; a service without endpoints hangs up."""
    sketch, cluster = shop("userspace")
    sketch_empty = sketch.service("empty")
    cluster.apply(sketch_empty)
    cluster.advance(2)
    process = cluster.proxies["a"].programmer(Family.IPV4).process

    call = cluster.connect("client", "web")
    call.request(b"12345")
    call.close()
    assert (process.statistics.accepted, process.statistics.dials, process.statistics.bytes) == (1, 1, 10)
    assert process.statistics.crossings > 8

    gone = cluster.connect("client", "empty")
    assert gone.request() is not Answer.ANSWERED
    assert process.statistics.given_up == 1


def test_udp_sessions_end():
    """An idle client of the userspace mode is forgotten after 250 ms, and then has another turn."""
    _, cluster = shop("userspace")

    def ask(wait):
        cluster.advance(wait)
        return cluster.connect("client", "dns", port=5353, trace=False).backend

    assert len({ask(0.1) for _ in range(5)}) == 1
    assert len({ask(0.3) for _ in range(6)}) == 3


@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        ("nobody", "web", MissingError, "no pod or node 'nobody'"),
        ("client", "nothing:80", MissingError, "no Service, pod or node 'nothing'"),
        ("client", "web:https", MissingError, "has no port 'https'"),
        ("client", "10.96.0.1", ConfigError, "takes a port"),
        ("client", "10.96.0.1:99999", ConfigError, "takes a port"),
        ("client", "[fd00::1:80", ConfigError, r"not \[address\]:port"),
        ("client", "[fd00::1]:80", MissingError, "no address of the caller's family"),
    ],
)
def test_who_is_meant(source, target, error, message):
    """Names that mean nobody are refused with what is known instead."""
    with pytest.raises(error, match=message):
        shop()[1].connect(source, target)


def test_what_cannot_be():
    """Windows nodes, unknown links, pods on unknown nodes and names given twice are refused."""
    sketch, _ = shop()
    with pytest.raises(UnsupportedError, match="Windows"):
        sketch.cluster(mode="kernelspace")
    with pytest.raises(ConfigError, match="routed or vxlan"):
        sketch.cluster(link="carrier pigeon")
    with pytest.raises(ExistsError, match="already a pod client"):
        sketch.pod("client")
    with pytest.raises(MissingError, match="no node 'z'"):
        sketch.pod("other", "z")
    with pytest.raises(MissingError, match="no node"):
        shop()[1].node("z")


def test_dual_stack(tmp_path):
    """A cluster of both families serves each by itself."""
    (tmp_path / "c.yaml").write_text(
        """
kind: Node
metadata: {name: a}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}, {type: InternalIP, address: "2001:db8::10"}]}
---
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd96::1"]
  ipFamilies: [IPv4, IPv6]
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
kind: List
items:
- {kind: Pod, metadata: {name: web-1, labels: {app: web}}, spec: {nodeName: a}, status: {podIPs: [{ip: 10.244.0.5}, {ip: "fd44::5"}]}}
- {kind: Pod, metadata: {name: client}, spec: {nodeName: a}, status: {podIPs: [{ip: 10.244.0.9}, {ip: "fd44::9"}]}}
"""
    )
    for mode in ("iptables", "ipvs"):
        cluster = Cluster.load(tmp_path, mode=mode)
        assert cluster.connect("client", "web").endpoint == "10.244.0.5:8080"
        assert cluster.connect("client", "[fd96::1]:80").endpoint == "[fd44::5]:8080"


def test_endpoints_without_pods(tmp_path):
    """Endpoints that only have a name are nobody's; those without a Pod get one."""
    (tmp_path / "c.yaml").write_text(
        """
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
endpoints: [{addresses: [10.244.0.5]}]
ports: [{port: 80, name: ""}]
---
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: FQDN
endpoints: [{addresses: [web.example.org]}]
ports: [{port: 80, name: ""}]
"""
    )

    cluster = Cluster.load(tmp_path)

    assert cluster.endpoints("web") == ["10.244.0.5:80"]
    assert cluster.connect("203.0.113.7", "web").backend == "default/pod-10-244-0-5"


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["iptables", "ipvs"]))
def test_whoever_answers_may(seed, mode):
    """In any cluster, who answers a pod at a cluster IP is one of the endpoints that may be chosen."""
    _, drawn = draw(seed, mode)
    objects = Objects(services=tuple(drawn.services), slices=tuple(drawn.slices))
    cluster = Cluster(objects, config=drawn.config, seed=seed)
    name, proxy = next(iter(cluster.proxies.items()))
    for served in proxy.state(Family.IPV4).ports:
        choice = choose(served.info, served.endpoints, node=name, zone="")
        may = {str(each) for each in (*choice.cluster, *choice.local)}
        call = cluster.connect(name, f"{served.info.cluster_ip}:{served.info.port}", protocol=served.info.protocol)
        assert (call.heard is Answer.ANSWERED) <= (call.endpoint in may)
