"""The userspace mode's rules: their text and order, what a sync changes, and which ports the proxy takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.userspace_world import NODE, World, info, state
from svcsim.errors import ConfigError
from svcsim.kube import userspace
from svcsim.kube.state import ServedPort, ServicePortInfo
from svcsim.kube.userspace import UserspaceProgrammer
from svcsim.node import Node

FIRST = '-m comment --comment "handle ClusterIPs; NOTE: this must be before the NodePort rules"'
LAST = '-m comment --comment "handle service NodePorts; NOTE: this must be the last rule in the chain"'
NAT = f"""-P PREROUTING ACCEPT
-P INPUT ACCEPT
-P OUTPUT ACCEPT
-P POSTROUTING ACCEPT
-N KUBE-NODEPORT-CONTAINER
-N KUBE-NODEPORT-HOST
-N KUBE-PORTALS-CONTAINER
-N KUBE-PORTALS-HOST
-A PREROUTING {FIRST} -j KUBE-PORTALS-CONTAINER
-A PREROUTING -i own
-A PREROUTING -m addrtype --dst-type LOCAL {LAST} -j KUBE-NODEPORT-CONTAINER
-A OUTPUT {FIRST} -j KUBE-PORTALS-HOST
-A OUTPUT -m addrtype --dst-type LOCAL {LAST} -j KUBE-NODEPORT-HOST
-A KUBE-NODEPORT-CONTAINER -p tcp -m comment --comment "default/web" -m tcp --dport 30080 -j REDIRECT --to-ports 36000
-A KUBE-NODEPORT-HOST -p tcp -m comment --comment "default/web" -m tcp --dport 30080 -j DNAT --to-destination {NODE}:36000
-A KUBE-PORTALS-CONTAINER -d 10.96.0.10/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -j REDIRECT --to-ports 36000
-A KUBE-PORTALS-CONTAINER -d 198.51.100.7/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -j REDIRECT --to-ports 36000
-A KUBE-PORTALS-CONTAINER -d 203.0.113.5/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -m physdev ! --physdev-is-in -j REDIRECT --to-ports 36000
-A KUBE-PORTALS-CONTAINER -d 203.0.113.5/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -m addrtype --dst-type LOCAL -j REDIRECT --to-ports 36000
-A KUBE-PORTALS-HOST -d 10.96.0.10/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -j DNAT --to-destination {NODE}:36000
-A KUBE-PORTALS-HOST -d 198.51.100.7/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -j DNAT --to-destination {NODE}:36000
-A KUBE-PORTALS-HOST -d 203.0.113.5/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -m addrtype --dst-type LOCAL -j DNAT --to-destination {NODE}:36000
"""
FULL = {"node_port": 30080, "external_ips": ("203.0.113.5",), "load_balancer_vips": ("198.51.100.7",)}


def sync(programmer: UserspaceProgrammer, node: Node, *infos: ServicePortInfo) -> str:
    """One sync, done; its text."""
    program = programmer.sync(state(*map(ServedPort, infos)), node)
    program.apply(node)
    return str(program)


def test_the_rules_of_a_service() -> None:
    """Every way in has its rules, in their order; the first jump goes before, the last behind what was there."""
    node = Node()
    node.run("iptables -t nat -A PREROUTING -i own")
    sync(UserspaceProgrammer(), node, info(**FULL))
    assert node.run("iptables -t nat -S").stdout == NAT
    assert node.run("iptables -S KUBE-NODEPORT-NON-LOCAL").stdout.splitlines()[1:] == [
        '-A KUBE-NODEPORT-NON-LOCAL -p tcp -m comment --comment "default/web" -m tcp --dport 36000 '
        "-m state --state NEW -j ACCEPT"
    ]


def test_what_was_there_is_flushed_once() -> None:
    """Rules of a proxy before this one are gone after its first sync; later syncs leave strangers' rules alone."""
    node, programmer = Node(), UserspaceProgrammer()
    node.run("iptables -t nat -N KUBE-PORTALS-HOST; iptables -t nat -A KUBE-PORTALS-HOST -j ACCEPT")
    sync(programmer, node)
    assert node.run("iptables -t nat -S KUBE-PORTALS-HOST").stdout == "-N KUBE-PORTALS-HOST\n"
    node.run("iptables -t nat -A KUBE-PORTALS-HOST -j ACCEPT")
    assert sync(programmer, node) == ""
    assert "ACCEPT" in node.run("iptables -t nat -S KUBE-PORTALS-HOST").stdout


@settings(max_examples=25)
@given(st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=5))
def test_syncs_leave_what_one_sync_makes(steps: list[set[int]]) -> None:
    """However services came and went: each that is left has its rules once, all for its port, and no other has any."""
    node, programmer = Node(), UserspaceProgrammer()
    for here in steps:
        before = dict(programmer.ports)
        infos = [info(f"web{each}", vip=f"10.96.0.{10 + each}", node_port=30000 + each) for each in sorted(here)]
        sync(programmer, node, *infos)
        ports = programmer.ports
        assert len(set(ports.values())) == len(ports) == len(here)
        assert all(ports[name] == port for name, port in before.items() if name in ports)
        found = node.run("iptables -t nat -S KUBE-PORTALS-CONTAINER").stdout.splitlines()[1:]
        assert sorted(found) == sorted(
            f'-A KUBE-PORTALS-CONTAINER -d {each.cluster_ip}/32 -p tcp -m comment --comment "{each.name}" '
            f"-m tcp --dport 80 -j REDIRECT --to-ports {ports[each.name]}"
            for each in infos
        )
        assert sync(programmer, node, *infos) == ""


def test_a_failed_sync_is_done_anew() -> None:
    """After a failure the chains are flushed and written again."""
    node, programmer = Node(), UserspaceProgrammer()
    sync(programmer, node, info())
    before = node.run("iptables-save").stdout
    programmer.failed()
    assert "-F KUBE-PORTALS-HOST" in sync(programmer, node, info())
    assert node.run("iptables-save").stdout == before


def test_ports_that_somebody_listens_at_are_left_to_them() -> None:
    """The proxy takes the first free port."""
    world = World(pods=1)
    world.node.node.listen("tcp", 36000)
    world.node.node.listen("udp", 36001)
    world.serve(info())
    assert set(world.programmer.ports.values()) == {36002}
    web = world.call()
    web.open()
    assert web.backend == "pod0"


def test_no_port_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more service ports than ports for them nothing is done, and what was served stays so."""
    monkeypatch.setattr(userspace, "PORTS", range(36000, 36002))
    node, programmer = Node(), UserspaceProgrammer()
    sync(programmer, node, info("a"), info("b", port=81))
    before, ports = node.run("iptables-save").stdout, dict(programmer.ports)
    with pytest.raises(ConfigError, match="3 service ports, but only 2 ports for the proxy"):
        programmer.sync(state(*(ServedPort(info(name, port=80 + i)) for i, name in enumerate("abc"))), node)
    assert (node.run("iptables-save").stdout, programmer.ports) == (before, ports)


def test_sctp_is_named() -> None:
    """A port of SCTP is left out and told of; the others are served."""
    node, programmer = Node(), UserspaceProgrammer()
    program = programmer.sync(state(ServedPort(info("s", "SCTP")), ServedPort(info())), node)
    assert program.notes == ("default/s: the userspace mode does not know SCTP",)
    assert "default/s" not in str(program)
    assert "default/web" in str(program)
