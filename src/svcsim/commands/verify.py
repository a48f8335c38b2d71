"""
``svcsim verify``: replay recorded scenarios and compare with what the kernel did.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from svcsim.conformance.compare import Difference, compare
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import Recorded, read_corpus
from svcsim.console import table, track
from svcsim.errors import SvcsimError

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "verify",
        help="compare the emulator with recordings of a kernel",
        description="Replay recorded scenarios and compare with the recording. Exit status 1 if any differs.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="CORPUS", help="a recorded .jsonl or .jsonl.gz")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios whose name contains TEXT")
    parser.set_defaults(run=run)


def _judge(recorded: Recorded) -> Difference | None:
    """The first difference; what cannot be run at all is one too."""
    try:
        emulated = run_scenario(recorded.scenario)
    except SvcsimError as error:
        return Difference("the emulator refused", "an answer", str(error))
    return compare(recorded.result, emulated)


def run(args: argparse.Namespace) -> int:
    """Verify."""
    chosen = [r for path in args.files for r in read_corpus(path) if args.only in r.scenario.name]
    families: dict[str, list[bool]] = {}
    failures: list[tuple[str, Difference]] = []
    for recorded in track(chosen, "verifying"):
        difference = _judge(recorded)
        families.setdefault(recorded.family, []).append(difference is None)
        if difference is not None:
            failures.append((recorded.scenario.name, difference))
    rows = [(family, f"{sum(agreed)}/{len(agreed)}") for family, agreed in sorted(families.items())]
    table(["family", "agree"], rows)
    for name, difference in failures:
        print(f"\n{name}: {difference}")
    print(f"\n{len(chosen) - len(failures)} of {len(chosen)} scenarios agree with the kernel")
    return 1 if failures else 0
