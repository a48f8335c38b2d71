"""
The client's address, lost and kept.

A packet from outside that comes in at one node and is sent to a pod on another has to come back by the first, so its source
becomes that node's. externalTrafficPolicy Local keeps the address and uses only the pods of the node that it comes to.

Discussed at https://github.com/kubernetes/kubernetes/issues/29742

It prints::

    iptables Cluster: 203.0.113.7 -> 192.0.2.10:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 192.0.2.10
    iptables Cluster: 203.0.113.7 -> 192.0.2.11:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 192.0.2.11
    iptables Cluster: client -> 10.96.0.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 10.244.1.2
    iptables Local: 203.0.113.7 -> 192.0.2.10:30080 tcp: silence
    iptables Local: 203.0.113.7 -> 192.0.2.11:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 203.0.113.7
    iptables Local: client -> 10.96.0.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 10.244.1.2
    ipvs Cluster: 203.0.113.7 -> 192.0.2.10:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 192.0.2.10
    ipvs Cluster: 203.0.113.7 -> 192.0.2.11:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 192.0.2.11
    ipvs Cluster: client -> 10.96.0.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 10.244.1.2
    ipvs Local: 203.0.113.7 -> 192.0.2.10:30080 tcp: silence, taken by 10.244.2.2:8080 on b, which saw 203.0.113.7
    ipvs Local: 203.0.113.7 -> 192.0.2.11:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 203.0.113.7
    ipvs Local: client -> 10.96.0.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 10.244.1.2
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Call a node port under both policies, and the cluster IP from a pod."""
    for mode in ("iptables", "ipvs"):
        for policy in ("Cluster", "Local"):
            sketch = Sketch("a", "b")
            sketch.pod("client", "a")
            sketch.service("web", {80: 8080}, {"web-1": "b"}, nodePort=30080, externalTrafficPolicy=policy)
            cluster = sketch.cluster(mode=mode)
            for source, target in (("203.0.113.7", "a:30080"), ("203.0.113.7", "b:30080"), ("client", "web")):
                print(f"{mode} {policy}: {cluster.connect(source, target)}")


if __name__ == "__main__":
    main()
