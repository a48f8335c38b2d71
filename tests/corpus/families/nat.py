"""NAT rules of every kind, and whole conversations through them: iptables-nat, iptables-v6nat."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

PORTS = (53, 80, 443, 8080, 9000)

Service = tuple[str, str, int]


def destination_rule(rng: random.Random, site: Site, service: Service, six: bool) -> str:
    """Draw a rule that changes, or spares, the destination of packets to *service*."""
    proto, vip, port = service
    exact = f"-d {vip} -p {proto} -m {proto} --dport {port}"
    backend, inside = site.backend(rng, six=six), rng.choice((8080, 8443, 5353))
    return rng.choice(
        (
            f"{exact} -j DNAT --to-destination {at(backend, inside)}",
            f"{exact} -j DNAT --to-destination {at(backend, inside)}",
            f"{exact} -j DNAT --to-destination {at(backend, inside)}",
            f"{exact} -j DNAT --to-destination {backend}",
            f"-p {proto} -m {proto} --dport {port} -j DNAT --to-destination :{inside}",
            f"{exact} -j REDIRECT --to-ports {inside}",
            f"{exact} -j REDIRECT",
            f"{exact} -j ACCEPT",
            f"{exact} -j RETURN",
            f"-d {vip} -j DNAT --to-destination {backend}",
        )
    )


def source_rule(rng: random.Random, site: Site, six: bool) -> str:
    """Draw a rule that changes, or spares, the source."""
    pods = (site.gateway6 + "/64") if six else f"{site.gateway}/{site.pod_bits}"
    far = (site.far6 + "/64") if six else (site.far + "0/24")
    gateway, node = (site.gateway6, site.node6) if six else (site.gateway, site.node)
    return rng.choice(
        (
            f"-d {pods} -j MASQUERADE",
            f"-s {far} -o {site.pods} -j MASQUERADE",
            f"-o {site.pods} -m conntrack --ctstate DNAT -j MASQUERADE",
            f"-s {far} -d {pods} -j SNAT --to-source {gateway}",
            f"-s {pods} -o {site.uplink} -j SNAT --to-source {node}",
            f"-s {pods} ! -d {pods} -j MASQUERADE",
            f"-s {far} -p tcp -j ACCEPT",
            "-m mark --mark 0x4000/0x4000 -j MASQUERADE",
        )
    )


def conversation(s: Scenario, rng: random.Random, site: Site, service: Service, port: int) -> None:
    """Let a client or a pod, with source port *port*, talk to *service* and hear back in one of several ways."""
    proto, target, dport = service
    six = ":" in target
    interface, client = site.uplink, site.client(rng, six=six)
    if rng.random() < 0.2 and (
        not six or target.startswith(site.near6)
    ):  # an IPv6 redirect has an unforeseeable source
        interface, client = site.pods, site.backend(rng, six=six)
    elif six and target.startswith((site.near6, site.far6)) and target != site.node6:
        target = site.node6
    src, dst, ttl = at(client, port), at(target, dport), rng.choice((64, 64, 64, 64, 128, 1))
    if rng.random() < 0.15:
        first = s.arrive(interface, Packet.echo(client, target, ident=port, payload=b"ping", ttl=ttl))
        s.reply(first)
    elif proto == "udp":
        first = s.arrive(interface, Packet.udp(src, dst, b"who?", ttl=ttl))
        s.unreachable(first) if rng.random() < 0.3 else s.reply(first, data=b"me")
        if rng.random() < 0.4:
            s.arrive(interface, Packet.udp(src, dst, b"and?", checksum=None if six else rng.choice((None, 0))))
    elif rng.random() < 0.6:
        first = s.handshake(interface, src, dst)
        s.arrive(interface, Packet.tcp(src, dst, flags="PA", seq=1001, ack=5001, payload=b"GET"))
        s.reply(first, "PA", 5001, 1004, b"200")
        if rng.random() < 0.4:
            s.arrive(interface, Packet.tcp(src, dst, flags="FA", seq=1004, ack=5004))
            s.reply(first, "FA", 5004, 1005)
    else:
        first = s.arrive(interface, Packet.tcp(src, dst, seq=1000, ttl=ttl))
        s.unreachable(first) if rng.random() < 0.5 else s.reply(first, "RA", 0, 1001)


def draw_services(rng: random.Random, site: Site, six: bool) -> list[Service]:
    """Draw a handful of services."""
    return [(rng.choice(("tcp", "udp")), site.vip(rng, six=six), rng.choice(PORTS)) for _ in range(rng.randrange(3, 6))]


def other_target(rng: random.Random, site: Site, six: bool) -> Service:
    """Draw somewhere else to talk to: a pod, the node, a client."""
    node = site.node6 if six else site.node
    address = rng.choice((site.backend(rng, six=six), node, site.client(rng, six=six), site.vip(rng, six=six)))
    return rng.choice(("tcp", "udp")), address, rng.choice(PORTS)


def _nat(rng: random.Random, number: int, six: bool) -> Scenario:
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces(six=six, default=number % 2 == 0))
    tool = "ip6tables-legacy-restore" if six else "iptables-legacy-restore"
    services = draw_services(rng, site, six)
    if number % 4 == 3:
        s.rules("mangle", f"-A PREROUTING -d {services[0][1]} -j MARK --set-xmark 0x4000/0x4000", tool=tool)
    lines = [f"-A PREROUTING {destination_rule(rng, site, service, six)}" for service in services]
    lines += [f"-A POSTROUTING {source_rule(rng, site, six)}" for _ in range(rng.randrange(1, 4))]
    s.rules("nat", *lines, tool=tool)
    for turn in range(rng.randrange(14, 22)):
        target = rng.choice(services) if rng.random() < 0.75 else other_target(rng, site, six)
        conversation(s, rng, site, target, 30000 + 137 * turn + number)
    s.dump("ip6tables-save -c" if six else "iptables-save -c", "conntrack -L", six=six)
    return s


@family("iptables-nat", 25)
def nat(rng: random.Random, number: int) -> Scenario:
    """Random NAT rules; clients, pods and the node talk through them."""
    return _nat(rng, number, six=False)


@family("iptables-v6nat", 12)
def nat6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6."""
    return _nat(rng, number, six=True)
