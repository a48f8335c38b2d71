"""Sets of addresses, ports and networks, matched and changed by rules: iptables-ipset, iptables-ipsetcmd."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

KINDS = {
    "IP": "hash:ip", "NET": "hash:net", "IPP": "hash:ip,port", "IPPI": "hash:ip,port,ip", "IPPN": "hash:ip,port,net",
    "PORT": "bitmap:port range 20-9000", "RANGE": "bitmap:ip range {pod}0/24", "NETP": "hash:net,port",
    "NETI": "hash:net,iface", "LIST": "list:set", "CNT": "hash:ip counters", "WIDE": "hash:ip netmask 26",
}  # fmt: skip
DIMENSIONS = {"IPP": 2, "IPPI": 3, "IPPN": 3, "NETP": 2, "NETI": 2}


def pair(rng: random.Random, site: Site) -> tuple[str, str]:
    """Draw a client and a pod from few enough that sets and packets meet."""
    return rng.choice((site.near, site.far)) + str(rng.randrange(40, 43)), site.pod + str(rng.randrange(17, 21))


def element(rng: random.Random, site: Site, name: str) -> str:
    """Draw an element of the set *name*."""
    client, pod = pair(rng, site)
    address = rng.choice((client, pod))
    net = rng.choice((f"{site.near}40/29", f"{site.near}0/24", f"{site.pod}16/28", f"{site.far}32/27", address))
    port = rng.choice(("tcp:80", "80", "udp:53", "tcp:443", "tcp:80-84", "icmp:8/0", "icmp:echo-request", "sctp:9"))
    return {
        "IP": address,
        "CNT": address,
        "WIDE": address,
        "NET": net + rng.choice(("", "", " nomatch")),
        "IPP": f"{address},{port}",
        "IPPI": f"{pod},{port},{client}",
        "IPPN": f"{pod},{port},{rng.choice((f'{site.near}40/29', f'{site.far}0/24', client))}"
        + rng.choice(("", " nomatch")),
        "PORT": rng.choice(("80", "53", "8080", "440-450", "9000", "19")),
        "RANGE": rng.choice((pod, f"{site.pod}16/29", f"{site.pod}20-{site.pod}24")),
        "NETP": f"{net},{port}",
        "NETI": f"{net},{rng.choice((site.uplink, site.pods))}",
        "LIST": rng.choice(("IP", "NET", "IPP", "NET before IP", "IP after NET", "CNT")),
    }[name]


def flags(rng: random.Random, name: str) -> str:
    """Draw the sides of the packet that the set *name* is asked about."""
    return ",".join(rng.choice(("src", "dst")) for _ in range(DIMENSIONS.get(name, 1)))


def natural(name: str) -> str:
    """Return the sides that elements of *name* are drawn for."""
    return {1: "dst", 2: "dst,dst", 3: "dst,dst,src"}[DIMENSIONS.get(name, 1)]


def some_packet(rng: random.Random, site: Site, turn: int) -> Packet:
    """Draw a packet from a client to a pod."""
    client, pod = pair(rng, site)
    src, dst = at(client, 40000 + turn), at(pod, rng.choice((80, 80, 53, 443, 22, 23, 24, 8080)))
    kind = rng.random()
    if kind < 0.5:
        return Packet.tcp(src, dst, seq=1)
    return Packet.udp(src, dst, b"set") if kind < 0.85 else Packet.echo(client, pod, ident=turn)


@family("iptables-ipset", 26)
def ipset(rng: random.Random, number: int) -> Scenario:
    """Every type of set behind -m set and -j SET, while rules and commands change what they hold."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    for name, kind in KINDS.items():
        s.run(f"ipset create {name} {kind.format(pod=site.pod)}")
    s.run(*(f"ipset add {name} {element(rng, site, name)} -exist || true" for name in rng.choices(list(KINDS), k=34)))
    lines = []
    for name in rng.sample(list(KINDS), 8):
        no = rng.choice(("", "", "! "))
        sides = rng.choice((natural(name), natural(name), flags(rng, name)))
        extra = rng.choice(("", "", " --return-nomatch" if name in ("NET", "IPPN", "NETP") else ""))
        if name == "CNT":
            extra = rng.choice((" --packets-gt 1", " ! --update-counters", " --bytes-lt 100", ""))
        target = rng.choice((" -j ACCEPT", " -j DROP", "", "", "")) if not no else ""
        lines.append(f"-A FORWARD -m set {no}--match-set {name} {sides}{extra}{target}")
    lines += [
        "-A FORWARD -p tcp -m tcp --dport 22 -j SET --add-set IP src",
        "-A FORWARD -p tcp -m tcp --dport 23 -j SET --del-set IP src",
        "-A FORWARD -p tcp -m tcp --dport 24 -j SET --add-set IPPI src,dst,dst --exist",
        "-A FORWARD -p udp -m udp --dport 8080 -j SET --add-set NETI dst,dst",
    ]
    if number % 2:
        lines.insert(0, "-A FORWARD -m set --match-set LIST dst -m set ! --match-set NET src")
    s.rules("filter", *lines)
    for turn in range(45):
        if rng.random() < 0.75:
            s.arrive(site.uplink, some_packet(rng, site, turn))
            continue
        name = rng.choice(list(KINDS))
        thing = element(rng, site, name).split(" ")[0]
        verb = rng.choice(("add", "del", "test", "test"))
        s.command(f"ipset {verb} {name} {thing} >/dev/null 2>&1")
    s.dump("iptables-save -c", "ipset save")
    return s


@family("iptables-v6ipset", 6)
def ipset6(rng: random.Random, number: int) -> Scenario:
    """Sets of IPv6 addresses."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces(six=True))
    kinds = {
        "IP": "hash:ip",
        "NET": "hash:net",
        "IPP": "hash:ip,port",
        "IPPI": "hash:ip,port,ip",
        "IPPN": "hash:ip,port,net",
    }
    for name, kind in kinds.items():
        s.run(f"ipset create {name} {kind} family inet6")
    clients = [site.client(rng, six=True) for _ in range(4)]
    pods = [site.backend(rng, six=True) for _ in range(3)]
    for _ in range(18):
        client, pod = rng.choice(clients), rng.choice(pods)
        port = rng.choice(("tcp:80", "udp:53", "icmpv6:128/0", "tcp:443"))
        elements = {
            "IP": rng.choice((client, pod)),
            "NET": rng.choice((f"{site.near6}40/124", f"{site.far6}/64", client, f"{site.near6}48/125 nomatch")),
            "IPP": f"{pod},{port}",
            "IPPI": f"{pod},{port},{client}",
            "IPPN": f"{pod},{port},{rng.choice((f'{site.near6}40/123', f'{site.far6}/64'))}",
        }
        name = rng.choice(list(kinds))
        s.run(f"ipset add {name} {elements[name]} -exist")
    lines = []
    for name in kinds:
        lines.append(f"-A FORWARD -m set --match-set {name} {natural(name)}")
        lines.append(f"-A FORWARD -m set {rng.choice(('', '! '))}--match-set {name} {flags(rng, name)}")
    lines.append("-A FORWARD -m set --match-set NET src -p udp -j REJECT --reject-with icmp6-adm-prohibited")
    lines.append("-A FORWARD -p tcp -m tcp --dport 443 -j SET --add-set IP src")
    s.rules("filter", *lines, tool="ip6tables-legacy-restore")
    for turn in range(40):
        client, pod = rng.choice(clients), rng.choice(pods)
        src, dst = at(client, 40000 + turn), at(pod, rng.choice((80, 53, 443)))
        kind = rng.randrange(3)
        packet = (Packet.tcp(src, dst), Packet.udp(src, dst, b"six"), Packet.echo(client, pod, ident=turn))[kind]
        s.arrive(site.uplink, packet)
    s.dump("ip6tables-save -c", "ipset save")
    return s


@family("iptables-ipsetcmd", 10)
def ipset_commands(rng: random.Random, number: int) -> Scenario:
    """The command ipset itself: what it prints, what it refuses."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    for name, kind in KINDS.items():
        s.run(f"ipset create {name} {kind.format(pod=site.pod)}")
    hide = "| grep -v 'initval\\|Size in memory'"
    for _ in range(40):
        name = rng.choice(list(KINDS))
        thing = element(rng, site, name)
        quiet = "2>/dev/null"
        s.command(
            rng.choice(
                (
                    *[f"ipset add {name} {thing} {quiet}"] * 6,
                    f"ipset add {name} {thing} -exist {quiet}",
                    f"ipset del {name} {thing.split(' ')[0]} {quiet}",
                    f"ipset del {name} {thing.split(' ')[0]} -exist {quiet}",
                    f"ipset test {name} {thing.split(' ')[0]} {quiet}",
                    f"ipset add PORT {rng.choice(('70000', '10', '8999-9001', '80-70'))} {quiet}",
                    f"ipset flush {rng.choice(('PORT', 'RANGE', 'LIST', 'CNT'))} {quiet}",
                    f"ipset create {name} hash:ip {quiet}",
                    f"ipset create {name} {KINDS[name].format(pod=site.pod)} -exist {quiet}",
                    f"ipset destroy {rng.choice(('NOPE', 'PORT', 'IP'))} {quiet}",
                    f"ipset rename RANGE {rng.choice(('IP', 'SPAN'))} {quiet}",
                    f"ipset swap IP {rng.choice(('WIDE', 'CNT', 'NET', 'NOPE'))} {quiet}",
                    f"ipset list {rng.choice(('PORT', 'LIST', 'RANGE'))} {quiet} {hide}",
                    f"ipset list -n {quiet} | sort",
                    "ipset save PORT",
                    f"ipset list NOPE {quiet}",
                )
            )
        )
    s.dump("ipset save")
    return s
