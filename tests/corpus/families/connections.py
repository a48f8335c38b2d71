"""Connection tracking by itself: TCP walks, UDP streams, ICMP errors, untracked packets: iptables-conntrack and kin."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
WALK_FLAGS = ("S", "SA", "A", "A", "PA", "PA", "FA", "FA", "R", "RA", "", "SF", "F")


def count_states(s: Scenario, *extra: str) -> None:
    """Count what connection tracking says of every forwarded packet."""
    counters = [f"-A FORWARD -m conntrack --ctstate {state}" for state in STATES]
    s.rules("filter", *counters, *extra)


def proper_life(s: Scenario, site: Site, client: str, server: str, rng: random.Random) -> None:
    """Open, talk and close, each end by its own number line; then perhaps open again from the same port."""
    up, down = site.uplink, site.pods
    s.arrive(up, Packet.tcp(client, server, flags="S", seq=1000))
    s.arrive(down, Packet.tcp(server, client, flags="SA", seq=7000, ack=1001))
    s.arrive(up, Packet.tcp(client, server, flags="A", seq=1001, ack=7001))
    s.arrive(up, Packet.tcp(client, server, flags="PA", seq=1001, ack=7001, payload=b"x" * 40))
    if rng.random() < 0.7:
        s.arrive(down, Packet.tcp(server, client, flags="A", seq=7001, ack=1041))
    s.arrive(down, Packet.tcp(server, client, flags="PA", seq=7001, ack=1041, payload=b"y" * 60))
    ends = [(up, client, server, 1041, 7061), (down, server, client, 7061, 1041)]
    if rng.random() < 0.5:
        ends.reverse()
    (i1, a, b, seq, ack), (i2, _, _, _, _) = ends
    s.arrive(i1, Packet.tcp(a, b, flags="FA", seq=seq, ack=ack))
    if rng.random() < 0.8:
        s.arrive(i2, Packet.tcp(b, a, flags="FA", seq=ack, ack=seq + 1))
        if rng.random() < 0.8:
            s.arrive(i1, Packet.tcp(a, b, flags="A", seq=seq + 1, ack=ack + 1))
    again = rng.random()
    if again < 0.4:  # the same ports again, straight away
        s.arrive(up, Packet.tcp(client, server, flags="S", seq=rng.choice((9000, 500, 1042))))
        s.arrive(down, Packet.tcp(server, client, flags="SA", seq=17000, ack=9001))
    elif again < 0.6:
        s.arrive(i1, Packet.tcp(a, b, flags="R", seq=seq + 1, ack=0))
        s.arrive(up, Packet.tcp(client, server, flags="S", seq=12000))


def window_edges(s: Scenario, site: Site, client: str, server: str, rng: random.Random) -> None:
    """Send segments on, just inside and just outside the edges of the window."""
    up, down, window = site.uplink, site.pods, rng.choice((1000, 4000, 64240))
    s.arrive(up, Packet.tcp(client, server, flags="S", seq=1000, window=window))
    s.arrive(down, Packet.tcp(server, client, flags="SA", seq=7000, ack=1001, window=window))
    s.arrive(up, Packet.tcp(client, server, flags="A", seq=1001, ack=7001, window=window))
    edges = (
        (1001 + window, 7001), (1001 + window - 1, 7001), (1000 + window - 4, 7001), (1001 + 2 * window, 7001),
        (1001, 7002), (1001, 7000), (1001, 6000), (1001, 7001 - 66000), (1001, 7001 - 66001), (1001, 7001 - 70000),
        (1000, 7001), (1001 - window, 7001), (1001 - window - 2, 7001), (1001 - window - 6, 7001), (900, 7001),
    )  # fmt: skip
    for seq, ack in rng.sample(edges, 8):
        flags, data = rng.choice((("A", b""), ("PA", b"data"), ("PA", b"d"), ("FA", b"")))
        if rng.random() < 0.7:
            packet = Packet.tcp(
                client, server, flags=flags, seq=seq % 2**32, ack=ack % 2**32, payload=data, window=window
            )
            s.arrive(up, packet)
        else:
            seq, ack = ack, seq
            packet = Packet.tcp(
                server, client, flags=flags, seq=seq % 2**32, ack=ack % 2**32, payload=data, window=window
            )
            s.arrive(down, packet)


def wild_walk(s: Scenario, site: Site, client: str, server: str, rng: random.Random) -> None:
    """Send any flags from any end, with numbers that are mostly right."""
    seqs = {True: rng.choice((1000, 2**32 - 20)), False: rng.choice((7000, 2**31 - 3))}
    for _ in range(rng.randrange(6, 14)):
        mine = rng.random() < 0.6
        flags = rng.choice(WALK_FLAGS)
        data = b"z" * rng.choice((0, 0, 1, 100)) if "P" in flags else b""
        seq = (seqs[mine] + rng.choice((0, 0, 0, 0, 1, -1, 70000))) % 2**32
        ack = (seqs[not mine] + rng.choice((0, 0, 0, 1, -1))) % 2**32 if "A" in flags else 0
        ends = (client, server) if mine else (server, client)
        window = rng.choice((64240, 64240, 64240, 0, 500))
        packet = Packet.tcp(*ends, flags=flags, seq=seq, ack=ack, payload=data, window=window)
        s.arrive(site.uplink if mine else site.pods, packet)
        seqs[mine] = (seqs[mine] + len(data) + ("S" in flags) + ("F" in flags)) % 2**32


def options_life(s: Scenario, site: Site, client: str, server: str, rng: random.Random) -> None:
    """Handshake with window scaling and selective acknowledgements, then use the scaled window."""
    mss, sack, nop = b"\2\4\5\xb4", b"\4\2", b"\1"
    scale = b"\3\3" + bytes([rng.choice((0, 2, 7, 15))])
    offer = mss + nop + scale + nop + nop + sack
    answer = rng.choice((offer, mss, mss + nop + scale, mss + nop + nop + sack))
    s.arrive(site.uplink, Packet.tcp(client, server, flags="S", seq=1000, tcp_options=offer))
    s.arrive(site.pods, Packet.tcp(server, client, flags="SA", seq=7000, ack=1001, tcp_options=answer, window=2000))
    s.arrive(site.uplink, Packet.tcp(client, server, flags="A", seq=1001, ack=7001, window=500))
    for far in rng.sample((1, 2001, 2002, 8001, 8002, 70000, 300000), 4):
        packet = Packet.tcp(client, server, flags="PA", seq=1000 + far, ack=7001, payload=b"d", window=500)
        s.arrive(site.uplink, packet)
    block = nop + nop + b"\5\12" + (3000).to_bytes(4, "big") + (3100).to_bytes(4, "big")
    s.arrive(site.pods, Packet.tcp(server, client, flags="A", seq=7001, ack=1001, tcp_options=block, window=2000))
    s.arrive(site.pods, Packet.tcp(server, client, flags="A", seq=7001, ack=1002, window=2000))


@family("iptables-conntrack", 30)
def conntrack(rng: random.Random, number: int) -> Scenario:
    """TCP conversations of every kind between clients and pods, counted by state."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    if number % 5 == 1:
        s.run("sysctl -qw net.netfilter.nf_conntrack_acct=1")
    if number % 5 == 2:
        s.run("sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0")
    if number % 5 == 3:
        s.run("sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1")
    extra: tuple[str, ...] = ()
    if number % 3 == 0:
        extra = (
            "-A FORWARD -m state --state ESTABLISHED,RELATED -j ACCEPT",
            "-A FORWARD -m state --state NEW -j ACCEPT",
            "-A FORWARD -j DROP",
        )
    count_states(s, *extra)
    kinds = (proper_life, window_edges, wild_walk, options_life)
    for turn in range(5):
        client = at(site.client(rng), 41000 + turn)
        server = at(site.backend(rng), rng.choice((80, 443)))
        kind = kinds[(number + turn) % 4] if number < 20 else wild_walk
        kind(s, site, client, server, rng)
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("iptables-datagrams", 16)
def datagrams(rng: random.Random, number: int) -> Scenario:
    """UDP, ICMP and unknown protocols, answered or not, tracked or not, and errors about them."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    if number % 4 == 1:
        s.run("sysctl -qw net.netfilter.nf_conntrack_acct=1")
    if number % 4 == 2:
        s.rules(
            "raw",
            "-A PREROUTING -p udp -m udp --dport 53 -j NOTRACK",
            "-A PREROUTING -p udp -m udp --sport 53 -j CT --notrack",
        )
    if number % 4 == 3:
        s.rules("raw", "-A PREROUTING -p icmp -j CT --notrack", f"-A PREROUTING -s {site.far}0/24 -j CT --zone 7")
    count_states(
        s,
        "-A FORWARD -m conntrack --ctstatus SEEN_REPLY",
        "-A FORWARD -m conntrack --ctstatus ASSURED",
        "-A FORWARD -m conntrack --ctdir ORIGINAL",
        "-A FORWARD -m conntrack --ctdir REPLY",
        "-A FORWARD -m conntrack --ctproto 17 --ctorigdstport 53",
        "-A FORWARD -m conntrack --ctstate NEW --ctstatus NONE",
    )
    for turn in range(14):
        client, pod = site.client(rng), site.backend(rng)
        src, dst = at(client, 42000 + turn), at(pod, rng.choice((53, 80)))
        kind = rng.random()
        if kind < 0.55:
            first = s.arrive(site.uplink, Packet.udp(src, dst, b"q" * rng.randrange(0, 30)))
            for _ in range(rng.randrange(0, 3)):
                step = rng.random()
                if step < 0.4:
                    s.reply(first, data=b"a")
                elif step < 0.6:
                    s.arrive(site.uplink, Packet.udp(src, dst, b"more"))
                else:
                    error = rng.choice(((3, 3), (3, 1), (3, 4), (11, 0), (12, 0), (4, 0), (5, 1)))
                    s.unreachable(first, *error)
        elif kind < 0.8:
            first = s.arrive(site.uplink, Packet.echo(client, pod, ident=900 + turn, payload=b"p" * turn))
            s.reply(first)
            if rng.random() < 0.5:
                s.arrive(site.uplink, Packet.echo(client, pod, ident=900 + turn, seq=2))
            if rng.random() < 0.3:
                s.arrive(site.uplink, Packet.echo(client, pod, ident=901 + turn, reply=True))
        elif kind < 0.9:
            kinds = rng.choice((13, 15, 17, 14, 30, 5))
            s.arrive(site.uplink, Packet.icmp(client, pod, kinds, rest=turn << 16, payload=bytes(12)))
        else:
            proto = rng.choice((47, 50, 99, 4))
            s.arrive(site.uplink, Packet.opaque(client, pod, proto, bytes(24)))
            s.arrive(site.pods, Packet.opaque(pod, client, proto, bytes(24)))
    if number % 2:
        s.command("conntrack -L -p udp 2>/dev/null | wc -l")
        s.command("conntrack -D -p udp --dport 53 >/dev/null 2>&1")
        s.command("conntrack -L -p udp 2>/dev/null | wc -l")
    s.dump("iptables-save -c", "conntrack -L")
    return s
