"""The judge: every recording of a real kernel that is kept here is answered as the kernel answered it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from svcsim.conformance.compare import compare
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import Recorded, read_corpus

CORPUS = Path(__file__).parent.parent / "corpus"


@cache
def families() -> dict[tuple[str, str], list[Recorded]]:
    found: dict[tuple[str, str], list[Recorded]] = {}
    for path in sorted(CORPUS.glob("*.jsonl.gz")):
        for recorded in read_corpus(path):
            found.setdefault((path.name, recorded.family), []).append(recorded)
    return found


@pytest.mark.parametrize("family", families(), ids="/".join)
def test_agrees_with_the_kernel(family):
    """Packets, exit codes, output and tables of each scenario are those that were recorded."""
    differences = []
    for recorded in families()[family]:
        difference = compare(recorded.result, run_scenario(recorded.scenario))
        if difference is not None:
            differences.append(f"{recorded.scenario.name}: {difference}")

    assert not differences, "\n".join(differences)
