"""
``svcsim replay``: run scenarios on the emulator and write what it answered.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import read_scenarios
from svcsim.console import track

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "replay",
        help="run scenarios on the emulator",
        description="Run scenarios on the emulator and write DIR/NAME.result.json for each.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a scenario .json, or a .jsonl[.gz] corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay."""
    args.out.mkdir(parents=True, exist_ok=True)
    scenarios = [scenario for path in args.files for scenario in read_scenarios(path)]
    for scenario in track(scenarios, "replaying"):
        result = run_scenario(scenario)
        (args.out / f"{scenario.name}.result.json").write_text(json.dumps(result))
    print(f"{len(scenarios)} scenarios replayed into {args.out}")
    return 0
