"""IPVS over a life: every scheduler with flags, thresholds and persistence while its destinations come and go."""

from __future__ import annotations

import random

from balancing import SCHEDULERS, Crowd, backends, director, service
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

EASY = ("rr", "wrr", "lc", "wlc", "sed", "nq")
FLAGS = {"sh": ("", "-b sh-port", "-b sh-fallback", "-b sh-fallback,sh-port"),
         "mh": ("", "-b mh-port", "-b mh-fallback", "-b mh-fallback,mh-port")}  # fmt: skip


@family("ipvs-life", 20)
def life(rng: random.Random, number: int) -> Scenario:
    """Weights, thresholds, flags and the scheduler itself change under way; connections expire between."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 3 != 2, masquerade=number % 5 == 4)
    s.run("ipvsadm --set 9 5 5", f"sysctl -qw net.ipv4.vs.expire_nodest_conn={number // 2 % 2}")
    proto = "udp" if number % 4 == 3 else "tcp"
    scheduler, target = SCHEDULERS[number % len(SCHEDULERS)], at(site.service + "10", 80)
    persistence = "-p 12" if number % 4 == 1 else ""
    extra = " ".join(filter(None, (rng.choice(FLAGS.get(scheduler, ("",))), persistence)))
    method = rng.choice(("-m", "-m", "-m", "-g", "-i"))
    port = 8080 if method == "-m" else 80
    pods = backends(rng, site, 6)
    name = service(s, target, [], scheduler, proto=proto, extra=extra)
    for pod in pods[:4]:
        limits = rng.choice(("", "", " -x 4", " -x 5 -y 2"))
        s.run(f"ipvsadm -a {name} -r {at(pod, port)} {method} -w {rng.randrange(5)}{limits}")
    crowd = Crowd(s, rng, site, [target], proto=proto, few=number % 4 == 1)
    for turn in range(8):
        crowd.steps(5)
        pod = at(rng.choice(pods), port)
        change = rng.choice(("-a", "-d", "-e", "-e", "-E", "wait"))
        if change == "wait":
            s.wait(rng.choice((3.0, 6.0)))
        elif change == "-E":
            other = rng.choice((scheduler, *SCHEDULERS))
            flags = rng.choice(FLAGS.get(other, ("",)))
            s.command(f"ipvsadm -E {name} -s {other} {flags} {persistence}".rstrip())
        elif change == "-d":
            s.command(f"ipvsadm -d {name} -r {pod} 2>/dev/null")
        else:
            limits = rng.choice(("", "", " -x 3", " -x 6 -y 3"))
            s.command(f"ipvsadm {change} {name} -r {pod} {method} -w {rng.randrange(5)}{limits} 2>/dev/null")
        if turn % 3 == 2:
            s.command("ipvsadm -Ln --thresholds; ipvsadm -Ln --persistent-conn")
    return s


@family("ipvs-pins", 8)
def pins(rng: random.Random, number: int) -> Scenario:
    """Persistence: by client, by network, by mark, for all ports, for FTP; the service changes under its templates."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    s.run(
        # Either the templates go first or the connections, and never by so little that two timers race.
        "ipvsadm --set 20 9 11" if number < 4 else "ipvsadm --set 4 3 3",
        f"sysctl -qw net.ipv4.vs.expire_quiescent_template={number // 2 % 2}",
        f"sysctl -qw net.ipv4.vs.expire_nodest_conn={number % 3 // 2}",
    )
    vips = [site.service + str(10 + n) for n in range(3)]
    s.run(f"iptables-legacy -t mangle -A PREROUTING -d {vips[2]} -j MARK --set-mark 9")
    mask = rng.choice(("", " -M 255.255.255.0", " -M 255.255.255.240"))
    kind = number % 4
    where, proto, inner = ((at(vips[0], 80), "tcp", 8080), (at(vips[0], 0), "tcp", 0), ("9", "tcp", None),
                           (at(vips[0], 21), "tcp", 21))[kind]  # fmt: skip
    pods, pinned = backends(rng, site, 4), 5 if number < 4 else 30
    name = service(s, where, pods, rng.choice(EASY), port=inner, extra=f"-p {pinned}{mask}", proto=proto)
    service(s, at(vips[1], 53), pods[:2], "rr", proto="udp", port=53, extra=f"-p {pinned}")
    vip = vips[2] if kind == 2 else vips[0]
    ports = {0: (80, 80), 1: (80, 443, 22), 2: (80, 443, 22), 3: (21, 20, 2021, 80)}[kind]
    crowds = [Crowd(s, rng, site, [at(vip, port) for port in ports], few=True, orderly=False),
              Crowd(s, rng, site, [at(vips[1], 53)], proto="udp", few=True)]  # fmt: skip
    for turn in range(7):
        for crowd in crowds:
            crowd.steps(3)
        pod = pods[turn % 4] if inner is None else at(pods[turn % 4], inner)
        change = rng.choice(("quiet", "remove", "wait", "wait", "edit"))
        if change == "quiet":
            s.command(f"ipvsadm -e {name} -r {pod} -m -w 0 2>/dev/null")
        elif change == "remove":
            s.command(f"ipvsadm -d {name} -r {pod} 2>/dev/null")
        elif change == "edit":
            s.command(f"ipvsadm -E {name} -s {rng.choice(EASY)} -p {pinned + 1}{mask}")
        else:
            s.wait(rng.choice((2.4, 3.4)))
        s.command("ipvsadm -Ln --persistent-conn")
    return s


def _defend(s: Scenario, number: int) -> None:
    setting = ("secure_tcp=3", "drop_packet=3", "sloppy_tcp=1", "secure_tcp=3", "sloppy_sctp=1", "secure_tcp=0")[number]
    s.run(f"sysctl -qw net.ipv4.vs.{setting}")
    if number == 1:
        s.run("sysctl -qw net.ipv4.vs.am_droprate=3")
    s.wait(1.3)  # the defences are looked after once a second


@family("ipvs-defence", 6)
def defence(rng: random.Random, number: int) -> Scenario:
    """secure_tcp, drop_packet and the sloppy switches, under any flags and chunks."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    _defend(s, number)
    target = at(site.service + "10", 80)
    method = ("-m", "-m", "-m", "-g", "-m", "-g")[number]
    pods = backends(rng, site, 3)
    service(s, target, pods, rng.choice(EASY), method=method, port=80)
    service(s, target, pods[:1], "lc", method="-m", port=80, proto="sctp")
    chunks = [bytes((kind, 0, 0, 4)) for kind in (0, 1, 6, 7, 10, 14)]
    for turn in range(6):
        src = at(site.client(rng), 33000 + turn)
        first = s.arrive(site.uplink, Packet.tcp(src, target, flags=rng.choice(("S", "S", "S", "A", "SA")), seq=1000))
        for _ in range(5):
            if rng.random() < 0.4:
                s.reply(first, rng.choice(("SA", "A", "FA", "R", "RA")))
            else:
                flags = rng.choice(("S", "A", "FA", "R", "PA", "", "U"))
                s.arrive(site.uplink, Packet.tcp(src, target, flags=flags, seq=1001, ack=5001))
                s.wait(0.02)
        for _ in range(2):
            s.arrive(site.uplink, Packet.sctp(src, target, rng.choice(chunks), tag=turn))
    s.command("ipvsadm -Ln")
    return s


def _bystanders(s: Scenario, rng: random.Random, site: Site, vip: str) -> None:
    """Let packets come that IPVS looks at and leaves alone, or nearly."""
    client = site.client(rng)
    s.arrive(site.uplink, Packet.opaque(client, vip, rng.choice((47, 50, 51)), bytes(24)))
    s.arrive(site.uplink, Packet.udp(at(client, 500), at(vip, 500), b"key exchange"))
    s.arrive(site.uplink, Packet.opaque(client, vip, rng.choice((50, 51)), bytes(24)))


@family("ipvs-ipsec", 3)
def ipsec(rng: random.Random, number: int) -> Scenario:
    """AH and ESP follow the key exchange of their client."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    vip = site.service + "10"
    method = ("-m", "-g", "-i")[number]
    service(s, at(vip, 500), backends(rng, site, 2), "rr", proto="udp", port=500, method=method)
    s.run(f"sysctl -qw net.ipv4.vs.ignore_tunneled={number % 2}")
    for _ in range(6):
        _bystanders(s, rng, site, vip)
    s.command("ipvsadm -Ln")
    return s


@family("ipvs-daemon", 3)
def daemon(rng: random.Random, number: int) -> Scenario:
    """Synchronisation daemons start, stop and are listed; a backup that is nothing else lets requests pass."""
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    s.run("ip link set ipvs0 up", f"sysctl -qw net.ipv4.vs.backup_only={number % 2}")
    target = at(site.service + "10", 80)
    service(s, target, backends(rng, site, 2), "rr", port=80)
    crowd = Crowd(s, rng, site, [target])
    words = ("--start-daemon master --mcast-interface ipvs0", "--start-daemon backup --mcast-interface ipvs0 --syncid 7",
             "--start-daemon master", "--stop-daemon master", "--stop-daemon backup", "--start-daemon backup --mcast-interface "
             "ipvs0 --mcast-group 224.0.0.90 --mcast-port 9001 --mcast-ttl 3 --sync-maxlen 1200", "--stop-daemon neither")  # fmt: skip
    for _ in range(9):
        s.command(f"ipvsadm {rng.choice(words)} 2>/dev/null")
        s.command("ipvsadm -L --daemon")
        s.command(
            f"sysctl -w net.ipv4.vs.sync_threshold='{rng.choice(('4 10', '60 10', '7', '0 0', '2 50'))}' 2>/dev/null"
        )
        s.command("sysctl net.ipv4.vs.sync_threshold")
        crowd.steps(2)
    return s
