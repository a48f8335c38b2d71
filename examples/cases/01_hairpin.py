"""
A pod that calls its own Service and is chosen itself.

The pod's answer would go straight to its own address, past the node that rewrote the question, and nobody would know the
connection. So kube-proxy masquerades a packet that comes back to its sender: the pod sees its node as the client. In
the ipvs mode the endpoint has to be known as one of this node, or this does not happen.

Discussed at https://github.com/kubernetes/kubernetes/issues/20475

It prints::

    iptables: web-1 -> 10.96.0.1:80 tcp: answered by 10.244.1.2:8080 on a, which saw 192.0.2.10
    ipvs: web-1 -> 10.96.0.1:80 tcp: answered by 10.244.1.2:8080 on a, which saw 192.0.2.10
"""

from svcsim.cluster import Sketch


def main() -> None:
    """Let the only pod of a Service call it."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a")
        sketch.service("web", {80: 8080}, {"web-1": "a"})
        cluster = sketch.cluster(mode=mode)
        print(f"{mode}: {cluster.connect('web-1', 'web')}")


if __name__ == "__main__":
    main()
