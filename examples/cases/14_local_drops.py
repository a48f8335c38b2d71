"""
externalTrafficPolicy Local drops what comes to a node without a pod.

The policy keeps the client's address by using only the pods of the node that a packet comes to. A node without any drops
it, silently. An external load balancer is to know that from the health-check node port; who talks to node ports by himself
is not told.

Discussed at https://github.com/kubernetes/kubernetes/issues/66354

It prints::

    203.0.113.7 -> 192.0.2.10:30080 tcp: silence
    203.0.113.7 -> 192.0.2.11:30080 tcp: answered by 10.244.2.2:8080 on b, which saw 203.0.113.7
    203.0.113.7 -> 198.51.100.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 203.0.113.7
    203.0.113.7 -> 198.51.100.1:80 tcp: answered by 10.244.2.2:8080 on b, which saw 203.0.113.7
    why on a: filter KUBE-EXTERNAL-SERVICES rule 2: -p tcp -m comment --comment "default/web has no local endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j DROP
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Call both nodes' ports, and the load balancer's address, which avoids the node without a pod."""
    sketch = Sketch("a", "b")
    sketch.service(
        "web",
        {80: 8080},
        {"web-1": "b"},
        nodePort=30080,
        ip="198.51.100.1",
        externalTrafficPolicy="Local",
        healthCheckNodePort=32000,
    )
    cluster = sketch.cluster()
    for node in ("a", "b"):
        print(cluster.connect("203.0.113.7", f"{node}:30080"))
    for _ in range(2):
        print(cluster.connect("203.0.113.7", "198.51.100.1:80"))
    print("why on a:", cluster.connect("203.0.113.7", "a:30080").dropped_by)


if __name__ == "__main__":
    main()
