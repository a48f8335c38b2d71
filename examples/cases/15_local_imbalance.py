"""
externalTrafficPolicy Local and pods that are not spread evenly.

The load balancer shares connections among nodes, each node shares its part among its own pods. A pod that is alone on its
node gets as much as three on another together.

Discussed at https://github.com/kubernetes/kubernetes/issues/68474

It prints::

    Local: web-1: 200, web-2: 58, web-3: 68, web-4: 74; Jain's index 0.75
    Cluster: web-1: 103, web-2: 103, web-3: 93, web-4: 101; Jain's index 1.00
"""

from collections import Counter

from svcsim.cluster import Sketch
from svcsim.lab.metrics import jain


def main() -> None:
    """Send 400 connections through a load balancer under both policies."""
    for policy in ("Local", "Cluster"):
        sketch = Sketch("a", "b")
        pods = {"web-1": "a", "web-2": "b", "web-3": "b", "web-4": "b"}
        sketch.service(
            "web", {80: 8080}, pods, ip="198.51.100.1", externalTrafficPolicy=policy, healthCheckNodePort=32000
        )
        cluster = sketch.cluster(seed=4)
        got = Counter(cluster.connect("203.0.113.7", "198.51.100.1:80", trace=False).backend for _ in range(400))
        told = ", ".join(f"{name.removeprefix('default/')}: {count}" for name, count in sorted(got.items()))
        print(f"{policy}: {told}; Jain's index {jain(got.values()):.2f}")


if __name__ == "__main__":
    main()
