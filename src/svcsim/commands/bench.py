"""
``svcsim bench``: what looking a service up, and changing one, costs in a list and in a hash table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from svcsim.console import table
from svcsim.errors import ConfigError
from svcsim.lab.churn import CHANGES, WAYS, ChurnReport, measure_churn
from svcsim.lab.cost import POSITIONS, SIZES, LookupReport, measure_lookup
from svcsim.lab.plots import plot_cost, write_figure

__all__ = ["add_parser", "print_churn", "print_fit", "print_lookup", "run_churn", "run_lookup"]

_CHURN_SIZES = (10, 100, 1000)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand and what can be measured."""
    parser = commands.add_parser(
        "bench",
        help="measure what a look-up or a change costs",
        description="Measure kube-proxy's iptables and ipvs modes against the number of services.",
    )
    kinds = parser.add_subparsers(title="measurements", metavar="WHAT", required=True)

    lookup = kinds.add_parser(
        "lookup",
        help="the first packet of a connection, by the number of services",
        description="Rules asked, table entries probed and time for the first packet of a connection.",
    )
    _common(lookup, SIZES, repeats=5)
    lookup.add_argument("--plot", type=Path, metavar="FILE", help="draw it, as .png, .svg or .pdf (needs matplotlib)")
    lookup.set_defaults(run=run_lookup)

    churn = kinds.add_parser(
        "churn",
        help="one service added, changed and deleted, by the number of services",
        description="Commands, text, rules rewritten and time for one change among many services.",
    )
    _common(churn, _CHURN_SIZES, repeats=3)
    churn.set_defaults(run=run_churn)


def _common(parser: argparse.ArgumentParser, sizes: tuple[int, ...], repeats: int) -> None:
    shown = ",".join(map(str, sizes))
    parser.add_argument("--services", type=_sizes, default=sizes, metavar="N,...", help=f"how many (default {shown})")
    parser.add_argument("--endpoints", type=int, default=3, metavar="N", help="of each service (default 3)")
    parser.add_argument("--repeats", type=int, default=repeats, metavar="N", help=f"of each figure (default {repeats})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of addresses and choices (default 0)")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON, to standard output if FILE is -")


def _sizes(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and int(word) for word in words):
        raise argparse.ArgumentTypeError(f"not numbers of services: {text!r}")
    return tuple(map(int, words))


def run_lookup(args: argparse.Namespace) -> int:
    """Measure look-ups."""
    report = measure_lookup(
        time.process_time_ns,
        args.services,
        endpoints=args.endpoints,
        repeats=args.repeats,
        seed=args.seed,
        progress=_progress,
    )
    _give(report, args.json, _print_lookup_and_fit)
    if args.plot is not None:
        write_figure(plot_cost(report), args.plot)
    return 0


def run_churn(args: argparse.Namespace) -> int:
    """Measure changes."""
    report = measure_churn(
        time.process_time_ns,
        args.services,
        endpoints=args.endpoints,
        repeats=args.repeats,
        seed=args.seed,
        progress=_progress,
    )
    _give(report, args.json, print_churn)
    return 0


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _give(report: LookupReport | ChurnReport, to: str | None, show: Callable[..., None]) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    text = json.dumps(report.to_dict(), indent=2)
    if to == "-":
        print(text)
        return
    show(report)
    if to is not None:
        try:
            Path(to).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{to}: {error.strerror}") from None


def print_lookup(report: LookupReport, positions: Sequence[str] = POSITIONS) -> None:
    """Print a table of look-ups, one line for each number of services and position."""
    rows = []
    for position in positions:
        for rules, hashed in zip(report.of("iptables", position), report.of("ipvs", position), strict=True):
            rows.append(
                (
                    rules.services,
                    position,
                    f"{rules.rules:.1f}",
                    f"{rules.time.median / 1000:.1f}",
                    f"{hashed.probes:.1f}",
                    f"{hashed.time.median / 1000:.1f}",
                    f"{rules.time.median / hashed.time.median:.1f}",
                )
            )
    head = ("services", "connection to", "rules asked", "iptables us", "entries probed", "ipvs us", "ratio")
    table(head, rows, title=f"First packet of a connection, {report.endpoints} endpoints a service")
    print(_crossing(report.crossing))


def print_fit(report: LookupReport) -> None:
    """Print the line through the times of iptables mode."""
    fit = report.fit
    print(f"iptables: {fit.intercept / 1000:.1f} us + {fit.slope:.1f} ns a rule asked (R2 {fit.r_squared:.4f})")


def _print_lookup_and_fit(report: LookupReport) -> None:
    print_lookup(report)
    print_fit(report)


def _crossing(crossing: float | None) -> str:
    if crossing is None:
        return "For a random service iptables is the cheaper one at any number of services measured."
    if crossing == 0:
        return "For a random service ipvs is the cheaper one from the first service on."
    return f"For a random service ipvs is the cheaper one from about {crossing:.0f} services on."


def print_churn(report: ChurnReport) -> None:
    """Print a table of changes, one line for each way, change and number of services."""
    rows = [
        (
            cost.services,
            cost.change,
            cost.way,
            cost.commands,
            cost.told,
            cost.text,
            cost.rewritten,
            f"{cost.time.median / 1e6:.2f}",
        )
        for change in CHANGES
        for way in WAYS
        for cost in report.of(way, change)
    ]
    head = ("services", "change", "by", "commands", "rules told", "bytes of text", "rules rewritten", "ms")
    table(head, rows, title=f"One service among many, {report.endpoints} endpoints a service")
