"""
``svcsim simulate``: connections through a whole cluster, and who got them.
"""

from __future__ import annotations

import argparse
from collections import Counter

import attrs

from svcsim.cluster.world import Cluster
from svcsim.commands.clusters import add_cluster, add_config, config_of, objects_of
from svcsim.console import table, track
from svcsim.errors import ConfigError
from svcsim.lab.cost import rules_asked
from svcsim.lab.metrics import jain
from svcsim.trace import Scheduled

__all__ = ["add_parser", "run"]

_MOST = 1_000_000


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "simulate",
        help="connections through a cluster, and who got them",
        description="Build the cluster, open connections, ask something on each, and count: who answered, what was "
        "refused or lost, and how many rules and entries of hash tables the first packet met on all nodes together.",
    )
    add_cluster(parser)
    parser.add_argument(
        "--traffic",
        action="append",
        required=True,
        metavar="'FROM TO [COUNT]'",
        help="a pod, node or outside address; a service, pod or node with its port, or an address; how many (100). "
        "May be given again",
    )
    parser.add_argument("--keep-open", action="store_true", help="leave connections open (they are closed at once)")
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="time between connections (0)")
    parser.add_argument("--link", choices=("routed", "vxlan"), default="routed", help="between nodes (%(default)s)")
    add_config(parser)
    parser.set_defaults(run=run)


@attrs.define
class _Tally:
    """What became of the connections of one kind."""

    endpoints: Counter[str] = attrs.field(factory=Counter)
    heard: Counter[str] = attrs.field(factory=Counter)
    rules: int = 0
    probes: int = 0


def run(args: argparse.Namespace) -> int:
    """Simulate."""
    wanted = [_traffic(text) for text in args.traffic]
    if args.every < 0:
        raise ConfigError(f"--every: not a time: {args.every}")
    cluster = Cluster(objects_of(args), config=config_of(args), link=args.link, kernel=args.kernel, seed=args.seed)
    tallies = []
    for source, target, count in wanted:
        tally = _Tally()
        for _ in track(range(count), f"{source} -> {target}"):
            _call(cluster, source, target, tally, keep=args.keep_open)
            if args.every:
                cluster.advance(args.every)
        tallies.append(tally)
    for (source, target, count), tally in zip(wanted, tallies, strict=True):
        _tell(f"{source} -> {target}", count, tally)
    return 0


def _traffic(text: str) -> tuple[str, str, int]:
    words = text.split()
    if len(words) not in (2, 3) or (len(words) == 3 and not (words[2].isascii() and words[2].isdigit())):
        raise ConfigError(f"--traffic: not FROM TO [COUNT]: {text!r}")
    count = int(words[2]) if len(words) == 3 else 100
    if not 0 < count <= _MOST:
        raise ConfigError(f"--traffic: from 1 to {_MOST} connections, not {count}")
    return words[0], words[1], count


def _call(cluster: Cluster, source: str, target: str, tally: _Tally, *, keep: bool) -> None:
    call = cluster.connect(source, target)
    tally.heard[call.heard.value] += 1
    if call.backend:
        tally.endpoints[f"{call.endpoint} ({cluster.directory.name_of(call.backend)})"] += 1
    for hop in call.journey.hops:
        if hop.host in cluster.nodes and hop.packet is not None and hop.outcome.trace is not None:
            tally.rules += rules_asked(hop.outcome)
            tally.probes += sum(event.probes for event in hop.outcome.trace if isinstance(event, Scheduled))
    if not keep and call.backend:
        call.close()


def _tell(title: str, count: int, tally: _Tally) -> None:
    print(f"{title}: " + ", ".join(f"{number} {what}" for what, number in sorted(tally.heard.items())))
    if tally.endpoints:
        rows = [(name, number, f"{number / count:.1%}") for name, number in sorted(tally.endpoints.items())]
        table(["endpoint", "connections", "share"], rows)
        print(f"Jain's index over those that got any: {jain(tally.endpoints.values()):.4f}")
    print(f"rules met by an opening: {tally.rules / count:.1f}; entries of hash tables: {tally.probes / count:.1f}\n")
