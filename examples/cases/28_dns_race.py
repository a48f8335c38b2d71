"""
Two DNS questions from one socket, at once: five seconds of waiting.

A resolver sends its A and AAAA questions from one port in the same moment. On two processors both find no connection, both
get an entry of their own, and each may be led to another endpoint. The first one to leave is entered in the table; the second
then clashes. For years it was dropped, and the resolver asked again after five seconds. Today's kernels merge the two if both
were led to one endpoint; if not, the second one is kept for a second by its answer's direction alone.

Discussed at https://github.com/kubernetes/kubernetes/issues/56903

It prints::

    one endpoint: UDP 10.244.1.9:5353 > 10.244.1.2:53, length 30
    one endpoint: UDP 10.244.1.9:5353 > 10.244.1.2:53, length 33
       insert_failed=0 drop=0 clash_resolve=1
    two endpoints: UDP 10.244.1.9:5353 > 10.244.1.2:53, length 30
    two endpoints: UDP 10.244.1.9:5353 > 10.244.1.3:53, length 33
       insert_failed=0 drop=0 clash_resolve=1
"""

from svcsim.addr import Family
from svcsim.hooks import Hook, Skb, Verdict
from svcsim.node import Node
from svcsim.packet import Packet


def main() -> None:
    """Take two packets through the hooks of a node in step: first in by both, then out by both."""
    for what, backends in (("one endpoint", ("10.244.1.2",)), ("two endpoints", ("10.244.1.2", "10.244.1.3"))):
        node = Node()
        node.add_interface("pods", ["10.244.1.1/24"])
        for number, backend in enumerate(backends):
            turn = f"-m statistic --mode nth --every {len(backends) - number} --packet 0"
            node.run(f"iptables -t nat -A PREROUTING -p udp -d 10.96.0.10 {turn} -j DNAT --to-destination {backend}")
        hooks = node.hooks[Family.IPV4]
        questions = [Skb(Packet.udp("10.244.1.9:5353", "10.96.0.10:53", text), "pods") for text in (b"A?", b"AAAA?")]
        for skb in questions:
            hooks.run(Hook.PRE_ROUTING, skb, "pods", "")
        left = [hooks.run(Hook.POST_ROUTING, skb, "pods", "pods") for skb in questions]
        for skb, verdict in zip(questions, left, strict=True):
            print(f"{what}: {skb.packet if verdict is Verdict.ACCEPT else 'dropped'}")
        words = node.run("conntrack -S").stdout.split()
        print("  ", *(word for word in words if word.startswith(("insert_failed", "clash", "drop"))))


if __name__ == "__main__":
    main()
