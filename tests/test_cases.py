"""The field cases: each tells what happened, links to where it was discussed, and prints what it says it prints."""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path

import pytest

CASES = sorted((Path(__file__).parent.parent / "examples" / "cases").glob("*.py"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path, capsys):
    """The case prints what its text promises, and its text has a link."""
    case = runpy.run_path(str(path))
    told, _, promised = case["__doc__"].partition("It prints::\n")

    case["main"]()

    assert re.search(r"https://\S+", told), "a case links to where it was discussed"
    assert capsys.readouterr().out == textwrap.dedent(promised).strip("\n") + "\n"


def test_there_are_enough():
    """The cases are numbered without a gap."""
    assert [int(path.name[:2]) for path in CASES] == list(range(1, len(CASES) + 1))
