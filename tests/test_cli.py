"""The command line: replay, verify, record."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest

from svcsim import Packet, encode
from svcsim.cli import main
from svcsim.conformance.record import can_record
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import Scenario

SCENARIO = {
    "interfaces": [{"name": "eth1", "addresses": ["100.64.0.1/24"]}, {"name": "pods1", "addresses": ["172.20.0.1/16"]}],
    "setup": ["sysctl -qw net.ipv4.ip_forward=1"],
    "events": [
        {"in": "eth1", "packet": encode(Packet.tcp("100.64.0.7:4000", "172.20.0.9:80")).hex()},
        {"reply": 0},
        {"in": "eth1", "packet": encode(Packet.echo("100.64.0.7", "100.64.0.1")).hex()},
        {"command": "ip route show dev pods1 | wc -l"},
    ],
    "dump": {"route": "ip route get 172.20.0.9 | head -n 1 | grep -o 'dev [a-z0-9]*'"},
}


@pytest.fixture
def corpus(tmp_path):
    """A corpus of two recordings, of which the second disagrees."""
    right = run_scenario(Scenario.from_json("plain-0", SCENARIO, "here"))
    wrong = json.loads(json.dumps(right))
    wrong["events"][0]["out"][0][0] = "eth9"
    lines = [
        json.dumps({"name": f"plain-{i}", "scenario": SCENARIO, "result": result}) + "\n"
        for i, result in enumerate((right, wrong))
    ]
    path = tmp_path / "plain.jsonl.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_replay(corpus, tmp_path, capsys):
    """Each scenario's result is written under its name, in the result format."""
    assert main(["replay", str(corpus), "--out", str(tmp_path / "out")]) == 0

    results = [json.loads((tmp_path / "out" / f"plain-{i}.result.json").read_text()) for i in (0, 1)]
    assert results[0] == results[1]
    assert results[0]["events"][3]["stdout"] == "1\n"
    assert results[0]["dump"] == {"route": "dev pods1\n"}
    assert "2 scenarios replayed" in capsys.readouterr().out


def test_verify(corpus, capsys):
    """A line per family, the first difference in words, and the exit status."""
    assert main(["verify", str(corpus)]) == 1
    out = capsys.readouterr().out
    assert "plain     1/2" in out
    assert "plain-1: event 0: packets sent" in out
    assert "kernel: eth9 TCP 100.64.0.7:4000 > 172.20.0.9:80" in out
    assert "svcsim: pods1 TCP 100.64.0.7:4000 > 172.20.0.9:80" in out

    assert main(["verify", str(corpus), "--only", "plain-0"]) == 0
    assert "1/1 scenarios and 4/4 events agree" in capsys.readouterr().out
    assert main(["verify", str(corpus), "--family", "other"]) == 0
    assert "0/0 scenarios" in capsys.readouterr().out


def test_verify_names_every_scenario(corpus, capsys):
    """With -v a line per scenario, with the events that agree."""
    main(["verify", "-v", str(corpus)])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]

    assert rows == [["plain-0", "1/1", "4/4"], ["plain-1", "0/1", "3/4"]]


def test_replay_goes_on(tmp_path, capsys):
    """A scenario that cannot be run to its end is written as far as it goes, and does not keep the others back."""
    broken = SCENARIO | {"events": [*SCENARIO["events"][:2], {"command": "tcpdump"}]}
    lines = [{"name": f"x-{i}", "scenario": each} for i, each in enumerate((broken, SCENARIO))]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert main(["replay", str(tmp_path / "c.jsonl"), "--out", str(tmp_path)]) == 1

    captured = capsys.readouterr()
    assert "x-0: event 2: the command 'tcpdump': not modelled" in captured.err
    assert "1 scenarios replayed" in captured.out
    results = [json.loads((tmp_path / f"x-{i}.result.json").read_text()) for i in (0, 1)]
    assert [len(result["events"]) for result in results] == [2, 4]


def test_a_bug_in_one_scenario_does_not_hide_the_others(corpus, tmp_path, capsys, monkeypatch):
    """An exception that is none of ours is shown, counted, and passed by."""

    def fail(scenario):
        raise ZeroDivisionError(scenario.name)

    for command in ("replay", "verify"):
        monkeypatch.setattr(f"svcsim.commands.{command}.run_scenario", fail)
    assert main(["replay", str(corpus), "--out", str(tmp_path)]) == 1
    assert "plain-1: a bug in the emulator" in capsys.readouterr().err
    assert main(["verify", str(corpus)]) == 1
    assert "svcsim: ZeroDivisionError('plain-1')" in capsys.readouterr().out


def test_results_do_not_overwrite_each_other(tmp_path, capsys):
    """Two scenarios of one name are refused before anything is written."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.json").write_text(json.dumps(SCENARIO))

    files = [str(tmp_path / folder / "x.json") for folder in ("a", "b")]
    assert main(["replay", *files, "--out", str(tmp_path / "out")]) == 2
    assert "two scenarios are called 'x'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(corpus, tmp_path, capsys):
    """Where results cannot go, one line says so."""
    (tmp_path / "file").write_text("")

    assert main(["replay", str(corpus), "--out", str(tmp_path / "file")]) == 2
    assert "File exists" in capsys.readouterr().err


def test_a_scenario_that_cannot_run_is_a_difference(tmp_path, capsys):
    """What the emulator refuses counts as a failure, with its reason."""
    line = {"name": "x-0", "scenario": {"setup": ["frobnicate"]}, "result": {"events": [], "dump": {}}}
    (tmp_path / "c.jsonl").write_text(json.dumps(line))

    assert main(["verify", str(tmp_path / "c.jsonl")]) == 1
    assert "frobnicate: not found" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["verify", "nosuch.jsonl"], ["replay", "nosuch.json", "--out", "."]])
def test_missing_files(words, capsys, tmp_path, monkeypatch):
    """A file that is not there is one line on standard error and exit status 2."""
    monkeypatch.chdir(tmp_path)

    assert main(words) == 2
    assert "nosuch" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["frob"], ["replay"], ["verify"]])
def test_wrong_words(words, capsys):
    """argparse's own complaint, exit status 2."""
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == 2
    assert "usage: svcsim" in capsys.readouterr().err


def test_as_a_module():
    """``python -m svcsim`` is the same program."""
    done = subprocess.run([sys.executable, "-m", "svcsim", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("svcsim 0.")


def test_record_wants_root(monkeypatch, capsys, tmp_path):
    """Without root the recorder says so."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    (tmp_path / "x.json").write_text(json.dumps(SCENARIO))

    assert main(["record", str(tmp_path / "x.json")]) == 2
    assert "recording needs root" in capsys.readouterr().err


@pytest.mark.kernel
def test_a_recording_agrees_with_the_emulator(tmp_path, capsys):
    """What this machine's kernel answers is what the emulator answers."""
    reason = can_record()
    if reason is not None:
        pytest.skip(reason)
    path = tmp_path / "plain-0.json"
    path.write_text(json.dumps(SCENARIO))
    code = main(["record", str(path), "--corpus", str(tmp_path / "own.jsonl.gz")])
    if code:
        pytest.skip(capsys.readouterr().err)

    assert json.loads((tmp_path / "plain-0.result.json").read_text())["events"][1]["out"]
    assert main(["verify", str(tmp_path / "own.jsonl.gz")]) == 0, capsys.readouterr().out
