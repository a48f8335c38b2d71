"""The recorded corpus and the generators it came from."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

#: The groups that the generators beside this file write.
GROUPS = ("iptables", "iptables-parts", "iptables-ways", "iptables-nft", "ipvs", "ipvs-director")


def recorded(group: str) -> dict[str, dict]:
    """Read one recorded file, by name."""
    with gzip.open(HERE / f"{group}.jsonl.gz", "rt") as lines:
        return {row["name"]: row for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write all scenarios once."""
    folder = tmp_path_factory.mktemp("scenarios")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, HERE / "generate.py", folder], check=True, env=environment, capture_output=True)
    return folder


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_recorded_is_what_is_generated(group: str, written: Path) -> None:
    """Every recorded scenario is, to the byte, what its generator writes today."""
    rows = recorded(group)
    assert rows
    for name, row in rows.items():
        assert json.loads((written / f"{name}.json").read_text()) == row["scenario"], name


def test_most_of_what_is_generated_is_recorded(written: Path) -> None:
    """No family is left out: of each, at least one scenario was recorded twice alike."""
    names = {name.rpartition("-")[0] for group in GROUPS for name in recorded(group)}
    assert {path.stem.rpartition("-")[0] for path in written.glob("*.json")} == names


@pytest.mark.parametrize("group", GROUPS)
def test_every_event_was_recorded(group: str) -> None:
    """A recording answers each event and each dump of its scenario."""
    for name, row in recorded(group).items():
        assert len(row["result"]["events"]) == len(row["scenario"]["events"]), name
        assert row["result"]["dump"].keys() == row["scenario"]["dump"].keys(), name


def test_packing_has_no_clock_in_it() -> None:
    """The gzip header holds neither a time nor a name, so the same recordings give the same file."""
    for group in GROUPS:
        head = (HERE / f"{group}.jsonl.gz").read_bytes()[:8]
        assert (head[3], head[4:8]) == (0, bytes(4)), group
