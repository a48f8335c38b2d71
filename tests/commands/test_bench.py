"""``svcsim bench``: tables, JSON, plots and refusals."""

from __future__ import annotations

import json

import pytest

from svcsim.cli import main


def test_lookup_prints_a_table(capsys):
    """One line for each number of services and position, then the fitted line and where the modes cross."""
    assert main(["bench", "lookup", "--services", "2,5", "--repeats", "1"]) == 0

    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[0] == "services"
    assert len(out) == 2 + 2 * 4 + 2
    assert out[-2].startswith("For a random service")
    assert "ns a rule asked (R2 " in out[-1]


def test_lookup_gives_json_alone(capsys):
    """With --json - standard output is one JSON value."""
    assert main(["bench", "lookup", "--services", "2", "--repeats", "1", "--seed", "7", "--json", "-"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["seed"], report["repeats"]) == (7, 1)
    assert {cost["services"] for cost in report["costs"]} == {2}


def test_counts_are_the_same_in_every_run(capsys):
    """Rules asked and entries probed follow from the seed alone."""
    counts = []
    for _ in range(2):
        assert main(["bench", "lookup", "--services", "9", "--repeats", "1", "--json", "-"]) == 0
        report = json.loads(capsys.readouterr().out)
        counts.append([(cost["rules"], cost["probes"]) for cost in report["costs"]])

    assert counts[0] == counts[1]


def test_lookup_draws_a_plot(tmp_path):
    """With --plot a picture is written beside the table."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "cost.svg"

    assert main(["bench", "lookup", "--services", "2,3", "--repeats", "1", "--plot", str(path)]) == 0
    assert path.read_text().startswith("<?xml")


def test_churn_prints_a_table_and_writes_json(capsys, tmp_path):
    """Three changes in three ways, as a table and as a file."""
    path = tmp_path / "churn.json"

    assert main(["bench", "churn", "--services", "3", "--repeats", "1", "--json", str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 9
    assert len(json.loads(path.read_text())["costs"]) == 9


@pytest.mark.parametrize("services", ["", "0", "1,,2", "ten", "-3"])
def test_what_are_no_numbers_of_services_is_refused(services, capsys):
    """A malformed list is a usage error that shows it."""
    with pytest.raises(SystemExit) as exit:
        main(["bench", "lookup", f"--services={services}"])

    assert exit.value.code == 2
    assert "not numbers of services" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_an_error(capsys, tmp_path):
    """No traceback for a directory that is not there."""
    assert main(["bench", "churn", "--services", "1", "--repeats", "1", "--json", str(tmp_path / "no" / "x")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_impossible_measurements_are_refused(capsys):
    """No repeats, no measurement."""
    assert main(["bench", "lookup", "--services", "1", "--repeats", "0"]) == 2
    assert "at least one" in capsys.readouterr().err
