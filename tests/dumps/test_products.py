"""The rules of well-known products load, save back the same, and do what the product means them to do."""

from __future__ import annotations

import pytest

from dumps.products import HERE, TRAFFIC, interfaces, setup
from svcsim import Node, Packet
from svcsim.addr import format_address
from svcsim.outcome import Outcome

#: What a process on the host would listen to.
_LISTENED_TO = [("tcp", port) for port in (22, 23, 80, 443, 6443, 8080, 9100, 15001, 15006, 15021, 30080)]
_LISTENED_TO += [("udp", port) for port in (53, 137, 15053)]


def load(name: str) -> Node:
    node = Node()
    for each in interfaces(name):
        node.add_interface(each["name"], each["addresses"], each["routes"])
    for line in setup(name):
        done = node.run(line)
        assert done.returncode == 0, done.stderr
    return node


def tables(text: str) -> list[str]:
    """The tables of a save without comments and counters; the newest is saved first, so their order is that of loading."""
    kept = (line.partition(" [")[0] if line[0] == ":" else line for line in text.splitlines() if line[:1] not in "#")
    return sorted(table.strip() for table in "\n".join(kept).split("COMMIT"))


def way_of(packet: Packet, out: Outcome, *, port: bool) -> str:
    """Where a packet went, in the words of a sample; what was answered to its sender does not count."""
    for device, sent in out.sent:
        if sent.proto == packet.proto and (sent.dst, sent.sport) != (packet.src, packet.dport):
            return f"{device} {format_address(sent.family, sent.dst)}:{sent.dport}"
    for delivery in out.delivered:
        taken = delivery.packet
        return f"me {format_address(taken.family, taken.dst)}:{taken.dport}" if port else "me"
    return "-"


@pytest.mark.parametrize("name", TRAFFIC)
def test_saves_back_equal(name):
    """What iptables-legacy-save printed on a kernel is printed after loading it, rule by rule."""
    node = load(name)
    tool = "ip6tables" if name.endswith("6") else "iptables"

    assert tables(node.run(f"{tool}-save").stdout) == tables((HERE / f"{name}.rules").read_text())


@pytest.mark.parametrize(("name", "number"), [(name, n) for name in TRAFFIC for n in range(len(TRAFFIC[name]))])
def test_packets_go_where_the_product_means(name, number):
    """Each packet leaves by the device and for the destination that the product's rules are there for."""
    node = load(name)
    for protocol, port in _LISTENED_TO:
        node.listen(protocol, port)
    for before in TRAFFIC[name][:number]:
        device, packet, _ = before
        _ = node.receive(packet, device) if device else node.send(packet)
    device, packet, meant = TRAFFIC[name][number]

    out = node.receive(packet, device) if device else node.send(packet)

    assert way_of(packet, out, port="." in meant or ":" in meant) == meant
