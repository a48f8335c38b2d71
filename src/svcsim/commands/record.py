"""
``svcsim record``: run scenarios on this machine's own kernel (root).
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path

from svcsim.conformance.record import Recorder
from svcsim.conformance.scenario import read_scenarios
from svcsim.console import track
from svcsim.errors import ConfigError

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "record",
        help="run scenarios on this machine's kernel (root)",
        description="Run scenarios on this machine's kernel, each in a network namespace of its own. A FILE.json is "
        "answered by FILE.result.json beside it, a corpus by its recordings in the file named by --corpus. What fails "
        "is named and left out; the exit status is then 1.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a scenario .json, or a .jsonl[.gz] corpus")
    parser.add_argument("--corpus", type=Path, metavar="OUT", help="write all recordings to this .jsonl.gz")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Record."""
    lines = []
    jobs = [(path, scenario) for path in args.files for scenario in read_scenarios(path)]
    try:
        with Recorder() as recorder:
            for path, scenario in track(jobs, "recording"):
                try:
                    result = recorder.record(scenario)
                except ConfigError as error:
                    print(f"svcsim: {error}", file=sys.stderr)
                    continue
                lines.append(json.dumps({"name": scenario.name, "scenario": scenario.to_json(), "result": result}))
                if path.suffix == ".json":
                    path.with_name(f"{path.stem}.result.json").write_text(json.dumps(result))
        if args.corpus is not None:
            text = "".join(line + "\n" for line in lines)
            args.corpus.write_bytes(gzip.compress(text.encode(), mtime=0))
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    print(f"{len(lines)} scenarios recorded" + (f", {len(jobs) - len(lines)} failed" if len(lines) < len(jobs) else ""))
    return 0 if len(lines) == len(jobs) else 1
