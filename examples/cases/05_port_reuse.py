"""
IPVS makes a client that uses a port again wait for a second.

A load generator runs out of ports and comes back from one whose connection is in TIME_WAIT. With conn_reuse_mode 1 and
connection tracking on, IPVS drops the SYN to get rid of the old entry, and the client tries again a second later. Newer
kernels choose anew at once; kube-proxy sets the mode to 0 on those between 4.1 and 5.9.

Discussed at https://github.com/kubernetes/kubernetes/issues/70747

It prints::

    conn_reuse_mode=1: the first went to 10.244.1.4:8080
      again from its port: silence
      a second later: answered by 10.244.1.3:8080
    conn_reuse_mode=0: the first went to 10.244.1.4:8080
      again from its port: answered by 10.244.1.4:8080
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Open, close, and open again from the same port, in each mode of reuse."""
    for mode in (1, 0):
        sketch = Sketch("a")
        sketch.pod("client")
        sketch.service("web", {80: 8080}, {"web-1": "a", "web-2": "a"})
        cluster = sketch.cluster(mode="ipvs", kernel="5.4")
        cluster.node("a").node.run(f"sysctl -qw net.ipv4.vs.conn_reuse_mode={mode}")
        first = cluster.connect("client", "web", port=40000)
        first.close()
        print(f"conn_reuse_mode={mode}: the first went to {first.endpoint}")
        again = cluster.connect("client", "web", port=40000)
        print(f"  again from its port: {again.heard.value}{again.endpoint and ' by ' + again.endpoint}")
        if not again.backend:
            cluster.advance(1)
            again.opened()
            print(f"  a second later: {again.heard.value} by {again.endpoint}")


if __name__ == "__main__":
    main()
