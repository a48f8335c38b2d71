"""
``svcsim verify``: replay recorded scenarios and flows files, and compare with what is written there.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

import attrs

from svcsim.commands.flows import answers_of, is_flows_file, left_out, load
from svcsim.conformance.compare import Difference, agreeing_events, compare
from svcsim.conformance.run import RefusedError, run_scenario
from svcsim.conformance.scenario import Recorded, read_corpus
from svcsim.console import table, track

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "verify",
        help="compare the emulator with recordings of a kernel",
        description="Replay recorded scenarios and compare with the recording: a line for each family, then the first "
        "difference of each scenario that does not agree. A flows file has a line for each mode and kind of its cases. "
        "Exit status 1 if any differs.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="CORPUS",
        help="a recorded .jsonl or .jsonl.gz, a scenario .json with its .result.json beside it, or a flows file",
    )
    parser.add_argument("--family", default="", metavar="NAME", help="only families whose name begins with NAME")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios whose name contains TEXT")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every scenario, not only the families")
    parser.set_defaults(run=run)


@attrs.frozen
class _Judgement:
    """How a scenario stands to its recording: the first *difference*, and how many events agree."""

    recorded: Recorded
    difference: Difference | None
    events: int


def _judge(recorded: Recorded) -> _Judgement:
    """Replay and compare; what cannot be run at all differs, too."""
    try:
        emulated = run_scenario(recorded.scenario)
        difference = compare(recorded.result, emulated)
    except RefusedError as error:
        emulated = error.partial
        difference = Difference("the emulator refused", "an answer", str(error))
    except Exception as error:  # a bug that one scenario shows must not hide what the others show
        traceback.print_exc(file=sys.stderr)
        emulated = {"events": []}
        difference = Difference("a bug in the emulator", "an answer", repr(error))
    return _Judgement(recorded, difference, agreeing_events(recorded.result, emulated))


def run(args: argparse.Namespace) -> int:
    """Verify."""
    flows = [path for path in args.files if is_flows_file(path)]
    corpora = [path for path in args.files if path not in flows]
    agree = [_verify_flows(path, args) for path in flows]
    if corpora:
        agree.append(_verify_corpora(corpora, args))
    return 0 if all(agree) else 1


def _verify_flows(path: Path, args: argparse.Namespace) -> bool:
    """Answer a flows file and compare with what it says, by mode and kind."""
    cases = {name: case for name, case in load(path).items() if case.config.mode.startswith(args.family)}
    answers, refused = answers_of(cases, args.only)
    groups: dict[tuple[str, ...], list[bool]] = {}
    differing: list[str] = []
    for name, given in answers.items():
        case = cases[name]
        group = groups.setdefault((name,) if args.verbose else (case.config.mode, case.kind), [])
        for flow, answer in zip(case.flows, given, strict=True):
            if flow.expected is None:
                continue
            group.append(flow.expected == answer)
            if not group[-1]:
                differing.append(f"{name}: {flow.name}: {flow.expected}; the emulator: {answer}")
    head = ("case",) if args.verbose else ("mode", "kind")
    rows = [(*group, f"{sum(groups[group])}/{len(groups[group])}") for group in sorted(groups)]
    table((*head, "flows"), rows, title=str(path))
    print("".join(f"\n{line}" for line in differing))
    print("".join(f"{line}\n" for line in left_out(refused)), end="")
    return not differing


def _verify_corpora(files: list[Path], args: argparse.Namespace) -> bool:
    """Replay recordings and compare, by family."""
    chosen = [
        recorded
        for path in files
        for recorded in read_corpus(path)
        if recorded.family.startswith(args.family) and args.only in recorded.scenario.name
    ]
    judged = [_judge(recorded) for recorded in track(chosen, "verifying")]
    groups: dict[str, list[_Judgement]] = {}
    for each in judged:
        name = each.recorded.scenario.name if args.verbose else each.recorded.family
        groups.setdefault(name, []).append(each)
    head = ["scenario" if args.verbose else "family", "agree", "events"]
    table(head, [(name, *_shares(groups[name])) for name in sorted(groups)])
    for each in judged:
        if each.difference is not None:
            print(f"\n{each.recorded.scenario.name}: {each.difference}")
    scenarios, events = _shares(judged)
    print(f"\n{scenarios} scenarios and {events} events agree with the kernel")
    return all(each.difference is None for each in judged)


def _shares(judged: list[_Judgement]) -> tuple[str, str]:
    """How many scenarios and how many events agree, of how many."""
    agreed = sum(each.difference is None for each in judged)
    total = sum(len(each.recorded.result["events"]) for each in judged)
    return f"{agreed}/{len(judged)}", f"{sum(each.events for each in judged)}/{total}"
