"""
What the benchmarks run on: rulesets shaped as kube-proxy writes them and `iptables-save` prints them.

Nothing here needs svcsim, so the same text can be handed to any other program.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterator

__all__ = ["cluster_ip", "endpoint_ip", "flat_chain", "kube_ruleset"]

_MARK = "0x4000"
_CLUSTER_NETWORK = 10 << 24 | 96 << 16  # 10.96.0.0/12
_POD_NETWORK = 10 << 24 | 128 << 16  # 10.128.0.0/9


def _dotted(address: int) -> str:
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def cluster_ip(service: int) -> str:
    """The cluster IP of a service by its number."""
    return _dotted(_CLUSTER_NETWORK + 1 + service)


def endpoint_ip(service: int, endpoint: int, endpoints: int) -> str:
    """The address of one of a service's *endpoints*."""
    return _dotted(_POD_NETWORK + 1 + service * endpoints + endpoint)


def _chain(kind: str, *parts: str) -> str:
    return f"KUBE-{kind}-{b32encode(hashlib.sha256(''.join(parts).encode()).digest()).decode()[:16]}"


def _service_rules(service: int, endpoints: int) -> tuple[list[str], list[str], list[str]]:
    """The chains of a service, its rule in KUBE-SERVICES, and the rules of its own chains."""
    name, vip = f"default/service-{service}:http", cluster_ip(service)
    svc = _chain("SVC", name, "tcp")
    portal = f'-d {vip}/32 -p tcp -m comment --comment "{name} cluster IP" -m tcp --dport 80'
    chains, rules = [svc], [f"-A {svc} ! -s 10.128.0.0/9 {portal} -j KUBE-MARK-MASQ"]
    separate = []
    for endpoint in range(endpoints):
        pod = endpoint_ip(service, endpoint, endpoints)
        sep = _chain("SEP", name, "tcp", f"{pod}:8080")
        chains.append(sep)
        left = endpoints - endpoint
        probability = "" if left == 1 else f" -m statistic --mode random --probability {_stored(left):.11f}"
        rules.append(f'-A {svc} -m comment --comment "{name} -> {pod}:8080"{probability} -j {sep}')
        comment = f'-m comment --comment "{name}"'
        separate.append(f"-A {sep} -s {pod}/32 {comment} -j KUBE-MARK-MASQ")
        separate.append(f"-A {sep} -p tcp {comment} -m tcp -j DNAT --to-destination {pod}:8080")
    return chains, [f"-A KUBE-SERVICES {portal} -j {svc}"], rules + separate


def _stored(endpoints: int) -> float:
    """One in so many as the kernel keeps it: 31 bits."""
    return round(2**31 / endpoints) / 2**31


def kube_ruleset(services: int, endpoints: int) -> str:
    """
    A nat table as `iptables-save` prints it, of ``2 + 3 * endpoints`` rules a service and eight more.

    >>> text = kube_ruleset(services=10, endpoints=2)
    >>> sum(line.startswith("-A") for line in text.splitlines())
    88
    """
    heads: list[str] = []
    portals: list[str] = []
    bodies: list[str] = []
    for service in range(services):
        chains, portal, rules = _service_rules(service, endpoints)
        heads += chains
        portals += portal
        bodies += rules
    builtin = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
    own = ("KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-SERVICES")
    to_services = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    lines = [
        "*nat",
        *(f":{chain} ACCEPT [0:0]" for chain in builtin),
        *(f":{chain} - [0:0]" for chain in (*own, *heads)),
        f"-A PREROUTING {to_services}",
        f"-A OUTPUT {to_services}",
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        f"-A KUBE-MARK-MASQ -j MARK --set-xmark {_MARK}/{_MARK}",
        f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK}/{_MARK} -j RETURN",
        f"-A KUBE-POSTROUTING -j MARK --set-xmark {_MARK}/0x0",
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
        *portals,
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this '
        'chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
        *bodies,
        "COMMIT",
    ]
    return "\n".join(lines) + "\n"


def flat_chain(rules: int, chain: str = "FORWARD") -> Iterator[str]:
    """Rules that differ in their destination alone: what a packet for none of them walks past."""
    for number in range(rules):
        yield f"-A {chain} -d {cluster_ip(number)}/32 -p tcp -m tcp --dport 80 -j ACCEPT"
