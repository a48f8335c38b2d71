"""The way packets take: policy rules, dead ends, reverse paths, links of different sizes."""

from __future__ import annotations

import random

from drawing import Traffic
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet


def three_ways(site: Site, *, six: bool = False) -> list[dict]:
    """Return the site's interfaces and a third one to a second uplink."""
    second = {"name": "eth7", "addresses": ["192.168.77.1/24"] + ["fd77::1/64"] * six, "routes": []}
    return [*site.interfaces(six=six), second]


@family("iptables-routing", 18)
def routing(rng: random.Random, number: int) -> Scenario:
    """Marks that choose tables, routes that lead nowhere, routes that change, gateways, preferred sources."""
    site = SITES[number % 3]
    s = Scenario(three_ways(site))
    s.run(
        "ip route add default dev eth7 table 70",
        f"ip route add {site.far}0/24 via 192.168.77.9 dev eth7 table 71",
        f"ip route add unreachable {site.pod}64/26 table 71",
    )
    setup = (
        "ip rule add fwmark 0x7 table 70",
        "ip rule add fwmark 0x8/0xf table 71 priority 900",
        f"ip rule add from {site.pod}16/28 table 70",
        f"ip rule add iif {site.pods} to {site.far}0/24 table 71",
        "ip rule add fwmark 0x20/0xf0 prohibit",
        "ip rule add fwmark 0x40/0xf0 blackhole",
        "ip rule add fwmark 0x60/0xf0 unreachable",
        f"ip route add blackhole {site.service}0/26",
        f"ip route add unreachable {site.service}64/26",
        f"ip route add prohibit {site.service}128/26",
        f"ip route add throw {site.service}192/26",
        f"ip route add {site.service}100/32 via {site.pod}200",
        f"ip route add {site.service}101/32 dev eth7 src {site.gateway}",
        f"ip route add {site.far}44/32 via 192.168.77.2",
        f"ip route add local {site.service}102/32 dev lo",
        f"ip addr add {site.near}200/32 dev eth7",
        f"ip route add {site.far}128/25 dev {site.pods} metric 50",
    )
    s.run(*rng.sample(setup, 9))
    marks = [
        f"-A PREROUTING -p {proto} -m {proto} --dport {port} -j MARK --set-xmark {mark}/0xffffffff"
        for proto, port, mark in (
            ("tcp", 80, "0x7"),
            ("tcp", 443, "0x28"),
            ("udp", 53, "0x48"),
            ("udp", 80, "0x68"),
            ("udp", 22, "0x8"),
        )
    ]
    s.rules("mangle", *marks, *(line.replace("PREROUTING", "OUTPUT") for line in rng.sample(marks, 3)))
    if number % 2:
        s.rules(
            "nat",
            "-A POSTROUTING -o eth7 -j MASQUERADE",
            f"-A PREROUTING -d {site.service}103 -j DNAT --to-destination {site.pod}70",
        )
    s.rules(
        "filter",
        *(f"-A {chain} -o {out}" for chain in ("FORWARD", "OUTPUT") for out in ("eth7", site.uplink, site.pods)),
    )
    targets = [site.service + str(n) for n in (5, 70, 130, 200, 100, 101, 102, 103)] + [
        site.far + "44",
        site.far + "200",
        site.pod + "70",
    ]
    changes = (
        f"ip route del {site.far}44/32 2>/dev/null",
        f"ip route replace {site.service}5/32 dev {site.pods}",
        "ip rule del fwmark 0x7 table 70 2>/dev/null",
        "ip route flush table 70; ip route add prohibit default table 70",
        f"ip addr del {site.gateway}/{site.pod_bits} dev {site.pods}",
        "ip link set eth7 down",
        f"ip route add {site.service}200/32 dev nosuch 2>/dev/null",
        "ip route add default dev eth7 2>/dev/null",
        "ip route add 1.2.3.4/24 dev eth7 2>/dev/null",
        f"ip route show {site.service}0/26",
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.ip_default_ttl=99",
    )
    for turn in range(30):
        client, target = site.client(rng), rng.choice(targets + [site.backend(rng)] * 4)
        port = rng.choice((80, 443, 53, 22))
        src, dst, ttl = at(client, 50000 + turn), at(target, port), rng.choice((64, 64, 64, 1, 2))
        make = Packet.tcp if rng.random() < 0.5 else Packet.udp
        kind = rng.random()
        if kind < 0.6:
            first = s.arrive(site.uplink, make(src, dst, ttl=ttl))
        elif kind < 0.8:
            first = s.arrive(site.pods, make(at(site.backend(rng), 50000 + turn), rng.choice((src, dst)), ttl=ttl))
        else:
            first = s.send(
                make(at(rng.choice((site.node, site.gateway, "192.168.77.1")), 50000 + turn), rng.choice((src, dst)))
            )
        if rng.random() < 0.4:
            s.reply(first, "SA") if rng.random() < 0.7 else s.unreachable(first)
        if turn % 10 == 9:
            s.command(rng.choice(changes))
    s.dump("iptables-save -c")
    if number % 2:
        s.dump("conntrack -L")
    return s


@family("iptables-martians", 10)
def martians(rng: random.Random, number: int) -> Scenario:
    """Addresses that should not be there: reverse path filters, loopback and broadcast addresses on the wire."""
    site = SITES[number % 3]
    s = Scenario(three_ways(site))
    conf = "net.ipv4.conf"
    settings = (
        f"{conf}.all.rp_filter=1",
        f"{conf}.{site.uplink}.rp_filter=1",
        f"{conf}.{site.uplink}.rp_filter=2",
        f"{conf}.{site.pods}.rp_filter=1",
        f"{conf}.{site.uplink}.route_localnet=1",
        f"{conf}.all.accept_local=1",
        f"{conf}.{site.pods}.forwarding=0",
        f"{conf}.{site.uplink}.accept_local=1",
        f"{conf}.all.src_valid_mark=1",
        "net.ipv4.icmp_echo_ignore_all=1",
        f"{conf}.all.send_redirects=0",
    )
    s.run(*(f"sysctl -qw {setting}" for setting in rng.sample(settings, rng.randrange(0, 5))))
    if number % 2:
        s.rules(
            "nat",
            f"-A PREROUTING -d {site.node} -p tcp -m tcp --dport 80 -j DNAT --to-destination 127.0.0.1:8080",
            f"-A PREROUTING -d {site.service}9 -j DNAT --to-destination 127.0.0.5",
        )
    chains = {"raw": ("PREROUTING",), "filter": ("INPUT", "FORWARD")}
    for table, names in chains.items():
        s.rules(
            table,
            *(
                f"-A {name} -i {device} -p {proto}"
                for name in names
                for device in (site.uplink, site.pods, "eth7")
                for proto in ("tcp", "udp", "icmp")
            ),
        )
    broadcast = (
        "203.0.113.127" if site.node_bits == 25 else ("203.0.113.255" if site.node_bits == 24 else "100.64.15.255")
    )
    sources = (
        site.node,
        site.gateway,
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        broadcast,
        "224.0.0.9",
        site.pod + "12",
        "9.9.9.9",
        "240.0.0.1",
        "192.168.77.44",
        site.near + "44",
        site.far + "44",
        site.near + "44",
    )
    destinations = (
        site.pod + "15",
        site.node,
        site.gateway,
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        broadcast,
        "224.0.0.9",
        "240.0.0.1",
        site.service + "9",
        site.pod + "15",
        "192.168.77.9",
        site.pod + "15",
    )
    for turn in range(40):
        source, target = rng.choice(sources), rng.choice(destinations)
        src, dst = at(source, 50500 + turn), at(target, rng.choice((80, 53)))
        kind = rng.random()
        packet = (
            Packet.tcp(src, dst)
            if kind < 0.4
            else Packet.udp(src, dst, b"m")
            if kind < 0.75
            else Packet.echo(source, target, ident=turn)
        )
        s.arrive(rng.choice((site.uplink, site.uplink, site.pods, "eth7")), packet)
    s.dump("iptables-save -c")
    if number % 2:
        s.dump("conntrack -L")
    return s


@family("iptables-sizes", 10)
def sizes(rng: random.Random, number: int) -> Scenario:
    """Packets larger than the next link: refused where they may not be cut, cut where they may."""
    site = SITES[number % 3]
    six = number % 3 == 2
    s = Scenario(site.interfaces(six=six))
    mtu = rng.choice((1280, 1400)) if six else rng.choice((576, 1000, 1400))
    s.run(f"ip link set {site.pods} mtu {mtu}")
    if number % 2:
        s.rules(
            "nat",
            f"-A PREROUTING -d {site.service}9 -j DNAT --to-destination {site.pod}15",
            f"-A POSTROUTING -s {site.far}0/24 -j MASQUERADE",
        )
    s.rules("filter", "-A FORWARD -p udp", "-A FORWARD -p tcp", "-A FORWARD -p icmp", "-A OUTPUT -p icmp")
    if six:
        s.rules(
            "filter",
            "-A FORWARD -p udp",
            "-A FORWARD -m conntrack --ctstate NEW",
            "-A OUTPUT -p ipv6-icmp",
            tool="ip6tables-legacy-restore",
        )
    for turn in range(22):
        size = mtu + rng.choice((-28, -48, -29, -27, -40, -20, -60, 0, 1, 80, 900, -300))
        data = bytes(n % 251 for n in range(max(size, 0)))
        if six and rng.random() < 0.5:
            client, target = site.client(rng, six=True), site.backend(rng, six=True)
        else:
            client, target = (
                site.client(rng),
                rng.choice((site.service + "9" if number % 2 else site.pod + "15", site.pod + "16")),
            )
        src, dst, whole = at(client, 50800 + turn), at(target, 80), rng.random() < 0.5
        field = {} if ":" in client else {"dont_fragment": whole, "ident": 7000 + turn}
        kind = rng.random()
        if kind < 0.4:
            first = s.arrive(site.uplink, Packet.udp(src, dst, data, **field))
        elif kind < 0.7:
            first = s.arrive(site.uplink, Packet.tcp(src, dst, flags="PA", seq=1, ack=1, payload=data, **field))
        elif kind < 0.85:
            first = s.arrive(
                site.uplink,
                Packet.icmp(client, target, 128 if ":" in client else 8, rest=turn << 16, payload=data, **field),
            )
        else:
            source = site.node6 if ":" in target else site.node
            first = s.send(
                Packet.udp(
                    at(source, 50800 + turn),
                    dst,
                    data[: mtu - 100],
                    **({} if ":" in target else {"dont_fragment": whole}),
                )
            )
        if rng.random() < 0.3:
            s.reply(first, "A", 1, 2)
    s.dump("iptables-save -c")
    if number % 2:
        s.dump("conntrack -L")
    return s


@family("iptables-v6routing", 6)
def routing6(rng: random.Random, number: int) -> Scenario:
    """Policy rules, dead ends and distant sources in IPv6."""
    site = SITES[number % 3]
    s = Scenario(three_ways(site, six=True))
    setup = (
        "ip -6 rule add fwmark 0x7 table 70",
        f"ip -6 rule add from {site.pod6}0/120 to {site.far6}/64 table 70",
        f"ip -6 route add blackhole {site.service6}40/124",
        f"ip -6 route add unreachable {site.service6}50/124",
        f"ip -6 route add prohibit {site.service6}60/124",
        f"ip -6 route add {site.service6}70/128 via fd77::9",
        f"ip -6 route add local {site.service6}80/128 dev lo",
        f"ip -6 route add {site.service6}0/112 dev {site.pods} metric 2000",
    )
    s.run("ip -6 route add default dev eth7 table 70", *rng.sample(setup, 6))
    marks = "-A PREROUTING -p udp -m udp --dport 53 -j MARK --set-xmark 0x7/0xffffffff"
    s.rules("mangle", marks, marks.replace("PREROUTING", "OUTPUT"), tool="ip6tables-legacy-restore")
    s.rules(
        "filter",
        *(f"-A {chain} -o {out}" for chain in ("FORWARD", "OUTPUT") for out in ("eth7", site.uplink, site.pods)),
        tool="ip6tables-legacy-restore",
    )
    targets = [site.service6 + n for n in ("41", "51", "61", "70", "80", "90")] + [
        site.pod6 + "12",
        "2001:db8:ffff::1",
        "ff0e::5",
        "::1",
    ]
    for turn in range(26):
        src, dst = at(site.client(rng, six=True), 51400 + turn), at(rng.choice(targets), rng.choice((53, 80)))
        make, hops = rng.choice((Packet.tcp, Packet.udp)), rng.choice((64, 64, 1, 2))
        kind = rng.random()
        if kind < 0.75:
            first = s.arrive(site.uplink, make(src, dst, ttl=hops))
        else:
            first = s.send(make(at(rng.choice((site.node6, site.gateway6, "fd77::1")), 51400 + turn), dst))
        if rng.random() < 0.4:
            s.reply(first, "SA") if rng.random() < 0.6 else s.unreachable(first)
    s.dump("ip6tables-save -c")
    return s


@family("iptables-walk", 10)
def walk(rng: random.Random, number: int) -> Scenario:
    """A probe in every chain of every table: which hooks a packet passes, and in what order it is changed."""
    site = SITES[number % 3]
    six = number % 2 == 1
    tool = "ip6tables-legacy-restore" if six else "iptables-legacy-restore"
    s = Scenario(site.interfaces(six=six))
    five = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
    tables = {
        "raw": five[::3],
        "mangle": five,
        "filter": five[1:4],
        "security": five[1:4],
        "nat": (five[0], five[1], five[3], five[4]),
    }
    pod, vip = (site.pod6 + "15", site.service6 + "10") if six else (site.pod + "15", site.service + "10")
    for table in rng.sample(list(tables), len(tables)):
        lines = [f"-A {chain} -p {proto}" for chain in tables[table] for proto in ("tcp", "udp")]
        if table == "nat" and number % 4 < 2:
            lines.append(f"-A PREROUTING -d {vip} -j DNAT --to-destination {pod}")
            lines.append(f"-A OUTPUT -d {vip} -j DNAT --to-destination {pod}")
            lines.append(f"-A POSTROUTING -o {site.pods} -j MASQUERADE")
        if table == "raw" and number % 4 == 3:
            lines.append("-A PREROUTING -p udp -j NOTRACK")
        s.rules(table, *lines, tool=tool)
    Traffic(s, rng, site, six=six, local=0.3).many(24)
    for turn in range(4):
        src = at(site.client(rng, six=six), 51600 + turn)
        s.handshake(site.uplink, src, at(vip, 80))
        s.reply(s.send(Packet.udp(at(site.node6 if six else site.node, 51600 + turn), at(vip, 53), b"w")), data=b"x")
    loop = "::1" if six else "127.0.0.1"
    s.send(Packet.udp(at(loop, 51700), at(loop, 9), b"loop"))
    s.send(Packet.tcp(at(loop, 51701), at(loop, 9)))
    s.dump("ip6tables-save -c" if six else "iptables-save -c", "conntrack -L", six=six)
    return s
