"""The examples work as they stand: a plug-in is found by its entry point, and scripts print what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from svcsim.lb.scheduler import SCHEDULERS

EXAMPLES = Path(__file__).parent.parent / "examples"
GOLDEN = Path(__file__).parent / "golden"
PLUGIN = EXAMPLES / "scheduler-plugin"


def load(path: Path) -> ModuleType:
    """The module of a file, run."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plug-in installed as pip would do it: its folder importable, its entry points beside its name."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(SCHEDULERS, "_plugins", dict(SCHEDULERS._plugins))
    yield
    sys.modules.pop("svcsim_rendezvous", None)


def named_in(path: Path) -> list[str]:
    """The names of the tests in a file, without running it."""
    return [line[4 : line.index("(")] for line in path.read_text().splitlines() if line.startswith("def test_")]


PLUGIN_TESTS = [(path, name) for path in sorted((PLUGIN / "tests").glob("test_*.py")) for name in named_in(path)]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("path, name", PLUGIN_TESTS, ids=[name for _, name in PLUGIN_TESTS])
def test_the_plug_ins_own_tests(path: Path, name: str) -> None:
    """Every test that the plug-in brings passes."""
    getattr(load(path), name)()


@pytest.mark.usefixtures("installed")
def test_the_plug_ins_example_runs() -> None:
    """What its docstring shows is what happens."""
    outcome = doctest.testmod(importlib.import_module("svcsim_rendezvous"))

    assert outcome.failed == 0 and outcome.attempted > 0


def test_it_is_not_there_uninstalled() -> None:
    """Without its entry point nobody knows its name."""
    assert "hrw" not in SCHEDULERS


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_scripts_print_their_golden_tables(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole pictures from fixed seeds, read in review; to make one anew, write there what the script prints."""
    load(EXAMPLES / f"{name}.py").main()

    assert capsys.readouterr().out == (GOLDEN / f"example_{name}.txt").read_text()
