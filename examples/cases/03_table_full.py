"""
The connection tracking table is full.

Every connection is an entry until its timeout, and ended TCP connections stay for two minutes. When as many are there as
nf_conntrack_max allows and none can be dropped early, new connections lose their first packet; old ones go on.

Discussed at https://github.com/kubernetes/kubernetes/issues/71261

It prints::

    opened: 10 of 15
    entries: 10
    the first one goes on: answered
    after five have ended: silence
    two minutes later: answered
"""

from svcsim.cluster import Sketch
from svcsim.connection import Answer


def main() -> None:
    """Let a node track ten connections, and open fifteen."""
    sketch = Sketch("a")
    sketch.pod("client")
    sketch.service("web", {80: 8080}, {"web-1": "a"})
    cluster = sketch.cluster()
    node = cluster.node("a").node
    node.run("sysctl -qw net.netfilter.nf_conntrack_max=10")
    calls = [cluster.connect("client", "web") for _ in range(15)]
    print("opened:", sum(call.heard is Answer.ANSWERED for call in calls), "of", len(calls))
    print("entries:", node.run("conntrack -C").stdout.strip())
    print("the first one goes on:", calls[0].request().value)
    for call in calls[:5]:
        call.close()
    print("after five have ended:", cluster.connect("client", "web").heard.value)
    cluster.advance(125)
    print("two minutes later:", cluster.connect("client", "web").heard.value)


if __name__ == "__main__":
    main()
