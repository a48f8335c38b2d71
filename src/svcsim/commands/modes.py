"""
``svcsim modes``: what each mode of kube-proxy would program into a node for the same objects, side by side.
"""

from __future__ import annotations

import argparse

import attrs

from svcsim.cluster.modes import ModeReport, report_on
from svcsim.commands.clusters import add_cluster, add_config, config_of, objects_of
from svcsim.console import table, track
from svcsim.errors import UnsupportedError
from svcsim.kube.programmer import PROXY_MODES

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "modes",
        help="what each proxy mode would program, side by side",
        description="Program one node in every mode and compare: what it holds then, how it balances, what the change "
        "of one endpoint costs, and what is worth knowing.",
    )
    add_cluster(parser)
    parser.add_argument("--node", default="", metavar="NAME", help="the node (the first)")
    parser.add_argument("--only", action="append", metavar="MODE", help="only this mode; may be given again")
    add_config(parser, mode=False)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare."""
    objects = objects_of(args)
    reports: list[ModeReport] = []
    refused: dict[str, str] = {}
    for mode in track(args.only or sorted(PROXY_MODES), "programming"):
        try:
            reports.append(report_on(objects, config_of(args, mode), args.node, kernel=args.kernel, seed=args.seed))
        except UnsupportedError as error:
            refused[mode] = str(error)
    names = [field.name for field in attrs.fields(type(reports[0].holdings))] if reports else []
    rows = [
        (name.replace("size", "bytes in the kernel"), *(getattr(r.holdings, name) for r in reports)) for name in names
    ]
    rows += [
        ("commands of the first sync", *(len(report.first.steps) for report in reports)),
        ("one endpoint changes: rules and entries written", *(report.written for report in reports)),
        ("one endpoint changes: bytes the kernel exchanges", *(report.exchanged for report in reports)),
    ]
    table(["", *(report.mode for report in reports)], rows)
    for report in reports:
        print(f"\n{report.mode}: {report.balancing}")
        for caveat in report.caveats:
            print(f"  - {caveat}")
    if args.only is None:
        refused["nftables"] = "not modelled yet"
    for mode, why in refused.items():
        print(f"\n{mode}: {why}")
    return 0
