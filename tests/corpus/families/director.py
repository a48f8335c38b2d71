"""What IPVS does with packets besides choosing: the ways to forward, errors, marks, local clients, IPv6, SCTP."""

from __future__ import annotations

import random

from balancing import SCHEDULERS, Crowd, backends, director, service
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

EASY = ("rr", "wrr", "lc", "wlc", "sed", "nq")


@family("ipvs-methods", 14)
def methods(rng: random.Random, number: int) -> Scenario:
    """Masquerading, direct routing and tunnels side by side, with clients whose packets are about to die or too big."""
    return _methods(rng, number, ("-m", "-g", "-i", "-i --tun-type ipip"))


@family("ipvs-gre", 4)
def gre(rng: random.Random, number: int) -> Scenario:
    """The same with tunnels of another kind."""
    return _methods(rng, number, ("-m", "-i --tun-type gre", "-i --tun-type gre --tun-csum"))


def _methods(rng: random.Random, number: int, ways: tuple[str, ...]) -> Scenario:
    site = SITES[number % 3]
    s = director(site, conntrack=number % 4 != 1, masquerade=number % 5 == 2, default=number % 2 == 0)
    if number % 3 == 1:
        s.run(f"ip link set {site.pods} mtu {rng.choice((600, 1000, 1400))}")
    if number % 4 == 3:
        s.run(f"sysctl -qw net.ipv4.vs.pmtu_disc={number % 8 // 4}")
    pods = backends(rng, site, 5)
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    for target, proto in ((tcp, "tcp"), (udp, "udp")):
        name = service(s, target, [], rng.choice(EASY), proto=proto)
        port = target.rpartition(":")[2]
        for pod in pods:
            method = rng.choice(ways)
            s.run(f"ipvsadm -a {name} -r {pod}:{'8080' if method == '-m' else port} {method} -w {rng.randrange(1, 4)}")
        if rng.random() < 0.4:
            s.run(f"ipvsadm -a {name} -r {site.gateway}:{port} {rng.choice(('-m', '-g'))} -w 2")
    crowds = [Crowd(s, rng, site, [tcp]), Crowd(s, rng, site, [udp], proto="udp")]
    for turn in range(14):
        rng.choice(crowds).steps(3)
        src = at(site.client(rng), 51000 + turn)
        tos, ttl = rng.choice((0, 0x10, 0xB8, 0x03)), rng.choice((64, 1, 2, 255))
        big, whole = rng.choice((3, 3, 560, 590, 961, 1355, 1420)), rng.random() < 0.6
        s.arrive(site.uplink, Packet.udp(src, udp, b"b" * big, tos=tos, ttl=ttl, dont_fragment=whole))
    return s


@family("ipvs-icmp", 12)
def icmp(rng: random.Random, number: int) -> Scenario:
    """ICMP errors from clients about answers and from pods about requests, and echoes to the service address."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 3 != 0, masquerade=number % 4 == 1)
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    method = rng.choice(("-m", "-m", "-g", "-g")) if number % 2 else "-m"
    service(s, tcp, backends(rng, site, 3), "rr", port=80, method=method)
    service(s, udp, backends(rng, site, 3), "rr", proto="udp", port=53, method=method)
    if number % 4 == 2:
        s.run("sysctl -qw net.ipv4.vs.schedule_icmp=1")
    if number % 4 == 3:
        s.run("sysctl -qw net.ipv4.vs.nat_icmp_send=1")
    errors = ((3, 3), (3, 1), (3, 0), (11, 0), (3, 4), (4, 0), (12, 0), (5, 1))
    for turn in range(16):
        client = site.client(rng)
        src = at(client, 52000 + turn)
        if rng.random() < 0.5:
            first = s.arrive(site.uplink, Packet.udp(src, udp, b"query"))
            s.unreachable(first, *rng.choice(errors))
            answer = s.reply(first, data=b"answer")
        else:
            first = s.arrive(site.uplink, Packet.tcp(src, tcp, seq=1000))
            if rng.random() < 0.4:
                s.unreachable(first, *rng.choice(errors))
            answer = s.reply(first, "SA")
        s.unreachable(answer, *rng.choice(errors))
        if rng.random() < 0.3:
            s.arrive(site.uplink, Packet.echo(client, tcp.split(":")[0], ident=turn, payload=b"ping"))
        if rng.random() < 0.2:
            s.arrive(site.pods, Packet.udp(at(site.pod + "99", 53), src, b"stray"))
            s.arrive(site.pods, Packet.tcp(at(site.pod + "30", 80), src, flags="SA", seq=1, ack=2))
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-fwmark", 10)
def fwmark(rng: random.Random, number: int) -> Scenario:
    """Services named by a firewall mark, with and without persistence across ports."""
    site = SITES[number % 3]
    s = director(site, masquerade=number % 3 == 2, default=number % 4 == 0)
    vips = [site.service + str(10 + n) for n in range(3)]
    tool = "iptables-legacy -t mangle -A PREROUTING"
    s.run(
        f"{tool} -d {vips[0]} -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3",
        f"{tool} -d {vips[1]} -p udp --dport 53 -j MARK --set-mark 5",
        f"{tool} -d {vips[2]} -j MARK --set-mark {0x4000}",
    )
    if number % 2:
        s.run(f"{tool} -d {site.service}200 -p tcp -j MARK --set-mark 3")
        s.run(f"ip route add local {site.service}200/32 dev lo")
    extra = rng.choice(("", "-p 120", "-p 120 -M 255.255.255.0"))
    pods = backends(rng, site, 4)
    weights = [rng.randrange(1, 4) for _ in pods]
    service(
        s,
        "3",
        pods,
        rng.choice(SCHEDULERS),
        port=None,
        weights=weights,
        extra=extra,
        method=rng.choice(("-m", "-m", "-g")),
    )
    service(
        s, "5", pods[:2], rng.choice(EASY), port=rng.choice((None, 5353)), weights=weights, extra=rng.choice(("", "-o"))
    )
    service(s, at(vips[2], 80), pods[2:], "rr")  # its mark names no service
    targets = [at(vips[0], 80), at(vips[0], 443), at(vips[0], 8443), at(vips[2], 80), at(site.service + "200", 22)]
    crowds = [
        Crowd(s, rng, site, targets, few=True),
        Crowd(s, rng, site, [at(vips[1], 53), at(vips[2], 53)], proto="udp"),
    ]
    for _ in range(14):
        rng.choice(crowds).steps(3)
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-localclient", 10)
def localclient(rng: random.Random, number: int) -> Scenario:
    """Processes of the director itself as clients, with remote and local destinations."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 3 != 1, masquerade=number % 2 == 0, default=number % 4 != 3)
    s.run(*(f"iptables-legacy -A {chain} -p {proto}" for chain in ("INPUT", "OUTPUT") for proto in ("tcp", "udp")))
    s.run(f"iptables-legacy -t nat -A POSTROUTING -s {site.node} -o {site.pods} -j MASQUERADE")
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    pods = backends(rng, site, 3)
    port = rng.choice((8080, 80))
    name = service(s, tcp, pods, rng.choice(SCHEDULERS), port=port, extra=rng.choice(("", "-p 90")))
    if number % 3 == 2:
        s.run(f"ipvsadm -a {name} -r {rng.choice((site.gateway, site.node, '127.0.0.1'))}:{port} -m")
    service(
        s,
        udp,
        pods,
        rng.choice(EASY),
        proto="udp",
        port=53,
        extra=rng.choice(("", "-o")),
        method=rng.choice(("-m", "-g")),
    )
    sources = (site.node, site.node, site.gateway, site.service + "10", "127.0.0.1")
    for turn in range(18):
        src = at(rng.choice(sources), 53000 + turn)
        if rng.random() < 0.6:
            first = s.send(Packet.tcp(src, tcp, seq=1000))
        else:
            first = s.send(Packet.udp(src, udp, b"local"))
        answer = rng.random()
        if answer < 0.5:
            s.reply(first, "SA")
        elif answer < 0.7:
            s.unreachable(first)
        if rng.random() < 0.3:
            s.send(Packet.tcp(src, tcp, flags="A", seq=1001, ack=5001))
        if rng.random() < 0.15:
            s.handshake(site.uplink, at(site.client(rng), 54000 + turn), tcp)
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("ipvs-v6", 14)
def six(rng: random.Random, number: int) -> Scenario:
    """IPv6 services beside IPv4 ones."""
    site = SITES[number % 3]
    s = director(site, six=True, conntrack=number % 4 != 3, vips=3)
    vip = site.service6 + "10"
    tcp, udp, four = at(vip, 80), at(vip, 53), at(site.service + "10", 80)
    pods = backends(rng, site, 4, six=True)
    weights = [rng.randrange(1, 5) for _ in pods]
    extra = ("", "-p 200", "-p 200 -M 120", "")[number % 4]
    method = ("-m", "-m", "-g", "-m", "-i")[number % 5]
    port = 8080 if method == "-m" else 80
    scheduler = SCHEDULERS[number % len(SCHEDULERS)]
    name = service(s, tcp, pods, scheduler, port=port, weights=weights, extra=extra, method=method)
    service(s, udp, pods[:3], rng.choice(EASY), proto="udp", port=5353, extra=rng.choice(("", "-o")))
    service(s, four, backends(rng, site, 2), "rr")
    crowds = [
        Crowd(s, rng, site, [tcp]),
        Crowd(s, rng, site, [udp], proto="udp"),
        Crowd(s, rng, site, [four]),
    ]
    for turn in range(14):
        crowd = rng.choice(crowds)
        crowd.steps(3)
        if crowd.open and rng.random() < 0.3:
            s.unreachable(rng.choice(crowd.open).event)
        if rng.random() < 0.2:
            client = site.client(rng, six=True)
            s.arrive(site.uplink, Packet.echo(client, vip, ident=turn, payload=b"ping six"))
            s.arrive(site.uplink, Packet.tcp(at(client, 55000), at(vip, 81), seq=1))
            s.arrive(site.uplink, Packet.udp(at(client, 55001), udp, b"dying", ttl=1))
        if turn == 7:
            s.command(f"ipvsadm -e {name} -r {at(pods[0], port)} {method} -w 0")
    return s


def chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """Return one SCTP chunk."""
    size = 4 + len(body)
    return bytes([kind, flags]) + size.to_bytes(2, "big") + body + bytes(-size % 4)


INIT = chunk(1, bytes(16))
CHUNKS = {
    "data": chunk(0, bytes(12) + b"data"), "init": INIT, "init ack": chunk(2, bytes(16)), "sack": chunk(3, bytes(12)),
    "heartbeat": chunk(4, bytes(8)), "abort": chunk(6), "shutdown": chunk(7, bytes(4)), "shutdown ack": chunk(8),
    "error": chunk(9), "cookie": chunk(10, b"cake"), "cookie ack": chunk(11), "complete": chunk(14),
    "cookie and abort": chunk(10, b"cake") + chunk(6), "unknown": chunk(77),
}  # fmt: skip


@family("ipvs-sctp", 8)
def sctp(rng: random.Random, number: int) -> Scenario:
    """SCTP associations, orderly and not; one destination, so that its side can speak too."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    if number % 4 == 3:
        s.run("sysctl -qw net.ipv4.vs.sloppy_sctp=1")
    target, pod = at(site.service + "10", 5000), backends(rng, site, 1)[0]
    inside = at(pod, 5000 if number % 2 else 6000)
    service(s, target, [pod], rng.choice(EASY), proto="sctp", port=int(inside.rpartition(":")[2]))
    orderly = [("c", "init"), ("s", "init ack"), ("c", "cookie"), ("s", "cookie ack"), ("c", "data"), ("s", "sack"),
               ("c", "shutdown"), ("s", "shutdown ack"), ("c", "complete")]  # fmt: skip
    for turn in range(6):
        src = at(site.client(rng), 5600 + turn)
        steps = orderly[: rng.randrange(3, 10)] if turn % 2 == 0 else [("c", "init" if rng.random() < 0.8 else "data")]
        if turn % 2:
            steps = steps + [(rng.choice("cs"), rng.choice(list(CHUNKS))) for _ in range(7)]
        for side, what in steps:
            ends = (src, target) if side == "c" else (inside, src)
            s.arrive(site.uplink if side == "c" else site.pods, Packet.sctp(*ends, CHUNKS[what], tag=turn))
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-edges", 12)
def edges(rng: random.Random, number: int) -> Scenario:
    """Packets that no connection and no destination waits for; port 0 and ftp services; destinations on the host."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0, masquerade=number % 3 == 1, default=True)
    vips = [site.service + str(10 + n) for n in range(3)]
    scheduler = rng.choice(EASY)
    pods = backends(rng, site, 4)
    service(s, at(vips[0], 80), pods[:3], scheduler)
    service(s, at(vips[1], 443), [], scheduler)
    service(s, f"{vips[1]}:0", pods[:2], rng.choice(("rr", "wlc")), port=0, extra="-p 180")
    service(s, at(vips[2], 80), pods[:2], scheduler, weights=[0, 0])
    if number % 2:
        service(s, at(vips[2], 21), pods[2:], "rr", port=21)
    local = rng.choice((site.gateway, site.node))
    service(s, at(vips[2], 8000), [local], "rr", port=rng.choice((8000, 9000)))
    service(s, at(vips[2], 5300), [local], "rr", proto="udp", port=rng.choice((5300, 53)))
    targets = [
        at(vips[0], 80),
        at(vips[1], 443),
        at(vips[1], 8443),
        at(vips[2], 80),
        at(vips[2], 8000),
        at(vips[0], 81),
        at(vips[2], 20),
        at(vips[2], 21),
        at(vips[2], 2000),
    ]
    for turn in range(34):
        client = site.client(rng)
        src, dst = at(client, rng.choice((20, 1, 56000 + turn, 56000 + turn, 56000 + turn))), rng.choice(targets)
        kind = rng.random()
        if kind < 0.55:
            flags = rng.choice(("S", "S", "S", "A", "R", "RA", "FA", "SA", "", "SF", "SR", "PA"))
            first = s.arrive(
                site.uplink,
                Packet.tcp(src, dst, flags=flags, seq=1000, ack=5 * ("A" in flags), ttl=rng.choice((64, 1))),
            )
            s.reply(first, rng.choice(("SA", "RA", "A")))
        elif kind < 0.75:
            s.arrive(site.uplink, Packet.udp(src, rng.choice((at(vips[2], 5300), at(vips[0], 80))), b"u"))
        elif kind < 0.85:
            s.arrive(site.uplink, Packet.echo(client, rng.choice(vips), ident=turn, ttl=rng.choice((64, 1))))
        elif kind < 0.92:
            s.arrive(site.uplink, Packet.opaque(client, vips[0], rng.choice((47, 50, 51, 132, 99)), bytes(20)))
        else:
            s.arrive(site.pods, Packet.tcp(at(pods[0], 8080), src, flags="SA", seq=1, ack=2))
    return s


def _clash(s: Scenario, site: Site, pods: list[str], targets: list[str], rng: random.Random) -> None:
    client = site.client(rng)
    for port in (57000, 57001, 300, 1023):
        for target in targets:
            first = s.arrive(site.uplink, Packet.tcp(at(client, port), target, seq=1000))
            s.reply(first, "SA")
    s.arrive(site.pods, Packet.tcp(at(pods[0], 8080), at(client, 57000), flags="PA", seq=5001, ack=1001, payload=b"!"))


@family("ipvs-sharing", 8)
def sharing(rng: random.Random, number: int) -> Scenario:
    """Several services share destinations; one client uses the same port to each; a destination is also a client."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0, masquerade=number % 4 == 0)
    pods = backends(rng, site, 2)
    targets = [at(site.service + "10", 80), at(site.service + "11", 80), at(site.service + "11", 81)]
    for target in targets:
        service(s, target, pods[: rng.choice((1, 2))], rng.choice(("rr", "lc", "sh")))
    if number % 4:
        _clash(s, site, pods, targets, rng)
    crowd = Crowd(s, rng, site, targets, few=True)
    crowd.steps(16)
    for turn in range(6):  # a pod asks its own service
        src = at(rng.choice(pods), 58000 + turn)
        first = s.arrive(site.pods, Packet.tcp(src, rng.choice(targets), seq=1000))
        s.reply(first, "SA")
    return s
