"""
``svcsim flows``: answer a flows file, by carrying its packets through nodes that the proxy has programmed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import attrs

from svcsim.console import track
from svcsim.errors import ConfigError, UnsupportedError
from svcsim.kube.flows import answer_case
from svcsim.kube.flows_file import FlowAnswer, FlowCase, read_flows

__all__ = ["add_parser", "answers_of", "is_flows_file", "left_out", "load", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "flows",
        help="say what becomes of the packets of a flows file",
        description="Answer each flow of a flows file: every endpoint that can be chosen, or DROP, REJECT, ACCEPT or "
        "nothing; and whether it is masqueraded. Cases of a mode that is not modelled are left out with a word. "
        "What the file itself says of a flow is not looked at; `svcsim verify` compares with it.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the flows file (JSON)")
    parser.add_argument("--out", type=Path, metavar="ANSWERS", help="where the answers go (standard output)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.set_defaults(run=run)


def is_flows_file(path: Path) -> bool:
    """Whether a file begins as a flows file does: JSON, with cases."""
    if path.suffix != ".json":
        return False
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # whoever reads it says what is wrong
    return isinstance(data, dict) and "cases" in data


def load(path: Path) -> dict[str, FlowCase]:
    """The cases of a file."""
    try:
        return read_flows(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def answers_of(
    cases: dict[str, FlowCase], only: str = ""
) -> tuple[dict[str, list[FlowAnswer]], dict[str, UnsupportedError]]:
    """The answers by case, and what is not modelled."""
    answers: dict[str, list[FlowAnswer]] = {}
    refused: dict[str, UnsupportedError] = {}
    for case in track([case for case in cases.values() if only in case.name], "answering"):
        try:
            answers[case.name] = answer_case(case, cases)
        except UnsupportedError as error:
            refused[case.name] = error
        except ConfigError as error:
            raise ConfigError(f"{case.name}: {error}") from None
    return answers, refused


def run(args: argparse.Namespace) -> int:
    """Answer."""
    answers, refused = answers_of(load(args.file), args.only)
    text = json.dumps({name: [attrs.asdict(each) for each in given] for name, given in answers.items()}, indent=1)
    if args.out is None:
        print(text)
    else:
        try:
            args.out.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--out: {error}") from None
        flows = sum(map(len, answers.values()))
        print(f"{flows} flows of {len(answers)} cases answered")
    for line in left_out(refused):
        print(f"svcsim: {line}", file=sys.stderr)
    return 0


def left_out(refused: dict[str, UnsupportedError]) -> list[str]:
    """How many cases were left out, by what is not modelled."""
    return [f"{count} cases left out: {why}" for why, count in Counter(map(str, refused.values())).items()]
