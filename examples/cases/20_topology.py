"""
Topology hints are followed by all endpoints or by none.

With a hint for every endpoint a node uses those for its own zone. If one endpoint has none, or if none is for this zone,
hints are not followed at all, and traffic goes everywhere.

Discussed at https://github.com/kubernetes/kubernetes/pull/106507

It prints::

    all, node a: 10.244.1.2:8080
    all, node b: 10.244.2.2:8080, 10.244.2.3:8080
    one is missing, node a: 10.244.1.2:8080, 10.244.2.2:8080, 10.244.2.3:8080
    one is missing, node b: 10.244.1.2:8080, 10.244.2.2:8080, 10.244.2.3:8080
    none for west, node a: 10.244.1.2:8080, 10.244.2.2:8080, 10.244.2.3:8080
    none for west, node b: 10.244.1.2:8080, 10.244.2.2:8080, 10.244.2.3:8080
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Ask both nodes whom they would choose, with hints for all, for some, and for one zone."""
    pods = {"web-1": "a", "web-2": "b", "web-3": "b"}
    hints = {
        "all": {"web-1": "east", "web-2": "west", "web-3": "west"},
        "one is missing": {"web-1": "east", "web-2": "west"},
        "none for west": {"web-1": "east", "web-2": "east", "web-3": "east"},
    }
    for what, zones in hints.items():
        sketch = Sketch("a", "b", zones={"a": "east", "b": "west"})
        sketch.service("web", {80: 8080}, pods)
        cluster = sketch.cluster()
        cluster.apply(sketch.endpoints("web", zones=zones))
        cluster.advance(2)
        for node in ("a", "b"):
            print(f"{what}, node {node}: {', '.join(cluster.endpoints('web', node=node))}")


if __name__ == "__main__":
    main()
