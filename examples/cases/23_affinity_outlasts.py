"""
Session affinity in ipvs mode lasts longer than its timeout.

The memory of a client is a template in IPVS's table. When its time is over while a connection of the client is still there,
be it in TIME_WAIT, it is given another minute, and so on. A timeout of 5 s is minutes then.

Discussed at https://github.com/kubernetes/kubernetes/issues/89358

It prints::

    0 s: 00:05 ASSURED 203.0.113.7:0; 02:00 TIME_WAIT 203.0.113.7:40000
    6 s: 00:59 ASSURED 203.0.113.7:0; 01:54 TIME_WAIT 203.0.113.7:40000
    66 s: 00:59 ASSURED 203.0.113.7:0; 00:54 TIME_WAIT 203.0.113.7:40000
    126 s: nothing
    186 s: nothing
"""

from svcsim.node import Node
from svcsim.packet import Packet


def main() -> None:
    """Open and close one connection; look when the template goes."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.10/24"], ["default via 192.0.2.1"])
    node.add_interface("pods", ["10.244.1.1/24"])
    node.run("ipvsadm -A -t 192.0.2.10:80 -s rr -p 5; ipvsadm -a -t 192.0.2.10:80 -r 10.244.1.2 -m")
    client, front, pod = "203.0.113.7:40000", "192.0.2.10:80", "10.244.1.2:80"
    node.receive(Packet.tcp(client, front), "eth0")
    node.receive(Packet.tcp(pod, client, flags="SA", seq=1, ack=1), "pods")
    node.receive(Packet.tcp(client, front, flags="A", seq=1, ack=2), "eth0")
    node.receive(Packet.tcp(client, front, flags="FA", seq=1, ack=2), "eth0")
    node.receive(Packet.tcp(pod, client, flags="FA", seq=2, ack=2), "pods")
    node.receive(Packet.tcp(client, front, flags="A", seq=2, ack=3), "eth0")
    for seconds in (0, 6, 60, 60, 60):
        node.advance(seconds)
        entries = node.run("ipvsadm -Lnc").stdout.splitlines()[2:]
        held = [" ".join(line.split()[1:4]) for line in entries]
        print(f"{node.clock.now // 10**9} s: {'; '.join(held) or 'nothing'}")


if __name__ == "__main__":
    main()
