"""
Affinity to an endpoint of weight 0 is a black hole.

A client that is remembered goes on to its endpoint though that takes nobody any more, and renews the memory with every
try. expire_quiescent_template=1, which kube-proxy sets, forgets it.

Discussed at https://github.com/kubernetes/kubernetes/issues/71809

It prints::

    expire_quiescent_template=0: the client comes back to the one with weight 0
    expire_quiescent_template=1: the client comes back to the other one
"""

from svcsim.node import Node
from svcsim.packet import Packet


def main() -> None:
    """Let a client come back after its server got the weight 0, in both settings."""
    for setting in (0, 1):
        node = Node()
        node.add_interface("eth0", ["192.0.2.10/24"], ["default via 192.0.2.1"])
        node.add_interface("pods", ["10.244.1.1/24"])
        node.run(f"sysctl -qw net.ipv4.vs.expire_quiescent_template={setting}")
        node.run("ipvsadm -A -t 192.0.2.10:80 -s rr -p 600")
        for number in (2, 3):
            node.run(f"ipvsadm -a -t 192.0.2.10:80 -r 10.244.1.{number} -m")
        first = node.receive(Packet.tcp("203.0.113.7:40000", "192.0.2.10:80"), "eth0").sent[0].packet
        chosen = str(first).split(" > ")[1].split()[0]
        node.run(f"ipvsadm -e -t 192.0.2.10:80 -r {chosen} -m -w 0")
        again = node.receive(Packet.tcp("203.0.113.7:40001", "192.0.2.10:80"), "eth0").sent[0].packet
        told = "the one with weight 0" if chosen in str(again) else "the other one"
        print(f"expire_quiescent_template={setting}: the client comes back to {told}")


if __name__ == "__main__":
    main()
