"""The host's own traffic: what it sends, what it sends to itself, and rerouting: iptables-local, iptables-v6local."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family

from svcsim.packet import Packet

PROBES = ("-p tcp", "-p udp", "-p icmp", "-m conntrack --ctstate NEW", "-m conntrack --ctstate ESTABLISHED",
          "-m conntrack --ctstate RELATED", "-m conntrack --ctstate INVALID")  # fmt: skip


@family("iptables-local", 26)
def local(rng: random.Random, number: int) -> Scenario:
    """Sockets of the host talk to services, pods, clients and the host; marks and NAT change the way."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces(default=number % 3 != 2))
    loop = rng.choice(("127.0.0.1", "127.0.0.2"))
    vips = [site.service + str(20 + n) for n in range(6)]
    pod = [site.backend(rng) for _ in range(6)]
    if number % 2:
        s.run("ip rule add fwmark 0x9 table 90", f"ip route add default dev {site.pods} table 90")
    rules = [
        f"-A OUTPUT -d {vips[0]} -p tcp -m tcp --dport 80 -j DNAT --to-destination {pod[0]}:8080",
        f"-A OUTPUT -d {vips[1]} -p udp -m udp --dport 53 -j DNAT --to-destination {pod[1]}:5353",
        f"-A OUTPUT -d {vips[2]} -p tcp -j DNAT --to-destination {site.far}77",
        "-A OUTPUT -p udp -m udp --dport 5300 -j REDIRECT --to-ports 53",
        f"-A OUTPUT -d {vips[3]} -j DNAT --to-destination {loop}",
        f"-A OUTPUT -d {vips[4]} -p tcp -j DNAT --to-destination :8443",
        f"-A OUTPUT -d {loop} -p tcp -m tcp --dport 30080 -j DNAT --to-destination {pod[2]}:80",
        f"-A POSTROUTING -s {site.node} -o {site.pods} -j MASQUERADE",
        f"-A POSTROUTING -s 127.0.0.0/8 -o {site.pods} -j SNAT --to-source {site.gateway}",
        f"-A PREROUTING -i {site.uplink} -d {site.node} -p tcp -m tcp --dport 30080 "
        f"-j DNAT --to-destination {pod[3]}:80",
        f"-A INPUT -p tcp -m tcp --dport 22 -j SNAT --to-source {site.far}99",
    ]
    s.rules("nat", *rng.sample(rules, rng.randrange(4, 9)))
    mangle = [
        "-A OUTPUT -p tcp -m tcp --dport 9000 -j MARK --set-xmark 0x9/0xffffffff",
        f"-A OUTPUT -d {site.far}0/24 -p udp -j MARK --set-xmark 0x9/0xf",
        "-A OUTPUT -m owner --uid-owner 0 -p udp -m udp --dport 53",
        "-A OUTPUT -m owner --uid-owner 1-4000",
        "-A OUTPUT -m owner ! --uid-owner 0",
        "-A OUTPUT -m owner --gid-owner 0",
        "-A POSTROUTING -m mark --mark 0x9",
    ]
    s.rules("mangle", *rng.sample(mangle, 5))
    probes = [f"-A {chain} {probe}" for chain in ("OUTPUT", "INPUT") for probe in rng.sample(PROBES, 5)]
    refusal = rng.choice(("tcp-reset", "icmp-admin-prohibited"))
    ends = [
        f"-A OUTPUT -o {site.pods}",
        f"-A OUTPUT -o {site.uplink}",
        "-A OUTPUT -o lo",
        "-A INPUT -i lo",
        f"-A INPUT ! -i lo -d {loop}",
        f"-A OUTPUT -d {pod[4]} -p tcp -m tcp --dport 9000 -j REJECT --reject-with {refusal}",
        f"-A OUTPUT -d {pod[5]} -p udp -j DROP",
        "-A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
    ]
    s.rules("filter", *probes, *ends)
    targets = [*vips, *pod, site.node, site.gateway, loop, site.client(rng), site.far + "77", "255.255.255.255"]
    for turn in range(24):
        src = rng.choice((site.node, site.node, site.gateway, "127.0.0.1"))
        target = rng.choice(targets)
        if src == "127.0.0.1" and rng.random() < 0.7:
            target = rng.choice((loop, site.node, vips[3]))
        here, there = at(src, 45000 + turn), at(target, rng.choice((80, 53, 9000, 5300, 22, 30080)))
        ttl = rng.choice((64, 64, 64, 1))
        kind = rng.random()
        if kind < 0.45:
            event = s.send(Packet.tcp(here, there, seq=1000, ttl=ttl))
        elif kind < 0.85:
            event = s.send(Packet.udp(here, there, b"local", ttl=ttl))
        else:
            event = s.send(Packet.echo(src, target, ident=500 + turn, payload=b"ping", ttl=ttl))
        answer = rng.random()
        if answer < 0.45:
            s.reply(event, "SA")
        elif answer < 0.6:
            s.unreachable(event)
        if rng.random() < 0.2:
            client = at(site.client(rng), 46000 + turn)
            s.arrive(site.uplink, Packet.tcp(client, at(site.node, rng.choice((22, 30080))), seq=1))
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("iptables-v6local", 8)
def local6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6, where a raw socket sends what it is given."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces(six=True))
    s.run(f"ip -6 route add default dev {site.uplink}")
    vips, pod = [site.service6 + f"{n:x}" for n in (32, 33, 34)], [site.backend(rng, six=True) for _ in range(4)]
    nat = [
        f"-A OUTPUT -d {vips[0]} -p tcp -m tcp --dport 80 -j DNAT --to-destination [{pod[0]}]:8080",
        f"-A OUTPUT -d {vips[1]} -p udp -m udp --dport 53 -j DNAT --to-destination [{pod[1]}]:5353",
        f"-A OUTPUT -d {vips[2]} -p tcp -j DNAT --to-destination {site.far6}77",
        "-A OUTPUT -p udp -m udp --dport 5300 -j REDIRECT --to-ports 53",
        f"-A POSTROUTING -s {site.node6} -o {site.pods} -j MASQUERADE",
    ]
    s.rules("nat", *nat, tool="ip6tables-legacy-restore")
    probes = [f"-A {chain} {probe}" for chain in ("OUTPUT", "INPUT") for probe in PROBES if "icmp" not in probe]
    extra = [
        f"-A OUTPUT -o {site.pods}",
        f"-A OUTPUT -d {pod[2]} -p tcp -j REJECT --reject-with tcp-reset",
        f"-A OUTPUT -d {pod[3]} -j DROP",
    ]
    s.rules("filter", *probes, *extra, tool="ip6tables-legacy-restore")
    for turn in range(20):
        src = rng.choice((site.node6, site.node6, site.gateway6, "::1"))
        target = (
            rng.choice((*vips, *pod, site.node6, site.far6 + "77")) if src != "::1" else rng.choice(("::1", site.node6))
        )
        here, there = at(src, 45000 + turn), at(target, rng.choice((80, 53, 5300)))
        kind = rng.random()
        if kind < 0.5:
            event = s.send(Packet.tcp(here, there, seq=1000))
        elif kind < 0.85:
            event = s.send(Packet.udp(here, there, b"local"))
        else:
            event = s.send(Packet.echo(src, target, ident=500 + turn, payload=b"ping"))
        if rng.random() < 0.5:
            s.reply(event, "SA") if rng.random() < 0.7 else s.unreachable(event)
    s.dump("ip6tables-save -c", "conntrack -L", six=True)
    return s
