"""
No endpoints: refused, or nothing at all.

A Service without any endpoint refuses. One whose endpoints are all elsewhere, under a policy Local, drops: they are expected
back soon, and a client that hears nothing tries again. In ipvs mode an address without destinations refuses, and the external
policy falls back to endpoints elsewhere, whose answers the client does not know.

Discussed at https://github.com/kubernetes/kubernetes/issues/121371

It prints::

    iptables: client -> 10.96.0.1:80 tcp: refused
    iptables: client -> 10.96.0.2:80 tcp: silence
    iptables: 203.0.113.7 -> 192.0.2.10:30001 tcp: refused
    iptables: 203.0.113.7 -> 192.0.2.10:30002 tcp: silence
    ipvs: client -> 10.96.0.1:80 tcp: refused
    ipvs: client -> 10.96.0.2:80 tcp: refused
    ipvs: 203.0.113.7 -> 192.0.2.10:30001 tcp: refused
    ipvs: 203.0.113.7 -> 192.0.2.10:30002 tcp: silence, taken by 10.244.2.3:80 on b, which saw 203.0.113.7
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Call Services without endpoints, and with endpoints on the other node only."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a", "b")
        sketch.pod("client", "a")
        sketch.service("empty", nodePort=30001)
        sketch.service("inside", 80, {"inside-1": "b"}, internalTrafficPolicy="Local")
        sketch.service("outside", 80, {"outside-1": "b"}, nodePort=30002, externalTrafficPolicy="Local")
        cluster = sketch.cluster(mode=mode)
        for source, target in (
            ("client", "empty"),
            ("client", "inside"),
            ("203.0.113.7", "a:30001"),
            ("203.0.113.7", "a:30002"),
        ):
            print(f"{mode}: {cluster.connect(source, target)}")


if __name__ == "__main__":
    main()
