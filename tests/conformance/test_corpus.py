"""The judge: recordings of a real kernel are answered as the kernel answered them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from svcsim.conformance.compare import compare
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import Recorded, read_corpus
from svcsim.errors import SvcsimError

CORPUS = Path(__file__).parent.parent / "corpus"
#: Scenarios that do not agree yet, by name: what they ask for is not modelled, or not yet as the kernel does it.
OPEN = frozenset((CORPUS / "open.txt").read_text().split())


@cache
def families() -> dict[tuple[str, str], list[Recorded]]:
    found: dict[tuple[str, str], list[Recorded]] = {}
    for path in sorted(CORPUS.glob("*.jsonl.gz")):
        for recorded in read_corpus(path):
            if recorded.scenario.name not in OPEN:
                found.setdefault((path.name, recorded.family), []).append(recorded)
    return found


@pytest.mark.parametrize("family", families(), ids="/".join)
def test_agrees_with_the_kernel(family):
    """Packets, exit codes, output and tables of each scenario are those that were recorded."""
    differences = []
    for recorded in families()[family]:
        try:
            difference = compare(recorded.result, run_scenario(recorded.scenario))
        except SvcsimError as error:
            difference = error
        if difference is not None:
            differences.append(f"{recorded.scenario.name}: {difference}")

    assert not differences, "\n".join(differences)
