"""The commands about clusters: modes, render, simulate, trace through a cluster, flows and their verification."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from svcsim.cli import main

CLUSTER = str(Path(__file__).parents[2] / "examples" / "cluster.yaml")


def run(capsys, *words):
    """The exit status, and what was printed on both outputs."""
    status = main([*words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_render_can_be_loaded_again(capsys):
    """What render prints of iptables is what a restore takes, and the program is what a shell runs."""
    from svcsim import Node

    _, shown, _ = run(capsys, "render", CLUSTER)
    text = shown.partition("# iptables-save\n")[2]
    node = Node()

    node.rules[4].restore(text)

    again = "\n".join(line for line in node.run("iptables-save").stdout.splitlines() if line[:1] != "#")
    assert sorted(again.splitlines()) == sorted(text.strip().splitlines())
    _, program, _ = run(capsys, "render", CLUSTER, "--program")
    other = Node()
    assert other.run(program).returncode == 0
    assert "KUBE-SVC-" in other.run("iptables-save").stdout


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("ipvs", ["# ipvsadm -Sn", "# ipset save", "kube-ipvs0", "-A -t 10.96.0.20:80 -s lc"]),
        ("userspace", ["KUBE-PORTALS-CONTAINER"]),
        ("kernelspace", ['"FrontendVIPs"']),
    ],
)
def test_render_other_modes(capsys, mode, shown):
    """Each mode is printed as its own tools do."""
    status, out, _ = run(capsys, "render", CLUSTER, "--mode", mode, "--scheduler", "lc", "--node", "node-b")

    assert status == 0
    assert all(text in out for text in shown)


def test_modes(capsys):
    """Every mode has its column, and its word."""
    status, out, _ = run(capsys, "modes", CLUSTER)

    assert status == 0
    assert out.splitlines()[0].split() == ["iptables", "ipvs", "kernelspace", "userspace"]
    rules = next(line for line in out.splitlines() if line.startswith("rules "))
    assert [int(word) > 0 for word in rules.split()[1:]] == [True, True, False, True]
    assert "nftables: not modelled" in out


def test_simulate(capsys):
    """Round robin shares evenly, and every connection is counted."""
    status, out, _ = run(
        capsys, "simulate", CLUSTER, "--mode", "ipvs", "--traffic", "client shop 30", "--traffic", "client empty:80 5"
    )

    assert status == 0
    assert "client -> shop: 30 answered" in out
    assert re.findall(r"shop-\d\) +(\d+)", out) == ["10", "10", "10"]
    assert "client -> empty:80: 5 refused" in out


def test_trace_through_a_cluster(capsys):
    """By names, in one line or with every hop; JSON has a hop for each host."""
    _, line, _ = run(capsys, "trace", "--cluster", CLUSTER, "tcp", "client", "cart", "--detail", "line")
    assert re.fullmatch(
        r"client -> 10\.96\.0\.30:6379 tcp: answered by .* on node-[ab], which saw 10\.244\.0\.99\n", line
    )

    _, text, _ = run(capsys, "trace", "--cluster", CLUSTER, "--json", "tcp", "client", "cart")
    hosts = [hop["host"] for hop in json.loads(text)["hops"]]
    assert hosts[:2] == ["default/client", "node-a"]


def flows_file(tmp_path, **answer):
    flow = {
        "name": "asked",
        "sourceIP": "10.244.0.9",
        "protocol": "TCP",
        "destIP": "10.96.0.10",
        "destPort": 80,
    } | answer
    web = {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}}
    cases = [
        {
            "name": f"{mode}/empty",
            "family": "IPv4",
            "kind": "flow",
            "node": {"name": "a", "nodeIPs": ["192.0.2.9"]},
            "config": {"mode": mode},
        }
        | {"services": [web], "flows": [flow]}
        for mode in ("iptables", "ipvs", "userspace", "nftables")
    ]
    path = tmp_path / "flows.json"
    path.write_text(json.dumps({"cases": cases}))
    return str(path)


def test_flows_and_their_verification(capsys, tmp_path):
    """Answers by case; what the file says is not looked at; modes that are not modelled are left out with a word."""
    path, out = flows_file(tmp_path, output="10.9.9.9:1", masq=True), tmp_path / "answers.json"

    status, said, warned = run(capsys, "flows", path, "--out", str(out))

    assert (status, said) == (0, "3 flows of 3 cases answered\n")
    assert "1 cases left out: flows of the nftables mode" in warned
    rejected = [{"output": "REJECT", "masq": False}]
    assert json.loads(out.read_text()) == {f"{mode}/empty": rejected for mode in ("iptables", "ipvs", "userspace")}
    status, said, _ = run(capsys, "verify", path)
    assert status == 1
    assert re.search(r"iptables +flow +0/1", said)
    assert "iptables/empty: asked: 10.9.9.9:1, masqueraded; the emulator: REJECT" in said
    status, said, _ = run(capsys, "verify", flows_file(tmp_path, output="REJECT", masq=False))
    assert status == 0
    assert re.search(r"ipvs +flow +1/1", said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["render", "nowhere.yaml"], "nowhere.yaml"),
        (["render", CLUSTER, "--node", "z"], "no node 'z'"),
        (["render", CLUSTER, "--mode", "magic"], "magic"),
        (["render", CLUSTER, "--mode", "ipvs", "--scheduler", "fair"], "no scheduler 'fair'"),
        (["render", CLUSTER, "--cluster-cidr", "here"], "here"),
        (["render", CLUSTER, "--config", "none.yaml"], "none.yaml"),
        (["simulate", CLUSTER, "--traffic", "client"], "not FROM TO"),
        (["simulate", CLUSTER, "--traffic", "client shop 0"], "from 1 to"),
        (["simulate", CLUSTER, "--traffic", "client nobody:1"], "nobody"),
        (["trace", "--cluster", CLUSTER, "tcp", "client"], "FROM and TO"),
        (["flows", CLUSTER], "not JSON"),
        (["flows", "none.json"], "none.json"),
    ],
)
def test_refusals(capsys, words, message):
    """One line that says what is wrong, and exit status 2."""
    status, _, said = run(capsys, *words)

    assert status == 2
    assert message in said
    assert said.count("\n") == 1
