"""
``svcsim demo``: the bundled example cluster in kube-proxy's two classic modes, side by side.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import attrs

from svcsim.addr import format_address
from svcsim.commands.bench import print_lookup
from svcsim.console import table
from svcsim.explain.answers import answer_to
from svcsim.explain.words import journey
from svcsim.lab.cluster import MODES, example_node
from svcsim.lab.cost import measure_lookup
from svcsim.lab.metrics import chi_square, jain
from svcsim.node import Node
from svcsim.packet import Packet

__all__ = ["add_parser", "run"]

_WEB, _PAY = "10.96.200.80:80", "10.96.71.5:443"
_BALANCED = {"shop/web:http": _WEB, "shop/search:grpc": "10.96.33.7:9000", "kube-system/dns:dns": "10.96.0.10:53"}
_DATAGRAMS = "kube-system/dns:dns"
_LOADED = {
    "iptables": "from a real iptables-save",
    "ipvs": "from a real ipvsadm -Sn, ipset save and iptables-save",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "demo",
        help="the bundled example cluster, in an iptables and in an IPVS node",
        description="Send the same connections to a node in iptables mode and to one in ipvs mode, and compare.",
    )
    parser.add_argument("--connections", type=_count, default=600, metavar="N", help="to each service (default 600)")
    parser.add_argument("--services", type=_count, default=1000, metavar="N", help="most that are looked among (1000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of every random choice (default 1)")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"not a number from 1 to 10000: {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Show one journey in each mode, where many connections went, and what finding a service costs."""
    nodes = {mode: example_node(mode, seed=args.seed) for mode in MODES}
    for mode, node in nodes.items():
        _heading(f"{mode} mode, loaded {_LOADED[mode]}: a pod asks for shop/web:http")
        _tell_journey(node)
    _heading("No endpoints: a pod asks for shop/pay:https")
    for mode, node in nodes.items():
        print(f"{mode}: {node.receive(Packet.tcp('10.244.1.7:40000', _PAY), 'cni0')}")
    _heading(f"Where {args.connections} connections to each service went")
    spreads = [_spread(nodes, service, args.connections) for service in _BALANCED]
    _print_spreads(spreads)
    _heading("What finding the service costs, here and now")
    sizes = sorted({size for size in (10, 100, 1000, 10_000) if size < args.services} | {args.services})
    print_lookup(measure_lookup(time.process_time_ns, sizes, packets=50, repeats=3, seed=args.seed), ("random",))
    return 0


def _heading(text: str) -> None:
    print(f"\n== {text} ==\n")


def _tell_journey(node: Node) -> None:
    """One connection's first packet and its answer, each hook by hook."""
    packet = Packet.tcp("10.244.1.7:40000", _WEB)
    outcome = node.receive(packet, "cni0", trace=True)
    print(f"cni0 receives {packet}")
    print(*journey(outcome), sep="\n")
    for device, sent in outcome.sent:
        assert isinstance(device, str)
        assert isinstance(sent, Packet)
        answer = answer_to(sent)
        assert answer is not None
        print(f"\nand the answer: {device} receives {answer}")
        print(*journey(node.receive(answer, device, trace=True)), sep="\n")


@attrs.frozen
class _Spread:
    """How many connections to a *service* each endpoint got, by mode."""

    service: str
    counts: dict[str, Counter[str]]

    @property
    def endpoints(self) -> list[str]:
        return sorted({endpoint for counts in self.counts.values() for endpoint in counts})


def _spread(nodes: dict[str, Node], service: str, connections: int) -> _Spread:
    """Open *connections* to *service* from a few pods, the same ones in each mode."""
    make = Packet.udp if service == _DATAGRAMS else Packet.tcp
    counts: dict[str, Counter[str]] = {mode: Counter() for mode in nodes}
    for number in range(connections):
        packet = make(f"10.244.1.{100 + number % 50}:{20_000 + number}", _BALANCED[service])
        for mode, node in nodes.items():
            for sent in node.receive(packet, "cni0").sent:
                out = sent.packet
                counts[mode][f"{format_address(out.family, out.dst)}:{out.dport}"] += 1
    return _Spread(service, counts)


def _print_spreads(spreads: list[_Spread]) -> None:
    rows = [
        (spread.service, endpoint, *(spread.counts[mode][endpoint] for mode in MODES))
        for spread in spreads
        for endpoint in spread.endpoints
    ]
    table(("service", "endpoint", *MODES), rows)
    print()
    fairness = [
        (
            spread.service,
            mode,
            f"{jain(counts := [spread.counts[mode][endpoint] for endpoint in spread.endpoints]):.4f}",
            f"{chi_square(counts).p_value:.3f}",
        )
        for spread in spreads
        for mode in MODES
    ]
    table(("service", "mode", "Jain's index", "p of an even spread"), fairness)
    print("iptables draws at random for each connection; ipvs takes turns (rr).")
