"""A director in front of pods, and clients whose connections live random lives."""

from __future__ import annotations

import random

from scenario import IPVS_KERNEL, Scenario, Site, at

from svcsim.packet import Packet

__all__ = ["SCHEDULERS", "Crowd", "backends", "director", "service"]

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "dh", "sh", "mh", "lblc", "lblcr", "fo", "ovf")

KINDS = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}


def director(
    site: Site,
    *,
    six: bool = False,
    conntrack: bool = True,
    vips: int = 3,
    default: bool = False,
    masquerade: bool = False,
) -> Scenario:
    """
    Return a scenario whose host owns the first *vips* service addresses, as kube-proxy gives them to a dummy device.

    With *masquerade* what goes to the pods gets the host's address there, which is also what makes the host track
    connections at all.
    """
    s = Scenario(site.interfaces(six=six, default=default), kernel=IPVS_KERNEL)
    s.run(f"sysctl -qw net.ipv4.vs.conntrack={int(conntrack)}")
    s.run("ip link add ipvs0 type dummy")
    for number in range(vips):
        s.run(f"ip addr add {site.service}{10 + number}/32 dev ipvs0")
        if six:
            s.run(f"ip addr add {site.service6}{16 + number:x}/128 dev ipvs0 nodad")
    s.dump("ipvsadm -Ln", "ipvsadm -Sn", "ip_vs_conn")
    if masquerade:
        s.run(f"iptables-legacy -t nat -A POSTROUTING -o {site.pods} -s {site.far}0/24 -j MASQUERADE")
        s.dump("iptables-save -c", "conntrack -L")
    return s


def backends(rng: random.Random, site: Site, count: int, *, six: bool = False) -> list[str]:
    """Draw *count* different pods, in no order."""
    numbers = rng.sample(range(10, 60), count)
    return [site.pod6 + f"{n:x}" if six else site.pod + str(n) for n in numbers]


def service(
    s: Scenario,
    where: str,
    pods: list[str],
    scheduler: str,
    *,
    proto: str = "tcp",
    port: int | None = 8080,
    weights: list[int] | None = None,
    method: str = "-m",
    extra: str = "",
) -> str:
    """Set up a virtual service; return how ipvsadm names it."""
    name = f"-f {where}" if where.isdigit() else f"{KINDS[proto]} {where}"
    s.run(f"ipvsadm -A {name} -s {scheduler}" + f" {extra}" * bool(extra))
    for number, pod in enumerate(pods):
        target = pod if port is None else at(pod, port)
        s.run(f"ipvsadm -a {name} -r {target} {method}" + (f" -w {weights[number]}" if weights else ""))
    return name


class Crowd:
    """Clients of some services: they open connections, talk, close, reset, come again from the same port."""

    def __init__(
        self, s: Scenario, rng: random.Random, site: Site, targets: list[str], *, proto: str = "tcp", few: bool = False
    ) -> None:
        self.s, self.rng, self.site, self.targets, self.proto = s, rng, site, targets, proto
        self.six = targets[0].startswith("[")
        self.port = rng.randrange(20000, 50000)
        self.clients = [site.client(rng, six=self.six) for _ in range(3)] if few else []
        self.open: list[tuple[int, str, str]] = []

    def client(self) -> str:
        """Draw a client."""
        return self.rng.choice(self.clients) if self.clients else self.site.client(self.rng, six=self.six)

    def newcomer(self) -> int:
        """Open one connection, or send the first datagram of a flow."""
        self.port += 1
        src, dst = at(self.client(), self.port), self.rng.choice(self.targets)
        packet = Packet.tcp(src, dst, seq=1000) if self.proto == "tcp" else Packet.udp(src, dst, b"query")
        event = self.s.arrive(self.site.uplink, packet)
        self.open.append((event, src, dst))
        return event

    def step(self) -> None:
        """Let one thing happen."""
        s, rng = self.s, self.rng
        if not self.open or rng.random() < 0.4:
            self.newcomer()
            return
        event, src, dst = rng.choice(self.open[-8:])
        if self.proto == "udp":
            s.reply(event, data=b"answer") if rng.random() < 0.6 else s.arrive(
                self.site.uplink, Packet.udp(src, dst, b"again")
            )
            return
        move = rng.random()
        if move < 0.3:
            s.reply(event, "SA", 5000, 1001)
            s.arrive(self.site.uplink, Packet.tcp(src, dst, flags="A", seq=1001, ack=5001))
        elif move < 0.45:
            s.arrive(self.site.uplink, Packet.tcp(src, dst, flags="PA", seq=1001, ack=5001, payload=b"hello"))
        elif move < 0.6:
            s.arrive(self.site.uplink, Packet.tcp(src, dst, flags="FA", seq=1001, ack=5001))
        elif move < 0.75:
            s.reply(event, "FA", 5001, 1002)
        elif move < 0.85:
            s.arrive(self.site.uplink, Packet.tcp(src, dst, flags="A", seq=1002, ack=5002))
        elif move < 0.9:
            s.arrive(self.site.uplink, Packet.tcp(src, dst, flags="R", seq=1002))
        elif move < 0.95:
            s.reply(event, "RA", 5001, 1001)
        else:
            s.arrive(self.site.uplink, Packet.tcp(src, dst, seq=90000))

    def steps(self, count: int) -> None:
        """Let *count* things happen."""
        for _ in range(count):
            self.step()
