"""
Every node's round robin begins at the same endpoint.

Each node balances by itself. If all of them add the endpoints in the same order and every node opens one connection, they
all go to the same pod. It happened to API servers behind a Service, when all nodes came back at once.

Discussed at https://github.com/kubernetes/kubernetes/issues/121591

It prints::

    ipvs: {'api-2': 12}
    iptables: {'api-0': 2, 'api-1': 4, 'api-2': 6}
"""

from collections import Counter

from svcsim.cluster import Sketch


def main() -> None:
    """Let one client on each of twelve nodes open one connection, in both modes."""
    nodes = [f"node-{number}" for number in range(12)]
    for mode in ("ipvs", "iptables"):
        sketch = Sketch(*nodes)
        sketch.service("api", {443: 6443}, {f"api-{number}": nodes[number] for number in range(3)})
        for node in nodes:
            sketch.pod(f"client-{node}", node)
        cluster = sketch.cluster(mode=mode, seed=3)
        chosen = Counter(cluster.connect(f"client-{node}", "api").backend.removeprefix("default/") for node in nodes)
        print(f"{mode}: {dict(sorted(chosen.items()))}")


if __name__ == "__main__":
    main()
