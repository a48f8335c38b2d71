"""IPVS's ways: tunnels of every kind and family, errors about them, IPv6, local clients; `-m ipvs`; what is printed."""

from __future__ import annotations

import random

from balancing import SCHEDULERS, Crowd, backends, director, service
from scenario import SITES, Scenario, at, family

from svcsim.addr import Family, parse_address
from svcsim.lb.service import Destination, TunnelType
from svcsim.lb.tunnel import wrap
from svcsim.packet import Icmp, Packet, Proto
from svcsim.wire import encode

EASY = ("rr", "wrr", "lc", "wlc")
TUNNELS = ("--tun-type ipip", "--tun-type gre", "--tun-type gre --tun-csum", "--tun-type gue --tun-port 6080",
           "--tun-type gue --tun-port 6080 --tun-csum", "--tun-type gue --tun-port 6080 --tun-remcsum")  # fmt: skip


@family("ipvs-tunnels", 9)
def tunnels(rng: random.Random, number: int) -> Scenario:
    """Each kind of tunnel, IPv4 and IPv6 in either, with packets too big and about to die, and errors from the tunnel."""
    site = SITES[number % 3]
    s = director(site, six=True, conntrack=number % 2 == 0, default=True)
    if number % 3 == 1:
        s.run(f"ip link set {site.pods} mtu {rng.choice((1300, 1400))}")
    s.run(f"sysctl -qw net.ipv4.vs.pmtu_disc={int(number % 4 != 3)}")
    kinds = [TUNNELS[0], *rng.sample(TUNNELS[1:3], 1)] if number < 6 else list(TUNNELS[:3])
    targets = []
    for at_host, six in ((site.service + "10", False), (site.service6 + "10", True)):
        for proto, port in (("udp", 53), ("tcp", 80)):
            name = service(s, at(at_host, port), [], "rr", proto=proto)
            pods = backends(rng, site, len(kinds), six=six)
            for pod, kind in zip(pods, kinds, strict=True):
                s.run(f"ipvsadm -a {name} -r {at(pod, port)} -i {kind}")
            targets.append(at(at_host, port))
    for turn in range(20):
        target = rng.choice(targets)
        six, udp = target.startswith("["), target.endswith("53")
        src = at(site.client(rng, six=six), 31000 + turn)
        extra = {"ttl": rng.choice((64, 1, 2)), "tos": rng.choice((0, 2, 3, 0xB8))}
        if not six:
            extra["dont_fragment"] = rng.random() < 0.6
        if udp:
            size = rng.choice((3, 40, 1200, 1251, 1330, 1420))
            first = s.arrive(site.uplink, Packet.udp(src, target, b"b" * size, **extra))
        else:
            first = s.arrive(site.uplink, Packet.tcp(src, target, seq=1000, **extra))
        if rng.random() < 0.3 and not six:
            s.unreachable(first, *rng.choice(((3, 1), (11, 0), (3, 3))))
    s.command("ipvsadm -Ln; ipvsadm -Sn")
    return s


@family("ipvs-gue", 4)
def gue(rng: random.Random, number: int) -> Scenario:
    """GUE without what the kernel draws: every flow is one datagram between the same ports."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    target = at(site.service + "10", 53)
    name = service(s, target, [], "rr", proto="udp")
    for pod, kind in zip(backends(rng, site, 2), TUNNELS[3:5], strict=True):
        s.run(f"ipvsadm -a {name} -r {at(pod, 53)} -i {kind}")
    for turn in range(8):
        src = at(site.client(rng), 34000 + turn)
        packet = Packet.udp(src, target, b"b" * rng.choice((3, 1300, 1440)), dont_fragment=rng.random() < 0.5, ttl=1)
        s.arrive(site.uplink, packet)
        s.arrive(site.uplink, Packet.udp(src, target, b"b" * 1460, dont_fragment=True))
    s.command("ipvsadm -Ln; ipvsadm -Sn")
    return s


@family("ipvs-mixed", 4)
def mixed(rng: random.Random, number: int) -> Scenario:
    """Services of one family with destinations of the other, which only tunnels reach."""
    site = SITES[number % 3]
    s = director(site, six=True, conntrack=number % 2 == 0, default=True)
    for at_host, six in ((site.service + "10", False), (site.service6 + "10", True)):
        name = service(s, at(at_host, 80), backends(rng, site, 1, six=six), rng.choice(EASY), port=80)
        for pod in backends(rng, site, 2, six=not six):
            s.run(f"ipvsadm -a {name} -r {at(pod, 80)} -i {TUNNELS[number % 3]}")
        for turn in range(8):
            src = at(site.client(rng, six=six), 32000 + turn)
            first = s.arrive(site.uplink, Packet.tcp(src, at(at_host, 80), seq=1000, ttl=rng.choice((64, 1))))
            if turn % 3 == 0:
                s.arrive(site.uplink, Packet.tcp(src, at(at_host, 80), flags="A", seq=1001, ack=1))
            if turn % 4 == 1 and not number % 2:
                s.arrive(
                    site.uplink, Packet.tcp(src, at(at_host, 80), flags="PA", seq=1001, ack=1, payload=b"b" * 1440)
                )
            del first
        s.command(f"ipvsadm -a {name} -r {at(backends(rng, site, 1, six=not six)[0], 80)} -m 2>/dev/null")
    s.command("ipvsadm -Ln; ipvsadm -Sn")
    return s


@family("ipvs-errors", 8)
def errors(rng: random.Random, number: int) -> Scenario:
    """ICMP errors from clients, real servers and routers between, in both families."""
    site = SITES[number % 3]
    six = number % 2 == 1
    s = director(site, six=six, conntrack=number % 4 < 2, masquerade=number == 6, default=True)
    if number % 3 == 0:
        s.run("sysctl -qw net.ipv4.vs.schedule_icmp=1")
    if number % 3 == 1:
        s.run("sysctl -qw net.ipv4.vs.nat_icmp_send=1")
    if number % 4 > 1:
        s.run(f"ip link set {site.pods} mtu 1300")
    vip = site.service6 + "10" if six else site.service + "10"
    method = ("-m", "-m", "-m", "-m", "-g", "-g", "-m", "-i")[number]
    pods = backends(rng, site, 3, six=six)
    service(s, at(vip, 80), pods, rng.choice(EASY), method=method, port=80)
    service(s, at(vip, 53), pods, "rr", method=method, proto="udp", port=53)
    kinds = ((1, 4), (1, 0), (2, 0), (3, 0), (4, 1)) if six else ((3, 3), (3, 1), (11, 0), (3, 4), (12, 0), (3, 13))
    for turn in range(12):
        src = at(site.client(rng, six=six), 35000 + turn)
        size = rng.choice((4, 4, 1260, 1400))
        if rng.random() < 0.5:
            first = s.arrive(site.uplink, Packet.udp(src, at(vip, 53), b"q" * size))
            answer = s.reply(first, data=b"a" * rng.choice((6, 900)))
        else:
            first = s.arrive(site.uplink, Packet.tcp(src, at(vip, 80), seq=1000))
            answer = s.reply(first, "SA")
        for event in (first, answer):
            if rng.random() < 0.6 and method != "-i":
                s.unreachable(event, *rng.choice(kinds))
        if rng.random() < 0.3:
            s.arrive(site.pods, Packet.udp(at(pods[0], 53), src, b"stray"))
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-six", 8)
def six_life(rng: random.Random, number: int) -> Scenario:
    """IPv6 services whose destinations come and go, pin and overflow."""
    site = SITES[number % 3]
    s = director(site, six=True, conntrack=number % 2 == 0)
    s.run(f"sysctl -qw net.ipv4.vs.expire_nodest_conn={number // 2 % 2}", "ipvsadm --set 8 4 4")
    scheduler, proto = SCHEDULERS[(number * 3 + 2) % 13], "udp" if number % 4 == 3 else "tcp"
    target, pods = at(site.service6 + "10", 80), backends(rng, site, 5, six=True)
    extra = ("", "-p 9", "-p 9 -M 116", "")[number % 4]
    method = rng.choice(("-m", "-m", "-g"))
    port = 8080 if method == "-m" else 80
    name = service(s, target, [], scheduler, proto=proto, extra=extra)
    for pod in pods[:3]:
        s.run(f"ipvsadm -a {name} -r {at(pod, port)} {method} -w {rng.randrange(1, 4)}{rng.choice(('', ' -x 4'))}")
    crowd = Crowd(s, rng, site, [target], proto=proto, few=True)
    for _ in range(7):
        crowd.steps(5)
        pod = at(rng.choice(pods), port)
        s.command(
            rng.choice(
                (
                    f"ipvsadm -a {name} -r {pod} {method} -w 2 2>/dev/null",
                    f"ipvsadm -d {name} -r {pod} 2>/dev/null",
                    f"ipvsadm -e {name} -r {pod} {method} -w {rng.randrange(3)} 2>/dev/null",
                    "ipvsadm -Ln --persistent-conn",
                )
            )
        )
        if rng.random() < 0.4:
            s.wait(3.0)
    return s


@family("ipvs-within", 6)
def within(rng: random.Random, number: int) -> Scenario:
    """Local clients of services by every method, pinned and packet by packet; the host's chains count the passes."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0, default=True)
    s.run(*(f"iptables-legacy -t mangle -A {c} -d {site.pod}0/24" for c in ("OUTPUT", "POSTROUTING", "PREROUTING")))
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    method = ("-m", "-g", "-i", "-m", "-m", "-g")[number]
    pods = backends(rng, site, 3)
    name = service(s, tcp, pods, rng.choice(SCHEDULERS), port=80, method=method, extra=rng.choice(("", "-p 50")))
    if number % 3 == 0:
        s.run(f"ipvsadm -a {name} -r {site.gateway}:80 {method} -w 3")
    service(s, udp, pods, "rr", proto="udp", port=53, extra="-o" if number % 2 else "", method=method)
    for turn in range(14):
        src = at(rng.choice((site.node, site.gateway, "127.0.0.1")), 36000 + turn)
        big = rng.choice((4, 4, 1440, 1472))
        first = s.send(Packet.tcp(src, tcp, seq=1000) if rng.random() < 0.5 else Packet.udp(src, udp, b"l" * big))
        if method != "-i" and rng.random() < 0.6:
            s.reply(first, "SA")
        if method == "-m" and rng.random() < 0.3:
            s.unreachable(first, *rng.choice(((3, 3), (11, 0))))
        if rng.random() < 0.3:
            s.send(Packet.tcp(src, tcp, flags=rng.choice(("A", "FA", "R")), seq=1001, ack=5001))
    s.dump("iptables-save -c")
    return s


IPVS_MATCHES = ("--ipvs", "! --ipvs", "--vproto tcp", "! --vproto 17", "--vaddr {vip}", "! --vaddr {vip}/24",
                "--vport 80", "! --vport 80", "--vdir ORIGINAL", "--vdir REPLY", "--vmethod MASQ", "--vmethod GATE",
                "! --vmethod MASQ", "--vportctl 21", "--vproto udp --vport 53 --vdir ORIGINAL")  # fmt: skip


@family("ipvs-match", 6)
def match(rng: random.Random, number: int) -> Scenario:
    """Rules that ask of what service a packet is."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 3 != 2, masquerade=number % 3 == 1)
    vip = site.service + "10"
    for chain in ("INPUT", "FORWARD", "OUTPUT", "POSTROUTING"):
        for words in rng.sample(IPVS_MATCHES, 5):
            s.run(f"iptables-legacy -t mangle -A {chain} -m ipvs {words.format(vip=vip)}")
    method = ("-m", "-m", "-g")[number % 3]
    service(s, at(vip, 80), backends(rng, site, 3), "rr", port=80, method=method)
    service(s, at(vip, 53), backends(rng, site, 2), "rr", port=53, proto="udp", extra="-o" * (number % 2))
    service(s, at(vip, 21), backends(rng, site, 2), "rr", port=21, extra="-p 100")
    crowds = [Crowd(s, rng, site, [at(vip, 80), at(vip, 21), at(vip, 81)]),
              Crowd(s, rng, site, [at(vip, 53)], proto="udp")]  # fmt: skip
    for _ in range(9):
        rng.choice(crowds).steps(3)
        s.arrive(site.pods, Packet.udp(at(site.pod + "77", 53), at(site.client(rng), 1000), b"past"))
    s.send(Packet.tcp(at(site.node, 40000), at(vip, 80)))
    s.dump("iptables-save -c")
    return s


@family("ipvs-printed", 6)
def printed(rng: random.Random, number: int) -> Scenario:
    """What /proc and ipvsadm print of one service."""
    site = SITES[number % 3]
    six = number % 2 == 1
    s = director(site, six=six)
    vip = site.service6 + "10" if six else site.service + "10"
    pods = backends(rng, site, 3, six=six)
    extra = ("", "-p 100", "-p 70 -M 255.255.255.0", "-p 90 -M 64", "", "-p")[number]
    proto = "udp" if number == 4 else "tcp"
    name = service(s, at(vip, 80), pods, "wrr", proto=proto, port=80, weights=[1, 0, 5], extra=extra + " -o" * (number == 4),
                   method=rng.choice(("-m", "-g", "-i")))  # fmt: skip
    crowd = Crowd(s, rng, site, [at(vip, 80)], proto=proto)
    crowd.steps(12)
    s.wait(2.3)
    s.command("cat /proc/net/ip_vs; cat /proc/net/ip_vs_app")
    s.command(f"ipvsadm -Ln {name} --stats; ipvsadm -Ln --stats --exact; ipvsadm -Ln --sort; ipvsadm -Ln --nosort")
    s.command("ipvsadm -Ln --daemon; ipvsadm -Ln --timeout; cat /proc/net/ip_vs_stats | head -3")
    crowd.steps(6)
    s.command("ipvsadm -Ln --thresholds; ipvsadm -Ln --persistent-conn")
    s.command(f"ipvsadm -Sn; ipvsadm -D {name}; cat /proc/net/ip_vs; ipvsadm -Ln --rate")
    return s


@family("ipvs-tunnelerrors", 3)
def tunnel_errors(rng: random.Random, number: int) -> Scenario:
    """Routers and ends of tunnels report what they could not take; the client is told, and ways become narrower."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    target, pod = at(site.service + "10", 53), backends(rng, site, 1)[0]
    name = service(s, target, [], "rr", proto="udp")
    s.run(f"ipvsadm -a {name} -r {pod}:53 -i {TUNNELS[number]}")
    dest = Destination(
        Family.IPV4,
        parse_address(pod).value,
        53,
        tunnel=TunnelType.IPIP if number == 0 else TunnelType.GRE,
        tunnel_checksum="csum" if number == 2 else "nocsum",
    )
    director_end = parse_address(site.gateway).value
    src = at(site.client(rng), 4000)
    inner = Packet.udp(src, target, b"abcdefgh" * 4, ttl=63)
    s.arrive(site.uplink, Packet.udp(src, target, b"abcdefgh" * 4))
    outer = encode(wrap(inner, director_end, dest.address, Family.IPV4, dest))
    kinds = ((3, 1, 0), (11, 0, 0), (3, 4, 1200), (3, 4, 60), (3, 3, 0), (12, 0, 0), (3, 4, 1000))
    for _ in range(12):
        kind, code, rest = rng.choice(kinds)
        report = Packet(
            Family.IPV4,
            int(Proto.ICMP),
            dest.address,
            director_end,
            header=Icmp(kind, code, rest),
            payload=outer[: rng.choice((28, 44, 48, 52, 56, 200))],
        )
        s.arrive(site.pods, report)
        if rng.random() < 0.4:
            size = rng.choice((100, 600, 1000, 1300))
            s.arrive(site.uplink, Packet.udp(src, target, b"a" * size, dont_fragment=rng.random() < 0.7))
    return s
