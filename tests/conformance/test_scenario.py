"""Scenario files, the runner, and the comparison."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from svcsim import ConfigError, Packet, encode
from svcsim.conformance.compare import agreeing_events, compare
from svcsim.conformance.peer import answer, refusal
from svcsim.conformance.run import RefusedError, run_scenario
from svcsim.conformance.scenario import Scenario, read_corpus, read_scenarios

SYN = encode(Packet.tcp("100.64.0.7:4000", "172.20.0.9:80", seq=1000)).hex()
PLAIN = {
    "interfaces": [
        {"name": "eth1", "addresses": ["100.64.0.1/24"], "routes": ["203.0.113.0/24"]},
        {"name": "pods1", "addresses": ["172.20.0.1/16"]},
    ],
    "setup": ["sysctl -qw net.ipv4.ip_forward=1"],
    "events": [
        {"in": "eth1", "packet": SYN},
        {"reply": 0, "flags": "SA", "seq": 5000, "ack": 1001},
        {"unreachable": 0, "type": 3, "code": 1},
        {"local": encode(Packet.udp("100.64.0.1:1", "172.20.0.3:2")).hex()},
        {"command": "echo hello"},
        {"wait": 1.5},
    ],
    "dump": {"route": "ip route"},
}


def scenario(**changes):
    return Scenario.from_json("plain", PLAIN | changes, "here")


def test_a_scenario_runs():
    """Packets, replies, errors, local sends, commands and waits happen in order."""
    result = run_scenario(scenario())
    outs = [[device for device, _ in event["out"]] for event in result["events"]]

    assert outs == [["pods1"], ["eth1"], ["eth1"], ["pods1"], [], []]
    assert result["events"][4]["stdout"] == "hello\n"
    assert result["dump"]["route"].startswith("100.64.0.0/24 dev eth1") or "172.20.0.0/16" in result["dump"]["route"]
    assert scenario(**scenario().to_json()) == scenario()


def test_a_failed_send_has_its_errno():
    """A local send without a route reports what the sender would get."""
    packet = encode(Packet.udp("100.64.0.1:1", "8.8.8.8:2")).hex()

    assert run_scenario(scenario(events=[{"local": packet}]))["events"][0]["error"] == 101


def test_a_setup_that_fails_is_refused():
    """A scenario whose setup does not work is not run."""
    with pytest.raises(RefusedError, match=r"plain: setup\[1\]: failed \(1\): false"):
        run_scenario(scenario(setup=["true", "false"]))


@pytest.mark.parametrize(
    ("changes", "message", "events"),
    [
        ({"setup": ["tcpdump"]}, r"setup\[0\]: the command 'tcpdump'", 0),
        ({"interfaces": [{"name": "a b"}]}, "interfaces: not a device name", 0),
        ({"events": [{"wait": 1}, {"command": "tcpdump"}, {"wait": 1}]}, "event 1: the command 'tcpdump'", 1),
        ({"events": [{"in": "eth7", "packet": SYN}]}, 'event 0: Cannot find device "eth7"', 0),
        ({"dump": {"a": "echo a", "b": "tcpdump"}}, "dump 'b': the command 'tcpdump'", 6),
    ],
)
def test_what_is_refused_stops_the_run(changes, message, events):
    """What cannot be done is named with its place, and what there was before it is kept."""
    with pytest.raises(RefusedError, match=f"plain: {message}") as caught:
        run_scenario(scenario(**changes))

    assert len(caught.value.partial["events"]) == events
    assert caught.value.partial["dump"] == ({"a": "a\n"} if "dump" in changes else {})


def test_bytes_that_are_no_packet():
    """What is no IP packet is dropped on arrival, and cannot be sent; a raw socket's total length is the kernel's."""
    short, six = "4500001400000000", "60000000"
    good = encode(Packet.udp("100.64.0.1:1", "172.20.0.3:2", b"data")).hex()
    wrong_length = good[:4] + "0000" + good[8:]
    events = [{"in": "eth1", "packet": short}, {"local": short}, {"local": six}, {"local": ""}, {"local": wrong_length}]

    results = run_scenario(scenario(events=events))["events"]

    assert results[0] == {"out": []}
    assert results[1:4] == [{"error": 22, "out": []}] * 3
    assert results[4]["out"] == [["pods1", good]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"events": [{"in": "eth1"}]}, r"here: events\[0\]: no packet"),
        ({"events": [{"in": "eth1", "packet": "zz"}]}, r"events\[0\]\.packet: not hexadecimal"),
        ({"events": [{"reply": 0}]}, r"events\[0\]\.reply: event 0 is not an earlier one"),
        ({"events": [{"wait": -1}]}, r"events\[0\]\.wait: not a number from 0 to 1000000000: -1"),
        ({"events": [{"wait": True}]}, r"events\[0\]\.wait: not a number"),
        ({"events": [{"wait": 0, "x": 1}]}, "unknown key 'x' in 'wait'"),
        ({"events": [{"wait": 0}, {"reply": 0, "seq": 1 << 32}]}, r"events\[1\]\.seq: not a number"),
        ({"events": [{"wait": 0}, {"reply": 0, "flags": "SX"}]}, r"events\[1\]\.flags: letters of FSRPA, not 'SX'"),
        ({"events": [{"wait": 0}, {"reply": 0, "data": "0"}]}, r"events\[1\]\.data: not hexadecimal"),
        ({"events": [{"wait": 0}, {"unreachable": 0, "type": 1.5}]}, r"events\[1\]\.type: not a number"),
        ({"events": [{"in": "a", "wait": 1}]}, "an event is one of"),
        ({"events": [{"command": "a", "bogus": 1}]}, "unknown key 'bogus'"),
        ({"events": {}}, "events: expected list"),
        ({"interfaces": [{"addresses": []}]}, r"interfaces\[0\]\.name: expected str"),
        ({"bogus": 1}, "unknown key 'bogus'"),
        ({"setup": [1]}, r"setup\[0\]: expected str"),
        ({"dump": {"a": 1}}, r"dump\['a'\]: expected str"),
    ],
)
def test_broken_scenarios_are_refused(changes, message):
    """What is wrong is named with its path inside the file."""
    with pytest.raises(ConfigError, match=message):
        scenario(**changes)


def test_files(tmp_path):
    """A scenario, a corpus and a compressed corpus are read; a recorded result is not looked at."""
    (tmp_path / "plain.json").write_text(json.dumps(PLAIN))
    line = json.dumps({"name": "family-1", "scenario": PLAIN, "result": "not looked at"})
    (tmp_path / "corpus.jsonl").write_text(f"{line}\n\n{line}\n")
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(line.encode()))

    names = [[s.name for s in read_scenarios(tmp_path / n)] for n in ("plain.json", "corpus.jsonl", "corpus.jsonl.gz")]

    assert names == [["plain"], ["family-1", "family-1"], ["family-1"]]
    with pytest.raises(ConfigError, match=r"corpus\.jsonl:1 \(family-1\): result: expected dict"):
        list(read_corpus(tmp_path / "corpus.jsonl"))


def test_a_scenario_with_its_result_beside_it(tmp_path):
    """What the recorder wrote beside a scenario is its recording; it is no scenario itself."""
    (tmp_path / "plain.json").write_text(json.dumps(PLAIN))
    (tmp_path / "plain.result.json").write_text(json.dumps(run_scenario(scenario())))
    (recorded,) = read_corpus(tmp_path / "plain.json")

    assert compare(recorded.result, run_scenario(recorded.scenario)) is None
    assert list(read_scenarios(tmp_path / "plain.result.json")) == []
    (tmp_path / "plain.result.json").unlink()
    with pytest.raises(ConfigError, match=r"plain\.result\.json"):
        list(read_corpus(tmp_path / "plain.json"))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([], "result: expected dict"),
        ({}, r"result\.events: expected list"),
        ({"events": [1]}, r"events\[0\]: expected dict"),
        ({"events": [{"out": [["eth0"]]}]}, r"events\[0\]\.out\[0\]: expected \[interface, packet\]"),
        ({"events": [{"out": [["eth0", "x"]]}]}, r"out\[0\]: not hexadecimal"),
        ({"events": [{"out": [["eth0", ""]]}]}, r"out\[0\]: no packet"),
        ({"events": [], "dump": {"a": None}}, r"dump\['a'\]: expected str"),
    ],
)
def test_broken_recordings_are_refused(tmp_path, result, message):
    """A recorded result is checked, too, when it is asked for."""
    (tmp_path / "c.jsonl").write_text(json.dumps({"name": "x-0", "scenario": PLAIN, "result": result}))

    with pytest.raises(ConfigError, match=message):
        list(read_corpus(tmp_path / "c.jsonl"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_none(tmp_path, content):
    """What is not JSON is refused with the file's name."""
    path = tmp_path / "bad.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"bad\.json"):
        list(read_scenarios(path))
    with pytest.raises(ConfigError, match=r"nosuch\.json"):
        list(read_scenarios(tmp_path / "nosuch.json"))


def test_a_broken_archive(tmp_path):
    """A compressed file that is cut short or spoilt is refused with its name."""
    whole = gzip.compress(json.dumps({"name": "x-0", "scenario": PLAIN}).encode())
    path = tmp_path / "c.jsonl.gz"
    for content in (whole[:-20], whole[:20] + b"\0" * 20 + whole[40:], zlib.compress(whole), b"plain"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"c\.jsonl\.gz"):
            list(read_scenarios(path))


@pytest.mark.parametrize("name", ["../x", "", ".x", "a/b", "a\0b", "x" * 201, "\ud800", "a\n"])
def test_names_stay_inside_the_folder(tmp_path, name):
    """A scenario's name is a file's name, and cannot lead out of the folder that results go to."""
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"name": name, "scenario": PLAIN}))

    with pytest.raises(ConfigError, match="not a scenario's name"):
        list(read_scenarios(path))


def result(out=(), **event):
    return {"events": [{"out": [list(o) for o in out], **event}], "dump": {}}


def test_what_the_kernel_draws_is_left_out():
    """The IPv4 id may differ, and nothing else of a packet."""
    packet = Packet.udp("192.0.2.1:1", "192.0.2.2:2")
    one, other, third = (encode(packet.rewritten(**c)).hex() for c in ({}, {"ident": 7}, {"ttl": 7}))

    assert compare(result([("eth1", one)]), result([("eth1", other)])) is None
    assert "ttl 7" in str(compare(result([("eth1", one)]), result([("eth1", third)])))
    assert compare(result([("eth1", one)]), result([("eth2", one)])) is not None
    assert compare(result([("eth1", one)]), result()) is not None


def test_a_bad_header_checksum_differs():
    """The header checksum itself is not compared, but it must be right."""
    good = Packet.udp("192.0.2.1:1", "192.0.2.2:2")
    bad = good.rewritten(header_checksum=1)

    assert compare(result([("eth1", encode(good).hex())]), result([("eth1", encode(bad).hex())])) is not None


def test_flow_labels_that_a_host_gives():
    """An IPv6 label that the host gave may be another one, but not none."""
    packets = [Packet.udp("[::2]:1", "[::3]:2", flow_label=label) for label in (0, 1, 2)]
    none, one, two = (result([("eth1", encode(p).hex())]) for p in packets)

    assert compare(one, two) is None
    assert compare(none, one) is not None


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "same"),
    [
        ("conntrack -L", "udp      17 29 src=1\nudp 17 9 src=2", "udp 17 8 src=2\nudp      17 28 src=1", True),
        ("conntrack -L", "udp      17 29 src=1", "udp      17 26 src=1", False),
        ("conntrack -L", "udp      17 29 src=1", "", False),
        ("ip_vs_conn", "TCP A B  NONE   59", "TCP A B NONE 58", True),
        ("ipset save", "add a 1\nadd a 2", "add a 2\nadd a 1", True),
        ("iptables-save -c", "# now\n[1:2] -A A", "# then\n[1:2] -A A", True),
        ("iptables-save -c", "[1:2] -A A\n[1:2] -A B", "[1:2] -A B\n[1:2] -A A", False),
        ("iptables-save -c", "[1:2] -A A\n[1:2] -A B", "[1:2] -A A", False),
    ],
)
def test_dumps(name, theirs, ours, same):
    """Each dump is compared by its own rule."""
    a, b = ({"events": [], "dump": {name: text}} for text in (theirs, ours))

    assert (compare(a, b) is None) is same


def test_output_and_exit_codes():
    """Commands must print the same and end the same."""
    assert compare(result(rc=0, stdout="a\n"), result(rc=0, stdout="a \n")) is None
    assert compare(result(rc=0, stdout="a\n"), result(rc=0, stdout="b\n")) is not None
    assert compare(result(rc=0, stdout=""), result(rc=1, stdout="")) is not None
    assert compare(result(error=1), result()) is not None


def test_events_are_counted():
    """Beside the first difference it is told at how many events both sent the same."""
    one, other = (encode(Packet.udp(f"192.0.2.{i}:1", "192.0.2.9:2")).hex() for i in (1, 2))
    theirs = {"events": [{"out": [["eth1", one]]}, {"out": []}, {"out": [["eth1", one]]}], "dump": {}}
    ours = {"events": [{"out": [["eth1", one]]}, {"out": [["eth1", other]]}], "dump": {}}

    assert agreeing_events(theirs, ours) == 1
    assert agreeing_events(theirs, theirs) == 3


def test_the_peer_answers():
    """A peer swaps the ends; it never answers an error."""
    packet = Packet.tcp("100.64.0.7:4000", "172.20.0.9:80", ttl=63)
    error = refusal(packet, {})

    assert (
        str(answer(packet, {"flags": "SA"})) == "TCP 172.20.0.9:80 > 100.64.0.7:4000 [SA] seq 5000 ack 1001, length 40"
    )
    assert error is not None
    assert len(error.payload) == 28
    assert (answer(error, {}), refusal(error, {})) == (None, None)
    echo = answer(Packet.echo("2001:db8::1", "2001:db8::2"), {})
    assert echo is not None
    assert (echo.header.type, echo.checksum) == (129, None)
    other = answer(Packet.opaque("192.0.2.1", "192.0.2.2", 99, b"\1\2\3\4data"), {})
    assert other is not None
    assert other.payload[:2] + other.payload[4:] == b"\0\0data"
