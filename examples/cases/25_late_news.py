"""
Not every node hears of a change at once.

Between an endpoint's removal and a node's sync lie the time that the news take and the rest of minSyncPeriod. A pod that
ends before that still gets connections from nodes that do not know; so pods wait a little before they stop to listen.

Discussed at https://github.com/kubernetes/kubernetes/issues/43576

It prints::

    0 s later: {'a': 'answered', 'b': 'silence'}
    2 s later: {'a': 'answered', 'b': 'silence'}
    4 s later: {'a': 'answered', 'b': 'answered'}
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Take an endpoint away and stop its pod at once; one node hears of it 3 s later."""
    sketch = Sketch("a", "b")
    for node in ("a", "b"):
        sketch.pod(f"client-{node}", node)
    sketch.pod("web-2", "a")
    sketch.service("web", {80: 8080}, {"web-1": "a"})
    cluster = sketch.cluster(news={"b": 3.0})
    cluster.advance(10)
    cluster.stop("web-1")
    cluster.apply(sketch.endpoints("web", ["web-2"]))
    for seconds in (0, 2, 2):
        cluster.advance(seconds)
        heard = {node: cluster.connect(f"client-{node}", "web").heard.value for node in ("a", "b")}
        print(f"{cluster.network.clock.now // 10**9 - 10} s later: {heard}")


if __name__ == "__main__":
    main()
