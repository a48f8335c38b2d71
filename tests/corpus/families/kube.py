"""Rule sets as kube-proxy writes them, without its chance: iptables-kube, iptables-v6kube, iptables-nftkube."""

from __future__ import annotations

import random
from dataclasses import dataclass

from drawing import Traffic
from scenario import SITES, Scenario, Site, at, family

from svcsim.packet import Packet


@dataclass
class Port:
    """One port of one service, and what kube-proxy must know of it."""

    name: str
    proto: str
    vip: str
    port: int
    pods: list[str]
    node_port: int = 0
    external: str = ""
    affinity: int = 0
    local_only: bool = False


def chain(kind: str, *words: str) -> str:
    """Name a chain as kube-proxy does: a prefix and sixteen letters that stand for the words."""
    letters = random.Random("/".join(words))
    return f"KUBE-{kind}-" + "".join(letters.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))


def draw_ports(rng: random.Random, site: Site, six: bool) -> list[Port]:
    """Draw some services."""
    ports = []
    for number in range(rng.randrange(3, 7)):
        proto = rng.choice(("tcp", "tcp", "udp"))
        pods = sorted({at(site.backend(rng, six=six), rng.choice((8080, 5353))) for _ in range(rng.randrange(4))})
        ports.append(
            Port(
                f"ns{number % 2}/svc{number}:p{number}",
                proto,
                site.service6 + f"{0x20 + number:x}" if six else site.service + str(20 + number),
                rng.choice((53, 80, 443)),
                pods,
                node_port=rng.choice((0, 30000 + number)),
                external=rng.choice(
                    ("", site.service6 + f"{0x60 + number:x}" if six else site.service + str(220 + number))
                ),
                affinity=rng.choice((0, 0, 10800)),
                local_only=rng.random() < 0.2,
            )
        )
    return ports


def service_rules(port: Port, cluster: str) -> tuple[list[str], list[str], list[str], list[str], list[str]]:
    """Write *port*: its chains, the lines that lead to it, its node port, what it does, and its filter rules."""
    chains, entries, node_ports, body, refusals = [], [], [], [], []
    proto = f"-m {port.proto} -p {port.proto}"
    where = f'-m comment --comment "{port.name} cluster IP" {proto} -d {port.vip} --dport {port.port}'
    out = f'-m comment --comment "{port.name} loadbalancer IP" {proto} -d {port.external} --dport {port.port}'
    nodes = f"-m comment --comment {port.name} {proto} --dport {port.node_port}"
    if not port.pods:
        no = '-m comment --comment "has no endpoints" -j REJECT'
        refusals.append(f"-A KUBE-SERVICES {where} {no}")
        if port.external:
            refusals.append(f"-A KUBE-EXTERNAL-SERVICES {out} {no}")
        if port.node_port:
            refusals.append(f"-A KUBE-EXTERNAL-SERVICES {nodes} -m addrtype --dst-type LOCAL {no}")
        return chains, entries, node_ports, body, refusals
    svc, ext = chain("SVC", port.name, port.proto), chain("EXT", port.name, port.proto)
    chains.append(svc)
    entries.append(f"-A KUBE-SERVICES {where} -j {svc}")
    body.append(f"-A {svc} {where} ! -s {cluster} -j KUBE-MARK-MASQ")
    if port.external or port.node_port:
        chains.append(ext)
        if port.external:
            entries.append(f"-A KUBE-SERVICES {out} -j {ext}")
        if port.node_port:
            node_ports.append(f"-A KUBE-NODEPORTS {nodes} -j {ext}")
        if port.local_only:
            body.append(f"-A {ext} -s {cluster} -j {svc}")
            body.append(f"-A {ext} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ")
        else:
            body.append(f"-A {ext} -j KUBE-MARK-MASQ")
        body.append(f"-A {ext} -j {svc}")
    seps = [chain("SEP", port.name, pod) for pod in port.pods]
    chains += seps
    if port.affinity:
        for sep in seps:
            body.append(f"-A {svc} -m recent --name {sep} --rcheck --seconds {port.affinity} --reap -j {sep}")
    for left, sep in zip(range(len(seps), 0, -1), seps, strict=True):
        chance = f"-m statistic --mode nth --every {left} --packet 0 " if left > 1 else ""
        body.append(f'-A {svc} -m comment --comment "{port.name} endpoint" {chance}-j {sep}')
    for sep, pod in zip(seps, port.pods, strict=True):
        body.append(f"-A {sep} -s {pod.rpartition(':')[0].strip('[]')} -j KUBE-MARK-MASQ")
        recent = f"-m recent --name {sep} --set " if port.affinity else ""
        body.append(f"-A {sep} {recent}-m {port.proto} -p {port.proto} -j DNAT --to-destination {pod}")
    return chains, entries, node_ports, body, refusals


def nat_table(ports: list[Port], cluster: str) -> list[str]:
    """Write the nat table for *ports*."""
    parts = [service_rules(port, cluster) for port in ports]
    names = [
        "KUBE-SERVICES",
        "KUBE-NODEPORTS",
        "KUBE-POSTROUTING",
        "KUBE-MARK-MASQ",
        *(name for part in parts for name in part[0]),
    ]
    return [
        *(f":{name} - [0:0]" for name in names),
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        "-A KUBE-POSTROUTING -j MASQUERADE",
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        *(line for part in parts for line in part[1]),
        '-A KUBE-SERVICES -m comment --comment "node ports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
        *(line for part in parts for line in part[2]),
        *(line for part in parts for line in part[3]),
    ]


def filter_table(ports: list[Port], cluster: str, six: bool) -> list[str]:
    """Write the filter table for *ports*."""
    names = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-FORWARD", "KUBE-FIREWALL")
    state = "-m conntrack --ctstate NEW"
    lines = [f":{name} - [0:0]" for name in names]
    lines += [f"-A {hook} {state} -j KUBE-EXTERNAL-SERVICES" for hook in ("INPUT", "FORWARD")]
    lines += [f"-A {hook} {state} -j KUBE-SERVICES" for hook in ("FORWARD", "OUTPUT")]
    lines += [
        "-A INPUT -j KUBE-NODEPORTS",
        "-A FORWARD -j KUBE-FORWARD",
        "-A INPUT -j KUBE-FIREWALL",
        "-A OUTPUT -j KUBE-FIREWALL",
    ]
    if not six:
        lines.append(
            "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
        )
    lines += [
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]
    return lines + [line for port in ports for line in service_rules(port, cluster)[4]]


def _kube(rng: random.Random, number: int, tool: str) -> Scenario:
    site, six = SITES[number % 3], tool.startswith("ip6")
    s = Scenario(site.interfaces(six=six))
    if number % 4 == 1:
        s.run(f"sysctl -qw net.ipv4.conf.{site.pods}.route_localnet=1 net.ipv4.conf.all.route_localnet=1")
    ports = draw_ports(rng, site, six)
    cluster = f"{site.gateway6}/64" if six else f"{site.gateway}/{site.pod_bits}"
    s.rules("filter", *filter_table(ports, cluster, six), tool=f"{tool}-restore --noflush")
    s.rules("nat", *nat_table(ports, cluster), tool=f"{tool}-restore --noflush")
    node = site.node6 if six else site.node
    for turn in range(26):
        port = rng.choice(ports)
        places = [(port.vip, port.port), (port.vip, port.port), (port.vip, port.port + 1)]
        if port.external:
            places.append((port.external, port.port))
        if port.node_port:
            places += [(node, port.node_port)] * 2
        where = at(*rng.choice(places))
        caller = rng.random()
        make = Packet.tcp if port.proto == "tcp" else Packet.udp
        if caller < 0.6 or (six and caller < 0.8):
            first = s.arrive(site.uplink, make(at(site.client(rng, six=six), 52000 + turn), where))
        elif caller < 0.8:
            source = rng.choice([pod.rpartition(":")[0] for pod in port.pods] or [site.backend(rng)])
            first = s.arrive(site.pods, make(at(source, 52000 + turn), where))
        else:
            first = s.send(make(at(node, 52000 + turn), where))
        s.reply(first, "SA", 5000, 1) if rng.random() < 0.8 else s.unreachable(first)
        if port.proto == "udp" and rng.random() < 0.3:
            s.reply(first, data=b"more")
    if number % 2 and ports[0].pods:  # one endpoint goes, another comes, as one partial restore
        ports[0].pods = [*ports[0].pods[1:], at(site.pod6 + "77" if six else site.pod + "77", 8080)]
        chains, _, _, body, _ = service_rules(ports[0], cluster)
        lines = [*(f":{name} - [0:0]" for name in chains), *body]
        s.command(f"{tool}-restore --noflush --counters <<'E'\n*nat\n" + "\n".join(lines) + "\nCOMMIT\nE")
        for turn in range(6):
            first = s.arrive(
                site.uplink,
                (Packet.tcp if ports[0].proto == "tcp" else Packet.udp)(
                    at(site.client(rng, six=six), 52500 + turn), at(ports[0].vip, ports[0].port)
                ),
            )
            s.reply(first, "SA", 5000, 1)
    if not six:
        Traffic(s, rng, site, local=0.2).many(10)
    s.dumps["ip6tables-save -c" if six else "iptables-save -c"] = f"{tool}-save -c"
    s.dump("conntrack -L", six=six)
    return s


@family("iptables-kube", 16)
def kube(rng: random.Random, number: int) -> Scenario:
    """Cluster addresses, node ports, external addresses, affinity, services without endpoints."""
    return _kube(rng, number, "iptables-legacy")


@family("iptables-v6kube", 6)
def kube6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6."""
    return _kube(rng, number, "ip6tables-legacy")


@family("iptables-nftkube", 6)
def kube_nft(rng: random.Random, number: int) -> Scenario:
    """The same, loaded by iptables-nft."""
    return _kube(rng, number, "iptables-nft")
