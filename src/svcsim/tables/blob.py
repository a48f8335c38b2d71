"""
How large a table is to the kernel, which keeps it as one block and exchanges it as a whole.

Behaviour of: ip_tables and ip6_tables on 64-bit machines; the sizes were asked of Linux 6.18 (getsockopt
IPT_SO_GET_INFO), but for that of the ipvs match, which follows from its fields. nf_tables keeps rules one by one.
"""

from __future__ import annotations

from svcsim.addr import Family
from svcsim.errors import UnsupportedError
from svcsim.tables.rule import Jump, Rule
from svcsim.tables.table import Table

__all__ = ["blob_size", "rule_size"]

_ENTRY = {Family.IPV4: 112, Family.IPV6: 168}
_VERDICT, _ERROR = 40, 64
#: Bytes of a match, with its header.
_MATCHES = {
    "addrtype": 40,
    "comment": 288,
    "conntrack": 200,
    "ipvs": 72,
    "mark": 48,
    "multiport": 80,
    "physdev": 104,
    "recent": 264,
    "sctp": 328,
    "set": 80,
    "state": 200,
    "statistic": 56,
    "tcp": 48,
    "udp": 48,
}
_TARGETS = {"DNAT": 80, "MARK": 40, "REJECT": 40}
_NAT = {Family.IPV4: 56, Family.IPV6: 72}
_NAT_TARGETS = frozenset({"MASQUERADE", "REDIRECT"})


def rule_size(rule: Rule, family: Family) -> int:
    """
    The bytes of one rule.

    >>> from svcsim.node import Node
    >>> node = Node()
    >>> node.run("iptables -t nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1").returncode
    0
    >>> rule_size(next(iter(node.rules[Family.IPV4]["nat"].chains["PREROUTING"])).rule, Family.IPV4)
    240
    """
    size = _ENTRY[family]
    for match in rule.matches:
        if match.name not in _MATCHES:
            raise UnsupportedError(f"the size of a {match.name} match")
        size += _MATCHES[match.name]
    target = rule.target
    if target is None or isinstance(target, Jump) or target.verdict is not None or target.returns:
        return size + _VERDICT
    if target.name in _NAT_TARGETS:
        return size + _NAT[family]
    if target.name not in _TARGETS:
        raise UnsupportedError(f"the size of a {target.name} target")
    return size + _TARGETS[target.name]


def blob_size(table: Table) -> int:
    """The bytes of a *table*: its rules, a policy or a return at the end of each chain, names, and an end."""
    family = table.family
    entry, size = _ENTRY[family], _ENTRY[family] + _ERROR
    known: dict[Rule, int] = {}
    for chain in table.chains.values():
        size += entry + _VERDICT + (0 if chain.builtin else entry + _ERROR)
        for link in chain:
            if link.rule not in known:
                known[link.rule] = rule_size(link.rule, family)
            size += known[link.rule]
    return size
