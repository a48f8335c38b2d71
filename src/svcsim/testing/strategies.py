"""
Hypothesis strategies: addresses, packets, services, weights, and scripts of what happens to a service.

What is drawn is valid: packets have right checksums, weights may be 0. Addresses and weights often repeat, for most faults
show where things meet. Each strategy shrinks to the plainest of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from svcsim.addr import Family, Prefix
from svcsim.lab.script import Add, Connect, Disconnect, Edit, Event, Rebind, Remove, Wait
from svcsim.lb.bench import Bench
from svcsim.lb.service import ServiceFlags, ServiceKey, VirtualService
from svcsim.packet import Icmp, Packet, Proto, Sctp, Tcp, TcpFlags, Udp

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from svcsim.lb.scheduler import Scheduler

__all__ = [
    "addresses",
    "benches",
    "events",
    "families",
    "packets",
    "ports",
    "prefixes",
    "request",
    "requests",
    "scripts",
    "service_keys",
    "services",
    "tcp_packets",
    "weights",
]

_u8 = st.integers(0, 0xFF)
_u16 = st.integers(0, 0xFFFF)
_u32 = st.integers(0, 0xFFFFFFFF)
_options = st.binary(max_size=40).map(lambda b: b[: len(b) & ~3])
_FEW = {Family.IPV4: 0x0A000000, Family.IPV6: 0x20010DB8 << 96}
_SCHEDULER_FLAGS = (ServiceFlags.SCHED1, ServiceFlags.SCHED2, ServiceFlags.SCHED3)

#: Ports that a connection can have.
ports: SearchStrategy[int] = st.integers(1, 0xFFFF)
#: IPv4 and IPv6.
families: SearchStrategy[Family] = st.sampled_from(list(Family))


def addresses(family: Family) -> SearchStrategy[int]:
    """Addresses of a family: one of few, so that they meet, or any."""
    few = _FEW[family]
    return st.integers(few, few + 7) | st.integers(0, family.all_ones)


def prefixes(family: Family) -> SearchStrategy[Prefix]:
    """Prefixes with their host bits clear."""

    def make(value: int, length: int) -> Prefix:
        mask = Prefix.mask_of(family, length)
        return Prefix(family, value & mask, mask)

    return st.builds(make, addresses(family), st.integers(0, family.bits))


@st.composite
def packets(draw: DrawFn, family: Family | None = None) -> Packet:
    """Whole packets of every kind, with right checksums; of either family, if none is said."""
    chosen = family or draw(families)
    four = chosen is Family.IPV4
    proto = draw(
        st.sampled_from([Proto.TCP, Proto.UDP, Proto.SCTP, Proto.ICMP if four else Proto.ICMPV6, 47, 200]).map(int)
    )
    header: Tcp | Udp | Sctp | Icmp | None = None
    sport = dport = 0
    if proto == Proto.TCP:
        header = Tcp(draw(_u32), draw(_u32), draw(st.integers(0, 0xFFF)), draw(_u16), draw(_u16), draw(_options))
    elif proto == Proto.UDP:
        header = Udp()
    elif proto == Proto.SCTP:
        header = Sctp(draw(_u32))
    elif proto in (Proto.ICMP, Proto.ICMPV6):
        header = Icmp(draw(_u8), draw(_u8), draw(_u32))
    if header is not None and not isinstance(header, Icmp):
        sport, dport = draw(_u16), draw(_u16)
    src, dst, payload = draw(addresses(chosen)), draw(addresses(chosen)), draw(st.binary(max_size=64))
    ttl, tos = draw(_u8), draw(_u8)
    if four:
        ident, whole, options = draw(_u16), draw(st.booleans()), draw(_options)
        return Packet(chosen, proto, src, dst, sport, dport, header, payload, ttl, tos, ident, whole, options=options)
    label = draw(st.integers(0, 0xFFFFF))
    return Packet(chosen, proto, src, dst, sport, dport, header, payload, ttl, tos, flow_label=label)


@st.composite
def tcp_packets(draw: DrawFn, family: Family = Family.IPV4) -> Packet:
    """Plain segments with any flags."""
    header = Tcp(draw(_u32), draw(_u32), draw(st.integers(0, 63)), draw(_u16))
    src, dst = draw(addresses(family)), draw(addresses(family))
    return Packet(family, Proto.TCP, src, dst, draw(ports), draw(ports), header, draw(st.binary(max_size=16)))


def request(family: Family, client: int, to: int, port: int, udp: bool) -> Packet:
    """
    The packet that opens a connection to a service, a SYN or a datagram; clients and the addresses asked are numbered.

    >>> print(request(Family.IPV4, 1, 0, 40000, udp=False))
    TCP 10.0.1.2:40000 > 10.1.0.0:80 [S] seq 0, length 40
    """
    few = _FEW[family]
    src, dst = few + 1 + client * 0x101, few + 0x10000 + to
    if udp:
        return Packet(family, Proto.UDP, src, dst, port, 80, Udp())
    return Packet(family, Proto.TCP, src, dst, port, 80, Tcp(flags=TcpFlags.SYN))


def requests(family: Family | None = None) -> SearchStrategy[Packet]:
    """Packets that open a connection to a service: from few clients and ports to few addresses, so that they meet."""
    return st.builds(
        request,
        families if family is None else st.just(family),
        st.integers(0, 5),
        st.integers(0, 2),
        st.integers(40000, 40003),
        st.booleans(),
    )


def weights(*, min_size: int = 0, max_size: int = 6, most: int = 5) -> SearchStrategy[list[int]]:
    """Weights of a service's destinations: from 0 (quiesced) to *most*, all the same, or with a common divisor."""
    same = st.builds(lambda weight, count: [weight] * count, st.integers(0, most), st.integers(min_size, max_size))
    multiples = st.builds(
        lambda factor, found: [factor * weight for weight in found],
        st.integers(2, 7),
        st.lists(st.integers(0, most // 2), min_size=min_size, max_size=max_size),
    )
    return st.lists(st.integers(0, most), min_size=min_size, max_size=max_size) | same | multiples


def service_keys(family: Family | None = None) -> SearchStrategy[ServiceKey]:
    """What names a virtual service: protocol, address and port, or a firewall mark."""

    def of(chosen: Family) -> SearchStrategy[ServiceKey]:
        protos = st.sampled_from([Proto.TCP, Proto.UDP, Proto.SCTP]).map(int)
        named = st.builds(ServiceKey, st.just(chosen), protos, addresses(chosen), ports)
        return named | st.builds(ServiceKey.of_mark, st.integers(1, 0xFFFFFFFF), st.just(chosen))

    return families.flatmap(of) if family is None else of(family)


@st.composite
def benches(
    draw: DrawFn,
    scheduler: str | type[Scheduler] = "wlc",
    *,
    family: Family | None = None,
    flags: Iterable[int] = (0, *_SCHEDULER_FLAGS),
) -> Bench:
    """A service on a bench, with the scheduler's own flags among *flags*, destinations, some thresholds, and a seed."""
    bench = Bench(
        scheduler,
        family=family or draw(families),
        flags=draw(st.sampled_from(tuple(flags))),
        seed=draw(st.integers(0, 9)),
    )
    for weight in draw(weights()):
        upper = draw(st.sampled_from([0, 0, 2, 5]))
        bench.add(weight, upper_threshold=upper, lower_threshold=min(upper, draw(st.integers(0, 2))))
    return bench


def services(
    scheduler: str | type[Scheduler] = "wlc", *, family: Family | None = None
) -> SearchStrategy[VirtualService]:
    """Services with destinations, whose scheduler is bound and can be asked."""
    return benches(scheduler, family=family).map(lambda bench: bench.service)


def events(family: Family | None = None) -> SearchStrategy[Event]:
    """One event of a script; more than half of them are connections that come or go."""
    numbers, weight = st.integers(0, 7), st.integers(0, 5)
    connect = st.builds(Connect, requests(family))
    add = st.builds(
        lambda weight, upper, lower: Add(weight, upper, min(upper, lower)),
        weight,
        st.sampled_from([0, 0, 2, 5]),
        st.integers(0, 2),
    )
    return st.one_of(
        connect,
        connect,
        connect,
        add,
        st.builds(Disconnect, numbers),
        st.builds(Edit, numbers, weight),
        st.builds(Remove, numbers),
        st.builds(Wait, st.sampled_from([1, 60, 3600])),
        st.just(Rebind()),
    )


def scripts(family: Family | None = Family.IPV4, *, max_size: int = 50) -> SearchStrategy[list[Event]]:
    """
    Scripts for `run_script`, of one family.

    >>> from hypothesis import given, settings
    >>> from svcsim.lab.script import run_script
    >>> @settings(database=None)
    ... @given(benches("rr", family=Family.IPV4), scripts())
    ... def nobody_is_overlooked(bench, script):
    ...     run_script(bench, script)
    ...     able = any(d.weight and not d.overloaded for d in bench.destinations)
    ...     assert able == (bench.connect() is not None)
    >>> nobody_is_overlooked()
    """
    if family is None:
        return families.flatmap(lambda chosen: scripts(chosen, max_size=max_size))
    return st.lists(events(family), max_size=max_size)
