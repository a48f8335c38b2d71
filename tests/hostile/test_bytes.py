"""No bytes, files or values make a parser crash: it answers, or raises an `SvcsimError`."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile.texts import spoiled
from strategies import odd_packets, packets
from svcsim import Node, Packet, SvcsimError
from svcsim.cli import main
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import read_corpus, read_scenarios
from svcsim.pcap import read_pcap, write_pcap
from svcsim.wire import decode, decode_quote, encode

CORPUS = Path(__file__).parent.parent / "corpus"
SCENARIO = {
    "kernel": "6.18",
    "interfaces": [{"name": "eth0", "addresses": ["192.0.2.1/24"], "routes": ["198.51.100.0/24", "default"]}],
    "setup": ["iptables -A FORWARD -j ACCEPT"],
    "events": [
        {"in": "eth0", "packet": "45000014000000004000000001020304c0000201"},
        {"reply": 0, "flags": "SA", "seq": 1, "ack": 2, "data": "00"},
        {"unreachable": 0, "type": 3, "code": 3},
        {"local": "4500001400000000400600000a0000010a000002"},
        {"command": "true"},
        {"wait": 0.5},
    ],
    "dump": {"save": "iptables-save"},
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: Any, data: bytes) -> bytes:
    """*data* with bytes changed, cut off, or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data = draw(
            st.sampled_from(
                [data[:at], data[at:], data[:at] + draw(st.binary(max_size=4)) + data[at + 1 :], data + data[at:]]
            )
        )
    return data


@given(st.data())
def test_any_bytes_are_a_packet_or_none(data):
    """Mutated packets are decoded, or refused by name; what was decoded is encoded to the same bytes and carried."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24", "2001:db8::1/64"], ["default"])
    node.run("iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 192.0.2.9; iptables -A INPUT -j REJECT")
    wire = encode(data.draw(odd_packets() | packets()))
    wire = data.draw(st.just(wire) | mutated(wire) | st.binary(max_size=80))
    decode_quote(wire)
    try:
        packet = decode(wire)
    except SvcsimError:
        return

    assert decode(encode(packet)) == packet
    node.receive(packet, "eth0")
    node.send(packet)
    str(packet)


@given(st.data())
def test_captures(data):
    """A mutated capture file is read up to where it breaks; then an `SvcsimError` says so."""
    whole = io.BytesIO()
    write_pcap(
        whole, [(1.5, Packet.udp("10.0.0.1:1", "10.0.0.2:2", b"x")), (2.0, Packet.tcp("10.0.0.1:1", "10.0.0.2:2"))]
    )
    text = data.draw(mutated(whole.getvalue()) | st.binary(max_size=60))

    for lenient in (False, True):
        with contextlib.suppress(SvcsimError):
            for _ in zip(read_pcap(io.BytesIO(text), lenient=lenient), range(100), strict=False):
                pass


@given(st.data())
def test_pcapng(data):
    """So are files of blocks."""
    header = (0x0A0D0D0A).to_bytes(4, "little") + (28).to_bytes(4, "little") + (0x1A2B3C4D).to_bytes(4, "little")
    section = header + bytes.fromhex("01000000ffffffffffffffff") + (28).to_bytes(4, "little")
    interface = bytes.fromhex("0100000014000000650000000000040014000000")
    packet = bytes.fromhex("03000000200000001400000045000014000000004011000001020304050607082000000024")
    text = data.draw(mutated(section + interface + packet) | st.just(section + interface + packet))

    with contextlib.suppress(SvcsimError):
        for _ in zip(read_pcap(io.BytesIO(text)), range(100), strict=False):
            pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_scenarios(data, tmp_path):
    """A scenario of any values is read and run, or refused by name."""
    value: Any = json.loads(json.dumps(SCENARIO))
    for _ in range(data.draw(st.integers(1, 3))):
        place, key = value, data.draw(st.sampled_from(sorted(value)))
        while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
            place = place[key]
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        place[key] = data.draw(anything)
    file = tmp_path / "s.json"
    file.write_text(data.draw(st.just(json.dumps(value)) | spoiled(json.dumps(SCENARIO))))

    with contextlib.suppress(SvcsimError):
        for scenario in read_scenarios(file):
            if all(event.get("wait", 0) < 1e6 for event in scenario.events):
                run_scenario(scenario)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_corpus_files(data, tmp_path):
    """A mutated corpus file, compressed or not, is read or refused by name."""
    row = json.dumps({"name": "a-00", "scenario": SCENARIO, "result": {"kernel": "6.18", "events": [], "dump": {}}})
    packed = gzip.compress(f"{row}\n{row.replace('a-00', 'a-01')}\n".encode())
    file = tmp_path / "c.jsonl.gz"
    file.write_bytes(
        data.draw(mutated(packed) | st.binary(max_size=40) | spoiled(row).map(lambda t: gzip.compress(t.encode())))
    )

    with contextlib.suppress(SvcsimError):
        list(read_corpus(file))


_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: st.integers(-2, 1 << 33) | st.text(max_size=3) | st.none()
        for name in ("seq", "ack", "window", "ttl", "tos", "ident", "mark", "fragment_offset", "flow_label")
    }
    | {"flags": st.text(max_size=4), "payload": st.binary(max_size=4) | st.text(max_size=2), "bogus": st.none()},
)


@given(st.sampled_from(["tcp", "udp", "sctp", "icmp", "echo"]), st.data())
def test_builders(kind, data):
    """A builder makes a packet that can be encoded, or says which of its values cannot be one."""
    ends = st.sampled_from(
        ["10.0.0.1:80", "[2001:db8::1]:80", "10.0.0.1", "::", "", ":", "10.0.0.1:99999", "x:y", "[::"]
    )
    fields = data.draw(_FIELDS)
    try:
        packet = getattr(Packet, kind)(data.draw(ends | st.text(max_size=5)), data.draw(ends), **fields)
        encode(packet)
    except (SvcsimError, TypeError):
        return
    decode(encode(packet))


@pytest.mark.parametrize(
    "words",
    [
        [], ["nothing"], ["replay"], ["replay", "/nonexistent"], ["verify", "/nonexistent.jsonl.gz"], ["verify", "."],
        ["bench"], ["bench", "lookup", "--services", "-1"], ["bench", "lookup", "--services", "x"], ["demo", "extra"],
        ["trace"], ["trace", "x", "y"], ["record", "/nonexistent"], ["--version"], ["-h"], ["verify", "/dev/null"],
        ["replay", "/dev/null", "--out", "/dev/null/x"], ["bench", "lookup", "--services", ""],
    ],
)  # fmt: skip
def test_command_line(words, capsys):
    """Wrong words end with an exit status and a message, never a traceback."""
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code

    assert code in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err
