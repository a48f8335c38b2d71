"""Rarer matches and targets, alone and together, printed and at work: iptables-ext-*, iptables-ext6-*."""

from __future__ import annotations

import random

from drawing import Traffic
from families.matches import odd_packets
from forms import RARE
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

#: Rules by table; a chain's name stands before each.
RULES = {
    "filter": (
        "FORWARD -m u32 --u32 0>>22&0x3c@0&0xffff=80,443",
        'FORWARD -m u32 ! --u32 "6 & 0xFF = 6 && 0 >> 22 & 0x3C @ 0 >> 16 = 1:1023"',
        "FORWARD -m string --algo kmp --string eq --from 20 --to 60",
        "FORWARD -m string --algo bm --hex-string |00|a --icase",
        "FORWARD -p udp -m quota --quota 90",
        "FORWARD -m quota ! --quota 400",
        "FORWARD -m ecn --ecn-ip-ect 2",
        "FORWARD -p tcp -m ecn ! --ecn-tcp-cwr --ecn-tcp-ece",
        "FORWARD -p tcp -m tcpmss --mss 1300:",
        "FORWARD -p tcp -m tcpmss ! --mss :1299",
        "FORWARD -m devgroup --src-group 0x6/0x6",
        "FORWARD -m devgroup ! --dst-group default",
        "FORWARD -p esp -m esp ! --espspi 100:149",
        "FORWARD -m helper ! --helper sip",
        "FORWARD -m pkttype ! --pkt-type multicast",
        "FORWARD -m mac ! --mac-source 02:00:00:00:00:01",
        "FORWARD -m physdev ! --physdev-is-bridged",
        "FORWARD -m hashlimit --hashlimit-above 20kb/s --hashlimit-mode srcip --hashlimit-name b1",
        "FORWARD -m hashlimit --hashlimit-upto 100b/s --hashlimit-mode dstip --hashlimit-name b2 --hashlimit-burst 1kb",
        "FORWARD -m hashlimit ! --hashlimit-upto 1/min --hashlimit-burst 2 --hashlimit-mode dstport --hashlimit-name p",
        "FORWARD -p tcp -m connbytes --connbytes 3 --connbytes-dir both --connbytes-mode packets",
        "FORWARD -p udp -m udp --dport 53 -m string --algo bm --string d -m quota --quota 100 -j QUEUE",
        "FORWARD -p udp -m udp --dport 22 -j NFQUEUE --queue-balance 2:4 --queue-bypass",
        "FORWARD -p tcp -m tcp --dport 22 -j NFQUEUE",
        "OUTPUT -p tcp -m tcp --dport 443 -j NFQUEUE --queue-num 7",
        "FORWARD -j AUDIT --type drop",
        "OUTPUT -j CLASSIFY --set-class ffff:1",
    ),
    "mangle": (
        "PREROUTING -m rpfilter --invert",
        "PREROUTING -m rpfilter --loose",
        "FORWARD -p tcp -m tcp --syn -j TCPMSS --set-mss 1000",
        "POSTROUTING -p tcp -m tcp --tcp-flags SYN SYN -m tcpmss ! --mss 0:900 -j TCPMSS --clamp-mss-to-pmtu",
        "POSTROUTING -p udp -j CHECKSUM --checksum-fill",
    ),
    "raw": (
        "PREROUTING -j TRACE",
        "PREROUTING -p udp -j CT --ctevents new,destroy",
        "OUTPUT -p icmp -j CT --notrack",
    ),
}
#: What the tool or the kernel refuses: with -t and a chain before the words.
REFUSED = (
    ("filter", "FORWARD -m rpfilter"),
    ("mangle", "FORWARD -m rpfilter"),
    ("filter", "OUTPUT -m mac --mac-source 02:00:00:00:00:01"),
    ("filter", "OUTPUT -m physdev --physdev-is-out"),
    ("filter", "INPUT -m devgroup --dst-group 1"),
    ("filter", "FORWARD -m ecn --ecn-tcp-cwr"),
    ("filter", "FORWARD -m esp --espspi 4"),
    ("filter", "FORWARD -m tcpmss --mss 4"),
    ("filter", "FORWARD -m u32 --u32 5"),
    ("filter", "FORWARD -m u32 --u32 5=x"),
    ("filter", "FORWARD -m hashlimit --hashlimit-upto 1/day --hashlimit-name over"),
    ("filter", "FORWARD -m hashlimit --hashlimit-upto 5/sec --hashlimit-srcmask 129 --hashlimit-name mask"),
    ("filter", "FORWARD -m string --algo bm --string a --from 9 --to 8"),
    ("filter", "FORWARD -m string --algo bm --hex-string |0|"),
    ("filter", "FORWARD -m connbytes --connbytes 1 --connbytes-dir there --connbytes-mode bytes"),
    ("filter", "FORWARD -m quota"),
    ("filter", "FORWARD -m nosuch"),
    ("mangle", "FORWARD -p tcp -j TCPMSS --set-mss 900"),
    ("mangle", "PREROUTING -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu"),
    ("mangle", "PREROUTING -j CLASSIFY --set-class 1:1"),
    ("filter", "FORWARD -j CHECKSUM --checksum-fill"),
    ("filter", "FORWARD -j TRACE"),
    ("raw", "PREROUTING -j CT --ctevents never"),
    ("filter", "FORWARD -j AUDIT --type maybe"),
    ("filter", "FORWARD -j NFQUEUE --queue-num 1 --queue-balance 2:3"),
    ("filter", "FORWARD -j NOSUCH"),
)


def _work(rng: random.Random, number: int, six: bool) -> Scenario:
    site: Site = SITES[number % 3]
    s = Scenario(site.interfaces(six=six))
    tool = "ip6tables-legacy" if six else "iptables-legacy"
    s.run(f"ip link set {site.uplink} group 7", f"ip link set {site.pods} mtu 1400")
    for table, rules in RULES.items():
        chosen = [rule for rule in rules if not (six and ("-p icmp" in rule or rule.startswith("OUTPUT")))]
        lines = rng.sample(chosen, min(len(chosen), 9))
        s.rules(table, *(f"-A {line}" for line in lines), tool=f"{tool}-restore")
    traffic = Traffic(s, rng, site, six=six, local=0.15)
    traffic.many(14)
    odd_packets(s, rng, site, six)
    for mss in (None, 1460, 800):
        option = b"" if mss is None else b"\2\4" + mss.to_bytes(2, "big")
        src, dst = at(site.client(rng, six=six), 40510), at(site.backend(rng, six=six), 80)
        s.arrive(site.uplink, Packet.tcp(src, dst, seq=7, tcp_options=option, tos=2, flags="SEW"))
    s.wait(1.7)
    traffic.many(10)
    for table in RULES:
        s.command(f"{tool} -t {table} {rng.choice(('-L -n', '-S') if six else ('-L -n', '-nvL', '-S'))}")
    hidden = " | grep -v '^:'" if six else ""  # the host's own discovery is sent when it likes
    s.dumps["ip6tables-save -c" if six else "iptables-save -c"] = f"{tool}-save -c{hidden}"
    return s


@family("iptables-ext", 9)
def extensions(rng: random.Random, number: int) -> Scenario:
    """IPv4."""
    return _work(rng, number, six=False)


@family("iptables-ext6", 5)
def extensions6(rng: random.Random, number: int) -> Scenario:
    """IPv6."""
    return _work(rng, number, six=True)


@family("iptables-extedit", 3)
def edits(rng: random.Random, number: int) -> Scenario:
    """Each form by command, listed, looked up, deleted; and what is refused."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    tool = "iptables-legacy"
    rules = [(table, rule) for table, held in RULES.items() for rule in held if "-p icmp" not in rule]
    rules += [("filter", f"FORWARD {form}") for forms in RARE.values() for form in forms if "-p ah" not in form]
    rules = [(table, _quoted(rule)) for table, rule in rules]
    chosen = rng.sample(rules, 22)
    for table, rule in chosen:
        s.command(f"{tool} -t {table} -A {rule} 2>/dev/null")
    for table, rule in rng.sample(REFUSED, 18):
        s.command(f"{tool} -t {table} -A {_quoted(rule)} 2>&1")
    for table in RULES:
        s.command(f"{tool} -t {table} -S")
        s.command(f"{tool} -t {table} -nvL")
    for table, rule in rng.sample(chosen, 8):
        s.command(f"{tool} -t {table} -D {rule} 2>/dev/null")
    s.command(f"{tool}-save | grep -v '^#'")
    return s


def _quoted(rule: str) -> str:
    """Quote for the shell what is not a plain word."""
    words = rule.replace("'", "").split('"')
    whole = [f"'{part}'" if place % 2 else part for place, part in enumerate(words)]
    return (
        "".join(whole[:1] + whole[1:])
        if len(words) > 1
        else " ".join(
            f"'{word}'" if any(sign in word for sign in "|&><@") else word for word in rule.replace("'", "").split(" ")
        )
    )
