"""
Two clients behind one masqueraded address, from the same port.

The node may not send two connections with the same ends, so the second gets another source port. Where every port is
taken, its first packet is dropped, and `insert_failed` or `drop` of `conntrack -S` is all that anybody sees. Pods that
call one outside address, such as a DNS server, from few ports meet this first.

Discussed at https://github.com/weaveworks/weave/issues/3287

It prints::

    10.244.1.10:5353 -> eth0: UDP 192.0.2.10:5353 > 198.51.100.53:53, length 29, ttl 63
    10.244.1.11:5353 -> eth0: UDP 192.0.2.10:5354 > 198.51.100.53:53, length 29, ttl 63
    10.244.1.12:5353 -> eth0: UDP 192.0.2.10:5355 > 198.51.100.53:53, length 29, ttl 63
    10.244.1.13:5353 -> drop
    conntrack -S: insert=0 insert_failed=1 drop=1
"""

from svcsim.node import Node
from svcsim.packet import Packet


def call(node: Node, source: str) -> None:
    """One packet to an outside DNS server."""
    outcome = node.receive(Packet.udp(source, "198.51.100.53:53", b"?"), "pods")
    print(source, "->", *outcome.sent or [outcome.verdict.name.lower()])


def main() -> None:
    """Masquerade four clients with the same port into a range of three."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.10/24"], ["default via 192.0.2.1"])
    node.add_interface("pods", ["10.244.1.1/24"])
    node.run("iptables -t nat -A POSTROUTING -o eth0 -p udp -j MASQUERADE --to-ports 5353-5355")
    for number in range(4):
        call(node, f"10.244.1.{10 + number}:5353")
    print(
        "conntrack -S:",
        " ".join(w for w in node.run("conntrack -S").stdout.split() if w.startswith(("drop", "insert"))),
    )


if __name__ == "__main__":
    main()
