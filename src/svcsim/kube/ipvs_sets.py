"""
The IP sets of kube-proxy's ipvs mode: what is in which, what its rules say of it, and what has to change on a node.

Behaviour of: kube-proxy v1.36, ipvs mode. A set is asked by few rules instead of one rule for each address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from svcsim.addr import Family
from svcsim.errors import ConfigError
from svcsim.kube.programmer import Step
from svcsim.tables.ipsets import IpSets

__all__ = ["PROXY_SETS", "Entries", "ProxySet", "missing_sets", "set_changes", "set_name"]

#: What shall be in each set, by the set's IPv4 name; the values of the inner mapping mean nothing, the order does.
Entries = Mapping[str, Mapping[str, None]]

_LONGEST_NAME = 31


@attrs.frozen
class ProxySet:
    """One set by its IPv4 *name*: its *type*, and the *comment* of rules that ask it."""

    name: str
    type: str
    comment: str

    def creation(self, family: Family) -> str:
        """The command that makes it for *family*; one that is there already is left alone."""
        if self.type == "bitmap:port":
            options = "range 0-65535"
        else:
            options = f"family {'inet' if family is Family.IPV4 else 'inet6'} hashsize 1024 maxelem 65536"
        return f"ipset create {set_name(self.name, family)} {self.type} {options} -exist"


#: Every set, in the order in which they are made.
PROXY_SETS: Mapping[str, ProxySet] = {
    each.name: each
    for each in (
        ProxySet(
            "KUBE-LOOP-BACK",
            "hash:ip,port,ip",
            "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
        ),
        ProxySet(
            "KUBE-CLUSTER-IP",
            "hash:ip,port",
            "Kubernetes service cluster ip + port for masquerade purpose",
        ),
        ProxySet(
            "KUBE-EXTERNAL-IP",
            "hash:ip,port",
            "Kubernetes service external ip + port for masquerade and filter purpose",
        ),
        ProxySet(
            "KUBE-EXTERNAL-IP-LOCAL",
            "hash:ip,port",
            "Kubernetes service external ip + port with externalTrafficPolicy=local",
        ),
        ProxySet(
            "KUBE-LOAD-BALANCER",
            "hash:ip,port",
            "Kubernetes service lb portal",
        ),
        ProxySet(
            "KUBE-LOAD-BALANCER-LOCAL",
            "hash:ip,port",
            "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
        ),
        ProxySet(
            "KUBE-LOAD-BALANCER-FW",
            "hash:ip,port",
            "Kubernetes service load balancer ip + port for load balancer with sourceRange",
        ),
        ProxySet(
            "KUBE-LOAD-BALANCER-SOURCE-IP",
            "hash:ip,port,ip",
            "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
        ),
        ProxySet(
            "KUBE-LOAD-BALANCER-SOURCE-CIDR",
            "hash:ip,port,net",
            "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
        ),
        ProxySet(
            "KUBE-NODE-PORT-TCP",
            "bitmap:port",
            "Kubernetes nodeport TCP port for masquerade purpose",
        ),
        ProxySet(
            "KUBE-NODE-PORT-LOCAL-TCP",
            "bitmap:port",
            "Kubernetes nodeport TCP port with externalTrafficPolicy=local",
        ),
        ProxySet(
            "KUBE-NODE-PORT-UDP",
            "bitmap:port",
            "Kubernetes nodeport UDP port for masquerade purpose",
        ),
        ProxySet(
            "KUBE-NODE-PORT-LOCAL-UDP",
            "bitmap:port",
            "Kubernetes nodeport UDP port with externalTrafficPolicy=local",
        ),
        ProxySet(
            "KUBE-NODE-PORT-SCTP-HASH",
            "hash:ip,port",
            "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
        ),
        ProxySet(
            "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
            "hash:ip,port",
            "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
        ),
        ProxySet("KUBE-HEALTH-CHECK-NODE-PORT", "bitmap:port", "Kubernetes health check node port"),
        ProxySet("KUBE-IPVS-IPS", "hash:ip", "Addresses on the ipvs interface"),
    )
}


def set_name(name: str, family: Family) -> str:
    """
    The name of a set for *family*; those of IPv6 are cut to what ipset takes.

    >>> set_name("KUBE-CLUSTER-IP", Family.IPV6), set_name("KUBE-NODE-PORT-LOCAL-SCTP-HASH", Family.IPV6)
    ('KUBE-6-CLUSTER-IP', 'KUBE-6-NODE-PORT-LOCAL-SCTP-HAS')
    """
    if family is Family.IPV4:
        return name
    return f"KUBE-6-{name.removeprefix('KUBE-')}"[:_LONGEST_NAME]


def missing_sets(sets: IpSets, family: Family) -> list[Step]:
    """What makes the sets of *family* that *sets* has not; refuse one of the same name that is of another kind."""
    steps = []
    for each in PROXY_SETS.values():
        name = set_name(each.name, family)
        held = sets.get(name)
        if held is None:
            steps.append(Step(each.creation(family)))
        elif held.type.name != each.type or (each.type != "bitmap:port" and held.family is not family):
            raise ConfigError(f"the set {name} is there already and not a {each.type} of this family")
    return steps


def set_changes(sets: IpSets, wanted: Entries, family: Family) -> list[Step]:
    """
    What `ipset restore` is told so that every set of *family* holds what is *wanted*: of each what goes, then what comes.

    A host's own network (``/32``) is the same entry as the host, as ipset prints it.
    """
    lines: list[str] = []
    for each in PROXY_SETS.values():
        name = set_name(each.name, family)
        entries = [_canonical(entry, family) for entry in wanted.get(each.name, ())]
        held = sets.get(name)
        there = dict.fromkeys(text for text, _ in held.members()) if held is not None else {}
        kept = set(entries)
        lines += [f"del {name} {entry}" for entry in there if entry not in kept]
        lines += [f"add {name} {entry}" for entry in dict.fromkeys(entries) if entry not in there]
    return [Step("ipset restore", _text(lines))] if lines else []


def _canonical(entry: str, family: Family) -> str:
    return entry.removesuffix("/32" if family is Family.IPV4 else "/128")


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
