"""
A node port on 127.0.0.1.

In iptables mode a process on the node reaches a node port by the loopback address too: route_localnet is on, and such
packets are masqueraded. In ipvs mode it does not; nor, by default, does it in nftables mode.

Discussed at https://github.com/kubernetes/kubernetes/issues/67730

It prints::

    iptables, 192.0.2.10: 10.244.1.2:8080
    iptables, 127.0.0.1: 10.244.1.2:8080
    ipvs, 192.0.2.10: 10.244.1.2:8080
    ipvs, 127.0.0.1: dropped by no listener at TCP port 30080
"""

from svcsim.cluster import Sketch
from svcsim.packet import Packet


def main() -> None:
    """Let a process on the node call its own port by two addresses."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a")
        sketch.service("web", {80: 8080}, {"web-1": "a"}, nodePort=30080)
        node = sketch.cluster(mode=mode).node("a").node
        for address in ("192.0.2.10", "127.0.0.1"):
            told = node.explain(Packet.tcp(f"{address}:40000", f"{address}:30080"))
            print(f"{mode}, {address}: {told.fate}")


if __name__ == "__main__":
    main()
