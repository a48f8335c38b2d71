"""What random rule sets and random traffic are drawn from."""

from __future__ import annotations

import random

from scenario import Scenario, Site, at

from svcsim.packet import Packet

__all__ = ["PORTS", "Traffic", "draw_match", "draw_rule", "draw_rules", "draw_target", "ends"]

PORTS = (22, 53, 80, 443, 8080)
MULTI = ("22,80", "443", "53,8000:8100", "1:79,444:65535", "80,443,8080")
REJECTS = (
    "icmp-net-unreachable", "icmp-host-unreachable", "icmp-port-unreachable", "icmp-proto-unreachable",
    "icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited",
)  # fmt: skip
REJECTS6 = ("icmp6-no-route", "icmp6-adm-prohibited", "icmp6-addr-unreachable", "icmp6-port-unreachable")


def ends(rng: random.Random, site: Site, six: bool = False) -> str:
    """Draw what a rule says of addresses and interfaces."""
    words = []
    if rng.random() < 0.35:
        pool = (site.near6 + "/64", site.far6 + "/64", site.near6 + "45", f"{site.near6}40/124")
        if not six:
            pool = (site.near + "0/24", site.far + "0/25", site.near + "45", site.far + "48/255.255.255.248")
        words.append(rng.choice(("", "", "! ")) + "-s " + rng.choice(pool))
    elif rng.random() < 0.05 and not six:
        words.append("-s 0.0.0.0/0")
    if rng.random() < 0.35:
        pool = (site.gateway6 + "/64", site.node6, site.pod6 + "14", site.service6 + "0/112")
        if not six:
            pool = (f"{site.gateway}/{site.pod_bits}", site.node, site.pod + "17", site.pod + "16/28")
        words.append(rng.choice(("", "", "! ")) + "-d " + rng.choice(pool))
    return " ".join(words)


def draw_match(rng: random.Random, proto: str, six: bool = False, plain: bool = False) -> str:
    """Draw one match that goes with *proto*; *plain* leaves out what needs connection tracking or a memory."""
    port, low = rng.choice(PORTS), rng.randrange(1, 9000)
    no, hops = rng.choice(("", "", "! ")), "hl" if six else "ttl"
    states = ("NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "NEW,INVALID")
    choices = [
        f"-m comment --comment {rng.choice(('plain', chr(34) + 'two words' + chr(34)))}",
        f"-m mark {no}--mark {rng.choice(('0x1', '0x2/0x3', '0x0', '0x4000/0x4000'))}",
        f"-m length {no}--length {rng.choice(('20:60', '61:', ':40', '48'))}",
        f"-m {hops} --{hops}-{rng.choice(('eq 64', 'gt 10', 'lt 64'))}",
        f"-m addrtype {no}--dst-type {rng.choice(('LOCAL', 'UNICAST', 'LOCAL,MULTICAST'))}",
        f"-m addrtype {no}--src-type {rng.choice(('LOCAL', 'UNICAST'))}",
        f"-m dscp {no}--dscp {rng.choice((0, 10, 46))}",
        f"-m tos {no}--tos {rng.choice(('0x00', '0x10', '0x28/0xff', '0xb8'))}",
    ]
    if not plain:
        choices += [
            f"-m conntrack {no}--ctstate {rng.choice(states)}",
            f"-m state {no}--state {rng.choice(('NEW', 'RELATED,ESTABLISHED', 'INVALID'))}",
            f"-m conntrack --ctdir {rng.choice(('ORIGINAL', 'REPLY'))}",
            f"-m statistic --mode nth {no}--every {(n := rng.randrange(1, 5))} --packet {rng.randrange(n)}",
            f"-m limit --limit {rng.choice(('1/hour', '3/min', '10/day'))} --limit-burst {rng.randrange(1, 5)}",
        ]
    if proto in ("tcp", "udp"):
        choices += [
            f"-m {proto} {no}--dport {port}",
            f"-m {proto} {no}--dport {low}:{low + 3000}",
            f"-m {proto} {no}--sport {rng.choice(('40000:40010', ':1023', '1024:', '40003'))}",
            f"-m multiport {no}--dports {rng.choice(MULTI)}",
            f"-m multiport {no}--ports {rng.choice(MULTI)}",
        ] * 2
    if proto == "tcp":
        flags = rng.choice(("SYN,ACK SYN", "ALL ACK", "FIN,RST RST", "SYN,RST,ACK,FIN SYN", "ACK,PSH ACK,PSH"))
        choices += [f"-m tcp {no}--tcp-flags {flags}", f"-m tcp {no}--syn"]
    if proto == "icmp":
        choices += [f"-m icmp {no}--icmp-type {rng.choice(('8', '0', '3', '3/3', 'any'))}"] * 3
    if proto == "ipv6-icmp":
        choices += [f"-m icmp6 {no}--icmpv6-type {rng.choice(('128', '129', '1', '1/4'))}"] * 3
    return rng.choice(choices)


def draw_target(rng: random.Random, proto: str, table: str, six: bool = False) -> str:
    """Draw what a rule of *table* does."""
    verdicts = ["-j ACCEPT", "-j DROP", "-j RETURN", "", "", ""]
    if table == "filter":
        verdicts += ["-j REJECT", f"-j REJECT --reject-with {rng.choice(REJECTS6 if six else REJECTS)}"]
        if proto == "tcp":
            verdicts += ["-j REJECT --reject-with tcp-reset"] * 2
    if table == "mangle":
        mark = rng.choice(("0x1/0x1", "0x2/0x2", "0x4000/0x4000", "0x3/0xffffffff", "0x0/0x1"))
        hops = "-j HL --hl-" if six else "-j TTL --ttl-"
        verdicts = ["-j ACCEPT", "-j RETURN", "", hops + rng.choice(("set 70", "inc 3", "dec 2"))]
        verdicts += [f"-j MARK --set-xmark {mark}"] * 3
        verdicts += [
            f"-j DSCP --set-dscp {rng.choice((0, 10, 46))}",
            f"-j TOS --set-tos {rng.choice(('0x10/0xff', '0x04/0x0c'))}",
        ]
        verdicts += [f"-j CONNMARK {rng.choice(('--save-mark', '--restore-mark', '--set-xmark 0x5/0xff'))}"]
    return rng.choice(verdicts)


def draw_rule(
    rng: random.Random,
    site: Site,
    chain: str,
    table: str,
    jumps: list[str],
    *,
    six: bool = False,
    plain: bool = False,
    unique: bool = False,
) -> str:
    """Draw one rule of *chain*, which may jump or go to one of *jumps*; *unique*: no match is named twice."""
    proto = rng.choice(("tcp", "tcp", "udp", "ipv6-icmp" if six else "icmp", ""))
    words = [ends(rng, site, six)]
    if rng.random() < 0.2 and chain in ("PREROUTING", "INPUT", "FORWARD"):
        words.append(rng.choice(("", "! ")) + f"-i {rng.choice((site.uplink, site.pods, site.pods[:2] + '+'))}")
    if rng.random() < 0.2 and chain in ("FORWARD", "OUTPUT", "POSTROUTING"):
        words.append(rng.choice(("", "! ")) + f"-o {rng.choice((site.uplink, site.pods, site.uplink[:2] + '+'))}")
    words.append(f"-p {proto}" if proto else "")
    matches = [draw_match(rng, proto, six, plain) for _ in range(rng.choice((0, 1, 1, 2)))]
    if unique and len({match.split()[1] for match in matches}) < len(matches):
        matches.pop()
    words += matches
    if jumps and rng.random() < 0.4:
        words.append(rng.choice(("-j ", "-j ", "-j ", "-g ")) + rng.choice(jumps))
    else:
        words.append(draw_target(rng, proto, table, six))
    return f"-A {chain} " + " ".join(word for word in words if word)


def draw_rules(
    rng: random.Random,
    site: Site,
    table: str,
    size: int,
    *,
    six: bool = False,
    plain: bool = False,
    unique: bool = False,
) -> list[str]:
    """Draw the lines of one table: policies, user chains that jump only to later ones, and *size* rules."""
    chains = {
        "filter": ["INPUT", "FORWARD", "OUTPUT"],
        "mangle": ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
    }[table]
    user = [f"{rng.choice(('web', 'dns', 'Z', 'a-b', 'KUBE'))}{n}" for n in range(rng.randrange(2, 6))]
    lines = []
    for chain in chains:
        policy = "DROP" if table == "filter" and rng.random() < 0.2 else "ACCEPT"
        lines.append(f":{chain} {policy} [0:0]")
    lines += [f":{name} - [0:0]" for name in user]
    drawn = {name: [] for name in [*chains, *user]}
    for _ in range(size):
        chain = rng.choice([*chains, *chains, "FORWARD", "FORWARD", *user])
        later = user[user.index(chain) + 1 :] if chain in user else user
        drawn[chain].append(draw_rule(rng, site, chain, table, later, six=six, plain=plain, unique=unique))
    for name in user[:2]:  # so that something gets there
        drawn["FORWARD"].append(f"-A FORWARD -j {name}")
    return lines + [line for rules in drawn.values() for line in rules]


class Traffic:
    """A source of packets between a site's clients, pods and node, each flow with its own source port."""

    def __init__(self, s: Scenario, rng: random.Random, site: Site, *, six: bool = False, local: float = 0.15) -> None:
        self.s, self.rng, self.site, self.six, self.local = s, rng, site, six, local
        self.port = 40000
        self.last: list[int] = []

    def one(self) -> int:
        """Let one packet arrive, be sent, or be answered."""
        s, rng, site, six = self.s, self.rng, self.site, self.six
        if self.last and rng.random() < 0.25:
            before = rng.choice(self.last[-6:])
            if rng.random() < 0.3:
                return s.unreachable(before)
            return s.reply(before, rng.choice(("SA", "SA", "A", "FA", "RA")), 5000, 1001)
        client, pod = site.client(rng, six=six), site.backend(rng, six=six)
        node = site.node6 if six else site.node
        self.port += rng.choice((0, 1, 1, 1))
        fields = {"ttl": rng.choice((64, 64, 64, 128, 9, 1)), "tos": rng.choice((0, 0, 0, 0x10, 0x28, 0xB8))}
        packet = self.packet
        if rng.random() < self.local:
            event = s.send(packet(node, rng.choice((client, pod)), **fields | {"ttl": 64}))
        elif rng.random() < 0.7:
            event = s.arrive(site.uplink, packet(client, rng.choice((pod, pod, node)), **fields))
        else:
            event = s.arrive(site.pods, packet(pod, rng.choice((client, client, node)), **fields))
        self.last.append(event)
        return event

    def packet(self, src: str, dst: str, **ip: int) -> Packet:
        """Draw a packet from *src* to *dst*."""
        rng = self.rng
        here, there = at(src, self.port), at(dst, rng.choice(PORTS))
        kind = rng.random()
        if kind < 0.5:
            flags = rng.choice(("S", "S", "S", "A", "PA", "FA", "R", "RA", "SA"))
            ack = 5001 if "A" in flags else 0
            data = b"d" * rng.choice((0, 5, 30)) if "P" in flags else b""
            return Packet.tcp(here, there, flags=flags, seq=1000 + ("S" not in flags), ack=ack, payload=data, **ip)
        if kind < 0.85:
            return Packet.udp(here, there, b"u" * rng.choice((1, 8, 40)), **ip)
        return Packet.echo(src, dst, ident=self.port, payload=b"e" * rng.choice((4, 32)), **ip)

    def many(self, count: int) -> None:
        """Let *count* packets flow."""
        for _ in range(count):
            self.one()
