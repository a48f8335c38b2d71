"""Every word of `ipset`, right and wrong, and sets of all types behind rules: iptables-settext, iptables-settypes."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family, here

from svcsim.packet import Packet

#: Types that the recording kernel has, with words for their elements.
TYPES = {
    "hash:ip": ("10.0.0.{n}", "10.0.0.{n}/30", "10.0.0.{n}-10.0.0.9", "0.0.0.0", "10.0.0.{n},80"),
    "hash:net": ("10.0.{n}.0/24", "10.0.0.{n}", "10.{n}.0.0/16", "10.0.0.0-10.0.0.{n}", "0.0.0.0/0"),
    "hash:ip,port": (
        "10.0.0.{n},80", "10.0.0.{n},udp:domain", "10.0.0.{n},tcp:ssh-25", "10.0.0.{n},icmp:ping", "10.0.0.{n},gre:0",
        "10.0.0.{n},icmp:3/4", "10.0.0.{n},ospf:0", "10.0.0.{n},gre:7", "10.0.0.{n},icmp:9", "10.0.0.{n},0:0",
        "10.0.0.{n}", "10.0.0.{n},tcp:70000", "10.0.0.{n},sctp:0x10", "10.0.0.{n},", "10.0.0.{n},80,81",
    ),
    "hash:ip,port,ip": ("10.0.0.{n},80,10.1.0.{n}", "10.0.0.{n}/30,udp:5-7,10.1.0.1", "10.0.0.{n},80,10.1.0.0/30"),
    "hash:ip,port,net": ("10.0.0.{n},80,10.1.0.0/24", "10.0.0.{n},tcp:1-3,10.1.{n}.0-10.1.9.0", "10.0.0.1,80"),
    "hash:net,port": ("10.0.{n}.0/24,80", "10.0.0.{n},udp:53", "10.0.0.0-10.0.0.{n},80", "0.0.0.0/0,80"),
    "hash:net,iface": (
        "10.0.{n}.0/24,eth0", "10.0.{n}.0/24,eth", "10.0.{n}.0/24,physdev:eth0", "0.0.0.0/0,eth1", "10.0.0.0/24,",
        "10.0.{n}.0/24,a-name-that-is-too-long",
    ),
    "bitmap:ip range 10.0.0.0/24": ("10.0.0.{n}", "10.0.0.{n}/30", "10.0.0.{n}-10.0.1.4", "10.0.3.{n}"),
    "bitmap:ip,mac range 10.0.0.0/24": ("10.0.0.{n}", "10.0.0.{n},0:1:2:3:4:{n}", "10.0.0.{n},00:11:22:33:44:5g"),
    "bitmap:port range 1-1024": ("{n}", "http", "udp:{n}", "{n}-90", "1025", "x"),
}  # fmt: skip
OPTIONS = (
    "", "", "timeout 500", "counters", "comment", "skbinfo", "counters comment", "maxelem 4", "hashsize 100",
    "netmask 24", "bitmask 255.255.0.255", "bucketsize 5", "family inet6", "family inet7", "timeout x", "size 3",
    "markmask 3", "netmask 33", "forceadd", "timeout 5 timeout 6", "-4", "initval 0x1234", "probes 4",
)  # fmt: skip
BEHIND = (
    "", "", "", "timeout 0", "packets 5 bytes 7", 'comment "a b"', "nomatch", "skbmark 0x1/0xff", "skbprio 1:2",
    "skbqueue 9", "skbmark 1", "wildcard", "before x", "bogus", "timeout", "comment 'a\"b'", "packets -1", "-exist",
)  # fmt: skip
HIDE = "2>/dev/null | grep -v initval"


@family("iptables-settext", 10)
def set_text(rng: random.Random, number: int) -> Scenario:
    """What ipset makes of words, prints and answers; most are right, some are not."""
    s = Scenario(SITES[number % len(SITES)].interfaces())
    kinds = dict(zip("abcdefghij", TYPES, strict=True))
    for name, kind in kinds.items():
        s.command(f"ipset create {name} {kind} {rng.choice(OPTIONS)} 2>/dev/null")
        s.command(f"ipset list -t {name} 2>/dev/null | grep -v initval")
    s.command("ipset create x list:set size 3; ipset create y list:set counters 2>/dev/null")

    def element(name: str) -> str:
        return rng.choice(TYPES[kinds[name]]).format(n=rng.randrange(1, 9))

    for _ in range(80):
        name = rng.choice(list(kinds))
        other = rng.choice("abcdefghijkxy")
        lines = [f"add {name} {element(name)}" for _ in range(rng.randrange(1, 5))]
        lines.insert(
            rng.randrange(len(lines) + 1), rng.choice(("", "# no", "bogus", "quit", f"del {name} 10.0.0.1/99"))
        )
        s.command(
            rng.choice(
                (
                    *[f"ipset add {name} {element(name)} {rng.choice(BEHIND)} 2>/dev/null"] * 8,
                    *[f"ipset test {name} {element(name)} 2>/dev/null"] * 2,
                    *[f"ipset del {name} {element(name)} {rng.choice(('', '-exist', '', 'nomatch'))} 2>/dev/null"] * 2,
                    f"ipset test {name} {element(name)} nomatch 2>/dev/null",
                    here("ipset restore", "\n".join(lines)) + "\ntrue",
                    here("ipset -! restore", "\n".join(lines)),
                    f"ipset add x {other} {rng.choice(('', 'before a', 'after b', 'before zz', '-exist'))} 2>/dev/null",
                    f"ipset del x {other} {rng.choice(('', 'before a', 'after b', '-exist'))} 2>/dev/null",
                    f"ipset test x {other} {rng.choice(('', 'before a', 'after b'))} 2>/dev/null",
                    f"ipset rename {other} {rng.choice('kazq')} 2>/dev/null",
                    f"ipset swap {other} {rng.choice('abckx')} 2>/dev/null",
                    f"ipset destroy {rng.choice(('', other, other + ' zz'))} 2>/dev/null",
                    f"ipset create {other} {rng.choice(list(TYPES))} {rng.choice(('', '-exist'))} 2>/dev/null",
                    f"ipset flush {rng.choice(('x', 'zz', other, 'a b'))} 2>/dev/null",
                    "ipset list -n",
                    f"ipset list -s {rng.choice('hijxy')} {HIDE}",
                    f"ipset list -t {other} {HIDE}",
                    f"ipset save {rng.choice('hijxy')} {HIDE}",
                    f"ipset list -o xml {rng.choice('hijxy')} {HIDE}",
                    f"ipset {rng.choice(('', 'bogus', '-o', 'list -o no', 'version', 'add', 'add a', '-q bogus'))} {HIDE}",
                )
            )
        )
    s.dump("ipset save")
    return s


@family("iptables-settypes", 10)
def set_types(rng: random.Random, number: int) -> Scenario:
    """Sets whose elements overlap: exceptions, wildcards, masks, lists; and packets that change them."""
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    wild = site.uplink[:2]
    s.run(
        "ipset create I hash:net,iface", "ipset create N hash:net counters", "ipset create P hash:net,port",
        "ipset create M hash:ip bitmask 255.255.255.252", "ipset create Q hash:ip,port netmask 28",
        "ipset create B bitmap:ip range " + site.pod + "0/24 netmask 29", "ipset create T hash:ip timeout 300 counters",
        "ipset create L list:set", "ipset create S hash:ip maxelem 2", "ipset create X hash:ip,port,net",
    )  # fmt: skip
    nets = (f"{site.near}40/29", f"{site.near}40/30", f"{site.near}41", f"{site.near}0/24", f"{site.far}40/30")
    pods = (f"{site.pod}16/28", f"{site.pod}16/30", f"{site.pod}17", f"{site.pod}20")
    for _ in range(9):
        iface = rng.choice((site.uplink, site.pods, f"{wild} wildcard", f"physdev:{site.uplink}", "eth9"))
        nomatch = rng.choice((" nomatch", "", ""))
        s.run(f"ipset add I {rng.choice(nets)},{iface}{nomatch} -exist")
        s.run(f"ipset add N {rng.choice(nets)}{nomatch} -exist")
        s.run(f"ipset add P {rng.choice(pods)},{rng.choice(('80', 'udp:53', '80-90', 'icmp:ping'))}{nomatch} -exist")
        s.run(f"ipset add X {site.pod}{rng.randrange(16, 21)},80,{rng.choice(nets)}{nomatch} -exist")
    s.run(f"ipset add M {site.near}41", f"ipset add Q {site.pod}17,80", f"ipset add B {site.pod}17")
    for name in rng.sample("NMTS", 3):
        s.run(f"ipset add L {name}")
    lines = [
        "-A FORWARD -m set --match-set I src,src",
        "-A FORWARD -m set --match-set I src,dst",
        "-A FORWARD -m set ! --match-set I src,src --return-nomatch",
        f"-A FORWARD -m set --match-set N src{rng.choice((' --return-nomatch', '', ' ! --update-counters'))}",
        "-A FORWARD -m set --match-set P dst,dst",
        "-A FORWARD -m set --match-set M src",
        "-A FORWARD -m set --match-set Q dst,dst",
        "-A FORWARD -m set --match-set B dst",
        "-A FORWARD -m set --match-set L src",
        "-A FORWARD -m set --match-set X dst,dst,src",
        "-A FORWARD -p udp -m udp --dport 53 -j SET --add-set T src --exist",
        "-A FORWARD -p udp -m udp --dport 54 -j SET --add-set S src",
        "-A FORWARD -p udp -m udp --dport 55 -j SET --del-set L src",
        "-A FORWARD -p udp -m udp --dport 56 -j SET --add-set P dst,dst",
        "-A FORWARD -p udp -m udp --dport 57 -j SET --del-set I src,src",
        "-A FORWARD -p udp -m udp --dport 58 -j SET --add-set B dst",
    ]
    s.rules("filter", *lines)
    for turn in range(45):
        client = rng.choice((site.near, site.near, site.far)) + str(rng.randrange(40, 46))
        pod = site.pod + str(rng.randrange(16, 22))
        ports = (80, 80, 85, 53, 53, 54, 55, 56, 57, 58)
        src, dst = at(client, 40000 + turn), at(pod, rng.choice(ports))
        packet = Packet.udp(src, dst, b"set") if rng.random() < 0.7 else Packet.tcp(src, dst, seq=1)
        s.arrive(site.uplink, Packet.echo(client, pod, ident=turn) if rng.random() < 0.1 else packet)
        if not rng.randrange(6):
            s.command(f"ipset test {rng.choice('NMTS')} {client} 2>/dev/null")
            s.command(f"ipset test I {client},{rng.choice((site.uplink, site.pods, 'eth9', wild))} 2>/dev/null")
    s.dump("iptables-save -c", "ipset save")
    return s
