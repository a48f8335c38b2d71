"""
A DNS client that keeps its port keeps its dead server.

UDP has no end. As long as a client sends from one port, its connection tracking entry lives, and with it the choice of an
endpoint that was made once. When that endpoint goes, nobody tells the client; kube-proxy has to delete the entry. In
iptables mode its rules alone would change nothing: nat sees only the first packet of a connection.

Discussed at https://github.com/kubernetes/kubernetes/issues/48370

It prints::

    at first: client -> 10.96.0.1:53 udp: answered by 10.244.1.4:53 on a, which saw 10.244.1.2
    replaced: client -> 10.96.0.1:53 udp: answered by 10.244.1.3:53 on a, which saw 10.244.1.2
    an entry that nobody deleted: client -> 10.96.0.1:53 udp: silence
"""

from svcsim.cluster import Cluster, Sketch


def ask(cluster: Cluster, what: str) -> None:
    """Ask DNS from one and the same port."""
    print(f"{what}: {cluster.connect('client', 'dns', port=5353)}")


def main() -> None:
    """Replace the only endpoint, once with kube-proxy's clean-up and once as if it had not been there to do it."""
    sketch = Sketch("a")
    sketch.pod("client")
    sketch.pod("dns-new")
    sketch.service("dns", 53, {"dns-old": "a"}, protocol="UDP")
    cluster = sketch.cluster()
    ask(cluster, "at first")
    cluster.advance(5)
    cluster.stop("dns-old")
    cluster.apply(sketch.endpoints("dns", ["dns-new"]))
    ask(cluster, "replaced")

    entry = "conntrack -I -p udp -s 10.244.1.2 -d 10.96.0.1 --sport 5353 --dport 53 -r 10.244.1.4 -q 10.244.1.2"
    node = cluster.node("a").node
    node.run(f"conntrack -F; {entry} --reply-port-src 53 --reply-port-dst 5353 -t 30")
    ask(cluster, "an entry that nobody deleted")


if __name__ == "__main__":
    main()
