"""
Hosts joined by links, on one clock: where a packet goes when it leaves a host, until it comes to rest.

What a host sends is taken by whoever on the link has the next hop's address, as ARP and neighbour discovery find it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

import attrs

from svcsim.addr import Family, format_address
from svcsim.clock import SECOND, Clock
from svcsim.errors import ConfigError, ExistsError, MissingError, SvcsimError
from svcsim.node import NEWEST_KERNEL, Node
from svcsim.outcome import Outcome, Sent
from svcsim.packet import Packet
from svcsim.rng import Streams

__all__ = ["Application", "Hop", "Host", "Journey", "Lost", "Network", "Segment"]

#: What an application answers to a packet that was delivered to its socket.
Application = Callable[[Packet], Iterable[Packet]]
_MOST_HOPS = 10_000


@attrs.frozen(eq=False)
class Hop:
    """
    One host's part of a journey: *packet* came in by *device* (empty if it was made there) *at* nanoseconds.

    *packet* is None where the host acted by itself because a timer fired.
    """

    at: int
    host: str
    device: str
    packet: Packet | None
    outcome: Outcome

    def __str__(self) -> str:
        came = f" {self.device}:" if self.device else ""
        ends = [f"sent by {sent.device}" for sent in self.outcome.sent]
        ends += [f"delivered to {each.to}" for each in self.outcome.delivered]
        ends += [f"not known: {what}" for what in self.outcome.unknown]
        what = "a timer" if self.packet is None else str(self.packet)
        return f"{self.host}:{came} {what} => {'; '.join(ends) or self.outcome.verdict.name.lower()}"


@attrs.frozen(eq=False)
class Lost:
    """A *packet* that *host* sent by *device* and that nobody took."""

    host: str
    device: str
    packet: Packet
    reason: str

    def __str__(self) -> str:
        return f"{self.host} {self.device}: {self.packet} => lost: {self.reason}"


@attrs.define(eq=False)
class Journey:
    """All that happened in the network because of something, in order, and what came to nobody."""

    hops: list[Hop] = attrs.field(factory=list)
    lost: list[Lost] = attrs.field(factory=list)

    def delivered(self) -> Iterator[tuple[str, Packet]]:
        """The hosts that something was delivered at, and what."""
        for hop in self.hops:
            for each in hop.outcome.delivered:
                yield hop.host, each.packet

    def __str__(self) -> str:
        return "\n".join(map(str, (*self.hops, *self.lost)))


@attrs.define(eq=False)
class Host:
    """A *node* in a network, by *name*, with the applications behind its sockets."""

    name: str
    node: Node
    links: dict[str, Segment] = attrs.field(factory=dict, repr=False)
    applications: dict[tuple[int, int], Application] = attrs.field(factory=dict, repr=False)
    between: Outcome = attrs.field(factory=Outcome, repr=False)

    def serve(self, protocol: str, port: int, application: Application) -> None:
        """Listen at *port* of every address, and let *application* answer."""
        socket = self.node.listen(protocol, port)
        self.applications[socket.proto, port] = application

    def leave(self, protocol: str, port: int) -> None:
        """Serve *port* no more."""
        socket = self.node.stack.socket(protocol, port)
        self.node.stack.close(socket)
        self.applications.pop((socket.proto, port), None)

    def answers(self, outcome: Outcome) -> Iterator[Packet]:
        """What this host's applications answer to what was delivered to them."""
        for delivery in outcome.delivered:
            packet = delivery.packet
            application = self.applications.get((packet.proto, packet.dport))
            if application is not None:
                yield from application(packet)


@attrs.define(eq=False)
class Segment:
    """
    A link that several devices share: *delay* in nanoseconds, and a *label* such as ``vxlan``.

    A member takes what goes to an address that its device has, or, IPv4 alone and unless ``arp_ignore`` forbids it, to
    any address of its host: that is how a virtual address bound to a dummy device is found from outside.
    """

    name: str
    delay: int = 0
    label: str = ""
    members: list[tuple[Host, str]] = attrs.field(factory=list)

    def takers(self, family: Family, next_hop: int, sender: Host) -> list[tuple[Host, str]]:
        """Who answers for *next_hop*; several, if an address was given away twice."""
        others = [(host, device) for host, device in self.members if host is not sender]
        held = [(host, device) for host, device in others if self._has(host, device, family, next_hop)]
        if held or family is Family.IPV6:
            return held
        return [(host, device) for host, device in others if self._answers_for(host, device, next_hop)]

    @staticmethod
    def _has(host: Host, device: str, family: Family, address: int) -> bool:
        return any(held.address == address for held in host.node.devices[device].of_family(family))

    @staticmethod
    def _answers_for(host: Host, device: str, address: int) -> bool:
        node = host.node
        ignores = max(int(node.sysctls[f"net.ipv4.conf.{scope}.arp_ignore"]) for scope in ("all", device))
        return not ignores and node.routes[Family.IPV4].holder(address) not in ("", "lo")


class _ByItself(list[Sent]):
    """Where a host's packets go that no other packet caused: on their way at once."""

    def __init__(self, network: Network, host: Host) -> None:
        super().__init__()
        self._network, self._host = network, host

    def append(self, sent: Sent) -> None:
        self._network.sent_by_itself(self._host, sent)


class Network:
    """
    Hosts, the segments between them, and one clock for all.

    >>> net = Network()
    >>> for name, address in (("a", "192.0.2.1/24"), ("b", "192.0.2.2/24")):
    ...     _ = net.add(name).node.add_interface("eth0", [address])
    >>> lan = net.join("lan", "a:eth0", "b:eth0")
    >>> print(net.send("a", Packet.echo("192.0.2.1", "192.0.2.2")))
    a: ICMP 192.0.2.1 > 192.0.2.2 echo request id 1 seq 1, length 28 => sent by eth0
    b: eth0: ICMP 192.0.2.1 > 192.0.2.2 echo request id 1 seq 1, length 28 => sent by eth0; delivered to icmp
    a: eth0: ICMP 192.0.2.2 > 192.0.2.1 echo reply id 1 seq 1, length 28 => delivered to icmp
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.clock = Clock()
        self.seed = seed
        self.hosts: dict[str, Host] = {}
        self.segments: dict[str, Segment] = {}
        self._flights: list[tuple[int, int, Host, str, Packet]] = []
        self._sequence = 0
        self._journey = Journey()
        self._trace = False

    # -- how it is built ----------------------------------------------------------------------------------------------

    def add(self, name: str, *, kernel: str = NEWEST_KERNEL) -> Host:
        """Add a host; its draws come from the network's seed and its own name."""
        if name in self.hosts:
            raise ExistsError(f"there is already a host {name}")
        node = Node(seed=Streams(self.seed)[name].at(0), clock=self.clock, kernel=kernel)
        self.hosts[name] = host = Host(name, node)
        host.between.sent = _ByItself(self, host)
        node.outcome = host.between
        return host

    def join(self, name: str, *ends: str, delay: float = 0.0, label: str = "") -> Segment:
        """Lay a segment between *ends*, each ``HOST:DEVICE``; *delay* in seconds. One that is there gets more ends."""
        if delay < 0:
            raise ConfigError(f"a delay is not negative: {delay}")
        found = [self._end(text) for text in ends]
        segment = self.segments.get(name) or Segment(name, round(delay * SECOND), label)
        for (host, device), text in zip(found, ends, strict=True):
            if device in host.links:
                raise ExistsError(f"{text} is joined already, to {host.links[device].name}")
        self.segments[name] = segment
        for host, device in found:
            host.links[device] = segment
            segment.members.append((host, device))
        return segment

    def remove(self, name: str) -> None:
        """Take a host away with its links; what is on its way to it is lost."""
        host = self.host(name)
        for device, segment in host.links.items():
            segment.members.remove((host, device))
        del self.hosts[name]

    def host(self, name: str) -> Host:
        """The host of that *name*."""
        host = self.hosts.get(name)
        if host is None:
            raise MissingError(f"there is no host {name}")
        return host

    def _end(self, text: str) -> tuple[Host, str]:
        name, colon, device = text.partition(":")
        if not colon:
            raise ConfigError(f"not HOST:DEVICE: {text!r}")
        host = self.host(name)
        if device not in host.node.devices:
            raise MissingError(f"{name} has no device {device}")
        return host, device

    # -- what happens in it -------------------------------------------------------------------------------------------

    def send(self, name: str, packet: Packet, *, trace: bool = False) -> Journey:
        """Let a host send *packet*, and carry everything on until nothing is on its way any more."""
        host = self.host(name)
        return self._run(lambda: self._send(host, packet), trace)

    def receive(self, name: str, device: str, packet: Packet, *, trace: bool = False) -> Journey:
        """Let *packet* come in at a host by *device*, as if somebody on that link had sent it."""
        host, device = self._end(f"{name}:{device}")
        return self._run(lambda: self._fly(0, host, device, packet), trace)

    def advance(self, seconds: float, *, trace: bool = False) -> Journey:
        """Let time pass; what hosts send because a timer fired is carried on."""
        until = self.clock.now + round(seconds * SECOND)
        return self._run(lambda: None, trace, until)

    def post(self, host: Host, packet: Packet) -> None:
        """Let *host* send *packet* within the journey that is going on; for applications with timers of their own."""
        self._send(host, packet)

    def sent_by_itself(self, host: Host, sent: Sent) -> None:
        """Carry on what *host* sent because a timer fired."""
        outcome = Outcome()
        outcome.sent.append(sent)
        self._note(host, "", None, outcome)

    def _run(self, start: Callable[[], None], trace: bool, until: int | None = None) -> Journey:
        """Carry on what *start* begins: until nothing is on its way, or for as long as time shall pass."""
        self._journey = journey = Journey()
        self._trace = trace
        start()
        flights, clock = self._flights, self.clock
        while flights or until is not None:
            due = flights[0][0] if flights else until
            assert due is not None
            if until is not None and until < due:
                due = until
            if clock.now < due:  # timer by timer: one may send something on its way
                clock.advance(min(due, max(clock.next_due, clock.now)) - clock.now)
            elif flights and flights[0][0] <= clock.now:
                _, _, host, device, packet = heappop(flights)
                if self.hosts.get(host.name) is host:
                    self._note(host, device, packet, host.node.receive(packet, device, trace=trace))
            else:
                break  # the time is over; what is still under way comes in later
        return journey

    def _send(self, host: Host, packet: Packet) -> None:
        self._note(host, "", packet, host.node.send(packet, trace=self._trace))

    def _note(self, host: Host, device: str, packet: Packet | None, outcome: Outcome) -> None:
        host.node.outcome = host.between
        journey = self._journey
        journey.hops.append(Hop(self.clock.now, host.name, device, packet, outcome))
        if len(journey.hops) > _MOST_HOPS:
            self._flights.clear()
            raise SvcsimError(f"the network does not come to rest: {_MOST_HOPS} hops, the last at {host.name}")
        for sent in outcome.sent:
            self._forward(host, sent)
        for answer in host.answers(outcome):
            self._send(host, answer)

    def _forward(self, sender: Host, sent: Sent) -> None:
        packet = sent.packet
        segment = sender.links.get(sent.device)
        if segment is None:
            self._journey.lost.append(Lost(sender.name, sent.device, packet, f"{sent.device} leads nowhere"))
            return
        if sent.to_many:
            takers = [end for end in segment.members if end[0] is not sender]
        else:
            takers = segment.takers(packet.family, sent.next_hop, sender)[:1]
        if not takers:
            whom = format_address(packet.family, sent.next_hop)
            self._journey.lost.append(Lost(sender.name, sent.device, packet, f"nobody on {segment.name} has {whom}"))
        for host, device in takers:
            self._fly(segment.delay, host, device, packet)

    def _fly(self, delay: int, host: Host, device: str, packet: Packet) -> None:
        self._sequence += 1
        heappush(self._flights, (self.clock.now + delay, self._sequence, host, device, packet))
