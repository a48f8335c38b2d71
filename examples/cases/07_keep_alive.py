"""
Three clients, three pods, and one pod sits idle.

A Service balances connections, not requests. A client that keeps its connection open sends everything to one pod. If three
clients choose at random among three pods, all pods are busy in 2 of 9 cases only: 6 of 9 leave one idle, 1 of 9 two.

Discussed at https://github.com/kubernetes/kubernetes/issues/38456

It prints::

    3 of 3 pods busy: 0.21 of the rounds, expected 0.22
    2 of 3 pods busy: 0.69 of the rounds, expected 0.67
    1 of 3 pods busy: 0.10 of the rounds, expected 0.11
    over all rounds the connections are even: Jain's index 0.991
"""

from collections import Counter

from svcsim.cluster import Sketch
from svcsim.lab.metrics import jain


def main() -> None:
    """Open one connection a client, many times over, and count the pods that are busy."""
    sketch = Sketch("a")
    for client in ("one", "two", "three"):
        sketch.pod(client)
    sketch.service("web", {80: 8080}, {f"web-{number}": "a" for number in range(3)})
    cluster = sketch.cluster(seed=7)
    rounds, busy, connections = 300, Counter[int](), Counter[str]()
    for _ in range(rounds):
        chosen = [cluster.connect(client, "web", trace=False).backend for client in ("one", "two", "three")]
        busy[len(set(chosen))] += 1
        connections.update(chosen)
    for pods in (3, 2, 1):
        expected = {3: 2, 2: 6, 1: 1}[pods]
        print(f"{pods} of 3 pods busy: {busy[pods] / rounds:.2f} of the rounds, expected {expected / 9:.2f}")
    print(f"over all rounds the connections are even: Jain's index {jain(connections.values()):.3f}")


if __name__ == "__main__":
    main()
