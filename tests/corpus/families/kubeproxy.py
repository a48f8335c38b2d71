"""What kube-proxy's modes program, on a kernel: iptables-kubeproxy, iptables-v6kubeproxy, ipvs-kubeproxy and kin."""

from __future__ import annotations

import random
import re

from clusters import Cluster, Net, draw_cluster
from scenario import IPVS_KERNEL, SITES, Scenario, Site, at, family

import svcsim.kube.iptables
import svcsim.kube.ipvs
import svcsim.kube.userspace  # noqa: F401 - the modes enter their registry
from svcsim.kube.programmer import PROXY_MODES, Program
from svcsim.node import Node
from svcsim.packet import Packet

#: An SCTP INIT: tag, window, streams and first sequence number.
_INIT = bytes.fromhex("010000140000004d000013880001000100000001")


def recordable(program: Program, *, legacy: bool) -> list[str]:
    """
    The commands of a program, without what no two recordings would agree on.

    A random source port is left out as kube-proxy does for an old iptables; a random endpoint becomes each nth.
    """
    told = []
    for step in program.steps:
        text = str(step).replace(" --random-fully", "")
        text = re.sub(
            r"--mode random --probability (\S+)",
            lambda m: f"--mode nth --every {round(1 / float(m[1]))} --packet 0",
            text,
        )
        told.append(re.sub(r"^(ip6?tables)", r"\1-legacy", text) if legacy else text)
    return told


def net_of(site: Site, *, six: bool) -> Net:
    """The addresses of a site, as a cluster needs them."""
    if six:
        return Net(site.node6, site.pod6, site.service6, (site.near6, site.far6), f"{site.gateway6}/64", six=True)
    prefix = f"{site.gateway}/{site.pod_bits}"
    return Net(site.node, site.pod, site.service, (site.near, site.far), prefix)


def packet_to(protocol: str, source: str, target: str) -> Packet:
    """A packet that opens a connection."""
    if protocol == "tcp":
        return Packet.tcp(source, target)
    return Packet.udp(source, target, b"?") if protocol == "udp" else Packet.sctp(source, target, _INIT)


def call(s: Scenario, rng: random.Random, site: Site, cluster: Cluster, turn: int) -> None:
    """Somebody calls a service, or a port next to one; the answer comes back."""
    six = cluster.net.six
    protocol, address, port = rng.choice(cluster.places() or [("tcp", site.node6 if six else site.node, 80)])
    if rng.random() < 0.1:
        port += 1
    target, kind = at(address, port), rng.random()
    if kind < 0.55:
        client = site.client(rng, six=six)
        first = s.arrive(site.uplink, packet_to(protocol, at(client, 41000 + turn), target))
    elif kind < 0.8 and not six:  # IPv6 would be told of the shorter way, from a random address
        first = s.arrive(site.pods, packet_to(protocol, at(site.backend(rng, six=six), 41000 + turn), target))
    else:
        first = s.send(packet_to(protocol, at(site.node6 if six else site.node, 41000 + turn), target))
    if protocol != "sctp" and rng.random() < 0.7:
        s.reply(first, "SA", 5000, 1)


def _kubeproxy(rng: random.Random, number: int, mode: str, *, six: bool, legacy: bool = True) -> Scenario:
    site = SITES[number % 3]
    s = Scenario(site.interfaces(six=six), kernel=IPVS_KERNEL if mode == "ipvs" else "6.18")
    node, proxy = Node(kernel=s.kernel), PROXY_MODES[mode]()
    for interface in s.interfaces:
        node.add_interface(interface["name"], interface["addresses"])
    cluster = draw_cluster(rng, net_of(site, six=six), mode, one_endpoint=mode == "iptables" and number % 2 == 0)
    program = proxy.sync(cluster.state, node)
    program.apply(node)
    if mode != "iptables":  # redirects are sent the slower the more there were, and the machine that records is slow
        s.run(*(f"sysctl -qw net.ipv4.conf.{scope}.send_redirects=0" for scope in ("all", site.pods, site.uplink)))
    s.run(*recordable(program, legacy=legacy))
    for turn in range(24):
        call(s, rng, site, cluster, turn)
    for later in range(rng.randrange(1, 3)):
        cluster = cluster.changed(rng)
        program = proxy.sync(cluster.state, node)
        program.apply(node)
        for line in recordable(program, legacy=legacy):
            s.command(line)
        for turn in range(6):
            call(s, rng, site, cluster, 100 * (later + 1) + turn)
    tool = "ip6tables" if six else "iptables"
    s.dumps[f"{tool}-save -c"] = f"{tool}-legacy-save -c" if legacy else f"{tool}-nft-save -c"
    s.dump("conntrack -L", six=six)
    if mode == "ipvs":
        s.dump("ipset save", "ipvsadm -Ln", "ipvsadm -Sn")
    return s


@family("iptables-kubeproxy", 30)
def iptables_mode(rng: random.Random, number: int) -> Scenario:
    """The iptables mode: full and partial syncs, every kind of service, policy and configuration."""
    return _kubeproxy(rng, number, "iptables", six=False)


@family("iptables-v6kubeproxy", 12)
def iptables_mode6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6."""
    return _kubeproxy(rng, number, "iptables", six=True)


@family("ipvs-kubeproxy", 12)
def ipvs_mode(rng: random.Random, number: int) -> Scenario:
    """The ipvs mode, with its sets, its device and its rules."""
    return _kubeproxy(rng, number, "ipvs", six=False)


@family("ipvs-v6kubeproxy", 4)
def ipvs_mode6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6."""
    return _kubeproxy(rng, number, "ipvs", six=True)


@family("iptables-kubeuserspace", 16)
def userspace_mode(rng: random.Random, number: int) -> Scenario:
    """The userspace mode's rules; nobody listens where they lead, so the node refuses in the services' names."""
    return _kubeproxy(rng, number, "userspace", six=False)
