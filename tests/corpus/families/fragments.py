"""Fragments in and out of order, with and without somebody who puts them together: iptables-fragments, -v6fragments."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family

from svcsim.packet import Packet
from svcsim.wire import encode


def pieces(packet: Packet, cuts: list[int], ident: int) -> list[bytes]:
    """Cut *packet* at the payload offsets *cuts* (multiples of 8) into fragments."""
    body, parts = encode(packet)[20:], []
    ends = [*cuts, len(body)]
    for start, end in zip([0, *cuts], ends, strict=True):
        head = Packet.opaque(_text(packet.src), _text(packet.dst), packet.proto, body[start:end])
        part = head.rewritten(
            ttl=packet.ttl,
            ident=ident,
            dont_fragment=False,
            more_fragments=end != len(body),
            fragment_offset=start // 8,
        )
        parts.append(encode(part))
    return parts


def pieces6(packet: Packet, cuts: list[int], ident: int) -> list[bytes]:
    """Cut an IPv6 *packet* likewise."""
    whole = encode(packet)
    head, body, parts = whole[:40], whole[40:], []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        extension = (
            bytes([packet.proto, 0]) + (start | (end != len(body))).to_bytes(2, "big") + ident.to_bytes(4, "big")
        )
        size = (8 + end - start).to_bytes(2, "big")
        parts.append(head[:4] + size + bytes([44, head[7]]) + head[8:] + extension + body[start:end])
    return parts


def _text(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


@family("iptables-fragments", 12)
def fragments(rng: random.Random, number: int) -> Scenario:
    """Fragments in and out of order, doubled, overlapping, too many, never complete; with and without reassembly."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    lines = [
        f"-A {chain} {what}"
        for chain in ("FORWARD", "INPUT")
        for what in (
            "-f",
            "! -f",
            "-p udp -m udp --dport 80",
            "-p udp -m udp ! --dport 80",
            "-p tcp -m tcp --dport 80",
            "-p icmp -m icmp --icmp-type 8",
            "-m length --length 100:",
        )
    ]
    if number % 3:
        lines.append("-A FORWARD -m conntrack --ctstate NEW")
    if number % 3 == 2:
        s.rules(
            "nat",
            f"-A PREROUTING -d {site.service}9 -j DNAT --to-destination {site.pod}15",
            f"-A POSTROUTING -s {site.far}0/24 -j MASQUERADE",
        )
    s.rules("raw", "-A PREROUTING -f", "-A PREROUTING ! -f", "-A PREROUTING -m length --length 1000:")
    s.rules("filter", *lines)
    for turn in range(12):
        client = site.client(rng)
        target = rng.choice(
            (site.service + "9" if number % 3 == 2 else site.backend(rng), site.backend(rng), site.node)
        )
        src, dst, data = at(client, 51200 + turn), at(target, 80), bytes(range(rng.randrange(60, 200))) * 3
        packet = rng.choice(
            (
                Packet.udp(src, dst, data),
                Packet.udp(src, dst, data),
                Packet.tcp(src, dst, flags="PA", seq=1, ack=1, payload=data),
                Packet.echo(client, target, ident=turn, payload=data),
            )
        )
        cuts = sorted(rng.sample(range(8, 168, 8), rng.randrange(1, 4)))
        parts = pieces(packet, cuts, 900 + turn)
        fate = rng.random()
        if fate < 0.35:
            rng.shuffle(parts)
        elif fate < 0.5:
            parts.pop(rng.randrange(len(parts)))
        elif fate < 0.6:
            parts.insert(1, parts[0])
        elif fate < 0.7:  # overlapping: the second piece begins 8 bytes early
            parts = pieces(packet, [cuts[0]], 900 + turn)
            parts[1] = pieces(packet, [cuts[0] - 8] if cuts[0] > 8 else [8], 900 + turn)[1]
        events = [s.arrive(site.uplink, part) for part in parts]
        if rng.random() < 0.4:
            s.reply(events[-1], "A", 1, 2)
    s.dump("iptables-save -c")
    if number % 3:
        s.dump("conntrack -L")
    return s


@family("iptables-v6fragments", 6)
def fragments6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6, where only the sender cuts."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces(six=True))
    lines = [
        f"-A FORWARD {what}"
        for what in (
            "-p udp -m udp --dport 80",
            "-p udp",
            "-m length --length 0:200",
            "-p ipv6-icmp -m icmp6 --icmpv6-type 128",
            "-p ipv6-frag",
        )
    ]
    if number % 2:
        lines.append("-A FORWARD -m conntrack --ctstate NEW")
        lines += [line.replace("FORWARD", "INPUT") for line in lines]
    s.rules("filter", *lines, tool="ip6tables-legacy-restore")
    for turn in range(10):
        client = site.client(rng, six=True)
        target = rng.choice((site.pod6 + "15", site.backend(rng, six=True), site.node6))
        if number % 2:  # what was reassembled on the way is sent on with a fragment id that the kernel draws
            target = site.node6
        data = bytes(range(rng.randrange(60, 200))) * 3
        src, dst = at(client, 51300 + turn), at(target, 80)
        packet = (
            Packet.udp(src, dst, data) if rng.random() < 0.7 else Packet.echo(client, target, ident=turn, payload=data)
        )
        parts = pieces6(packet, sorted(rng.sample(range(8, 168, 8), rng.randrange(1, 3))), 0xABC000 + turn)
        fate = rng.random()
        if fate < 0.4:
            rng.shuffle(parts)
        elif fate < 0.5:
            parts.pop()
        for part in parts:
            s.arrive(site.uplink, part)
    s.dump("ip6tables-save -c")
    if number % 2:
        s.dump("conntrack -L", six=True)
    return s


@family("iptables-latefragments", 12)
def late(rng: random.Random, number: int) -> Scenario:
    """Datagrams that are never whole, and what is said about them when their time is over; IPv4 and IPv6."""
    site, six = SITES[number % 3], number % 2 == 1
    s = Scenario(site.interfaces(six=six))
    s.run(f"sysctl -qw net.ipv4.ipfrag_time={1 + number % 3}")
    if six:
        s.run("sysctl -qw net.ipv6.ip6frag_time=2")
    chains = ("PREROUTING", "OUTPUT")
    lines = [f"-A {chain} -p {'ipv6-icmp' if six else 'icmp'}" for chain in chains]
    tool = "ip6tables-legacy-restore" if six else "iptables-legacy-restore"
    s.rules("mangle", *lines, tool=tool)
    if number % 4 > 1:
        s.rules("filter", "-A INPUT -m conntrack --ctstate NEW", tool=tool)
        if six:
            s.run("sysctl -qw net.netfilter.nf_conntrack_frag6_timeout=1")
    own, beyond = (site.node6, site.pod6 + "15") if six else (site.node, site.backend(rng))
    for turn in range(6):
        client, target = site.client(rng, six=six), rng.choice((own, own, beyond))
        data = bytes(range(rng.randrange(40, 120))) * rng.randrange(6, 14)
        packet = Packet.udp(at(client, 51400 + turn), at(target, 80), data, ttl=rng.randrange(20, 65))
        if rng.random() < 0.3:
            packet = Packet.echo(client, target, ident=turn, payload=data)
        cuts = sorted(rng.sample(range(8, 240, 8), 2))
        parts = pieces6(packet, cuts, 0xDEF000 + turn) if six else pieces(packet, cuts, 700 + turn)
        parts.pop(rng.choice((0, 1, 2, 2)))
        if rng.random() < 0.4:
            parts.reverse()
        for part in parts:
            s.arrive(site.uplink, part)
        s.wait(rng.choice((0.35, 2.25)))
    s.wait(4.5)
    s.dump("ip6tables-save -c" if six else "iptables-save -c")
    return s
