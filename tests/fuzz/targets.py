"""What can be fuzzed: functions of bytes that must not raise anything but an `SvcsimError`."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable

from svcsim import Node, SvcsimError
from svcsim.conformance.scenario import Scenario
from svcsim.conntrack_text import load_connections
from svcsim.pcap import read_pcap
from svcsim.tools.regex import Expression
from svcsim.wire import decode, encode

__all__ = ["TARGETS"]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()


def wire(data: bytes) -> None:
    """Packets: what was decoded is encoded, decoded and carried."""
    packet = decode(data)
    assert decode(encode(packet)) == packet
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24", "2001:db8::1/64"], ["default"])
    node.receive(packet, "eth0")


def capture(data: bytes) -> None:
    """Capture files of both kinds."""
    for _ in zip(read_pcap(io.BytesIO(data)), range(100), strict=False):
        pass


def shell(data: bytes) -> None:
    """A shell line with any command."""
    Node().run(_text(data))


def restore(data: bytes) -> None:
    """The input of iptables-restore."""
    Node().run("iptables-restore <<'=END='\n" + _text(data) + "\n=END=")


def rule(data: bytes) -> None:
    """The words of one rule."""
    Node().run("iptables -A FORWARD " + _text(data))


def sets(data: bytes) -> None:
    """The input of ipset restore."""
    Node().run("ipset restore <<'=END='\n" + _text(data) + "\n=END=; ipset save")


def services(data: bytes) -> None:
    """The input of ipvsadm -R."""
    Node().run("ipvsadm -R <<'=END='\n" + _text(data) + "\n=END=; ipvsadm -Sn")


def connections(data: bytes) -> None:
    """A listing of connections."""
    load_connections(Node().conntrack, _text(data))


def expression(data: bytes) -> None:
    """A regular expression, and a line to look through."""
    pattern, _, line = _text(data).partition("\0")
    Expression([pattern], extended=len(data) % 2 == 0).search(line[:1000])


def scenario(data: bytes) -> None:
    """A scenario."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    Scenario.from_json("fuzz", value, "fuzz")


_ALL = (wire, capture, shell, restore, rule, sets, services, connections, expression, scenario)


def _guarded(function: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with contextlib.suppress(SvcsimError):
            function(data)

    return run


TARGETS = {function.__name__: _guarded(function) for function in _ALL}
