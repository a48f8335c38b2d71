"""
One packet's way through a node: new and established connections, in ipvs and in iptables mode, traced and not.

    python benchmarks/bench_ipvs.py [--services N] [--packets N] [--repeats N]

What is timed is the process's own CPU time, with the garbage collector paused. Traced and untraced bursts alternate, so
that a ratio compares what ran side by side. Each mode's answers are checked to be those of a traced twin beforehand.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from svcsim import Node, Packet
from svcsim.addr import format_address
from svcsim.lab.cluster import MODES, iptables_node, ipvs_node
from svcsim.lab.timing import timed
from svcsim.lab.workload import Portal, make_portals

_GOALS = {("ipvs", "established"): 4.0, ("ipvs", "new"): 8.0}


def make_node(mode: str, portals: list[Portal]) -> Node:
    """A node in *mode* that serves *portals*."""
    return iptables_node(portals) if mode == "iptables" else ipvs_node(portals)


def openings(portals: list[Portal], count: int, pod: int) -> list[Packet]:
    """First packets of *count* connections from one pod, to the middle service: half of the rules are in the way."""
    target = portals[len(portals) // 2]
    return [Packet.tcp(f"10.244.1.{pod}:{1024 + i}", f"{target.address}:{target.port}") for i in range(count)]


def establish(node: Node, opening: Packet) -> Packet:
    """Shake hands on a connection and return a data segment of it."""
    (sent,) = node.receive(opening, "cni0").sent
    out = sent.packet
    source, target = (
        f"{format_address(4, address)}:{port}" for address, port in ((out.dst, out.dport), (out.src, out.sport))
    )
    node.receive(Packet.tcp(source, target, flags="SA", seq=5000, ack=1), sent.device)
    client, server = (
        f"{format_address(4, address)}:{port}"
        for address, port in ((opening.src, opening.sport), (opening.dst, opening.dport))
    )
    node.receive(Packet.tcp(client, server, flags="A", seq=1, ack=5001), "cni0")
    return Packet.tcp(client, server, flags="PA", seq=1, ack=5001, payload=b"x" * 100)


def check_traced_is_untraced(mode: str, portals: list[Portal]) -> None:
    """A trace must not change what happens: two nodes of one seed, one traced, answer alike."""
    plain, traced = make_node(mode, portals), make_node(mode, portals)
    for packet in openings(portals, 20, pod=2):
        answers = [str(node.receive(packet, "cni0", trace=on)) for node, on in ((plain, False), (traced, True))]
        assert answers[0] == answers[1] != "drop", answers


def receive_all(node: Node, packets: list[Packet], trace: bool) -> None:
    """Feed *packets* to *node*."""
    receive = node.receive
    for packet in packets:
        receive(packet, "cni0", trace=trace)


def measure(mode: str, kind: str, portals: list[Portal], packets: int, repeats: int) -> tuple[list[float], list[float]]:
    """Microseconds a packet, untraced and traced, by repeat."""
    node = make_node(mode, portals)
    taken: tuple[list[float], list[float]] = ([], [])
    established = [establish(node, opening) for opening in openings(portals, packets, pod=3)]
    for repeat in range(repeats):
        for trace in (False, True):
            burst = established if kind == "established" else openings(portals, packets, pod=4 + 2 * repeat + trace)
            nanoseconds = timed(time.process_time_ns, receive_all, node, burst, trace)
            taken[trace].append(nanoseconds / packets / 1000)
    return taken


def main(services: int = 1000, packets: int = 2000, repeats: int = 9) -> None:
    """Print one line for each mode and kind of packet."""
    portals = make_portals(services)
    print(f"{services} services, 3 endpoints each, the middle one is asked for; {repeats} repeats of {packets} packets")
    print("mode      packet       us: median (low..high)    traced us   traced/untraced   goal")
    for mode in reversed(MODES):
        check_traced_is_untraced(mode, portals)
        for kind in ("established", "new"):
            plain, traced = measure(mode, kind, portals, packets, repeats)
            ratio = median(b / a for a, b in zip(plain, traced, strict=True))
            goal = f"<= {_GOALS[mode, kind]:.0f} us, <= 1.5x" if (mode, kind) in _GOALS else "<= 1.5x"
            print(
                f"{mode:9} {kind:12} {median(plain):6.2f} ({min(plain):.2f}..{max(plain):.2f})"
                f"{median(traced):15.2f} {ratio:17.2f}   {goal}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--packets", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    main(**vars(parser.parse_args()))
