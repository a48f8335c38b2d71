"""
The kernel parameters of IPVS, with their defaults.

Source: Documentation/networking/ipvs-sysctl.rst. `modelled` is False where a value is kept and nothing follows from it.
"""

from __future__ import annotations

from svcsim.sysctl import Sysctl

__all__ = ["PARAMETERS"]

_DAY = 86400


def _flag(name: str, default: int = 0, maximum: int = 1, *, modelled: bool = True) -> Sysctl:
    return Sysctl(f"net.ipv4.vs.{name}", default, maximum=maximum, modelled=modelled)


PARAMETERS = [
    _flag("conntrack"),
    _flag("conn_reuse_mode", 1, 2**31 - 1),
    _flag("expire_nodest_conn"),
    _flag("expire_quiescent_template"),
    _flag("sloppy_tcp"),
    _flag("sloppy_sctp"),
    _flag("schedule_icmp"),
    _flag("nat_icmp_send"),
    _flag("snat_reroute", 1),
    _flag("cache_bypass"),
    _flag("ignore_tunneled"),
    _flag("pmtu_disc", 1),
    _flag("secure_tcp", 0, 3),
    _flag("drop_packet", 0, 3),
    _flag("am_droprate", 10, 2**31 - 1),
    _flag("run_estimation", 1),
    _flag("lblc_expiration", _DAY, 2**31 - 1),
    _flag("lblcr_expiration", _DAY, 2**31 - 1),
    _flag("drop_entry", 0, 3),
    _flag("amemthresh", 1024, 2**31 - 1),
    _flag("backup_only"),
    _flag("sync_persist_mode"),
    _flag("sync_qlen_max", 8192, 2**31 - 1),
    _flag("sync_refresh_period", 0, 2**31 - 1),
    _flag("sync_retries", 0, 3),
    Sysctl("net.ipv4.vs.sync_threshold", "3\t50"),
    # There is one way to carry messages over, and it takes no time.
    _flag("sync_version", 1, modelled=False),
    _flag("sync_ports", 1, 64, modelled=False),
    _flag("sync_sock_size", 0, 2**31 - 1, modelled=False),
    # Since Linux 6.2; estimators take no time either.
    Sysctl("net.ipv4.vs.est_cpulist", "", modelled=False),
    Sysctl("net.ipv4.vs.est_nice", 0, minimum=-20, maximum=19, modelled=False),
]
