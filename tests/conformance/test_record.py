"""The recorder: this machine's own kernel runs scenarios (root)."""

from __future__ import annotations

import pytest

from svcsim import ConfigError, Packet, UnsupportedError, encode
from svcsim.conformance.compare import compare
from svcsim.conformance.record import Recorder, can_record, record
from svcsim.conformance.run import run_scenario
from svcsim.conformance.scenario import Scenario

INTERFACES = [
    {"name": "eth1", "addresses": ["100.64.0.1/24", "2001:db8:1::1/64"], "routes": ["203.0.113.0/24"]},
    {"name": "pods1", "addresses": ["172.20.0.1/16", "2001:db8:2::1/64"]},
]


def arrive(packet, device="eth1"):
    return {"in": device, "packet": encode(packet).hex()}


def scenario(name, events, setup=(), dump=None):
    value = {"interfaces": INTERFACES, "setup": list(setup), "events": events, "dump": dump or {}}
    return Scenario.from_json(name, value, "here")


SCENARIOS = [
    scenario(
        "forwarding",
        [
            arrive(Packet.tcp("100.64.0.7:4000", "172.20.0.9:80", seq=1000)),
            {"reply": 0, "flags": "SA", "seq": 5000, "ack": 1001},
            {"unreachable": 0},
            arrive(Packet.udp("[2001:db8:1::7]:4000", "[2001:db8:2::9]:53", b"?")),
            {"reply": 3, "data": "21"},
            {"unreachable": 3},
            arrive(Packet.udp("172.20.0.9:4000", "203.0.113.5:53", ttl=1), "pods1"),
            {"reply": 6},
        ],
    ),
    scenario(
        "sending",
        [
            {"local": encode(Packet.udp("100.64.0.1:1", "172.20.0.3:2")).hex()},
            {"local": encode(Packet.udp("100.64.0.1:1", "8.8.8.8:2")).hex()},
            {"local": encode(Packet.udp("[2001:db8:1::1]:1", "[2001:db8:2::3]:2")).hex()},
            {"local": encode(Packet.udp("100.64.0.1:1", "172.20.0.3:2")).hex()[:-2]},
        ],
    ),
    scenario(
        "commands",
        [
            {"command": "for i in 1 2; do echo $i; done; nosuch 2>/dev/null || ! false"},
            {"command": "ip addr add 172.20.0.77/16 dev pods1; ip -4 -o addr show dev pods1"},
            {"command": "ip route add 198.51.100.0/24 via 172.20.0.3; ip route get 198.51.100.9"},
            {"command": "sysctl -w net.ipv4.ip_default_ttl=64; cat /proc/sys/net/ipv4/ip_default_ttl"},
            arrive(Packet.echo("100.64.0.7", "172.20.0.77")),
            {"wait": 0.1},
        ],
        dump={"rules": "ip rule", "routes": "ip route", "quiet": "cat <<'E' | grep -c '^a'\na\nb\na\nE"},
    ),
]


@pytest.fixture(scope="module")
def recorder():
    reason = can_record()
    if reason is not None:
        pytest.skip(reason)
    with Recorder() as made:
        try:
            made.record(scenario("nothing", []))
        except ConfigError as error:
            pytest.skip(f"this machine cannot record: {error}")
        yield made


@pytest.mark.kernel
@pytest.mark.parametrize("each", SCENARIOS, ids=lambda each: each.name)
def test_the_kernel_agrees(recorder, each):
    """What this machine's kernel answers is what the emulator answers."""
    assert compare(recorder.record(each), run_scenario(each)) is None


@pytest.mark.kernel
def test_a_failing_setup_is_told(recorder):
    """A scenario whose setup fails is refused, and the next one is recorded."""
    with pytest.raises(ConfigError, match=r"broken: setup failed \(1\): false"):
        recorder.record(scenario("broken", [], setup=["false"]))

    assert recorder.record(scenario("fine", [{"command": "echo a"}]))["events"][0]["stdout"] == "a\n"


@pytest.mark.kernel
def test_nothing_is_left(recorder):
    """Each scenario begins with a network of its own."""
    setup = ["ip route add blackhole 198.51.100.0/24"]

    assert recorder.record(scenario("first", [], setup))["events"] == []
    assert recorder.record(scenario("second", [], setup))["events"] == []


def test_root_is_needed(monkeypatch):
    """Without root, and without TUN devices, the recorder says what it lacks."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(UnsupportedError, match="recording needs root"):
        record(SCENARIOS[0])
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.path.exists", lambda path: False)
    assert can_record() == "recording needs /dev/net/tun"
