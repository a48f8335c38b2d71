"""The tool `conntrack`: entries made, chosen, changed, printed in every form: iptables-contool."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family

from svcsim.packet import Packet

STATUSES = ("", "", "-u ASSURED", "-u SEEN_REPLY", "-u SEEN_REPLY,ASSURED", "-u FIXED_TIMEOUT", "-u UNSET", "-u BAD")
TCP_STATES = ("SYN_SENT", "ESTABLISHED", "ESTABLISHED", "TIME_WAIT", "CLOSE", "LISTEN", "NONE", "BOGUS")


def entry(rng: random.Random) -> str:
    """Draw the words that tell an entry whole, or nearly."""
    client, server = f"10.7.0.{rng.randrange(1, 5)}", f"10.8.0.{rng.randrange(1, 4)}"
    ends = f"-s {client} -d {server}"
    ports = f"--sport {rng.randrange(1000, 1004)} --dport {rng.choice((53, 80))}"
    kind = rng.choice(("udp", "udp", "tcp", "tcp", "icmp", "gre", "50", "udplite", "sctp", "v6"))
    nat = rng.choice(("", "", "", "-n 10.9.0.1", "-g 10.9.0.2:8080", "-n 10.9.0.1:99 -g 10.9.0.2"))
    if kind == "tcp":
        return f"-p tcp {ends} {ports} --state {rng.choice(TCP_STATES)} {nat}"
    if kind == "sctp":
        return f"-p sctp {ends} {ports} --state ESTABLISHED --orig-vtag 5 --reply-vtag 6"
    if kind == "icmp":
        return f"-p icmp {ends} --icmp-type 8 --icmp-code 0 --icmp-id {rng.randrange(3)}"
    if kind == "gre":
        return f"-p gre {ends} --srckey {rng.randrange(3)} --dstkey 7"
    if kind == "50":
        return f"-p 50 {ends}"
    if kind == "v6":
        return f"-p udp -s 2001:db8::{rng.randrange(1, 4)} -d 2001:db8::9 {ports}"
    return f"-p {kind} {ends} {rng.choice((ports, ports, ports, '--sport 5'))} {nat}"


def choice(rng: random.Random) -> str:
    """Draw the words that choose entries."""
    return rng.choice(
        (
            "",
            "-p tcp",
            "-p udp --dport 53",
            "-p tcp --sport 1001",
            "-s 10.7.0.1",
            "-d 10.8.0.0/24",
            "-r 10.9.0.2",
            "-q 10.7.0.2",
            "-n",
            "-g",
            "-j",
            "-n 10.9.0.1",
            "-g 10.9.0.2:8080",
            "-j 10.9.0.2",
            "-m 5",
            "-m 4/4",
            "-u ASSURED",
            "-u UNREPLIED",
            "-u SEEN_REPLY",
            "-u UNSET",
            "-f ipv4",
            "-f ipv6",
            "-w 0",
            "-w 4",
            "-p tcp --state ESTABLISHED",
            "-p tcp --state NOPE",
            "--dport 53",
            "-p icmp --icmp-type 8",
            "-p gre",
            "-p udp --reply-port-src 53",
            "-s 10.7.0.0 --mask-src 255.255.255.0",
            "-s 10.7.0.1 -f ipv6",
            "-p 300",
            "-p icmp --icmp-id 1",
            "-s 10.0.0.1/255.0.0.0",
            "--orig-zone 0",
            "-u OFFLOAD",
            "-p udplite",
            "-s x",
        )
    )


@family("iptables-contool", 10)
def tool(rng: random.Random, number: int) -> Scenario:
    """Entries made by hand and by packets; the tool's answers, its forms, its refusals."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    if number % 2:
        s.run("sysctl -qw net.netfilter.nf_conntrack_acct=1")
    s.rules("nat", f"-A PREROUTING -d {site.vip(rng)} -p udp -j DNAT --to-destination {site.backend(rng)}")
    for turn in range(70):
        if not rng.randrange(6):
            client, pod = site.client(rng), site.backend(rng)
            s.arrive(site.uplink, Packet.udp(at(client, 4000 + turn), at(pod, 53), b"x"))
            continue
        whole, chosen = entry(rng), choice(rng)
        form = rng.choice(("", "", "-o extended", "-o save", "-o extended,labels", "-o save,id", "-o no"))
        change = rng.choice(("-m 5", "-m 0x4/0xf", "-t 700", "-u ASSURED", "-u SEEN_REPLY -m 9", ""))
        command = rng.choice(
            (
                *[f"-I {whole} -t {rng.randrange(300, 900)} {rng.choice(STATUSES)} -m {rng.randrange(7)}"] * 5,
                *[f"-A {whole} -t 400"] * 2,
                f"-I {whole}",
                *[f"-L {chosen} {form}"] * 4,
                f"-D {chosen} {rng.choice(('', '-o save'))}" if rng.random() < 0.4 else f"-D {whole}",
                *[f"-U {whole} {change}"] * 2,
                f"-U {chosen} {change}",
                f"-G {whole}",
                *["-C"] * 2,
                rng.choice(("-F -p udp", "-C -p udp", "-C expect", "-L expect", "-L dying", "-L nothing", "-S -p tcp")),
                rng.choice(("-R - </dev/null", "-L -D", "-L -t 5", "-D -z", "-G", "-V", "-L foo bar", "-I", "-E -L")),
            )
        )
        many = command.startswith(("-L", "-D", "-U"))
        s.command(f"conntrack {command} {'2>/dev/null | sort' if many and rng.random() < 0.7 else '>/dev/null 2>&1'}")
        if command.startswith("-D -") and rng.random() < 0.2:
            s.command("conntrack -F 2>/dev/null")
    s.command("conntrack -L -o save 2>/dev/null | sort")
    s.dump("conntrack -L")
    return s
