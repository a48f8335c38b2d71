"""NAT's corners: ranges, clashes, hairpins, flows whose rules change under them."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family

from svcsim.packet import Packet


@family("iptables-natrange", 16)
def ranges(rng: random.Random, number: int) -> Scenario:
    """Ranges of addresses and ports; the hash chooses addresses, the lowest free port is taken, clients share ports."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    vip = [site.service + str(30 + n) for n in range(6)]
    low, tops = rng.randrange(7000, 9000), (rng.randrange(23, 60), rng.randrange(23, 60), rng.randrange(103, 130))
    lines = [
        f"-A PREROUTING -d {vip[0]} -j DNAT --to-destination {site.pod}20-{site.pod}{tops[0]}",
        f"-A PREROUTING -d {vip[1]} -j DNAT --to-destination {site.pod}20-{site.pod}{tops[1]} --persistent",
        f"-A PREROUTING -d {vip[2]} -p tcp -j DNAT --to-destination {site.pod}17:{low}-{low + 3}",
        f"-A PREROUTING -d {vip[2]} -p udp -j DNAT --to-destination {site.pod}17:{low}-{low + 1}",
        f"-A PREROUTING -d {vip[3]} -p tcp -j DNAT --to-destination {site.pod}18-{site.pod}21:{low}-{low + 20}",
        f"-A PREROUTING -d {vip[4]} -p tcp -m tcp --dport 8000:8010 "
        f"-j DNAT --to-destination {site.pod}19:{low}-{low + 10}/8000",
        f"-A PREROUTING -d {vip[5]} -p tcp -j DNAT --to-destination {site.pod}19",
        f"-A POSTROUTING -s {site.far}0/24 -d {site.pod}20 -j SNAT --to-source {site.pod}100-{site.pod}{tops[2]}",
        f"-A POSTROUTING -s {site.far}0/24 -p tcp -d {site.pod}17 -j SNAT --to-source {site.pod}101:40000-50000",
        f"-A POSTROUTING -s {site.near}0/24 -p udp -j SNAT --to-source {site.pod}102-{site.pod}109 --persistent",
    ]
    s.rules("nat", *lines)
    for turn in range(22):
        client = site.client(rng)
        port, dport = rng.choice((40000 + turn, 41000, 42000)), rng.choice((80, low + 2, 8000, 8007, 8080))
        target = rng.choice(vip)
        src, dst = at(client, port), at(target, dport)
        if rng.random() < 0.7:
            first = s.handshake(site.uplink, src, dst)
        else:
            first = s.arrive(site.uplink, Packet.udp(src, dst, b"range"))
            s.reply(first, data=b"back")
        if rng.random() < 0.2:
            s.unreachable(first)
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("iptables-natclash", 10)
def clashes(rng: random.Random, number: int) -> Scenario:
    """More flows than mappings: the last ones are counted by the rules and then dropped; echo ids move."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    vips, pod = [site.service + str(40 + n) for n in range(5)], site.pod + "25"
    s.rules(
        "nat",
        f"-A PREROUTING -d {site.service}32/28 -p tcp -j DNAT --to-destination {pod}:7000-7002",
        f"-A PREROUTING -d {site.service}32/28 -p icmp -j DNAT --to-destination {pod}",
        f"-A PREROUTING -d {site.service}32/28 -p udp -m udp --dport 53 -j DNAT --to-destination {pod}:5300-5301",
        f"-A POSTROUTING -p tcp -d {pod} -j SNAT --to-source {site.gateway}:45000",
        f"-A POSTROUTING -p udp -d {pod} -j SNAT --to-source {site.gateway}:45001",
    )
    s.rules("filter", "-A FORWARD -m conntrack --ctstate NEW", "-A FORWARD -m conntrack --ctstate INVALID")
    clients = [site.client(rng) for _ in range(3)]
    for turn in range(18):
        client, vip = rng.choice(clients), rng.choice(vips)
        kind = rng.random()
        if kind < 0.45:
            src, dst = at(client, rng.choice((46000, 46001))), at(vip, 80)
            first = s.arrive(site.uplink, Packet.tcp(src, dst, seq=1000 + turn))
            if rng.random() < 0.5:
                s.reply(first, "SA", 5000, 1001 + turn)
            if rng.random() < 0.3:
                s.arrive(site.uplink, Packet.tcp(src, dst, flags="R", seq=1001 + turn))
        elif kind < 0.75:
            first = s.arrive(site.uplink, Packet.udp(at(client, rng.choice((46000, 46001))), at(vip, 53), b"c"))
            s.reply(first, data=b"b")
        else:
            first = s.arrive(site.uplink, Packet.echo(client, vip, ident=rng.choice((7, 0, 1, 65535)), payload=b"id"))
            s.reply(first)
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("iptables-hairpin", 8)
def hairpin(rng: random.Random, number: int) -> Scenario:
    """A pod reaches itself or its neighbour through a service address; with and without a source mapping."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    vip, pods = site.service + "50", [site.pod + "31", site.pod + "32"]
    lines = [
        f"-A PREROUTING -d {vip} -p tcp -m tcp --dport 80 -j DNAT --to-destination {pods[0]}:8080",
        f"-A PREROUTING -d {vip} -p udp -m udp --dport 53 -j DNAT --to-destination {pods[1]}:53",
        f"-A PREROUTING -d {site.node} -p tcp -m tcp --dport 30080 -j DNAT --to-destination {pods[0]}:8080",
    ]
    if number % 4 != 3:
        source = f"-s {site.gateway}/{site.pod_bits} -d {site.gateway}/{site.pod_bits}"
        lines.append(f"-A POSTROUTING {source} -m conntrack --ctstate DNAT -j MASQUERADE")
    if number % 4 == 1:
        lines.append(f"-A POSTROUTING -s {pods[0]} -d {pods[0]} -j SNAT --to-source {site.node}")
        lines.reverse()
    if number % 4 == 2:
        s.run(f"sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.{site.pods}.send_redirects=0")
    s.rules("nat", *lines)
    for turn in range(14):
        pod = rng.choice([*pods, site.backend(rng)])
        src = at(pod, 47000 + turn)
        if rng.random() < 0.6:
            target = rng.choice((at(vip, 80), at(vip, 80), at(site.node, 30080), at(pods[1], 80)))
            first = s.handshake(site.pods, src, target)
            s.arrive(site.pods, Packet.tcp(src, target, flags="PA", seq=1001, ack=5001, payload=b"self"))
            s.reply(first, "PA", 5001, 1005, b"same")
        else:
            first = s.arrive(site.pods, Packet.udp(src, at(vip, 53), b"who"))
            s.reply(first, data=b"me") if rng.random() < 0.6 else s.unreachable(first)
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("iptables-natlife", 12)
def life(rng: random.Random, number: int) -> Scenario:
    """Living flows while rules change, connections are deleted, routes and addresses move."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    vip, pods = site.service + "60", [site.pod + "41", site.pod + "42"]
    masquerade = f"POSTROUTING -s {site.gateway}/{site.pod_bits} -o {site.uplink} -j MASQUERADE"
    s.rules(
        "nat",
        f"-A PREROUTING -d {vip} -p tcp -m tcp --dport 80 -j DNAT --to-destination {pods[0]}:8080",
        f"-A PREROUTING -d {vip} -p udp -m udp --dport 53 -j DNAT --to-destination {pods[0]}:53",
        f"-A {masquerade}",
    )
    flows: list[tuple[str, str, str, int]] = []

    def start(turn: int) -> None:
        if rng.random() < 0.3:
            side, src, dst = site.pods, at(rng.choice(pods), 48000 + turn), at(site.far + "9", 443)
        else:
            side, src, dst = site.uplink, at(site.client(rng), 48000 + turn), rng.choice((at(vip, 80), at(vip, 53)))
        if dst.endswith(":53"):
            first = s.arrive(side, Packet.udp(src, dst, b"start"))
            s.reply(first, data=b"yes")
        else:
            first = s.handshake(side, src, dst)
        flows.append((side, src, dst, first))

    def go_on() -> None:
        for side, src, dst, first in flows:
            if dst.endswith(":53"):
                s.arrive(side, Packet.udp(src, dst, b"on"))
                s.reply(first, data=b"and on")
            else:
                s.arrive(side, Packet.tcp(src, dst, flags="A", seq=1001, ack=5001))
                s.reply(first, "A", 5001, 1001)

    for turn in range(4):
        start(turn)
    changes = (
        f"iptables-legacy -t nat -R PREROUTING 1 -d {vip} -p tcp --dport 80 -j DNAT --to-destination {pods[1]}:9090",
        "iptables-legacy -t nat -F PREROUTING",
        f"iptables-legacy -t nat -R PREROUTING 2 -d {vip} -p udp --dport 53 -j DNAT --to-destination {pods[1]}",
        f"conntrack -D -p udp --orig-dst {vip} >/dev/null 2>&1",
        f"conntrack -D -p tcp --orig-dst {vip} --dst-nat {pods[0]} >/dev/null 2>&1",
        "conntrack -F >/dev/null 2>&1",
        f"ip addr add {site.far}1/32 dev {site.uplink}; ip route replace default dev {site.uplink} src {site.far}1",
        f"iptables-legacy -t nat -D {masquerade}",
        f"iptables-legacy -t nat -I POSTROUTING -d {pods[0]} -j SNAT --to-source {site.gateway}",
        f"ip route add {site.far}9/32 dev {site.pods}",
        "conntrack -L -p udp 2>/dev/null | wc -l",
        f"conntrack -L --dst-nat {pods[0]} 2>/dev/null | wc -l",
    )
    for turn, change in enumerate(rng.sample(changes, 4)):
        s.command(change)
        go_on()
        start(10 + turn)
    s.dump("iptables-save -c", "conntrack -L")
    return s


@family("iptables-conntrackcmd", 8)
def conntrack_command(rng: random.Random, number: int) -> Scenario:
    """The command conntrack: listing by filter, deleting, changing marks, flushing."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces(six=number % 2 == 1))
    if number % 2:
        s.run("sysctl -qw net.netfilter.nf_conntrack_acct=1")
        s.rules("filter", "-A FORWARD -m conntrack --ctstate INVALID -j DROP", tool="ip6tables-legacy-restore")
    vip, pod = site.service + "61", site.pod + "51"
    s.rules(
        "nat",
        f"-A PREROUTING -d {vip} -j DNAT --to-destination {pod}",
        f"-A POSTROUTING -s {site.far}0/24 -j MASQUERADE",
    )
    s.rules(
        "mangle",
        "-A PREROUTING -p tcp -j CONNMARK --set-mark 6",
        "-A PREROUTING -p udp -m udp --dport 80 -j CONNMARK --set-mark 16",
    )
    clients = [site.near + "44", site.far + "44", site.near + "45"]
    filters = (
        "-p tcp",
        "-p udp",
        "-p icmp",
        f"-s {clients[0]}",
        f"-d {vip}",
        f"--orig-src {clients[1]}",
        f"--orig-dst {vip}",
        f"-r {pod}",
        f"--reply-src {pod}",
        f"-q {clients[0]}",
        "-p tcp --dport 80",
        "-p udp --sport 49003",
        "-p tcp --state ESTABLISHED",
        "-n",
        "-g",
        "--src-nat",
        f"--dst-nat {pod}",
        "-m 6",
        "-m 0x10/0xf0",
        "-p tcp --reply-port-src 80",
        "-u ASSURED",
        "-u SEEN_REPLY",
        "-u UNREPLIED",
        "-f ipv4",
        "-f ipv6",
        "-p udp --orig-port-dst 53",
        "-p icmp --icmp-type 8",
    )
    for turn in range(12):
        src, dst = at(rng.choice(clients), 49000 + turn), at(rng.choice((vip, pod)), rng.choice((80, 53)))
        kind = rng.random()
        if kind < 0.4:
            s.handshake(site.uplink, src, dst)
        elif kind < 0.8:
            s.reply(s.arrive(site.uplink, Packet.udp(src, dst, b"c")), data=b"d")
        else:
            s.arrive(site.uplink, Packet.echo(rng.choice(clients), vip, ident=turn))
        if number % 2:
            s.arrive(site.uplink, Packet.udp(at(site.near6 + "44", 49000 + turn), at(site.pod6 + "11", 53), b"6"))
        for _ in range(2):
            chosen = rng.choice(filters)
            s.command(f"conntrack -L {chosen} 2>/dev/null | sort | wc -l")
        if turn % 3 == 2:
            change = rng.choice((f"-D {rng.choice(filters[:18])}", f"-U -m 9 -s {rng.choice(clients)}"))
            s.command(f"conntrack {change} >/dev/null 2>&1")
    s.command("conntrack -C 2>/dev/null")
    s.command(f"conntrack -G -p tcp -s {clients[0]} -d {vip} --sport 1 --dport 2 >/dev/null 2>&1")
    s.command("conntrack -D -p nosuch >/dev/null 2>&1")
    s.dumps["conntrack -L"] = "conntrack -L 2>/dev/null"
    return s


@family("iptables-timeouts", 6)
def timeouts(rng: random.Random, number: int) -> Scenario:
    """Connections that are forgotten: short time-outs, waited for."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    seconds = {
        "udp": 2,
        "udp_stream": 4,
        "icmp": 1,
        "tcp_syn_sent": 2,
        "tcp_close": 1,
        "tcp_time_wait": 2,
        "generic": 2,
    }
    for name, value in seconds.items():
        proto, _, state = name.partition("_")
        s.run(f"sysctl -qw net.netfilter.nf_conntrack_{proto}_timeout{f'_{state}' * bool(state)}={value}")
    s.rules("nat", f"-A PREROUTING -d {site.service}70 -j DNAT --to-destination {site.pod}61")
    s.rules(
        "filter",
        "-A FORWARD -m conntrack --ctstate NEW",
        "-A FORWARD -m conntrack --ctstate ESTABLISHED",
        "-A FORWARD -m conntrack --ctstate INVALID",
    )
    udp = [(at(site.client(rng), 49500 + n), at(site.service + "70", 53)) for n in range(3)]
    tcp = [(at(site.client(rng), 49600 + n), at(site.service + "70", 80)) for n in range(4)]
    firsts = [s.arrive(site.uplink, Packet.udp(*ends, b"one")) for ends in udp]
    s.reply(firsts[0], data=b"r")
    s.reply(firsts[1], data=b"r")
    for ends in tcp[:2]:
        s.arrive(site.uplink, Packet.tcp(*ends, seq=1000))
    first = s.handshake(site.uplink, *tcp[2])
    s.arrive(site.uplink, Packet.tcp(*tcp[2], flags="FA", seq=1001, ack=5001))
    s.reply(first, "FA", 5001, 1002)
    s.arrive(site.uplink, Packet.tcp(*tcp[2], flags="A", seq=1002, ack=5002))
    first = s.handshake(site.uplink, *tcp[3])
    s.reply(first, "R", 5001, 0)
    s.arrive(site.uplink, Packet.echo(site.near + "44", site.service + "70", ident=9))
    s.arrive(site.uplink, Packet.opaque(site.near + "44", site.pod + "61", 99, b"other"))
    s.command("conntrack -L 2>/dev/null | wc -l")
    for pause in rng.choice(((1.5, 1.4), (2.6, 0.8), (1.2, 3.4))):
        s.wait(pause)
        s.command("conntrack -L 2>/dev/null | wc -l")
        for ends in udp[:2]:
            s.arrive(site.uplink, Packet.udp(*ends, b"two"))
        s.reply(firsts[0], data=b"late")
        for ends in tcp:
            s.arrive(site.uplink, Packet.tcp(*ends, flags=rng.choice(("S", "A")), seq=1002, ack=0))
    s.dump("iptables-save -c", "conntrack -L")
    return s
