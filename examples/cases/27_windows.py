"""
Windows: direct server return, and the policy Local.

Without direct server return HNS gives the packet the node's address, so that the answer comes back by it, and the policy
Local is not kept. With it the source stays, and the answer goes straight to the client.

Discussed at https://github.com/kubernetes/kubernetes/pull/103138

It prints::

    direct server return off: 10.244.1.2, 10.244.2.2 as seen from 192.0.2.10
    direct server return on: 10.244.1.2 as seen from 203.0.113.7
"""

from svcsim.addr import Family
from svcsim.cluster import Sketch
from svcsim.kube.config import ProxyConfig
from svcsim.kube.front import node_info, proxy_state
from svcsim.kube.kernelspace import KernelspaceProgrammer
from svcsim.kube.windows import WindowsNode
from svcsim.lb.hns import Hns
from svcsim.packet import Packet


def main() -> None:
    """Twenty connections to a load balancer's address, on a host that can return directly and on one that cannot."""
    sketch = Sketch("win", "other")
    sketch.service(
        "web", {80: 8080}, {"web-1": "win", "web-2": "other"}, ip="198.51.100.1", externalTrafficPolicy="Local"
    )
    objects = sketch.objects
    for direct in (False, True):
        node = WindowsNode(Hns(addresses=["192.0.2.10"], dsr=direct), pods={"pod": "10.244.1.2"})
        state = proxy_state(
            Family.IPV4,
            node_info(objects.nodes[0], Family.IPV4),
            objects.services,
            objects.slices,
            ProxyConfig(mode="kernelspace"),
        )
        KernelspaceProgrammer().sync(state, node).apply(node)
        found = [node.decide(Packet.tcp(f"203.0.113.7:{port}", "198.51.100.1:80")) for port in range(40000, 40020)]
        ends = sorted({decision.endpoint.ip for decision in found if decision is not None})
        sources = sorted({decision.source for decision in found if decision is not None})
        print(f"direct server return {'on' if direct else 'off'}: {', '.join(ends)} as seen from {', '.join(sources)}")


if __name__ == "__main__":
    main()
