"""
The health-check node port lets a load balancer know which nodes have pods.

With externalTrafficPolicy Local kube-proxy listens on a port of its own, and answers 200 if a ready pod is on the node, 503
if none is. A firewall rule lets these packets in. Terminating pods do not count, though they may still serve.

Discussed at https://github.com/kubernetes/kubernetes/issues/115825

It prints::

    ready, node a: 503, 0 endpoint(s)
    ready, node b: 200, 1 endpoint(s)
    terminating, node a: 503, 0 endpoint(s)
    terminating, node b: 503, 0 endpoint(s)
    -A KUBE-NODEPORTS -p tcp -m comment --comment "default/web health check node port" -m tcp --dport 32000 -j ACCEPT
"""

from svcsim.cluster import Sketch
from svcsim.kube.health import health_answer


def main() -> None:
    """Ask both nodes, and again while the only pod ends."""
    sketch = Sketch("a", "b")
    sketch.service(
        "web", 80, {"web-1": "b"}, ip="198.51.100.1", externalTrafficPolicy="Local", healthCheckNodePort=32000
    )
    cluster = sketch.cluster()
    for what, ending in (("ready", []), ("terminating", ["web-1"])):
        cluster.apply(sketch.endpoints("web", terminating=ending))
        cluster.advance(2)
        for node, proxy in cluster.proxies.items():
            answer = health_answer(proxy.state(proxy.families[0]), 32000)
            assert answer is not None
            print(f"{what}, node {node}: {answer.status}, {answer.endpoints} endpoint(s)")
    print(cluster.node("a").node.run("iptables -S KUBE-NODEPORTS").stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
