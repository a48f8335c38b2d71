"""
``svcsim replay``: run scenarios on the emulator and write what it answered.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from svcsim.conformance.run import RefusedError, run_scenario
from svcsim.conformance.scenario import read_scenarios
from svcsim.console import track
from svcsim.errors import ConfigError

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "replay",
        help="run scenarios on the emulator",
        description="Run scenarios on the emulator and write DIR/NAME.result.json for each. What cannot be run to its "
        "end is written as far as it goes, and named; the exit status is then 1.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a scenario .json, or a .jsonl[.gz] corpus")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay."""
    scenarios = [scenario for path in args.files for scenario in read_scenarios(path)]
    names = [scenario.name for scenario in scenarios]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ConfigError(f"two scenarios are called {twice!r}; their results would be one file")
    refused = 0
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for scenario in track(scenarios, "replaying"):
            try:
                result = run_scenario(scenario)
            except RefusedError as error:
                print(f"svcsim: {error}", file=sys.stderr)
                result, refused = error.partial, refused + 1
            except Exception:  # a bug that one scenario shows must not keep the others from their results
                traceback.print_exc(file=sys.stderr)
                print(f"svcsim: {scenario.name}: a bug in the emulator", file=sys.stderr)
                refused += 1
                continue
            (args.out / f"{scenario.name}.result.json").write_text(json.dumps(result))
    except OSError as error:
        raise ConfigError(f"{error.filename or args.out}: {error.strerror}") from error
    suffix = f", {refused} refused" if refused else ""
    print(f"{len(scenarios) - refused} scenarios replayed into {args.out}{suffix}")
    return 1 if refused else 0
