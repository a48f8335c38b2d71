"""
Where an arriving packet goes: martians out, the routing decision, source validation.

Behaviour of: the kernel's input routing. A source that cannot be (this host's own address, loopback from outside,
broadcast, multicast) makes a packet a martian, dropped without a word. ``rp_filter`` asks for the way back besides.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family, format_address
from svcsim.clock import MILLISECOND, SECOND, Clock
from svcsim.hooks import Skb
from svcsim.packet import Packet
from svcsim.route import Route, RouteKind, Routing
from svcsim.sysctl import Sysctl, Sysctls

__all__ = ["DEVICE_PARAMETERS", "HOST_PARAMETERS", "Ingress", "Peers", "is_impossible"]

#: What belongs to the host as a whole. A node forwards from the start, as its users expect; a bare kernel does not.
HOST_PARAMETERS = [
    Sysctl("net.ipv4.ip_forward", 1, maximum=1),
    Sysctl("net.ipv4.ip_default_ttl", 64, minimum=1, maximum=255),
    Sysctl("net.ipv4.ip_unprivileged_port_start", 1024, maximum=65535),
    Sysctl("net.ipv4.icmp_echo_ignore_all", 0, maximum=1),
    # ICMP errors are not limited here whatever these say: a scenario's host has the limits off.
    Sysctl("net.ipv4.icmp_ratelimit", 0, modelled=False),
    Sysctl("net.ipv4.icmp_msgs_per_sec", 10000, modelled=False),
    Sysctl("net.ipv4.icmp_msgs_burst", 10000, modelled=False),
    Sysctl("net.ipv6.icmp.ratelimit", 0, modelled=False),
    Sysctl("net.ipv4.ip_local_port_range", "32768\t60999", modelled=False),
    Sysctl("net.ipv4.tcp_timestamps", 1, modelled=False),
]
#: What every device has of its own, and ``all`` and ``default`` besides.
DEVICE_PARAMETERS = {
    Family.IPV4: {
        "forwarding": 1,
        "rp_filter": 0,
        "accept_local": 0,
        "route_localnet": 0,
        "send_redirects": 1,
        "shared_media": 1,
        "src_valid_mark": 0,
        "arp_ignore": 0,
        "arp_announce": 0,
        "accept_redirects": 1,
        "log_martians": 0,
    },
    Family.IPV6: {"forwarding": 1, "accept_ra": 0, "accept_dad": 0, "disable_ipv6": 0, "accept_redirects": 1},
}
#: Of those, what changes nothing here: there is no neighbour resolution.
_NOT_MODELLED = {"arp_ignore", "arp_announce", "accept_ra", "accept_dad", "accept_redirects", "log_martians"}

_REDIRECT_LOAD, _REDIRECTS = 20 * MILLISECOND, 9
#: More decisions than this are forgotten at once rather than kept.
_CACHE_SIZE = 1 << 16
_LIMITED_BROADCAST = 0xFFFFFFFF
_ALL_HOSTS = {Family.IPV4: 0xE0000001, Family.IPV6: 0xFF02 << 112 | 1}


@attrs.frozen
class _Input:
    """The parameters of one device, put together with those of ``all``."""

    forwarding: bool
    rp_filter: int
    accept_local: bool
    route_localnet: bool
    send_redirects: bool
    by_mark: bool


@attrs.define
class Peers:
    """
    What a host remembers of those that it sends ICMP to, so as not to talk too much.

    That there is no way (`may_refuse`) is said once a second and, after a long silence, up to five times at once; but
    an ICMP error of another kind takes all that was saved up. Redirects go out at once, then after 20 ms, 40, 80 and so
    on, and not at all after nine.

    >>> clock = Clock()
    >>> peers = Peers(clock)
    >>> peers.may_refuse(7), peers.may_refuse(7), peers.may_redirect(7), peers.may_redirect(7)
    (True, True, True, False)
    >>> clock.advance(SECOND // 2); peers.told(7); peers.may_refuse(7)
    False
    """

    clock: Clock
    spends_all: bool = False  # Linux 6.1: also an error that `may_refuse` allowed takes all that was saved up
    _known: dict[int, tuple[int, int, int]] = attrs.field(factory=dict, init=False)  # saved, last time, redirects

    def _of(self, address: int) -> tuple[int, int, int]:
        return self._known.get(address, (0, self.clock.now - 60 * SECOND, 0))

    def _keep(self, address: int, saved: int, redirects: int) -> None:
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[address] = (saved, self.clock.now, redirects)

    def may_refuse(self, address: int) -> bool:
        """Whether *address* may be told once more that there is no way (ip_rt_error_cost, ip_rt_error_burst)."""
        saved, last, redirects = self._of(address)
        saved = min(5 * SECOND, saved + self.clock.now - last)
        allowed = saved >= SECOND
        self._keep(address, saved - SECOND if allowed else saved, redirects)
        return allowed

    def told(self, address: int) -> None:
        """An ICMP error goes to *address*; one that `may_refuse` allowed at this moment has been counted already."""
        _, last, redirects = self._of(address)
        if last != self.clock.now or self.spends_all:
            self._keep(address, 0, redirects)

    def may_redirect(self, address: int) -> bool:
        """Whether *address* may be told once more of a shorter way (ip_rt_redirect_load, _number, _silence)."""
        saved, last, sent = self._of(address)
        now = self.clock.now
        if now > last + (_REDIRECT_LOAD << (_REDIRECTS + 1)):
            sent = saved = 0
        if sent >= _REDIRECTS:
            self._keep(address, saved, sent)
            return False
        if sent and now <= last + (_REDIRECT_LOAD << sent):
            return False
        self._keep(address, saved, sent + 1)
        return True


def is_impossible(packet: Packet) -> bool:
    """
    Whether an IPv6 packet from a link is refused before anything else: loopback addresses, a multicast source, a
    destination of reserved or of no more than this device's scope.
    """
    src, dst = packet.src, packet.dst
    return src == 1 or dst == 1 or src >> 120 == 0xFF or (dst >> 120 == 0xFF and dst >> 112 & 0xF <= 1)


class Ingress:
    """The input routing of one family on one host."""

    def __init__(self, family: Family, routing: Routing, sysctls: Sysctls, clock: Clock) -> None:
        self.family, self.routing, self.sysctls, self.clock = family, routing, sysctls, clock
        self.peers = Peers(clock)
        self._inputs: dict[str, _Input] = {}
        self._decisions: dict[tuple[int, int, int, str], Route] = {}
        routing.on_change.append(self._decisions.clear)
        for scope in ("all", "default"):
            self.add_device(scope)

    def add_device(self, name: str) -> None:
        """Declare the parameters of a device; it starts with those of ``default``."""
        base = f"net.ipv{self.family}.conf."
        parameters = []
        for key, initial in DEVICE_PARAMETERS[self.family].items():
            value = self.sysctls.values.get(f"{base}default.{key}", initial)
            maximum = 2 if key == "rp_filter" else 2**31 - 1
            parameters.append(Sysctl(f"{base}{name}.{key}", value, maximum=maximum, modelled=key not in _NOT_MODELLED))
        self.sysctls.declare(parameters)
        for parameter in parameters:
            self.sysctls.on_write(parameter.name, self._forget)

    def _forget(self) -> None:
        self._inputs.clear()
        self._decisions.clear()

    def input_of(self, device: str) -> _Input:
        """The parameters in force for what arrives by *device*."""
        known = self._inputs.get(device)
        if known is None:
            values, base = self.sysctls.values, f"net.ipv{self.family}.conf."

            def own(key: str) -> int:
                return int(values.get(f"{base}{device}.{key}", 0))

            def every(key: str) -> int:
                return int(values.get(f"{base}all.{key}", 0))

            if self.family is Family.IPV4:
                known = _Input(
                    forwarding=bool(own("forwarding")),
                    rp_filter=max(own("rp_filter"), every("rp_filter")),
                    accept_local=bool(own("accept_local") or every("accept_local")),
                    route_localnet=bool(own("route_localnet") or every("route_localnet")),
                    send_redirects=bool(own("send_redirects") or every("send_redirects")),
                    by_mark=bool(own("src_valid_mark") or every("src_valid_mark")),
                )
            else:
                known = _Input(bool(every("forwarding")), 0, True, False, False, True)
            self._inputs[device] = known
        return known

    def route(self, skb: Skb) -> Route | None:
        """The routing decision for *skb*, None for a martian; answers are kept until something changes."""
        key = (skb.src, skb.dst, skb.mark, skb.indev)
        route = self._decisions.get(key)
        if route is None:
            route = self._decide(skb)
            if route is not None:
                if len(self._decisions) >= _CACHE_SIZE:
                    self._decisions.clear()
                self._decisions[key] = route
        return route

    def _decide(self, skb: Skb) -> Route | None:
        if self.family is Family.IPV6:
            return self._route_ipv6(skb)
        src, dst, indev = skb.src, skb.dst, skb.indev
        device = self._inputs.get(indev) or self.input_of(indev)
        if src >> 28 == 0xE or src == _LIMITED_BROADCAST:
            return None
        if dst == _LIMITED_BROADCAST or not (src or dst):
            return Route(RouteKind.BROADCAST, indev) if src == 0 or self._accepts(skb, device) else None
        inside = src >> 24 == 127 or dst >> 24 == 127
        if inside and not device.route_localnet:
            return None
        if dst >> 28 == 0xE:
            joined = dst == _ALL_HOSTS[self.family] and (src == 0 or self._accepts(skb, device))
            return Route(RouteKind.MULTICAST, indev) if joined else None
        if src == 0 or dst == 0:
            return None
        route = self.routing.lookup(dst, src, skb.mark, indev)
        kind = route.kind
        if kind is RouteKind.UNICAST:
            return route if self._accepts(skb, device, route.device) else None
        if kind is RouteKind.LOCAL or kind is RouteKind.BROADCAST:
            return route if self._accepts(skb, device) else None
        return None if kind is RouteKind.BLACKHOLE else route

    def _accepts(self, skb: Skb, device: _Input, outdev: str = "") -> bool:
        """
        Whether *skb*'s source may arrive where it did; *outdev* is the device that it is to leave by.

        Without ``rp_filter`` none but this host's own addresses are refused. The way back is looked up if it is on,
        where policy rules or local routes of somebody's own might say otherwise, and before a redirect.
        """
        routing, indev = self.routing, skb.indev
        if not device.rp_filter and not (outdev == indev and device.send_redirects):
            if device.accept_local:
                return True
            if not routing.has_custom_rules and not routing.has_custom_local:
                return not routing.owns(skb.src)
        back = routing.lookup(skb.src, skb.dst, skb.mark if device.by_mark else 0)
        if back.kind is RouteKind.UNICAST:
            there = back.device
        elif back.kind is RouteKind.LOCAL:
            if not device.accept_local:
                return False
            there = routing.holder(skb.src)
        else:
            return back.kind is not RouteKind.BROADCAST and not device.rp_filter
        if there == indev:
            return True
        if routing.first_address(indev) == 0:
            return not device.rp_filter
        return device.rp_filter != 1

    def complaint(self, skb: Skb) -> str:
        """Why `route` has no answer to *skb*."""
        src, dst = skb.src, skb.dst
        source, target = format_address(self.family, src), format_address(self.family, dst)
        if self.family is Family.IPV6:
            group = dst >> 120 == 0xFF
            if group or dst <= 1:
                return f"martian: {'no group of this host is' if group else 'nobody outside may write to'} {target}"
            return f"blackhole: the route to {target} takes everything"
        if src >> 28 == 0xE or src == _LIMITED_BROADCAST:
            return f"martian: {source} is nobody's source"
        if (src >> 24 == 127 or dst >> 24 == 127) and not self.input_of(skb.indev).route_localnet:
            return f"martian: loopback addresses do not come by {skb.indev} (route_localnet is 0)"
        if dst >> 28 == 0xE and dst != _ALL_HOSTS[self.family]:
            return f"martian: no group of this host is {target}"
        if dst != _LIMITED_BROADCAST and dst >> 28 != 0xE:
            if not (src and dst):
                return "martian: 0.0.0.0 is no end of a packet for one host"
            if self.routing.lookup(dst, src, skb.mark, skb.indev).kind is RouteKind.BLACKHOLE:
                return f"blackhole: the route to {target} takes everything"
        return self._complaint_of_source(skb, source)

    def _complaint_of_source(self, skb: Skb, source: str) -> str:
        device, routing = self.input_of(skb.indev), self.routing
        back = routing.lookup(skb.src, skb.dst, skb.mark if device.by_mark else 0)
        if routing.owns(skb.src) or back.kind is RouteKind.LOCAL:
            return f"martian: the source {source} is this host's own (accept_local is {int(device.accept_local)})"
        if back.kind is RouteKind.BROADCAST:
            return f"martian: the source {source} is a broadcast address"
        way = f"goes by {back.device}, not by {skb.indev}" if back.kind is RouteKind.UNICAST else "is not there"
        return f"martian: the way back to {source} {way} (rp_filter is {device.rp_filter})"

    def _route_ipv6(self, skb: Skb) -> Route | None:
        src, dst = skb.src, skb.dst
        if dst <= 1:
            return None
        if dst >> 120 == 0xFF:
            return Route(RouteKind.MULTICAST, skb.indev) if dst == _ALL_HOSTS[self.family] else None
        route = self.routing.lookup(dst, src, skb.mark, skb.indev)
        return None if route.kind is RouteKind.BLACKHOLE else route

    def redirects(self, skb: Skb, route: Route) -> bool:
        """Whether the sender should be told of a shorter way: the packet leaves where it came from."""
        device = self.input_of(skb.indev)
        if self.family is Family.IPV6 or not device.send_redirects:
            return False
        mark = skb.mark if device.by_mark else 0
        back = self.routing.lookup(skb.src, skb.dst, mark)
        if back.kind is RouteKind.UNICAST and back.device != skb.indev:
            back = self.routing.lookup(skb.src, skb.dst, mark, outdev=skb.indev)
        if back.kind is not RouteKind.UNICAST or back.gateway:
            return False
        return self.peers.may_redirect(skb.src)
