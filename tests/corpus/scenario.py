"""
Scenarios as they are written: a host, what is set up on it, what happens to it, and what is looked at in the end.

A scenario is plain JSON that a real kernel and the emulator both run. A family is a function that turns a seeded
random source and a number into one `Scenario`; it registers itself with `family`, and `scenarios` calls them all. The
same number gives the same scenario for ever: every draw comes from ``random.Random(name)``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from svcsim.packet import Packet
from svcsim.wire import encode

__all__ = ["FAMILIES", "SITES", "Scenario", "Site", "at", "family", "here", "scenarios"]

#: What the kernel that records a group calls itself; IPVS needs its own machine.
NETFILTER_KERNEL, IPVS_KERNEL = "6.18", "6.1"


def at(address: str, port: int) -> str:
    """Write an address and a port as one endpoint, with brackets where the address has colons."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def here(command: str, text: str) -> str:
    """Write *command* with *text* as its here-document."""
    return f"{command} <<'E'\n{text.strip()}\nE"


@dataclass(frozen=True)
class Site:
    """
    A node's surroundings: an uplink with clients behind it, a device with pods behind it, and service addresses.

    The fields are prefixes to which the last number is appended; *far* clients are reached through a route, the
    others are on the uplink's own subnet.
    """

    uplink: str
    pods: str
    node: str
    near: str
    far: str
    gateway: str
    pod: str
    service: str
    node6: str
    near6: str
    far6: str
    gateway6: str
    pod6: str
    service6: str
    node_bits: int = 24
    pod_bits: int = 16

    def interfaces(self, *, six: bool = False, default: bool = True) -> list[dict[str, Any]]:
        """Return the two interfaces, with IPv6 addresses too where *six*, with a default route where *default*."""
        uplink = [f"{self.node}/{self.node_bits}"] + [f"{self.node6}/64"] * six
        pods = [f"{self.gateway}/{self.pod_bits}"] + [f"{self.gateway6}/64"] * six
        routes = [f"{self.far}0/24"] + ["default"] * default + [f"{self.far6}/64"] * six
        return [
            {"name": self.uplink, "addresses": uplink, "routes": routes},
            {"name": self.pods, "addresses": pods},
        ]

    def client(self, rng: random.Random, *, six: bool = False) -> str:
        """Draw a client: near or far, from a few of each, so that some come again."""
        if six:
            return rng.choice((self.near6, self.far6)) + f"{rng.randrange(0x40, 0x60):x}"
        return rng.choice((self.near, self.near, self.far)) + str(rng.randrange(40, 60))

    def backend(self, rng: random.Random, *, six: bool = False) -> str:
        """Draw a pod."""
        return self.pod6 + f"{rng.randrange(0x10, 0x20):x}" if six else self.pod + str(rng.randrange(10, 30))

    def vip(self, rng: random.Random, *, six: bool = False) -> str:
        """Draw a service address."""
        return self.service6 + f"{rng.randrange(0x10, 0x18):x}" if six else self.service + str(rng.randrange(10, 18))


SITES = (
    Site(
        "eth1", "pods1",
        "203.0.113.1", "203.0.113.", "100.64.7.", "172.20.0.1", "172.20.3.", "172.30.0.",
        "2001:db8:a::1", "2001:db8:a::", "2001:db8:b::", "fd20::1", "fd20::3:", "fd30::",
    ),
    Site(
        "wan0", "cbr1",
        "100.64.0.1", "100.64.1.", "198.18.5.", "172.21.16.1", "172.21.20.", "172.31.4.",
        "2001:db8:40::1", "2001:db8:40::", "2001:db8:41::", "fd21::1", "fd21::5:", "fd31::4:",
        node_bits=20, pod_bits=20,
    ),
    Site(
        "ens5", "kube2",
        "203.0.113.1", "203.0.113.", "100.100.9.", "172.22.128.1", "172.22.200.", "172.29.250.",
        "2001:db8:50::1", "2001:db8:50::", "2001:db8:51::", "fd22::1", "fd22::7:", "fd29::a:",
        node_bits=25, pod_bits=17,
    ),
)  # fmt: skip


@dataclass
class Scenario:
    """One scenario in the making; each event's method returns its number, which `reply` and `unreachable` refer to."""

    interfaces: list[dict[str, Any]]
    kernel: str = NETFILTER_KERNEL
    setup: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    dumps: dict[str, str] = field(default_factory=dict)

    def _event(self, **event: Any) -> int:
        self.events.append(event)
        return len(self.events) - 1

    def run(self, *commands: str) -> None:
        """Run *commands* before anything happens; they must succeed."""
        self.setup += commands

    def rules(self, table: str, *lines: str, tool: str = "iptables-legacy-restore") -> None:
        """Load *table* from the lines of a save file."""
        self.run(here(tool, "\n".join([f"*{table}", *lines, "COMMIT"])))

    def arrive(self, interface: str, packet: Packet | bytes) -> int:
        """Let *packet* arrive on *interface*."""
        data = packet if isinstance(packet, bytes) else encode(packet)
        return self._event(**{"in": interface, "packet": data.hex()})

    def send(self, packet: Packet | bytes) -> int:
        """Let a process on the host send *packet*."""
        return self._event(local=(packet if isinstance(packet, bytes) else encode(packet)).hex())

    def reply(
        self, event: int, flags: str | None = None, seq: int = 5000, ack: int = 1001, data: bytes | None = None
    ) -> int:
        """Let the peer answer what *event* put out: TCP with *flags*, *seq* and *ack*; UDP with *data*."""
        answer: dict[str, Any] = {"reply": event}
        if flags is not None:
            answer |= {"flags": flags, "seq": seq, "ack": ack}
        if data is not None:
            answer["data"] = data.hex()
        return self._event(**answer)

    def unreachable(self, event: int, type: int | None = None, code: int | None = None) -> int:
        """Let the peer answer what *event* put out with an ICMP error."""
        error = {} if type is None else {"type": type, "code": code}
        return self._event(unreachable=event, **error)

    def command(self, line: str) -> int:
        """Run a shell line now; what it prints on standard output is compared."""
        return self._event(command=line)

    def wait(self, seconds: float) -> int:
        """Let *seconds* pass."""
        return self._event(wait=seconds)

    def handshake(self, interface: str, src: str, dst: str, seq: int = 1000) -> int:
        """Open a TCP connection from *src* to *dst*, as far as the host lets it; return the number of the SYN."""
        first = self.arrive(interface, Packet.tcp(src, dst, flags="S", seq=seq))
        self.reply(first, "SA", 5000, seq + 1)
        self.arrive(interface, Packet.tcp(src, dst, flags="A", seq=seq + 1, ack=5001))
        return first

    def dump(self, *names: str, six: bool = False) -> None:
        """Look at the tables called *names* in the end; at IPv6's connections where *six*."""
        for name in names:
            self.dumps[name] = _DUMPS[name].replace("-f ipv4", "-f ipv6" if six else "-f ipv4")

    def as_json(self) -> dict[str, Any]:
        """Return the scenario as the file holds it."""
        return {
            "kernel": self.kernel,
            "interfaces": self.interfaces,
            "setup": self.setup,
            "events": self.events,
            "dump": self.dumps,
        }


_DUMPS = {
    "iptables-save -c": "iptables-legacy-save -c",
    "ip6tables-save -c": "ip6tables-legacy-save -c",
    "conntrack -L": "conntrack -L -f ipv4 2>/dev/null",
    "ipset save": "ipset save | grep -v 'initval\\|timeout'",
    "ipvsadm -Ln": "ipvsadm -Ln",
    "ipvsadm -Sn": "ipvsadm -Sn",
    "ip_vs_conn": "cat /proc/net/ip_vs_conn",
}

Builder = Callable[[random.Random, int], Scenario]


@dataclass(frozen=True)
class Family:
    """A named way to build *count* scenarios."""

    name: str
    count: int
    build: Builder


FAMILIES: dict[str, Family] = {}


def family(name: str, count: int) -> Callable[[Builder], Builder]:
    """Register the decorated function as the family *name* of *count* scenarios."""

    def register(build: Builder) -> Builder:
        if name in FAMILIES:
            raise ValueError(f"two families are called {name}")
        FAMILIES[name] = Family(name, count, build)
        return build

    return register


def scenarios(prefix: str = "") -> Iterator[tuple[str, Scenario]]:
    """Yield every scenario whose family begins with *prefix*, by name."""
    for name in sorted(FAMILIES):
        if name.startswith(prefix):
            for number in range(FAMILIES[name].count):
                yield f"{name}-{number:02}", FAMILIES[name].build(random.Random(f"{name}-{number:02}"), number)
