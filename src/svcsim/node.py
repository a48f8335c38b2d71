"""
One host: its devices, routes, rules, services and clock, and a packet's journey through them.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable
from copy import copy

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.clock import SECOND, Clock
from svcsim.conntrack import Conntrack
from svcsim.defrag import Defragmenter
from svcsim.device import Device, DeviceAddress, Devices
from svcsim.errors import ConfigError, MissingError
from svcsim.explain.asking import MOST_BRANCHES, explain, why_dropped
from svcsim.explain.explanation import Explanation
from svcsim.explain.unmatched import why_not
from svcsim.fragment import fragments_of
from svcsim.hooks import Assumption, Hook, Hooks, HookState, Owner, Skb, Verdict
from svcsim.ingress import HOST_PARAMETERS, Ingress, is_impossible
from svcsim.lb.director import Director
from svcsim.outcome import Outcome, Sent
from svcsim.packet import Packet
from svcsim.rng import Streams
from svcsim.route import Route, RouteEntry, RouteKind, Routing
from svcsim.stack import LocalStack, Socket
from svcsim.sysctl import Sysctls
from svcsim.tables.ipsets import IpSets
from svcsim.tables.table import Ruleset
from svcsim.tools import shell
from svcsim.tools.command import Completed
from svcsim.trace import Dropped, Left, Note, Routed, Trace
from svcsim.tracking import Tracking
from svcsim.voice import Voice

__all__ = ["NEWEST_KERNEL", "Node"]

# Looked at for every packet: as names of this module they cost a third of what they cost as members of their classes.
_ACCEPT = Verdict.ACCEPT
_PRE_ROUTING, _LOCAL_IN, _FORWARD, _LOCAL_OUT, _POST_ROUTING = Hook
_UNICAST, _LOCAL, _BROADCAST = RouteKind.UNICAST, RouteKind.LOCAL, RouteKind.BROADCAST

#: The kernel whose behaviour is meant unless a node is told otherwise.
NEWEST_KERNEL = "6.18"
#: The kernel from which on IP sets have bitmasks.
_NEWEST_SET_TYPES = (6, 2)
_ROOT = Owner()
_ERRNO = {
    RouteKind.NONE: errno.ENETUNREACH,
    RouteKind.UNREACHABLE: errno.EHOSTUNREACH,
    RouteKind.PROHIBIT: errno.EACCES,
    RouteKind.BLACKHOLE: errno.EINVAL,
    RouteKind.BROADCAST: errno.EACCES,
}
#: How a router refuses: network or host unreachable, administratively prohibited.
_REFUSAL = {
    Family.IPV4: {RouteKind.NONE: (3, 0), RouteKind.UNREACHABLE: (3, 1), RouteKind.PROHIBIT: (3, 13)},
    Family.IPV6: {RouteKind.NONE: (1, 0), RouteKind.UNREACHABLE: (1, 0), RouteKind.PROHIBIT: (1, 1)},
}
_TIME_EXCEEDED = {Family.IPV4: (11, 0), Family.IPV6: (3, 0)}
_REASSEMBLY_TIME_EXCEEDED = {Family.IPV4: (11, 1), Family.IPV6: (3, 1)}
_TOO_BIG = {Family.IPV4: (3, 4), Family.IPV6: (2, 0)}
_REDIRECT_HOST = (5, 1)
_LEAST_IPV6_MTU = 1280


class Node:
    """
    A host that forwards, filters, translates and balances, in memory.

    It is configured by the commands that administrators type (`run`), fed packets (`receive`, `send`), and its clock
    moves when told (`advance`). *kernel* is the version whose behaviour is meant; *seed* fixes every random draw; hosts of one
    network share a *clock*.

    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.add_interface("pod0", ["10.244.0.1/16"])
    >>> print(node.receive(Packet.tcp("192.0.2.9:40000", "10.244.0.5:80"), "cli0"))
    sent by pod0: TCP 192.0.2.9:40000 > 10.244.0.5:80 [S] seq 0, length 40, ttl 63
    >>> node.run("iptables -A FORWARD -p tcp --dport 80 -j REJECT").returncode
    0
    >>> print(node.receive(Packet.tcp("192.0.2.9:40001", "10.244.0.5:80"), "cli0"))
    sent by cli0: ICMP 192.0.2.1 > 192.0.2.9 dest unreach code 3, length 68
    """

    def __init__(self, *, kernel: str = NEWEST_KERNEL, seed: int = 0, clock: Clock | None = None) -> None:
        self.kernel = _version(kernel)
        self.clock = clock if clock is not None else Clock()
        self.streams = Streams(seed)
        self.sysctls = Sysctls(HOST_PARAMETERS)
        self.devices = Devices()
        self.hooks = {family: Hooks(family, self) for family in Family}
        self.routes = {family: Routing(family, self.devices) for family in Family}
        self.ingress = {family: Ingress(family, self.routes[family], self.sysctls, self.clock) for family in Family}
        self.ingress[Family.IPV4].peers.spends_all = self.kernel <= (6, 1)
        self.conntrack = Conntrack(self.clock, self.sysctls, self.streams)
        self.tracking = {family: Tracking(self, family) for family in Family}
        self.ipsets = IpSets(self.clock, newest=self.kernel >= _NEWEST_SET_TYPES)
        self.rules = {family: Ruleset(self, family) for family in Family}
        self.nft_rules = {family: Ruleset(self, family, nft=True) for family in Family}
        self.ipvs = Director(self)
        self.stack = LocalStack(self)
        self.outcome = Outcome()
        self.unknown_holds: Assumption = None
        self.tells_all = False
        self.voice = Voice(self)
        self._idents = self.streams["ipv6 fragment"]
        self._backlog: deque[Skb] = deque()
        self._at_home = {  # fragments for this host, where nothing put them together before
            family: Defragmenter(family, self.clock, self.sysctls, too_late=self.fragments_came_too_late)
            for family in Family
        }
        self._declare_device("lo")
        self.sysctls.on_write("net.ipv4.ip_forward", self._forwarding_written)

    # -- configuration ------------------------------------------------------------------------------------------------

    def add_interface(
        self,
        name: str,
        addresses: Iterable[str] = (),
        routes: Iterable[str] = (),
        *,
        kind: str = "tun",
        mtu: int = 1500,
    ) -> Device:
        """
        Add a device with *addresses* (``192.0.2.1/24``) and *routes*.

        A route is a network (``198.51.100.0/24``, ``default``) on the link, or behind a gateway (``default via
        192.0.2.254``).
        """
        held = [self._device_address(text) for text in addresses]
        entries = [self._route_entry(text, name) for text in routes]
        device = self.devices.add(name, kind, mtu=mtu)
        self._declare_device(name)
        for routing in self.routes.values():
            routing.add_device(device)
        try:
            for address in held:
                self.routes[address.family].add_address(device, address)
            for entry in entries:
                self.routes[entry.prefix.family].add(entry)
        except ConfigError:
            self.remove_interface(name)
            raise
        return device

    def remove_interface(self, name: str) -> None:
        """Take a device away with its addresses and routes; connections masqueraded on it go too."""
        device = self.devices.remove(name)
        for family in Family:
            self.tracking[family].device_gone(name)
            self.routes[family].remove_device(device)

    def remove_address(self, name: str, address: str) -> None:
        """Take an address off a device; connections masqueraded to it go too."""
        text, _, length = address.partition("/")
        gone = parse_address(text)
        device = self.devices[name]
        self.routes[gone.family].remove_address(device, gone.value, int(length) if length else None)
        self.tracking[gone.family].address_gone(gone.value)

    def listen(self, protocol: str, port: int, address: str | None = None) -> Socket:
        """Declare a listening socket: what is for it counts as delivered."""
        return self.stack.listen(protocol, port, address)

    def set_link(self, name: str, *, up: bool) -> None:
        """
        Take a device up or down.

        With a device that goes down go its IPv6 addresses, the routes that somebody added by it, and the connections
        masqueraded on it. Its IPv4 addresses stay this host's, and what they connect comes back with the device.
        """
        device = self.devices[name]
        device.up = up
        if not up:
            for tracking in self.tracking.values():
                tracking.device_gone(name)
            self.forget_ipv6_addresses(name)
        for routing in self.routes.values():
            if not up:
                routing.forget_added_routes(device)
            routing.changed()

    def forget_ipv6_addresses(self, name: str) -> None:
        """Take all IPv6 addresses off a device, as happens when it goes down or its MTU is too small for them."""
        device = self.devices[name]
        if device.kind != "loopback":
            for held in list(device.of_family(Family.IPV6)):
                self.remove_address(name, f"{format_address(held.family, held.address)}/{held.length}")

    def run(self, command: str) -> Completed:
        """
        Run a shell line of administrators' commands on this node.

        >>> print(Node().run("sysctl net.ipv4.vs.conn_reuse_mode; iptables -S INPUT").stdout, end="")
        net.ipv4.vs.conn_reuse_mode = 1
        -P INPUT ACCEPT
        """
        return shell.run(self, command)

    def advance(self, seconds: float) -> Outcome:
        """Let time pass: timers fire, entries expire; the outcome is what this host sent by itself meanwhile."""
        self.outcome = outcome = Outcome()
        self.clock.advance(round(seconds * SECOND))
        return outcome

    def _declare_device(self, name: str) -> None:
        for ingress in self.ingress.values():
            ingress.add_device(name)

    def _forwarding_written(self) -> None:
        value = str(self.sysctls["net.ipv4.ip_forward"])
        for scope in ("all", "default", *self.devices):
            self.sysctls.write(f"net.ipv4.conf.{scope}.forwarding", value)

    @staticmethod
    def _device_address(text: str) -> DeviceAddress:
        host, _, length = text.partition("/")
        address = parse_address(host)
        bits = address.family.bits
        if length and not (length.isdigit() and int(length) <= bits):
            raise ConfigError(f"not an address with its prefix length: {text!r}")
        return DeviceAddress(address.family, address.value, int(length) if length else bits)

    @staticmethod
    def _route_entry(text: str, device: str) -> RouteEntry:
        where, _, via = text.partition(" via ")
        gateway = parse_address(via.strip()) if via else None
        if where == "default":
            where = "::/0" if gateway is not None and gateway.family is Family.IPV6 else "0.0.0.0/0"
        scope = "global" if gateway is not None else "link"
        return RouteEntry(Prefix.parse(where), device=device, gateway=gateway.value if gateway else 0, scope=scope)

    # -- the packet's way ---------------------------------------------------------------------------------------------

    def receive(self, packet: Packet, iface: str, *, trace: bool = False) -> Outcome:
        """Carry *packet* in from *iface*, as far as this node takes it."""
        device = self.devices.by_name.get(iface)
        if device is None:
            raise MissingError(f'Cannot find device "{iface}"')
        self.outcome = outcome = Outcome(Trace() if trace else None)
        skb = Skb(packet, iface, outcome.trace)
        if not device.up:
            outcome.verdict = self._drop(skb, f"{iface} is down")
        elif packet.header_checksum is not None:
            outcome.verdict = self._drop(skb, "bad header checksum")
        elif packet.family == 6 and iface != "lo" and is_impossible(packet):
            outcome.verdict = self._drop(skb, "an address that cannot come by a link")
        else:
            outcome.verdict = self._arrive(skb)
        if self._backlog or self.clock.next_due <= self.clock.now:
            self._settle()
        return outcome

    def send(self, packet: Packet, *, owner: Owner = _ROOT, mark: int = 0, trace: bool = False) -> Outcome:
        """Send *packet* as a process of *owner* on this node would, through a raw socket."""
        self.outcome = outcome = Outcome(Trace() if trace else None)
        skb = Skb(packet, trace=outcome.trace)
        skb.owner, skb.mark = owner, mark
        route = self.routes[skb.family].lookup(skb.dst, 0, mark)
        outcome.error = _ERRNO.get(route.kind, 0)
        if not outcome.error and skb.length > route.mtu:
            outcome.error = errno.EMSGSIZE
        if outcome.error:
            outcome.verdict = self._drop(skb, f"{route}: {errno.errorcode[outcome.error]}")
            return outcome
        if skb.src == 0:
            skb.set_source(route.source, skb.sport)
        outcome.verdict = self.transmit(skb, route)
        if outcome.verdict is Verdict.DROP and not outcome.error:
            outcome.error = errno.EPERM
        self._settle()
        return outcome

    def explain(
        self,
        packet: Packet,
        iface: str = "",
        *,
        reply: bool = False,
        branches: bool = False,
        most: int = MOST_BRANCHES,
        owner: Owner = _ROOT,
        mark: int = 0,
    ) -> Explanation:
        """
        Explain what `receive` (or without an *iface* `send`) would do with *packet* now; nothing here changes.

        With *reply* also the way of the peer's answer; with *branches* every random choice is followed, up to *most*.
        """
        return explain(self, packet, iface, reply=reply, branches=branches, most=most, owner=owner, mark=mark)

    def why_dropped(self, packet: Packet, iface: str = "") -> str:
        """Say which rule, policy or mechanism would drop *packet*, or what becomes of it if none does."""
        return why_dropped(self, packet, iface)

    def why_not(
        self, packet: Packet, iface: str, table: str, chain: str, number: int, *, nft: bool = False, mark: int = 0
    ) -> str:
        """Say why rule *number* of a *chain* would not match *packet*, or was not asked; *nft*: of iptables-nft."""
        return why_not(self, packet, iface, table, chain, number, nft=nft, mark=mark)

    def _arrive(self, skb: Skb) -> Verdict:
        """PRE_ROUTING, the routing decision, and on to this host or another."""
        hooks = self.hooks[skb.family]
        if hooks.functions[_PRE_ROUTING]:
            verdict = hooks.run(_PRE_ROUTING, skb, skb.indev, "")
            if verdict is not _ACCEPT:
                return verdict
        route = skb.route  # what comes by lo was routed when it was sent
        if route is None:
            route = skb.route = self.ingress[skb.family].route(skb)  # not before: NAT may have moved its destination
            if route is None:
                return self._drop(skb, "martian" if skb.trace is None else self.ingress[skb.family].complaint(skb))
        if skb.trace is not None:
            skb.trace.append(Routed(route, False, self._asked(skb, skb.indev) if self.tells_all else None))
        kind = route.kind
        if kind is _UNICAST:
            return self._forward(skb, route)
        if kind is _LOCAL or kind is _BROADCAST or kind is RouteKind.MULTICAST:
            packet = skb.original
            if packet.more_fragments or packet.fragment_offset:
                return self._arrive_in_pieces(skb)
            verdict = hooks.run(_LOCAL_IN, skb, skb.indev, "")
            if verdict is _ACCEPT:
                self.stack.deliver(skb)
            return verdict
        return self._refuse(skb, route)

    def _arrive_in_pieces(self, skb: Skb) -> Verdict:
        """A fragment for this host: IPv4 puts them together before LOCAL_IN, IPv6 behind it, so that it sees each."""
        if skb.family is Family.IPV4 and not self._completes(skb):
            return self._held(skb)
        verdict = self.hooks[skb.family].run(_LOCAL_IN, skb, skb.indev, "")
        if verdict is _ACCEPT:
            if skb.family is Family.IPV6 and not self._completes(skb):
                return self._held(skb)
            self.stack.deliver(skb)
        return verdict

    @staticmethod
    def _held(skb: Skb) -> Verdict:
        if skb.trace is not None:
            skb.trace.append(Note("held: its datagram is not whole"))
        return Verdict.STOLEN

    def _completes(self, skb: Skb) -> bool:
        """Hold a fragment for this host; whether its datagram is whole now, which *skb* then is."""
        whole = self._at_home[skb.family].add(skb.original, None, skb.indev)
        if whole is not None:
            skb.become(whole.packet)
        return whole is not None

    def _forward(self, skb: Skb, route: Route) -> Verdict:
        """TTL and size, FORWARD, POST_ROUTING."""
        ingress, family = self.ingress[skb.family], skb.family
        if not ingress.input_of(skb.indev).forwarding:
            return self._drop(skb, "forwarding is off")
        if skb.ttl <= 1:
            self.answer_icmp(skb, *_TIME_EXCEEDED[family])
            return self._drop(skb, "time to live exceeded")
        if skb.length > route.mtu and self._may_not_be_cut(skb, route.mtu):
            self.answer_icmp(skb, *_TOO_BIG[family], route.mtu)
            return self._drop(skb, f"larger than the MTU of {route.device}")
        skb.ttl -= 1
        skb.changed = True
        if route.device == skb.indev and ingress.redirects(skb, route):
            self.answer_icmp(skb, *_REDIRECT_HOST, route.gateway or skb.dst)
        verdict = self.hooks[skb.family].run(_FORWARD, skb, skb.indev, route.device)
        return self._post(skb) if verdict is _ACCEPT else verdict

    @staticmethod
    def _may_not_be_cut(skb: Skb, mtu: int) -> bool:
        """Whether *skb*, which is too large for a link, is refused: what came in pieces that fit leaves in pieces."""
        unwilling = skb.family is Family.IPV6 or skb.original.dont_fragment
        return unwilling and not 0 < skb.largest_fragment <= mtu

    def note_unknown(self, skb: Skb, what: str) -> None:
        """Tell in the outcome that *what*, which is not modelled, decides *skb*'s way."""
        self.outcome.unknown += (what,)
        if skb.trace is not None:
            skb.trace.append(Note(f"not known: {what} is not modelled"))

    def transmit(self, skb: Skb, route: Route) -> Verdict:
        """LOCAL_OUT and POST_ROUTING, for what is sent from here by *route*."""
        skb.route = route
        if skb.trace is not None:
            skb.trace.append(Routed(route, False, self._asked(skb) if self.tells_all else None))
        verdict = self.hooks[skb.family].run(_LOCAL_OUT, skb, "", route.device)
        if verdict is not _ACCEPT:
            return verdict
        if route.kind is _BROADCAST:
            self._loop_back(skb)
        return self._post(skb)

    def _loop_back(self, skb: Skb) -> None:
        """What is for everybody is for this host too: a copy comes back in by the device that *skb* leaves by."""
        twin, route = copy(skb), skb.route
        assert route is not None
        if self.hooks[skb.family].run(_POST_ROUTING, twin, "", route.device) is _ACCEPT:
            twin.indev = route.device
            self._backlog.append(twin)

    def _post(self, skb: Skb) -> Verdict:
        """POST_ROUTING, and out by the device: to the link, around by ``lo``, or nowhere (``dummy``)."""
        route, hooks = skb.route, self.hooks[skb.family]
        assert route is not None
        name = route.device
        if hooks.functions[_POST_ROUTING]:
            verdict = hooks.run(_POST_ROUTING, skb, skb.indev, name)
            if verdict is not _ACCEPT:
                return verdict
        device = self.devices.by_name.get(name)
        if device is None or not device.up or device.kind == "dummy":
            self._drop(skb, f"{name} sends nothing")
        elif device.kind == "loopback":
            skb.indev = name
            self._backlog.append(skb)
        elif skb.length > route.mtu or skb.largest_fragment:
            self._send_in_pieces(skb, route)
        else:
            sent = Sent(name, skb)
            self.outcome.sent.append(sent)
            if skb.trace is not None:
                skb.trace.append(Left(name, sent))
        return _ACCEPT

    def _send_in_pieces(self, skb: Skb, route: Route) -> None:
        """Send *skb* in fragments, none larger than the link takes or the largest that it came in."""
        mtu = min(route.mtu, skb.largest_fragment or route.mtu)
        sizes, header, was = skb.fragment_sizes, skb.header, skb.original
        if sizes and header is not None and sizes[0] < header.size and (skb.src, skb.dst) != (was.src, was.dst):
            sizes = ()  # to rewrite a transport header, the host had to bring it together
        if skb.family is Family.IPV6:
            mtu = max(mtu, _LEAST_IPV6_MTU)
            if skb.length <= mtu:
                sizes = ()
        for packet in fragments_of(skb.packet, mtu, sizes=sizes, ident=self._idents.u32()):
            piece = Skb(packet)
            piece.route = route
            sent = Sent(route.device, piece)
            self.outcome.sent.append(sent)
            if skb.trace is not None:
                skb.trace.append(Left(route.device, sent))

    def _settle(self) -> None:
        """Carry what went out by ``lo`` in again, and let end what ends once a packet has passed."""
        while self._backlog:
            self._arrive(self._backlog.popleft())
        self.clock.advance(0)

    def _refuse(self, skb: Skb, route: Route) -> Verdict:
        """No way to the destination: say so, if this host routes at all; not more often than the kernel does."""
        ingress = self.ingress[skb.family]
        answer = _REFUSAL[skb.family].get(route.kind)
        if answer is not None and ingress.input_of(skb.indev).forwarding:
            if skb.family is Family.IPV6 or ingress.peers.may_refuse(skb.src):
                self.answer_icmp(skb, *answer)
        return self._drop(skb, f"{route.kind.value}: no way to its destination")

    def _asked(self, skb: Skb, indev: str = "") -> tuple[Routing, int, int, int, str]:
        """Whom a routing decision was asked of, and what."""
        return self.routes[skb.family], skb.dst, skb.src, skb.mark, indev

    @staticmethod
    def _drop(skb: Skb, reason: str) -> Verdict:
        if skb.trace is not None:
            skb.trace.append(Dropped(reason))
        return Verdict.DROP

    # -- what mechanisms ask of their host ----------------------------------------------------------------------------

    def reroute(self, skb: Skb, state: HookState) -> bool:
        """Route *skb* anew as if it were made here; False if there is no way, which its sender is told."""
        route = self.routes[skb.family].lookup(skb.dst, skb.src, skb.mark)
        error = 0 if route.kind is RouteKind.BROADCAST else _ERRNO.get(route.kind, 0)
        if not error and not self.voice.may_have_source(skb.src, route, skb.family):
            error = errno.EINVAL
        if error:
            self.outcome.error = error
            self._drop(skb, f"{route}: no way after a rewrite")
            return False
        skb.route = route
        if skb.trace is not None:
            skb.trace.append(Routed(route, True, self._asked(skb) if self.tells_all else None))
        return True

    def answer_icmp(self, skb: Skb, type: int, code: int, rest: int = 0) -> None:
        """Tell the sender of *skb* by an ICMP error that quotes it as it stands now, unless none may be sent."""
        self.voice.error(skb, type, code, rest)

    def answer_reset(self, skb: Skb) -> None:
        """Answer the TCP segment *skb* with a reset, unless it is one itself."""
        self.voice.reset(skb)

    def fragments_came_too_late(self, first: Packet, indev: str) -> None:
        """Tell the sender of a datagram that was never whole: the host that it is for does, and IPv6 on the way too."""
        skb = Skb(first, indev, self.outcome.trace)
        if skb.family is Family.IPV4:
            skb.route = self.ingress[skb.family].route(skb)
            if skb.route is None or not skb.route.is_local:
                return
        self.answer_icmp(skb, *_REASSEMBLY_TIME_EXCEEDED[skb.family])

    def originate(self, packet: Packet) -> None:
        """Send a *packet* of the host's own."""
        self.voice.say(packet)


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")[:2]
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ConfigError(f"not a kernel version (such as {NEWEST_KERNEL}): {text!r}")
    return tuple(int(part) for part in parts)
