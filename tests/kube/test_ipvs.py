"""The ipvs mode: servers, sets and rules after any change, and how destinations go."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.objects import draw, host, pods, port, state
from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError
from svcsim.kube.config import IPVSConfig
from svcsim.kube.ipvs import IPVSProgrammer
from svcsim.kube.ipvs_sets import PROXY_SETS, set_name
from svcsim.packet import Packet


def lines(node, command):
    return sorted(re.sub(r"initval \S+", "", line) for line in node.run(command).stdout.splitlines() if line[:1] != "#")


def holdings(node):
    """Everything that the mode programs, as the tools print it."""
    shown = [lines(node, command) for command in ("ipvsadm -Sn", "ipset save", "iptables-save", "ip6tables-save")]
    return [*shown, lines(node, "ip -o address show dev kube-ipvs0")]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_syncs_come_to_the_same(seed, six):
    """Whatever changed, a sync leaves what a first one would make, as long as nobody is connected."""
    rng, cluster = draw(seed, "ipvs", six=six)
    node, proxy = host(cluster.net, kernel="6.1"), IPVSProgrammer()
    proxy.sync(cluster.state, node).apply(node)
    for _ in range(3):
        cluster = cluster.changed(rng)
        proxy.sync(cluster.state, node).apply(node)

        fresh = host(cluster.net, kernel="6.1")
        IPVSProgrammer().sync(cluster.state, fresh).apply(fresh)
        assert holdings(node) == holdings(fresh)


def connected():
    """A node with two destinations, one of them with a connection; its programmer, and the one that is connected."""
    node, proxy = host(), IPVSProgrammer()
    proxy.sync(state(port(endpoints=pods(5, 6)), mode="ipvs"), node).apply(node)
    sent = node.receive(Packet.tcp("203.0.113.9:40000", "10.200.0.9:80"), "eth0").sent[0].packet
    return node, proxy, sent.dst & 0xFF


def weights(node):
    found = re.findall(r"-r 10\.128\.3\.(\d+):8080 -m -w (\d)", node.run("ipvsadm -Sn").stdout)
    return {int(number): int(weight) for number, weight in found}


def test_destinations_go_when_their_connections_have_ended():
    """With a connection a destination gets weight 0 and waits; then a tick takes it away."""
    node, proxy, busy = connected()
    left = 11 - busy

    proxy.sync(state(port(endpoints=pods(left)), mode="ipvs"), node).apply(node)
    assert weights(node) == {busy: 0, left: 1}

    proxy.tick(node).apply(node)
    assert weights(node) == {busy: 0, left: 1}
    node.advance(130)
    proxy.tick(node).apply(node)
    assert weights(node) == {left: 1}


def test_destinations_that_come_back_are_new():
    """A destination that is wanted again while it waits is deleted and added anew."""
    node, proxy, busy = connected()
    proxy.sync(state(port(endpoints=pods(11 - busy)), mode="ipvs"), node).apply(node)

    program = proxy.sync(state(port(endpoints=pods(5, 6)), mode="ipvs"), node)
    program.apply(node)

    text = next(step.stdin for step in program.steps if step.command == "ipvsadm -R")
    assert [line.split()[0] for line in text.splitlines() if f"10.128.3.{busy}:" in line] == ["-d", "-a"]
    assert weights(node) == {5: 1, 6: 1}


def test_without_connections_they_go_at_once():
    """UDP destinations, and those nobody is connected to, are deleted by the sync."""
    node, proxy, busy = connected()

    proxy.sync(state(port(endpoints=pods(busy)), mode="ipvs"), node).apply(node)

    assert weights(node) == {busy: 1}


def test_excluded_servers_stay():
    """A server that kube-proxy did not make goes, unless its address is excluded."""
    node, proxy = host(), IPVSProgrammer()
    node.run("ipvsadm -A -t 10.200.0.50:80 -s rr; ipvsadm -A -t 10.201.0.50:80 -s rr")
    settings_ = IPVSConfig(exclude_cidrs=(Prefix.parse("10.201.0.0/16"),))

    proxy.sync(state(port(), mode="ipvs", ipvs=settings_), node).apply(node)

    assert [line.split()[2] for line in lines(node, "ipvsadm -Sn")] == ["10.200.0.9:80", "10.201.0.50:80"]


def test_local_policy_without_local_endpoints():
    """With externalTrafficPolicy Local the local endpoints serve, and all of them if there are none here."""
    for endpoints, served in ((pods(5, local=True) + pods(6), {5}), (pods(5, 6), {5, 6})):
        node, proxy = host(), IPVSProgrammer()
        proxy.sync(state(port(endpoints=endpoints, node_port=30005, external_local=True), mode="ipvs"), node).apply(
            node
        )
        text = node.run("ipvsadm -Sn").stdout
        found = re.findall(r"192\.0\.2\.10:30005 -r 10\.128\.3\.(\d+)", text)
        assert {int(number) for number in found} == served


def test_a_scheduler_that_is_not_known():
    """It is refused before anything is done."""
    node, proxy = host(), IPVSProgrammer()

    with pytest.raises(ConfigError, match="no scheduler 'fair'"):
        proxy.sync(state(port(), mode="ipvs", ipvs=IPVSConfig(scheduler="fair")), node)

    assert len(node.ipsets) == 0


def test_names_of_sets_over_ipv6():
    """They begin otherwise, and none is longer than ipset takes, nor two of them alike."""
    names = [set_name(name, Family.IPV6) for name in PROXY_SETS]

    assert all(len(name) <= 31 and name.startswith("KUBE-6-") for name in names)
    assert len(set(names)) == len(names)


def test_parameters():
    """The kernel's parameters are written once; conn_reuse_mode on old kernels alone."""
    for kernel, wanted in (("5.4", True), ("6.1", False)):
        node, proxy = host(kernel=kernel), IPVSProgrammer()
        program = proxy.sync(state(port(), mode="ipvs", ipvs=IPVSConfig(strict_arp=True)), node)
        program.apply(node)
        text = str(program)
        assert ("conn_reuse_mode=0" in text) is wanted
        assert node.sysctls["net.ipv4.conf.all.arp_ignore"] == 1
        assert "sysctl" not in str(proxy.sync(state(port(), mode="ipvs", ipvs=IPVSConfig(strict_arp=True)), node))
