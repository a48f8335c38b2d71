"""IPVS as it is set up: sysctls, thresholds, one-packet scheduling, time-outs, ipvsadm's words and mistakes."""

from __future__ import annotations

import random

from balancing import SCHEDULERS, Crowd, backends, director, service
from scenario import SITES, Scenario, at, family, here

from svcsim.packet import Packet

EASY = ("rr", "wrr", "lc", "wlc", "sed", "nq")


@family("ipvs-thresholds", 12)
def thresholds(rng: random.Random, number: int) -> Scenario:
    """Destinations that take so many connections and no more, until enough have gone."""
    site = SITES[number % 3]
    s = director(site)
    proto = "udp" if number % 4 == 3 else "tcp"
    target = at(site.service + "10", 80)
    pods = backends(rng, site, 3)
    flags = {"sh": "-b sh-fallback", "mh": "-b mh-fallback"} if number % 2 else {}
    scheduler = SCHEDULERS[number % len(SCHEDULERS)]
    extra = " ".join(filter(None, (flags.get(scheduler, ""), "-p 100" if number % 5 == 4 else "")))
    name = service(s, target, [], scheduler, proto=proto, extra=extra)
    for pod in pods:
        upper = rng.choice((2, 3, 4))
        lower = rng.choice((f" -y {upper - 1}", " -y 1", ""))
        s.run(f"ipvsadm -a {name} -r {at(pod, 8080)} -m -w {rng.randrange(1, 4)} -x {upper}{lower}")
    crowd = Crowd(s, rng, site, [target], proto=proto)
    for turn in range(5):
        crowd.steps(8)
        s.command("ipvsadm -Ln --thresholds")
        if turn == 1:
            s.command(f"ipvsadm -e {name} -r {at(pods[0], 8080)} -m -w 2 -x {rng.choice((0, 1, 9))}")
        if turn == 2:
            s.command(f"ipvsadm -d {name} -r {at(pods[1], 8080)}")
        if turn == 3:
            s.command(f"ipvsadm -a {name} -r {at(pods[1], 8080)} -m -w 1 -x 5 -y 2")
    return s


@family("ipvs-ops", 8)
def one_packet(rng: random.Random, number: int) -> Scenario:
    """One-packet scheduling: every datagram is a connection of its own."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0, masquerade=number % 4 == 1)
    ops, plain = at(site.service + "10", 53), at(site.service + "11", 53)
    pods = backends(rng, site, 4)
    extra = "-o" + rng.choice(("", " -p 70"))
    service(s, ops, pods, SCHEDULERS[(number * 5) % 13], proto="udp", port=5353, weights=[1, 3, 2, 1], extra=extra)
    service(s, plain, pods[:2], rng.choice(EASY), proto="udp", port=53)
    crowds = [Crowd(s, rng, site, [ops], proto="udp", few=True), Crowd(s, rng, site, [plain], proto="udp")]
    for _ in range(12):
        rng.choice((*crowds, crowds[0])).steps(4)
    return s


SETTINGS = (
    ("expire_nodest_conn=1",), ("expire_quiescent_template=1",), ("sloppy_tcp=1",), ("conn_reuse_mode=0",),
    ("conn_reuse_mode=2",), ("drop_packet=3", "am_droprate=4"), ("snat_reroute=0",), ("cache_bypass=1",),
    ("expire_nodest_conn=1", "expire_quiescent_template=1"), ("conn_reuse_mode=3",), ("nat_icmp_send=1",),
    ("expire_nodest_conn=1", "conn_reuse_mode=0", "conntrack=0"), ("ignore_tunneled=1",), ("conntrack=0",),
)  # fmt: skip


@family("ipvs-sysctls", 20)
def sysctls(rng: random.Random, number: int) -> Scenario:
    """The switches under net.ipv4.vs, while destinations are quiesced and removed and ports come again."""
    site = SITES[number % 3]
    s = director(site, conntrack=True)
    s.run(*(f"sysctl -qw net.ipv4.vs.{setting}" for setting in SETTINGS[number % len(SETTINGS)]))
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    pods = backends(rng, site, 4)
    extra = rng.choice(("", "-p 300", "-p 300"))
    method = rng.choice(("-m", "-m", "-g"))
    port = 80 if method == "-g" else 8080
    name = service(s, tcp, pods, rng.choice(("rr", "wlc", "sh", "mh")), port=port, extra=extra, method=method)
    service(s, udp, pods[:2], "rr", proto="udp")
    crowds = [Crowd(s, rng, site, [tcp], few=True), Crowd(s, rng, site, [udp], proto="udp", few=True)]
    if any("drop_packet" in line for line in s.setup):
        s.wait(1.3)  # the defence is looked after once a second
    crowds[0].steps(12)
    for turn, change in enumerate(("-e -w 0", "-d", "-e -w 0", "-e -w 2")):
        verb, _, weight = change.partition(" ")
        options = f" {method} {weight}" if weight else ""
        s.command(f"ipvsadm {verb} {name} -r {at(pods[min(turn, 2)], port)}{options}")
        for _ in range(8):
            rng.choice((*crowds, crowds[0])).step()
        for talk in rng.sample(crowds[0].open, min(3, len(crowds[0].open))):  # the same ports come again
            flags = "S" if crowds[0].orderly else rng.choice(("S", "A", "S"))
            again = Packet.tcp(talk.src, talk.dst, flags=flags, seq=70000, ack=5001 * (flags == "A"))
            s.arrive(site.uplink, again)
            s.wait(0.02)
    s.command("ipvsadm -Ln --persistent-conn")
    return s


@family("ipvs-reuse", 8)
def reuse(rng: random.Random, number: int) -> Scenario:
    """A client's port comes again while its old connection is closing or closed."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0, masquerade=number % 4 == 2)
    mode = (1, 0, 2, 3, 1, 1, 0, 1)[number]
    s.run(f"sysctl -qw net.ipv4.vs.conn_reuse_mode={mode}")
    target = at(site.service + "10", 80)
    method = ("-m", "-m", "-g", "-m", "-m", "-g", "-g", "-m")[number]
    port = 8080 if method == "-m" else 80
    service(s, target, backends(rng, site, 4), rng.choice(("rr", "wrr", "lc")), port=port, method=method)
    for turn in range(7):
        src = at(site.client(rng), 59000 + turn)
        first = s.handshake(site.uplink, src, target)
        end = rng.choice(("client", "server", "reset", "abort", "half", "none"))
        if end in ("client", "half"):
            s.arrive(site.uplink, Packet.tcp(src, target, flags="FA", seq=1001, ack=5001))
        if end in ("client", "server"):
            s.reply(first, "FA", 5001, 1002)
        if end == "server":
            s.arrive(site.uplink, Packet.tcp(src, target, flags="FA", seq=1001, ack=5002))
        if end == "reset":
            s.arrive(site.uplink, Packet.tcp(src, target, flags="R", seq=1001))
        if end == "abort":
            s.reply(first, "RA", 5001, 1001)
        again = s.arrive(site.uplink, Packet.tcp(src, target, seq=80000))
        s.wait(0.02)
        s.reply(again, "SA", 9000, 80001)
        s.arrive(site.uplink, Packet.tcp(src, target, seq=80000))
        s.arrive(site.uplink, Packet.tcp(src, target, flags="A", seq=80001, ack=9001))
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-expiry", 10)
def expiry(rng: random.Random, number: int) -> Scenario:
    """Time-outs set short and waited for; templates outlive their connections by what they must."""
    site = SITES[number % 3]
    s = director(site, masquerade=number % 2 == 0)
    s.run("ipvsadm --set 6 4 4")
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    pods = backends(rng, site, 3)
    extra = ("", "-p 4", "")[number % 3]
    name = service(s, tcp, pods, rng.choice(("lc", "wlc", "rr", "sed")), extra=extra)
    service(s, udp, pods, rng.choice(("lc", "wlc", "rr")), proto="udp", port=53, extra=rng.choice(("", "-p 4")))
    crowds = [Crowd(s, rng, site, [tcp], few=True), Crowd(s, rng, site, [udp], proto="udp", few=True)]
    for src in (at(site.client(rng), 60000), at(site.client(rng), 60001)):
        first = s.handshake(site.uplink, src, tcp)
        s.arrive(site.uplink, Packet.tcp(src, tcp, flags="FA", seq=1001, ack=5001))
        s.reply(first, "A", 5001, 1002)
    for crowd in crowds:
        crowd.steps(8)
    s.command("ipvsadm -Ln")
    s.wait(3.0)
    rng.choice(crowds).steps(5)
    s.wait(5.0)
    s.command("ipvsadm -Ln")
    for crowd in crowds:
        crowd.steps(6)
    if number % 2:
        s.command(f"ipvsadm -d {name} -r {at(pods[0], 8080)}")
        s.command("ipvsadm --set 0 7 0; ipvsadm -Ln --timeout")
        crowds[0].steps(5)
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-statistics", 6)
def statistics(rng: random.Random, number: int) -> Scenario:
    """What is counted, as it is printed once the estimator has come by."""
    site = SITES[number % 3]
    s = director(site, masquerade=number % 2 == 0)
    tcp, udp = at(site.service + "10", 80), at(site.service + "11", 53)
    pods = backends(rng, site, 3)
    name = service(
        s,
        tcp,
        pods,
        "wrr",
        weights=[1, 2, 3],
        extra=rng.choice(("", "-p 400")),
        method=rng.choice(("-m", "-g")),
        port=80,
    )
    service(s, udp, pods, "rr", proto="udp", port=53, extra=rng.choice(("", "-o")))
    crowds = [Crowd(s, rng, site, [tcp]), Crowd(s, rng, site, [udp], proto="udp")]
    for crowd in crowds:
        crowd.steps(14)
        s.arrive(site.uplink, Packet.udp(at(site.client(rng), 61000), udp, b"x" * 1200, ttl=rng.choice((64, 1))))
    s.wait(2.3)
    s.command("ipvsadm -Ln --stats")
    s.command(f"ipvsadm -Ln --stats --exact {name}")
    if number % 2:
        s.command(f"ipvsadm -Z {name}")
        crowds[0].steps(6)
        s.wait(2.3)
        s.command("ipvsadm -Ln --stats")
    return s


LISTINGS = (
    "-Ln",
    "-Sn",
    "-Ln --thresholds",
    "-Ln --persistent-conn",
    "-Ln --timeout",
    "-Ln --sort",
    "-S -n",
)


@family("ipvs-commands", 12)
def commands(rng: random.Random, number: int) -> Scenario:
    """The command ipvsadm: what it prints and refuses; saving and restoring."""
    site = SITES[number % 3]
    s = director(site, six=number % 3 == 0)
    vips = [at(site.service + str(10 + n), port) for n in range(3) for port in (80, 443)]
    pods = [at(pod, port) for pod in backends(rng, site, 4) for port in (80, 8080)]
    names = [f"-t {vip}" for vip in vips] + [f"-u {vips[0]}", f"--sctp-service {vips[1]}", "-f 12", "-f 3"]
    if number % 3 == 0:
        names += [f"-t {at(site.service6 + '10', 80)}", f"-u {at(site.service6 + '11', 53)}", "-f 7 -6"]
        pods += [at(pod, 80) for pod in backends(rng, site, 2, six=True)]
    s.run(f"ipvsadm -A {names[0]} -s rr", f"ipvsadm -a {names[0]} -r {pods[0]} -m", f"ipvsadm -A {names[1]} -s wlc -p")
    flags = ("", " -p", " -p 77", " -p 500 -M 255.255.0.0", " -o", " -b sh-port", " -b flag-1,flag-3", " -M 255.0.0.0")
    weights = ("", " -w 3", " -w 0", " -w 65535", " -w 65536", " -w -1", " -x 5 -y 2", " -x 2 -y 5")
    for _ in range(42):
        name, pod = rng.choice(names), rng.choice(pods)
        scheduler = rng.choice((*SCHEDULERS, "nosuch"))
        method = rng.choice(("-m", "-m", "-g", "-i", ""))
        s.command(
            "ipvsadm "
            + rng.choice(
                (
                    f"-A {name} -s {scheduler}{rng.choice(flags)}",
                    f"-A {name}{rng.choice(flags)}",
                    f"-E {name} -s {scheduler}{rng.choice(flags)}",
                    f"-D {name}",
                    *[f"-a {name} -r {pod} {method}{rng.choice(weights)}"] * 5,
                    f"-e {name} -r {pod} {method}{rng.choice(weights)}",
                    f"-d {name} -r {pod}",
                    f"-Z {name}",
                    f"-Ln {name}",
                    *[rng.choice(LISTINGS)] * 3,
                    "--set 0 0 55",
                    f"-a {name} -r {pod.rpartition(':')[0].strip('[]')} -m",
                    "-A -t 10.0.0.300:80",
                    f"-a {name} -m",
                    "-Z",
                    f"-A -t {site.service}10:70000 -s rr",
                    f"-A -t {site.service}99 -s rr",
                    f"-a {name} -r 224.0.0.7:80 -m",
                )
            )
            + " 2>/dev/null"
        )
    if number % 2:
        lines = (
            f"-A -t {site.service}40:80 -s sh -b sh-fallback",
            f"ipvsadm -a -t {site.service}40:80 -r {pods[0]} -m",
            "",
            "-A -f 99 -s mh -p 60",
        )
        s.command(here("ipvsadm -R 2>/dev/null", "\n".join(lines)))
        s.command("ipvsadm -Sn")
        s.command("ipvsadm -C; ipvsadm -Ln")
    return s


@family("ipvs-services", 6)
def services(rng: random.Random, number: int) -> Scenario:
    """Services that go and come back under living connections; destinations taken out of the trash."""
    site = SITES[number % 3]
    s = director(site)
    if number % 3 == 2:
        s.run("sysctl -qw net.ipv4.vs.expire_nodest_conn=1")
    tcp, other = at(site.service + "10", 80), at(site.service + "11", 80)
    pods = backends(rng, site, 3)
    name = service(s, tcp, pods, "wlc", extra=rng.choice(("", "-p 90")))
    if number % 2:
        service(s, other, pods, "rr")
    crowd = Crowd(s, rng, site, [tcp, other], few=True)
    crowd.steps(14)
    s.command(f"ipvsadm -d {name} -r {at(pods[0], 8080)}; ipvsadm -a {name} -r {at(pods[0], 8080)} -m -w 4")
    s.command("ipvsadm -Ln")
    crowd.steps(8)
    s.command(f"ipvsadm -D {name}")
    crowd.steps(8)
    s.command(f"ipvsadm -A {name} -s lc; ipvsadm -a {name} -r {at(pods[1], 8080)} -m")
    s.command("ipvsadm -Ln")
    crowd.steps(8)
    s.command("ipvsadm -C")
    crowd.steps(4)
    return s
