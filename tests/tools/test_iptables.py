"""iptables and its companions, command by command: exit codes and texts as the real ones give them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from svcsim.node import Node
from svcsim.tools import TOOLS
from svcsim.tools.command import Completed

HERE = Path(__file__).parent


def run(node: Node, *words: str, stdin: str = "") -> Completed:
    """One command on *node*."""
    return TOOLS[words[0]](node, words[0], list(words[1:]), stdin)


def answer(done: Completed) -> dict[str, object]:
    """What a recording holds of an answer; lines of iptables-save that say when it ran are left out."""
    said: dict[str, object] = {"rc": done.returncode}
    if done.stdout:
        said["stdout"] = re.sub(r"(?m)^# .*\n", "", done.stdout)
    if done.stderr:
        said["stderr"] = done.stderr
    return said


@pytest.mark.parametrize("name", ["iptables-commands", "iptables-restore"])
def test_sessions(name):
    """Hundreds of commands one after the other, right ones and wrong ones, answer as iptables 1.8.9 did."""
    node = Node()
    for number, line in enumerate((HERE / f"{name}.jsonl").read_text().splitlines(), 1):
        step = json.loads(line)

        done = run(node, *step["run"], stdin=step.get("stdin", ""))

        recorded = {key: step[key] for key in ("rc", "stdout", "stderr") if key in step}
        assert answer(done) == recorded, f"{name}, step {number}: {step['run']}"


def test_names():
    """The names ending in -legacy are other names of the same command; nf_tables and IPv6 have rules of their own."""
    node = Node()
    assert run(node, "iptables-legacy", "-A", "INPUT", "-j", "DROP").returncode == 0
    assert run(node, "iptables", "-C", "INPUT", "-j", "DROP").returncode == 0
    assert run(node, "iptables-nft", "-C", "INPUT", "-j", "DROP").returncode == 1
    assert run(node, "ip6tables", "-C", "INPUT", "-j", "DROP").returncode == 1


def test_another_program_name_in_complaints():
    """A complaint names the program as it calls itself, whatever name it was called by."""
    assert run(Node(), "ip6tables-legacy", "-A", "NONE", "-j", "DROP").stderr == (
        "ip6tables: No chain/target/match by that name.\n"
    )


def test_a_failing_command_changes_nothing():
    """A command that fails leaves rules, chains and the policies' counters as they were."""
    node = Node()
    node.add_interface("cli0", ["192.0.2.1/24"])
    run(node, "iptables", "-N", "WEB")
    run(node, "iptables", "-A", "INPUT", "-j", "WEB")
    run(node, "iptables", "-P", "INPUT", "DROP", "-c", "7", "8")
    before = run(node, "iptables-save", "-c").stdout
    for words in (
        ("-A", "INPUT", "-j", "NONE"),
        ("-A", "WEB", "-j", "WEB"),
        ("-X", "WEB"),
        ("-D", "INPUT", "9"),
        ("-A", "INPUT", "-j", "MASQUERADE"),
        ("-s", "192.0.2.1,192.0.2.2", "-I", "INPUT", "3"),
        ("-P", "WEB", "DROP"),
        ("-E", "WEB", "INPUT"),
    ):
        assert run(node, "iptables", *words).returncode, words
        assert run(node, "iptables-save", "-c").stdout == before, words
