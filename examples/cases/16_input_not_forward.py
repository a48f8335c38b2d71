"""
IPVS takes packets in INPUT, where iptables lets them pass FORWARD.

A service's address is the node's own in ipvs mode, so a firewall that drops what is not expected in INPUT stops traffic
that it never saw in iptables mode.

Discussed at https://github.com/kubernetes/kubernetes/issues/59656

It prints::

    iptables: PRE_ROUTING FORWARD POST_ROUTING
      with -P INPUT DROP: answered
    ipvs: PRE_ROUTING LOCAL_IN LOCAL_OUT POST_ROUTING
      with -P INPUT DROP: silence
"""

from svcsim.cluster import Sketch
from svcsim.trace import Stage


def main() -> None:
    """Follow one packet through the hooks of a node, then close INPUT."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a")
        sketch.pod("client")
        sketch.service("web", {80: 8080}, {"web-1": "a"})
        cluster = sketch.cluster(mode=mode)
        call = cluster.connect("client", "web")
        first = next(hop.outcome for hop in call.journey.hops if hop.host == "a")
        hooks = dict.fromkeys(event.hook.name for event in first.trace or () if isinstance(event, Stage))
        print(f"{mode}: {' '.join(hooks)}")
        cluster.node("a").node.run("iptables -P INPUT DROP")
        print(f"  with -P INPUT DROP: {cluster.connect('client', 'web').heard.value}")


if __name__ == "__main__":
    main()
