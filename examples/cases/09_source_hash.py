"""
Source hashing behind one NAT gateway.

`sh` and `mh` choose by the client's address. Clients behind one gateway have one address, so one pod gets them all. With
the port in the hash they spread, and no client has affinity any more.

Discussed at https://github.com/kubernetes/kubernetes/issues/115526

It prints::

    sh             1 client(s): [60]  60 client(s): [23, 20, 17]
    sh -b sh-port  1 client(s): [22, 20, 18]  60 client(s): [20, 20, 20]
    mh -b mh-port  1 client(s): [22, 20, 18]  60 client(s): [22, 20, 18]
    rr             1 client(s): [20, 20, 20]  60 client(s): [20, 20, 20]
"""

from collections import Counter

from svcsim.cluster import Sketch


def main() -> None:
    """Sixty connections of one address and of sixty, by scheduler."""
    for scheduler, flags in (("sh", ""), ("sh", "-b sh-port"), ("mh", "-b mh-port"), ("rr", "")):
        sketch = Sketch("a")
        sketch.service("web", {80: 8080}, {f"web-{number}": "a" for number in range(3)}, nodePort=30080)
        cluster = sketch.cluster(mode="ipvs")
        node = cluster.node("a").node
        node.run(f"ipvsadm -E -t 192.0.2.10:30080 -s {scheduler} {flags}")
        told = []
        for clients in (1, 60):
            chosen = Counter(
                cluster.connect(f"203.0.113.{1 + number % clients}", "a:30080").backend for number in range(60)
            )
            told.append(f"{clients} client(s): {sorted(chosen.values(), reverse=True)}")
        print(f"{scheduler} {flags}".strip().ljust(14), "  ".join(told))


if __name__ == "__main__":
    main()
