"""
A pod that is going away, and a client that keeps coming from the same port.

The ipvs mode gives an endpoint that goes the weight 0, so that it gets no new connection, and deletes it when its
connections have ended. With conn_reuse_mode 0 a SYN from a port whose entry is still there is no new connection: it goes
on to the dying pod. With 1 the entry is given up, because its destination has no weight.

Discussed at https://github.com/kubernetes/kubernetes/issues/81775

It prints::

    conn_reuse_mode=0: web-2 goes; destinations and weights: [['10.244.1.3:8080', '1'], ['10.244.1.4:8080', '0']]
      the same port again: the dying pod
      when its connections have ended 1 destination(s) are left
    conn_reuse_mode=1: web-2 goes; destinations and weights: [['10.244.1.3:8080', '1'], ['10.244.1.4:8080', '0']]
      the same port again: the other pod
      when its connections have ended 1 destination(s) are left
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Take an endpoint out while a client cycles through one port."""
    for mode in (0, 1):
        sketch = Sketch("a")
        sketch.pod("client")
        sketch.service("web", {80: 8080}, {"web-1": "a", "web-2": "a"})
        cluster = sketch.cluster(mode="ipvs", kernel="5.4")
        node = cluster.node("a").node
        first = cluster.connect("client", "web", port=40000)
        dying = "web-1" if first.backend.endswith("web-1") else "web-2"
        first.close()
        left = "web-2" if dying == "web-1" else "web-1"
        cluster.apply(sketch.endpoints("web", [left]))
        weights = [line.split()[1:4:2] for line in node.run("ipvsadm -Ln").stdout.splitlines() if "->" in line][1:]
        print(f"conn_reuse_mode={mode}: {dying} goes; destinations and weights: {weights}")
        node.run(f"sysctl -qw net.ipv4.vs.conn_reuse_mode={mode}")  # kube-proxy sets it to 0 at each sync
        again = cluster.connect("client", "web", port=40000)
        if not again.backend:
            cluster.advance(1)
            again.opened()
        print(f"  the same port again: {'the dying pod' if again.backend.endswith(dying) else 'the other pod'}")
        again.close()
        cluster.advance(200)
        gone = len([line for line in node.run("ipvsadm -Ln").stdout.splitlines() if "->" in line]) - 1
        print(f"  when its connections have ended {gone} destination(s) are left")


if __name__ == "__main__":
    main()
