"""
Endpoints that are about to end.

A pod that is being deleted is not ready any more, and gets no new connections while others are. If all that are left end at
once, as when a node is drained of the last ones, those that still serve stand in, instead of nobody.

Discussed at https://github.com/kubernetes/kubernetes/issues/85643

It prints::

    iptables: one ends: 10.244.1.4:8080; answered
    iptables: both end: 10.244.1.3:8080, 10.244.1.4:8080; answered
    iptables: both are gone: nobody; refused
    ipvs: one ends: 10.244.1.4:8080; answered
    ipvs: both end: 10.244.1.3:8080, 10.244.1.4:8080; answered
    ipvs: both are gone: nobody; refused
"""

from svcsim.cluster import Sketch


def main() -> None:
    """End one of two endpoints, then both, then take them away."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a")
        sketch.pod("client")
        sketch.service("web", {80: 8080}, {"web-1": "a", "web-2": "a"})
        cluster = sketch.cluster(mode=mode, seed=1)
        for what, ending, pods in (
            ("one ends", ["web-1"], None),
            ("both end", ["web-1", "web-2"], None),
            ("both are gone", [], []),
        ):
            cluster.apply(sketch.endpoints("web", pods, terminating=ending))
            cluster.advance(2)
            calls = {str(cluster.connect("client", "web").endpoint) or "nobody" for _ in range(12)}
            print(f"{mode}: {what}: {', '.join(sorted(calls))}; {cluster.connect('client', 'web').heard.value}")


if __name__ == "__main__":
    main()
