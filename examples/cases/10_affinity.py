"""
Session affinity in each mode, and when it ends.

With ClientIP a client comes back to its pod until the timeout. In iptables mode all ways into the Service share that, and
each new connection begins the time anew; in ipvs mode every address of the Service has an affinity of its own.

Discussed at https://github.com/kubernetes/kubernetes/issues/103000

It prints::

    iptables: five more stay: True; by the other address too: True
      after 50 s: True; after 50 s more: True; after 5 minutes of silence: False
    ipvs: five more stay: True; by the other address too: False
      after 50 s: True; after 50 s more: True; after 5 minutes of silence: False
"""

from svcsim.cluster import Cluster, Sketch


def main() -> None:
    """Come by the cluster IP and by the load balancer's address, at once and later."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a")
        sketch.pod("client")
        sketch.pod("other")
        sketch.service("cart", 6379, {f"cart-{number}": "a" for number in range(8)}, affinity=60, ip="198.51.100.1")
        cluster = sketch.cluster(mode=mode, seed=8)

        def call(target: str = "cart", source: str = "client", cluster: Cluster = cluster) -> str:
            made = cluster.connect(source, target)
            made.close()
            return made.endpoint

        call(source="other")
        first = call()
        print(f"{mode}: five more stay: {all(call() == first for _ in range(5))}", end="; ")
        print(f"by the other address too: {call('198.51.100.1:6379') == first}")
        cluster.advance(50)
        print(f"  after 50 s: {call() == first}", end="; ")
        cluster.advance(50)
        print(f"after 50 s more: {call() == first}", end="; ")
        cluster.advance(300)
        print(f"after 5 minutes of silence: {call() == first}")


if __name__ == "__main__":
    main()
