"""
What IPVS shows under /proc/net: ip_vs, ip_vs_app, ip_vs_conn and ip_vs_stats.

Behaviour of: ip_vs_info_seq_show, ip_vs_conn_seq_show, ip_vs_stats_show. Lists are in the kernel's own order, the only
view that shows in which order a scheduler walks its destinations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.lb.service import ServiceFlags
from svcsim.packet import Proto

if TYPE_CHECKING:
    from svcsim.lb.director import Director

__all__ = ["proc_ip_vs", "proc_ip_vs_app", "proc_ip_vs_conn", "proc_ip_vs_stats"]

_HZ = 250  # ticks a second of the kernels that distributions build; persistence is shown in ticks


def proc_ip_vs(director: Director, table_size: int = 4096, hz: int = _HZ) -> str:
    """The text of /proc/net/ip_vs on a kernel whose tick is 1/*hz* seconds."""
    lines = [
        f"IP Virtual Server version 1.2.1 (size={table_size})",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn",
    ]
    for service in director.services:
        key = service.key
        one_packet = "ops " if service.flags & ServiceFlags.ONE_PACKET else ""
        if key.fwmark:
            line = f"FWM  {key.fwmark:08X} {service.scheduler.name} {one_packet}"
        elif key.family is Family.IPV6:  # without the one-packet flag, as the kernel prints it
            line = f"{Proto(key.proto).name}  [{_ipv6(key.address)}]:{key.port:04X} {service.scheduler.name} "
        else:
            line = f"{Proto(key.proto).name}  {key.address:08X}:{key.port:04X} {service.scheduler.name} {one_packet} "
        if service.flags & ServiceFlags.PERSISTENT:
            mask = service.netmask
            if key.family is Family.IPV6:  # a prefix length, whose bytes are swapped as if it were an address
                mask = int.from_bytes(mask.to_bytes(4, "little"))
            line += f"persistent {service.timeout * hz} {mask:08X}"
        lines.append(line)
        for d in service.destinations:
            host = f"[{_ipv6(d.address)}]" if d.family is Family.IPV6 else f"{d.address:08X}"
            counts = f"{d.weight:<6} {d.active:<10} {d.inactive:<10}"
            lines.append(f"  -> {host}:{d.port:04X}      {d.method.label:<7} {counts}")
    return "".join(line + "\n" for line in lines)


def proc_ip_vs_conn(director: Director) -> str:
    """The text of /proc/net/ip_vs_conn."""
    lines = ["Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData"]
    for conn in director.connections():
        to = conn.dest.family if conn.dest is not None else conn.family
        ends = (
            (conn.family, conn.caddr, conn.cport),
            (conn.family, conn.vaddr, conn.vport),
            (to, conn.daddr, conn.dport),
        )
        places = " ".join(f"{_ipv6(a) if f == 6 else f'{a:08X}'} {port:04X}" for f, a, port in ends)
        proto = Proto(conn.proto).name if conn.proto else "IP"
        lines.append(f"{proto:<3} {places} {conn.state_name:<11} {conn.remaining(director.clock.now):7}")
    return "".join(line + "\n" for line in lines)


def proc_ip_vs_app() -> str:
    """The text of /proc/net/ip_vs_app: no application helper (FTP) is loaded."""
    return "prot port    usecnt name\n"


def proc_ip_vs_stats(director: Director) -> str:
    """The text of /proc/net/ip_vs_stats, whose numbers are hexadecimal."""
    director.estimate()
    stats = director.stats
    totals, rates = stats.shown(), stats.rates()
    return (
        "   Total Incoming Outgoing         Incoming         Outgoing\n"
        "   Conns  Packets  Packets            Bytes            Bytes\n"
        f"{totals.conns:8X} {totals.inpkts:8X} {totals.outpkts:8X} {totals.inbytes:16X} {totals.outbytes:16X}\n\n"
        " Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n"
        f"{rates.cps:8X} {rates.inpps:8X} {rates.outpps:8X} {rates.inbps:16X} {rates.outbps:16X}\n"
    )


def _ipv6(address: int) -> str:
    """Eight groups of four digits."""
    digits = f"{address:032x}"
    return ":".join(digits[i : i + 4] for i in range(0, 32, 4))
