"""Each target by itself, in every form: iptables-target-NAME, iptables-target6-NAME, iptables-nfttarget-NAME."""

from __future__ import annotations

import random
from functools import partial

from drawing import REJECTS, REJECTS6, Traffic
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet

Lines = dict[str, tuple[str, ...]]

#: The rules of each target, by table. {near}, {pod} and so on are the site's.
TARGETS: dict[str, Lines] = {
    "reject": {
        "filter": (
            *(f"-A FORWARD -d {{pod}}{20 + n} -j REJECT --reject-with {kind}" for n, kind in enumerate(REJECTS)),
            "-A FORWARD -d {pod}17 -p tcp -j REJECT --reject-with tcp-reset",
            "-A FORWARD -s {pod}0/24 -p udp -m udp --dport 53 -j REJECT",
            "-A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
            "-A INPUT -p icmp -j REJECT --reject-with icmp-host-prohibited",
            "-A INPUT -p udp -j REJECT",
            "-A OUTPUT -p tcp -m tcp --dport 443 -j REJECT --reject-with tcp-reset",
            "-A OUTPUT -d {far}0/24 -p udp -j REJECT",
            "-A OUTPUT -m mark --mark 0x99 -j REJECT --reject-with icmp-admin-prohibited",
        )
    },
    "rejectnat": {
        "nat": (
            "-A PREROUTING -d {service}10 -p tcp -j DNAT --to-destination {pod}17:8080",
            "-A PREROUTING -d {service}11 -j DNAT --to-destination {pod}20",
            "-A POSTROUTING -s {far}0/24 -j MASQUERADE",
        ),
        "filter": (
            "-A FORWARD -d {pod}17 -p tcp -m tcp --dport 8080 -m state --state NEW -j REJECT --reject-with tcp-reset",
            "-A FORWARD -d {pod}20 -p udp -j REJECT",
            "-A FORWARD -d {pod}20 -p tcp -j REJECT --reject-with icmp-host-unreachable",
            "-A FORWARD -s {pod}17 -m conntrack --ctstate ESTABLISHED -j REJECT",
            "-A OUTPUT -p icmp -m conntrack --ctstate RELATED",
            "-A OUTPUT -p tcp -m conntrack --ctstate RELATED",
        ),
    },
    "log": {
        "filter": (
            '-A FORWARD -p tcp -j LOG --log-prefix "seen: "',
            "-A FORWARD -j LOG --log-level info --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid",
            "-A FORWARD -p udp -j LOG --log-level 7 --log-prefix x",
            "-A INPUT -j LOG",
            "-A OUTPUT -j NFLOG --nflog-group 3 --nflog-prefix out",
            "-A FORWARD -j NFLOG",
            "-A FORWARD -p tcp -j ACCEPT",
        )
    },
    "mark": {
        "mangle": (
            "-A PREROUTING -p tcp -j MARK --set-mark 3",
            "-A PREROUTING -p udp -j MARK --set-xmark 0x10/0xff",
            "-A PREROUTING -m tcp -p tcp --dport 80 -j MARK --or-mark 0x4000",
            "-A PREROUTING -p tcp -m tcp --dport 443 -j MARK --and-mark 0x1",
            "-A PREROUTING -p icmp -j MARK --xor-mark 0xf0f0",
            "-A FORWARD -m mark --mark 0x4003 -j MARK --set-mark 0x1/0x3",
            "-A FORWARD -m mark --mark 0x4001",
            "-A POSTROUTING -m mark --mark 0x10/0x10",
            "-A POSTROUTING -m mark ! --mark 0x0",
            "-A OUTPUT -j MARK --set-xmark 0x8/0x8",
            "-A POSTROUTING -m mark --mark 0x8/0x8",
        ),
        "filter": (
            "-A FORWARD -m mark --mark 0xf0f0 -j DROP",
            "-A INPUT -m mark --mark 0x3 -j MARK --set-mark 0",
            "-A INPUT -m mark --mark 0x0",
        ),
    },
    "connmark": {
        "mangle": (
            "-A PREROUTING -j CONNMARK --restore-mark",
            "-A PREROUTING -m mark --mark 0x0 -p tcp -j MARK --set-mark 0x21",
            "-A PREROUTING -m mark --mark 0x0 -p udp -j MARK --set-mark 0x42",
            "-A PREROUTING -m mark --mark 0x21",
            "-A POSTROUTING -p tcp -j CONNMARK --save-mark",
            "-A POSTROUTING -p udp -j CONNMARK --save-mark --nfmask 0x40 --ctmask 0xf0",
            "-A FORWARD -p icmp -j CONNMARK --set-mark 0x7",
            "-A FORWARD -p icmp -j CONNMARK --or-mark 0x100",
            "-A OUTPUT -j CONNMARK --set-xmark 0x5/0xff",
            "-A FORWARD -m connmark --mark 0x21 -j CONNMARK --xor-mark 0x3",
            "-A FORWARD -m connmark --mark 0x40 -j CONNMARK --and-mark 0xf",
            "-A FORWARD -p tcp -j CONNMARK --restore-mark --mask 0xf0",
        )
    },
    "ttl": {
        "mangle": (
            "-A PREROUTING -p tcp -j TTL --ttl-set 20",
            "-A FORWARD -p udp -j TTL --ttl-inc 5",
            "-A FORWARD -p icmp -j TTL --ttl-dec 3",
            "-A POSTROUTING -p tcp -m tcp --dport 80 -j TTL --ttl-inc 250",
            "-A PREROUTING -p udp -m udp --dport 80 -j TTL --ttl-dec 200",
            "-A OUTPUT -j TTL --ttl-set 5",
            "-A INPUT -j TTL --ttl-set 1",
            "-A PREROUTING -p udp -m udp --dport 53 -j TTL --ttl-set 1",
        )
    },
    "tos": {
        "mangle": (
            "-A PREROUTING -p tcp -j TOS --set-tos 0x10/0x3f",
            "-A FORWARD -p udp -j TOS --set-tos 0x08",
            "-A FORWARD -p udp -m udp --dport 80 -j TOS --or-tos 4",
            "-A FORWARD -p icmp -j TOS --and-tos 0xe0",
            "-A POSTROUTING -p tcp -m tcp --dport 443 -j TOS --xor-tos 0xff",
            "-A OUTPUT -j DSCP --set-dscp 46",
            "-A PREROUTING -p udp -m udp --dport 22 -j DSCP --set-dscp-class AF21",
            "-A POSTROUTING -m dscp --dscp 46",
            "-A PREROUTING -p icmp -j DSCP --set-dscp 0x3f",
            "-A POSTROUTING -m tos --tos 0x10/0x10",
        )
    },
    "netmap": {
        "nat": (
            "-A PREROUTING -d {service}0/24 -j NETMAP --to {pod}0/24",
            "-A POSTROUTING -s {far}0/24 -j NETMAP --to {far}128/25",
            "-A OUTPUT -d {service}16/28 -j NETMAP --to {pod}16/28",
            "-A POSTROUTING -s {pod}0/24 -o {uplink} -j NETMAP --to {near}64/27",
        )
    },
    "redirect": {
        "nat": (
            "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080",
            "-A PREROUTING -p udp -m udp --dport 53 -j REDIRECT",
            "-A OUTPUT -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080",
            "-A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353",
            "-A PREROUTING -i {pods} -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 6000-6010",
            "-A PREROUTING -p icmp -j REDIRECT",
        ),
        "filter": (
            "-A INPUT -p tcp -m tcp --dport 8080",
            "-A INPUT -p udp -m conntrack --ctstate DNAT",
            "-A INPUT -p tcp -m tcp --dport 6000 -j DROP",
        ),
    },
    "untracked": {
        "raw": (
            "-A PREROUTING -p udp -m udp --dport 53 -j NOTRACK",
            "-A PREROUTING -p tcp -m tcp --dport 22 -j CT --notrack",
            "-A OUTPUT -p tcp -m tcp --dport 80 -j NOTRACK",
            "-A PREROUTING -s {far}0/24 -j CT --zone 9",
            "-A PREROUTING -p tcp -m tcp --dport 443 -j TRACE",
            "-A PREROUTING -p icmp -j CT --ctevents new,destroy",
        ),
        "nat": (
            "-A PREROUTING -p udp -m udp --dport 53 -j DNAT --to-destination {pod}99",
            "-A PREROUTING -d {service}10 -j DNAT --to-destination {pod}17",
            "-A POSTROUTING -o {pods} -j MASQUERADE",
        ),
        "filter": (
            "-A FORWARD -m conntrack --ctstate UNTRACKED",
            "-A FORWARD -m conntrack --ctstate NEW",
            "-A OUTPUT -m conntrack --ctstate UNTRACKED",
            "-A FORWARD -m conntrack ! --ctstate INVALID",
        ),
    },
    "tcpmss": {
        "mangle": (
            "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -d {pod}16/28 -j TCPMSS --set-mss 1200",
            "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -s {pod}0/24 -j TCPMSS --clamp-mss-to-pmtu",
            "-A POSTROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -m tcp --dport 443 -j TCPMSS --clamp-mss-to-pmtu",
            "-A POSTROUTING -p tcp -m tcp --tcp-option 2",
            "-A POSTROUTING -p tcp -m length --length 44",
        )
    },
    "other": {
        "mangle": (
            "-A POSTROUTING -p udp -j CHECKSUM --checksum-fill",
            "-A FORWARD -p tcp -j CLASSIFY --set-class 1:2",
        ),
        "filter": (
            "-A FORWARD -p udp -m udp --dport 22 -j NFQUEUE --queue-num 4",
            "-A FORWARD -p udp -m udp --dport 80 -j NFQUEUE --queue-num 5 --queue-bypass",
            "-A FORWARD -p udp -m udp --dport 53 -j QUEUE",
            "-A FORWARD -j AUDIT --type accept",
            "-A FORWARD -p tcp -m tcp --dport 443 -j RETURN",
            "-A FORWARD -p tcp",
            "-A INPUT -j DROP",
        ),
        "security": ("-A FORWARD -p tcp -m tcp --dport 22 -j DROP", "-A INPUT -p udp", "-A OUTPUT -p tcp"),
    },
}

TARGETS6: dict[str, Lines] = {
    "reject": {
        "filter": (
            *(
                f"-A FORWARD -d {{pod6}}{0x11 + n:x} -j REJECT --reject-with {kind}"
                for n, kind in enumerate((*REJECTS6, "icmp6-policy-fail", "icmp6-reject-route"))
            ),
            "-A FORWARD -d {pod6}10 -p tcp -j REJECT --reject-with tcp-reset",
            "-A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
            "-A INPUT -p udp -j REJECT",
            "-A OUTPUT -p tcp -m tcp --dport 443 -j REJECT --reject-with tcp-reset",
            "-A OUTPUT -p udp -j REJECT --reject-with icmp6-adm-prohibited",
        )
    },
    "mark": {
        "mangle": (
            "-A PREROUTING -p tcp -j MARK --set-mark 3",
            "-A PREROUTING -p udp -j MARK --set-xmark 0x10/0xff",
            "-A PREROUTING -p ipv6-icmp -j CONNMARK --set-mark 0x7",
            "-A POSTROUTING -m mark --mark 0x10/0x10",
            "-A POSTROUTING -p tcp -j CONNMARK --save-mark",
            "-A PREROUTING -j CONNMARK --restore-mark",
            "-A FORWARD -m connmark --mark 0x3",
        )
    },
    "hl": {
        "mangle": (
            "-A PREROUTING -p tcp -j HL --hl-set 20",
            "-A FORWARD -p udp -j HL --hl-inc 5",
            "-A FORWARD -p ipv6-icmp -j HL --hl-dec 3",
            "-A PREROUTING -p udp -m udp --dport 53 -j HL --hl-set 1",
            "-A OUTPUT -j HL --hl-set 5",
        )
    },
    "tos": {
        "mangle": (
            "-A PREROUTING -p tcp -j TOS --set-tos 0x10/0x3f",
            "-A FORWARD -p udp -j DSCP --set-dscp 46",
            "-A FORWARD -p ipv6-icmp -j TOS --and-tos 0xe0",
            "-A OUTPUT -j DSCP --set-dscp 10",
            "-A POSTROUTING -m dscp --dscp 46",
        )
    },
    "netmap": {
        "nat": (
            "-A PREROUTING -d {service6}0/112 -j NETMAP --to {pod6}0/112",
            "-A POSTROUTING -s {far6}/64 -j NETMAP --to 2001:db8:77::/64",
        )
    },
    "redirect": {
        "nat": (
            "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080",
            "-A PREROUTING -p udp -m udp --dport 53 -j REDIRECT",
            "-A OUTPUT -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080",
        )
    },
    "untracked": {
        "raw": (
            "-A PREROUTING -p udp -m udp --dport 53 -j NOTRACK",
            "-A PREROUTING -p tcp -m tcp --dport 22 -j CT --notrack",
            "-A OUTPUT -p tcp -m tcp --dport 80 -j NOTRACK",
        ),
        "filter": (
            "-A FORWARD -m conntrack --ctstate UNTRACKED",
            "-A FORWARD -m conntrack --ctstate NEW",
            "-A OUTPUT -m conntrack --ctstate UNTRACKED",
        ),
    },
    "tcpmss": {
        "mangle": (
            "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -d {gateway6}/64 -j TCPMSS --set-mss 1200",
            "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -s {gateway6}/64 -j TCPMSS --clamp-mss-to-pmtu",
            "-A POSTROUTING -p tcp -m tcp --tcp-option 2",
        )
    },
}


def syns(s: Scenario, rng: random.Random, site: Site, six: bool) -> None:
    """Let first segments with and without a segment size pass in both directions."""
    for mss in (None, 1460, 1200, 900, 65000, 0):
        option = b"" if mss is None else b"\1\1\2\4" + mss.to_bytes(2, "big") + b"\1\1"
        for side in (site.uplink, site.pods):
            client, pod = at(site.client(rng, six=six), 40500), at(site.backend(rng, six=six), rng.choice((80, 443)))
            ends = (client, pod) if side == site.uplink else (pod, client)
            payload = rng.choice((b"", b"", b"early"))
            s.arrive(side, Packet.tcp(*ends, seq=77, tcp_options=option, payload=payload))


def _target(name: str, tables: Lines, six: bool, tool: str, rng: random.Random, number: int) -> Scenario:
    site = SITES[number % 3] if "nft" not in tool else SITES[1]
    s = Scenario(site.interfaces(six=six))
    if name == "tcpmss":
        s.run(f"ip link set {site.uplink} mtu 1300" if number % 2 else f"ip link set {site.pods} mtu 1400")
    for table, lines in tables.items():
        s.rules(table, *(line.format(**vars(site)) for line in rng.sample(lines, len(lines))), tool=f"{tool}-restore")
    traffic = Traffic(s, rng, site, six=six, local=0.2)
    traffic.many(24)
    if name == "tcpmss":
        syns(s, rng, site, six)
    ports, vips = (
        (22, 53, 80, 443),
        (site.service6 + "10", site.service6 + "11") if six else (site.service + "10", site.service + "11"),
    )
    for turn in range(14):
        client = site.client(rng, six=six)
        target = (
            rng.choice((*vips, site.backend(rng, six=six)))
            if name in ("netmap", "rejectnat", "untracked", "redirect")
            else site.backend(rng, six=six)
        )
        src, dst = at(client, 40700 + turn), at(target, rng.choice(ports))
        kind = rng.random()
        if kind < 0.5:
            first = s.handshake(site.uplink, src, dst)
            if rng.random() < 0.5:
                s.arrive(site.uplink, Packet.tcp(src, dst, flags="FA", seq=1001, ack=5001))
        elif kind < 0.8:
            first = s.arrive(site.uplink, Packet.udp(src, dst, b"datagram"))
            s.reply(first, data=b"answer")
        else:
            first = s.arrive(site.uplink, Packet.echo(client, target, ident=turn, payload=b"echo"))
            s.reply(first)
        if rng.random() < 0.25:
            s.unreachable(first)
    traffic.many(10)
    s.dumps["ip6tables-save -c" if six else "iptables-save -c"] = f"{tool}-save -c"
    s.dump("conntrack -L", six=six)
    return s


for _name, _tables in TARGETS.items():
    family(f"iptables-target-{_name}", 3)(partial(_target, _name, _tables, False, "iptables-legacy"))
    if _name not in ("other", "log", "netmap"):
        family(f"iptables-nfttarget-{_name}", 1)(partial(_target, _name, _tables, False, "iptables-nft"))
for _name, _tables in TARGETS6.items():
    family(f"iptables-target6-{_name}", 2)(partial(_target, _name, _tables, True, "ip6tables-legacy"))
