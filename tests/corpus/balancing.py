"""A director in front of pods, and clients whose connections live random lives."""

from __future__ import annotations

import random
from dataclasses import dataclass

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


@dataclass
class Talk:
    """One connection of a client: the event that opened it, its ends, and how far it has come."""

    event: int
    src: str
    dst: str
    seq: int = 1001
    ack: int = 5001
    state: str = "opening"


class Crowd:
    """
    Clients of some services: they open connections, talk, close, reset, come again from the same port.

    An *orderly* crowd keeps to the protocol; the other sends what it likes, which connection tracking would take amiss.
    """

    def __init__(
        self,
        s: Scenario,
        rng: random.Random,
        site: Site,
        targets: list[str],
        *,
        proto: str = "tcp",
        few: bool = False,
        orderly: bool | None = None,
    ) -> None:
        self.s, self.rng, self.site, self.targets, self.proto = s, rng, site, targets, proto
        self.six = targets[0].startswith("[")
        self.port = rng.randrange(20000, 50000)
        self.clients = [site.client(rng, six=self.six) for _ in range(3)] if few else []
        self.orderly = any("MASQUERADE" in line for line in s.setup) if orderly is None else orderly
        self.mute = any(" -i" in line for line in s.setup)  # nobody answers what comes out of a tunnel
        self.open: list[Talk] = []

    def client(self) -> str:
        """Draw a client."""
        return self.rng.choice(self.clients) if self.clients else self.site.client(self.rng, six=self.six)

    def newcomer(self) -> int:
        """Open one connection, or send the first datagram of a flow."""
        self.port += 1
        src, dst = at(self.client(), self.port), self.rng.choice(self.targets)
        packet = Packet.tcp(src, dst, seq=1000) if self.proto == "tcp" else Packet.udp(src, dst, b"query")
        event = self.s.arrive(self.site.uplink, packet)
        self.open.append(Talk(event, src, dst))
        return event

    def step(self) -> None:
        """Let one thing happen."""
        if not self.open or self.rng.random() < 0.4 or self.mute:
            self.newcomer()
            return
        talk = self.rng.choice(self.open[-8:])
        if self.proto == "udp":
            if self.rng.random() < 0.6:
                self.s.reply(talk.event, data=b"answer")
            else:
                self.s.arrive(self.site.uplink, Packet.udp(talk.src, talk.dst, b"again"))
        elif self.orderly:
            self._next(talk)
        else:
            self._any(talk)

    def _say(self, talk: Talk, flags: str, seq: int, ack: int = 0, payload: bytes = b"") -> None:
        packet = Packet.tcp(talk.src, talk.dst, flags=flags, seq=seq, ack=ack, payload=payload)
        self.s.arrive(self.site.uplink, packet)

    def _next(self, talk: Talk) -> None:
        """Let *talk* take its next step as the protocol has it."""
        s, move = self.s, self.rng.random()
        if talk.state == "opening":
            s.reply(talk.event, "SA", talk.ack - 1, talk.seq)
            self._say(talk, "A", talk.seq, talk.ack)
            talk.state = "open"
        elif talk.state == "open" and move < 0.3:
            self._say(talk, "PA", talk.seq, talk.ack, b"hello")
            talk.seq += 5
        elif talk.state == "open" and move < 0.5:
            s.reply(talk.event, "PA", talk.ack, talk.seq, b"hi")
            talk.ack += 2
        elif talk.state == "open" and move < 0.7:
            self._say(talk, "FA", talk.seq, talk.ack)
            talk.seq, talk.state = talk.seq + 1, "left"
        elif talk.state == "open" and move < 0.9:
            s.reply(talk.event, "FA", talk.ack, talk.seq)
            talk.ack, talk.state = talk.ack + 1, "dropped"
        elif talk.state == "open":
            self._say(talk, "R", talk.seq)
            self.open.remove(talk)
        elif talk.state == "left":
            s.reply(talk.event, "FA", talk.ack, talk.seq)
            self._say(talk, "A", talk.seq, talk.ack + 1)
            self.open.remove(talk)
        else:
            self._say(talk, "FA", talk.seq, talk.ack)
            s.reply(talk.event, "A", talk.ack, talk.seq + 1)
            self.open.remove(talk)

    def _any(self, talk: Talk) -> None:
        """Let anything happen to *talk*."""
        s, move = self.s, self.rng.random()
        if move < 0.3:
            s.reply(talk.event, "SA", 5000, 1001)
            self._say(talk, "A", 1001, 5001)
        elif move < 0.45:
            self._say(talk, "PA", 1001, 5001, b"hello")
        elif move < 0.6:
            self._say(talk, "FA", 1001, 5001)
        elif move < 0.75:
            s.reply(talk.event, "FA", 5001, 1002)
        elif move < 0.85:
            self._say(talk, "A", 1002, 5002)
        elif move < 0.9:
            self._say(talk, "R", 1002)
        elif move < 0.95:
            s.reply(talk.event, "RA", 5001, 1001)
        else:
            self._say(talk, "S", 90000)
            s.wait(0.02)  # a connection that this one replaces goes with the next tick of the timer

    def steps(self, count: int) -> None:
        """Let *count* things happen."""
        for _ in range(count):
            self.step()
