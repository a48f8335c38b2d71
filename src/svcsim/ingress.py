"""
Where an arriving packet goes: martians out, the routing decision, source validation.

Behaviour of: the kernel's input routing. A source that cannot be (this host's own address, loopback from outside,
broadcast, multicast) makes a packet a martian, dropped without a word. ``rp_filter`` asks for the way back besides.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family
from svcsim.clock import MILLISECOND, SECOND, Clock
from svcsim.hooks import Skb
from svcsim.route import Route, RouteKind, Routing
from svcsim.sysctl import Sysctl, Sysctls

__all__ = ["DEVICE_PARAMETERS", "HOST_PARAMETERS", "Ingress", "Limiter"]

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

#: More decisions than this are forgotten at once rather than kept.
_CACHE_SIZE = 1 << 16
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
class Limiter:
    """
    A bucket of tokens per peer: *burst* at first, one more every *interval* nanoseconds.

    >>> clock = Clock()
    >>> errors = Limiter(clock, burst=2, interval=SECOND)
    >>> [errors.allows(7) for _ in range(3)]
    [True, True, False]
    >>> clock.advance(SECOND); errors.allows(7)
    True
    """

    clock: Clock
    burst: int
    interval: int
    _peers: dict[int, tuple[int, int]] = attrs.field(factory=dict, init=False)  # tokens in ns, and when counted

    def allows(self, peer: int) -> bool:
        """Take a token of *peer*'s if there is one."""
        now, full = self.clock.now, self.burst * self.interval
        tokens, counted = self._peers.get(peer, (full, now))
        tokens = min(full, tokens + now - counted)
        allowed = tokens >= self.interval
        if len(self._peers) >= 1 << 16:
            self._peers.clear()
        self._peers[peer] = (tokens - self.interval if allowed else tokens, now)
        return allowed


class Ingress:
    """The input routing of one family on one host."""

    #: A redirect to one peer is followed by the next after 20 ms, then 40, 80 ... and none after nine (ip_rt_redirect).
    _REDIRECT_LOAD, _REDIRECT_NUMBER = 20 * MILLISECOND, 9
    _REDIRECT_SILENCE = _REDIRECT_LOAD << (_REDIRECT_NUMBER + 1)

    def __init__(self, family: Family, routing: Routing, sysctls: Sysctls, clock: Clock) -> None:
        self.family, self.routing, self.sysctls, self.clock = family, routing, sysctls, clock
        self.errors = Limiter(clock, burst=5, interval=SECOND)  # ip_rt_error_burst, ip_rt_error_cost
        self._inputs: dict[str, _Input] = {}
        self._decisions: dict[tuple[int, int, int, str], Route | None] = {}
        self._generation = routing.generation
        self._redirected: dict[int, tuple[int, int]] = {}  # peer: redirects sent, and when the last one was
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
        decisions = self._decisions
        if self._generation != self.routing.generation or len(decisions) >= _CACHE_SIZE:
            decisions.clear()
            self._generation = self.routing.generation
        elif key in decisions:
            return decisions[key]
        route = decisions[key] = self._decide(skb)
        return route

    def _decide(self, skb: Skb) -> Route | None:
        if self.family is Family.IPV6:
            return self._route_ipv6(skb)
        src, dst, indev = skb.src, skb.dst, skb.indev
        device = self._inputs.get(indev) or self.input_of(indev)
        if src >> 28 >= 0xE or src >> 24 in (0, 127) or dst >> 24 in (0, 127) or dst >> 28 >= 0xE:
            return self._route_odd(skb, device)
        route = self.routing.lookup(dst, src, skb.mark, indev)
        if route.kind is RouteKind.UNICAST or route.kind is RouteKind.LOCAL:
            return route if self._accepts(skb, route, device) else None
        return self._settle(skb, route, device)

    def _route_odd(self, skb: Skb, device: _Input) -> Route | None:
        """Decide on addresses that few packets carry: multicast, broadcast, loopback, zero."""
        src, dst = skb.src, skb.dst
        if src >> 28 >= 0xE or (src >> 24 == 0 and dst != 0xFFFFFFFF):
            return None
        if (src >> 24 == 127 or dst >> 24 == 127) and not device.route_localnet:
            return None
        if dst >> 24 == 0:
            return None
        if dst == 0xFFFFFFFF:
            return Route(RouteKind.BROADCAST, skb.indev)
        if dst >> 28 == 0xE:
            return Route(RouteKind.MULTICAST, skb.indev) if dst == _ALL_HOSTS[self.family] else None
        return self._settle(skb, self.routing.lookup(dst, src, skb.mark, skb.indev), device)

    def _settle(self, skb: Skb, route: Route, device: _Input) -> Route | None:
        if route.kind is RouteKind.BLACKHOLE:
            return None
        if route.kind in (RouteKind.UNICAST, RouteKind.LOCAL, RouteKind.BROADCAST):
            return route if self._accepts(skb, route, device) else None
        return route

    def _accepts(self, skb: Skb, route: Route, device: _Input) -> bool:
        """Whether *skb*'s source may arrive where it did."""
        lookup = self.routing.lookup
        back = lookup(skb.src, skb.dst, skb.mark if device.by_mark else 0)
        if back.kind is RouteKind.LOCAL:
            return device.accept_local
        if not device.rp_filter:
            return back.kind is RouteKind.UNICAST or back.kind is RouteKind.NONE or route.device != skb.indev
        if back.kind is not RouteKind.UNICAST:
            return False
        return back.device == skb.indev or device.rp_filter == 2

    def _route_ipv6(self, skb: Skb) -> Route | None:
        src, dst = skb.src, skb.dst
        if src >> 120 == 0xFF or src == 1 or dst <= 1:
            return None
        if dst >> 120 == 0xFF:
            return Route(RouteKind.MULTICAST, skb.indev) if dst == _ALL_HOSTS[self.family] else None
        route = self.routing.lookup(dst, src, skb.mark, skb.indev)
        return None if route.kind is RouteKind.BLACKHOLE else route

    def redirects(self, skb: Skb, route: Route) -> bool:
        """Whether the sender should be told of a shorter way: the packet leaves where it came from."""
        if self.family is Family.IPV6 or not self.input_of(skb.indev).send_redirects:
            return False
        back = self.routing.lookup(skb.src, skb.dst)
        if back.kind is not RouteKind.UNICAST or back.gateway or back.device != skb.indev:
            return False
        now = self.clock.now
        sent, last = self._redirected.get(skb.src, (0, 0))
        if now > last + self._REDIRECT_SILENCE:
            sent = 0
        if sent >= self._REDIRECT_NUMBER:
            self._redirected[skb.src] = (sent, now)
            return False
        if sent and now <= last + (self._REDIRECT_LOAD << sent):
            return False
        if len(self._redirected) >= 1 << 16:
            self._redirected.clear()
        self._redirected[skb.src] = (sent + 1, now)
        return True
