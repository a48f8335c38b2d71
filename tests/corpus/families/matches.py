"""Each match by itself, in every form: iptables-match-NAME, -match6-NAME, -nftmatch-NAME, -rarematch-NAME."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from drawing import Traffic
from forms import FORMS, FORMS4, FORMS6, NOT_IN_SIX, RARE, words_of
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet


def load(s: Scenario, site: Site, forms: tuple[str, ...], tool: str, table: str, rng: random.Random) -> None:
    """Load *forms* as counting rules, in a drawn order."""
    lines = []
    for form in rng.sample(forms, len(forms)):
        chain, words = words_of(form, site, "6" in tool)
        lines.append(f"-A {chain} {words}")
    s.rules(table, *lines, tool=tool)


def prelude(name: str, s: Scenario, site: Site, tool: str) -> None:
    """Set up what the match *name* needs to have something to say."""
    marks = [
        "-A PREROUTING -p udp -j MARK --set-xmark 0x1/0xffffffff",
        "-A PREROUTING -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x4002/0xffffffff",
        "-A PREROUTING -p tcp -m tcp --dport 22 -j MARK --set-xmark 0xffffffff/0xffffffff",
    ]
    if name in ("mark", "statistic"):
        s.rules("mangle", *marks, tool=tool)
    if name == "connmark":
        s.rules("mangle", *marks, "-A PREROUTING -m conntrack --ctstate NEW -j CONNMARK --save-mark", tool=tool)
    if name in ("conntrack", "state") and "6" not in tool:
        s.rules("raw", "-A PREROUTING -p udp -m udp --dport 22 -j CT --notrack", tool=tool)
        s.rules(
            "nat",
            f"-A PREROUTING -d {site.service}10 -p tcp -j DNAT --to-destination {site.pod}17",
            f"-A POSTROUTING -s {site.far}0/24 -d {site.pod}16/28 -j MASQUERADE",
            tool=tool,
        )
    if name == "devgroup":
        s.run(f"ip link set {site.uplink} group 7", f"ip link set {site.pods} group 1")
    if name == "connbytes":
        s.run("sysctl -qw net.netfilter.nf_conntrack_acct=1")


def odd_packets(s: Scenario, rng: random.Random, site: Site, six: bool) -> None:
    """Let packets arrive that ordinary traffic lacks: options, odd flags, other protocols, broadcasts."""
    client, pod = site.client(rng, six=six), site.backend(rng, six=six)
    src, dst = at(client, 40003), at(pod, 80)
    mss = b"\2\4\5\xb4"
    packets = [
        Packet.tcp(src, dst, flags="", seq=5),
        Packet.tcp(src, dst, flags="SF", seq=5),
        Packet.tcp(src, dst, flags="SEW", seq=5, tcp_options=mss, tos=2),
        Packet.tcp(src, dst, flags="FPU", seq=5),
        Packet.tcp(src, dst, flags="S", seq=5, tcp_options=mss + b"\1\1\x08\x0a" + bytes(8)),
        Packet.sctp(src, dst, bytes([1, 0, 0, 20]) + bytes(16), tag=0),
        Packet.sctp(src, dst, bytes([0, 3, 0, 20]) + bytes(16) + bytes([3, 0, 0, 16]) + bytes(12), tag=9),
        Packet.opaque(client, pod, 50, (150).to_bytes(4, "big") + bytes(20)),
        Packet.opaque(client, pod, 250, bytes(30)),
        Packet.udp(src, dst, b"", tos=0xB8),
    ]
    if not six:
        packets += [
            Packet.opaque(client, pod, 51, bytes([6, 1, 0, 0, 0, 0, 0, 5]) + bytes(16)),
            Packet.udp(src, "255.255.255.255:53", b"all"),
            Packet.udp(src, "224.0.0.5:53", b"some"),
            Packet.icmp(client, pod, 5, 1, rest=0, payload=bytes(28)),
            Packet.icmp(client, pod, 13, 0, rest=7, payload=bytes(12)),
            Packet.opaque(client, pod, 6, b"\0\1\0\2"),
            Packet.opaque(client, pod, 17, b"\0\1"),
            Packet.opaque(client, pod, 1, b"\x08"),
            Packet.opaque(client, pod, 132, b"\0\1\0\2\0\0"),
        ]
    for packet in rng.sample(packets, len(packets)):
        s.arrive(site.uplink, packet)


def _match(name: str, forms: tuple[str, ...], six: bool, nft: bool, rng: random.Random, number: int) -> Scenario:
    site = SITES[number % 3] if not nft else SITES[2]
    s = Scenario(site.interfaces(six=six))
    tool = f"{'ip6tables' if six else 'iptables'}-{'nft' if nft else 'legacy'}"
    prelude(name, s, site, f"{tool}-restore")
    table = "mangle" if name == "rpfilter" else "filter"
    load(
        s, site, tuple(form for form in forms if not (six and form.endswith(NOT_IN_SIX))), f"{tool}-restore", table, rng
    )
    traffic = Traffic(s, rng, site, six=six, local=0.5 if name == "owner" else 0.1)
    traffic.many(18)
    odd_packets(s, rng, site, six)
    if name == "rpfilter":
        for source in (
            ("10.9.9.9", site.pod + "12", site.node, "127.0.0.9") if not six else ("2001:db8:ffff::1", site.pod6 + "12")
        ):
            target = site.backend(rng, six=six)
            s.arrive(site.uplink, Packet.udp(at(source, 4000), at(target, 53), b"whence"))
    traffic.many(16)
    if name == "conntrack" and not six:
        s.handshake(site.uplink, at(site.near + "44", 40900), at(site.service + "10", 80))
    s.dumps["ip6tables-save -c" if six else "iptables-save -c"] = f"{tool}-save -c"
    return s


def _register() -> None:
    def add(group: str, forms: dict[str, tuple[str, ...]], six: bool, count: int, nft: bool = False) -> None:
        for name, texts in forms.items():
            build: Callable[[random.Random, int], Scenario] = partial(_match, name, texts, six, nft)
            family(f"iptables-{group}-{name}", count)(build)

    shared = {name: forms for name, forms in FORMS.items() if name not in ("u32", "physdev")}
    add("match", FORMS | FORMS4, six=False, count=2)
    add("match6", shared | FORMS6, six=True, count=1)
    add("nftmatch", {**shared, "icmp": FORMS4["icmp"]}, six=False, count=1, nft=True)
    add("rarematch", RARE, six=False, count=1)


_register()
