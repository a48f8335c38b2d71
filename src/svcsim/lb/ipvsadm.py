"""
What ``ipvsadm`` prints: the table of services in all its listings, and the commands that would make it again.

Behaviour of: ipvsadm 1.31 with ``-n``. Blanks at the ends of lines are the tool's. What /proc shows is made in
`svcsim.lb.ipvs_proc`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from svcsim.addr import Family, format_address
from svcsim.lb.conn import VsConn
from svcsim.lb.service import Destination, ForwardingMethod, ServiceFlags, TunnelType, VirtualService
from svcsim.lb.stats import Rates, Totals
from svcsim.packet import Proto

__all__ = [
    "LISTINGS",
    "connection_listing",
    "listing",
    "saved",
    "sorted_as_tool",
]

T = TypeVar("T")

#: The kinds of listing; of several asked for, the tool makes the first.
LISTINGS = ("stats", "rate", "thresholds", "persistent-conn", "tun-info", "plain")

_COUNTERS = ("conns", "inpkts", "outpkts", "inbytes", "outbytes")
_RATES = ("cps", "inpps", "outpps", "inbps", "outbps")
_TITLES = {
    "plain": "Prot LocalAddress:Port Scheduler Flags\n"
    "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
    "tun-info": "Prot LocalAddress:Port Scheduler Flags\n"
    "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n",
    "stats": "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n"
    "  -> RemoteAddress:Port\n",
    "rate": "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  -> RemoteAddress:Port\n",
    "thresholds": "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n"
    "  -> RemoteAddress:Port\n",
    "persistent-conn": "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n"
    "  -> RemoteAddress:Port\n",
}
_SERVICE_OPTIONS = {Proto.TCP: "-t", Proto.UDP: "-u", Proto.SCTP: "--sctp-service"}
_METHOD_OPTIONS = {ForwardingMethod.MASQ: "-m", ForwardingMethod.TUNNEL: "-i"}
_CHECKSUM_MARKS = {"nocsum": "-c", "csum": "+c", "remcsum": "r+c"}


def listing(
    services: Iterable[VirtualService],
    kind: str = "plain",
    *,
    exact: bool = False,
    sort: bool = True,
    table_size: int | None = 4096,
) -> str:
    """
    The text of ``ipvsadm -Ln`` with the option of *kind* (one of `LISTINGS`), *exact* for ``--exact``.

    *services* come in the kernel's order, which is kept without *sort*. *table_size* is the connection table's, on the
    first line; None leaves that line out, as when one service is asked for.

    >>> print(listing([], "stats"), end="")
    IP Virtual Server version 1.2.1 (size=4096)
    Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
      -> RemoteAddress:Port
    """
    parts = [] if table_size is None else [f"IP Virtual Server version 1.2.1 (size={table_size})\n"]
    parts.append(_TITLES[kind])
    for service in sorted_as_tool(services, _compare_services) if sort else services:
        parts.append(_service_line(service, kind, exact))
        destinations: Iterable[Destination] = service.destinations
        if sort:
            destinations = sorted_as_tool(destinations, _compare_destinations)
        parts += [_destination_line(destination, kind, exact) for destination in destinations]
    return "".join(parts)


def saved(services: Iterable[VirtualService]) -> str:
    """
    The text of ``ipvsadm -Sn``, which ``ipvsadm -R`` reads.

    Thresholds are not in it, and destinations come back in reverse: each restored one becomes the first of its list.
    """
    lines = []
    for service in sorted_as_tool(services, _compare_services):
        key = service.key
        if key.fwmark:
            name = f"-f {_signed(key.fwmark)}" + (" -6" if key.family is Family.IPV6 else "")
        else:
            name = f"{_SERVICE_OPTIONS[Proto(key.proto)]} {_place(key.family, key.address, key.port)}"
        line = f"-A {name} -s {service.scheduler.name}"
        if service.flags & ServiceFlags.PERSISTENT:
            line += f" -p {service.timeout}" + _netmask(service, " -M ")
        if service.flags & ServiceFlags.ONE_PACKET:
            line += " -o"
        flags = _flag_words(service)
        lines.append(line + (f" -b {flags}" if flags else ""))
        for destination in sorted_as_tool(service.destinations, _compare_destinations):
            method = _METHOD_OPTIONS.get(destination.method, "-g")
            lines.append(f"-a {name} -r {destination} {method} -w {destination.weight}{_tunnel_options(destination)}")
    return "".join(line + "\n" for line in lines)


def connection_listing(connections: Iterable[VsConn], now: int, *, engines: bool = False) -> str:
    """
    The text of ``ipvsadm -Lnc`` at time *now* (nanoseconds); *engines* adds the titles that ``--persistent-conn`` adds.
    """
    title = "pro expire state       source             virtual            destination"
    parts = ["IPVS connection entries\n", title, "        pe name          pe_data\n" if engines else "\n"]
    for conn in connections:
        left = conn.remaining(now)
        family = conn.family
        # A template of a firewall mark stands for any protocol: the mark is its virtual address, written as IPv4.
        client = _place(family, conn.caddr, conn.cport)
        virtual = _place(family, conn.vaddr, conn.vport)
        to = conn.dest.family if conn.dest is not None else family
        expire = f"{left // 60:02}:{left % 60:02}"
        proto = _protocol(conn.proto)
        parts.append(
            f"{proto:<3} {expire:<6} {conn.state_name:<11} {client:<18} {virtual:<18} "
            f"{_place(to, conn.daddr, conn.dport)}\n"
        )
    return "".join(parts)


def sorted_as_tool(items: Iterable[T], compare: Callable[[T, T], int]) -> list[T]:
    """
    Sort as the C library's qsort does: by merging halves, the first a smaller one, the left one first at a tie.

    That matters because the tool compares addresses by a 32-bit difference with sign, which is no order at all.
    """
    items = list(items)
    if len(items) < 2:
        return items
    half = len(items) // 2
    left, right = sorted_as_tool(items[:half], compare), sorted_as_tool(items[half:], compare)
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if compare(left[i], right[j]) <= 0:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]


def _compare_services(a: VirtualService, b: VirtualService) -> int:
    x, y = a.key, b.key
    return (
        _signed(x.fwmark - y.fwmark)
        or x.family - y.family
        or x.proto - y.proto
        or _compare_addresses(x.family, x.address, y.family, y.address)
        or x.port - y.port
    )


def _compare_destinations(a: Destination, b: Destination) -> int:
    return _compare_addresses(a.family, a.address, b.family, b.address) or a.port - b.port


def _compare_addresses(family_a: int, a: int, family_b: int, b: int) -> int:
    """The first difference of 32-bit words that is not 0; an IPv4 address is one word with three of zero behind it."""
    a, b = a << (96 if family_a == 4 else 0), b << (96 if family_b == 4 else 0)
    for shift in (96, 64, 32, 0):
        difference = _signed((a >> shift & 0xFFFFFFFF) - (b >> shift & 0xFFFFFFFF))
        if difference:
            return difference
    return 0


def _signed(value: int) -> int:
    """*value* in 32 bits with a sign, as C's int holds it."""
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _service_line(service: VirtualService, kind: str, exact: bool) -> str:
    key = service.key
    if key.fwmark:
        name = f"FWM  {_signed(key.fwmark)}" + (" IPv6" if key.family is Family.IPV6 else "")
    else:
        name = f"{_protocol(key.proto):<4} {_place(key.family, key.address, key.port)}"
    if kind == "stats":
        return f"{name:<33}{_numbers(service.stats.shown(), _COUNTERS, exact)}\n"
    if kind == "rate":
        return f"{name:<33}{_numbers(service.stats.rates(), _RATES, exact)}\n"
    line = f"{name} {service.scheduler.name}"
    flags = _flag_words(service)
    if flags:
        line += f" ({flags})"
    if service.flags & ServiceFlags.PERSISTENT:
        line += f" persistent {service.timeout}" + _netmask(service, " mask ")
    if service.flags & ServiceFlags.ONE_PACKET:
        line += " ops"
    return line + "\n"


def _destination_line(destination: Destination, kind: str, exact: bool) -> str:
    name = f"  -> {destination!s:<28}"
    if kind == "stats":
        return f"{name}{_numbers(destination.stats.shown(), _COUNTERS, exact)}\n"
    if kind == "rate":
        rates = destination.stats.rates()
        # The tool never abbreviates a destination's first three.
        return f"{name} {rates.cps:8} {rates.inpps:8} {rates.outpps:8}{_numbers(rates, _RATES[3:], exact)}\n"
    counts = f"{destination.active:<10} {destination.inactive:<10}\n"
    if kind == "thresholds":
        return f"{name} {destination.upper_threshold:<10} {destination.lower_threshold:<10} {counts}"
    if kind == "persistent-conn":
        return f"{name} {destination.weight:<9} {destination.persistent:<11} {counts}"
    tunnel = f" {_tunnel_info(destination):<13}" if kind == "tun-info" else ""
    return f"{name} {destination.method.label:<7}{tunnel} {destination.weight:<6} {counts}"


def _numbers(source: Totals | Rates, fields: Iterable[str], exact: bool) -> str:
    return "".join(_exact(getattr(source, f)) if exact else _abbreviated(getattr(source, f)) for f in fields)


def _exact(value: int) -> str:
    return f" {value:8}"


def _abbreviated(value: int) -> str:
    """
    A number in nine columns, cut to thousands, millions and so on from 10^8 on.

    >>> _abbreviated(99_999_999), _abbreviated(100_000_000), _abbreviated(10**14)
    (' 99999999', '  100000K', '     100T')
    """
    for limit, unit, letter in ((10**8, 1, ""), (10**9, 10**3, "K"), (10**11, 10**6, "M"), (10**14, 10**9, "G")):
        if value < limit:
            return f"{value // unit:{9 - len(letter)}}{letter}"
    return f"{value // 10**12:8}T"


def _place(family: int, address: int, port: int) -> str:
    host = format_address(family, address)
    return f"[{host}]:{port}" if family == 6 else f"{host}:{port}"


def _protocol(proto: int) -> str:
    return Proto(proto).name if proto else "IP"


def _netmask(service: VirtualService, prefix: str) -> str:
    if service.key.family is Family.IPV6:
        return "" if service.netmask == 128 else f"{prefix}{service.netmask}"
    return "" if service.netmask == 0xFFFFFFFF else prefix + format_address(4, service.netmask)


def _flag_words(service: VirtualService) -> str:
    bits = (ServiceFlags.SCHED1, ServiceFlags.SCHED2, ServiceFlags.SCHED3)
    words = zip(bits, service.scheduler.flag_names, strict=True)
    return ",".join(word for bit, word in words if service.flags & bit)


def _tunnel_options(destination: Destination) -> str:
    if destination.method is not ForwardingMethod.TUNNEL:
        return ""
    kind = destination.tunnel
    if kind is TunnelType.IPIP:
        return " --tun-type ipip"
    port = f" --tun-port {destination.tunnel_port}" if kind is TunnelType.GUE else ""
    return f" --tun-type {kind.name.lower()}{port} --tun-{destination.tunnel_checksum}"


def _tunnel_info(destination: Destination) -> str:
    if destination.method is not ForwardingMethod.TUNNEL:
        return "n/a"
    kind = destination.tunnel
    if kind is TunnelType.IPIP:
        return "ipip"
    port = f":{destination.tunnel_port}" if kind is TunnelType.GUE else ""
    return f"{kind.name.lower()}{port}:{_CHECKSUM_MARKS[destination.tunnel_checksum]}"
