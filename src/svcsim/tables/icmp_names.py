"""
ICMP messages by name, type and code, as rules name them.

Behaviour of: libxtables' table of ICMP types, shared by `-m icmp` and `-m icmp6`.
"""

from __future__ import annotations

from collections.abc import Mapping

from svcsim.tables.options import c_integer
from svcsim.tables.problems import UsageError

__all__ = ["ICMPV6_NAMES", "ICMP_NAMES", "IcmpKind", "describe_icmp", "emit_icmp", "read_icmp"]

#: Type, lowest code, highest code.
IcmpKind = tuple[int, int, int]


def _whole(type: int) -> IcmpKind:
    return (type, 0, 255)


ICMP_NAMES: Mapping[str, IcmpKind] = {
    "any": _whole(255),
    "echo-reply": _whole(0),
    "pong": _whole(0),
    "destination-unreachable": _whole(3),
    "network-unreachable": (3, 0, 0),
    "host-unreachable": (3, 1, 1),
    "protocol-unreachable": (3, 2, 2),
    "port-unreachable": (3, 3, 3),
    "fragmentation-needed": (3, 4, 4),
    "source-route-failed": (3, 5, 5),
    "network-unknown": (3, 6, 6),
    "host-unknown": (3, 7, 7),
    "network-prohibited": (3, 9, 9),
    "host-prohibited": (3, 10, 10),
    "TOS-network-unreachable": (3, 11, 11),
    "TOS-host-unreachable": (3, 12, 12),
    "communication-prohibited": (3, 13, 13),
    "host-precedence-violation": (3, 14, 14),
    "precedence-cutoff": (3, 15, 15),
    "source-quench": _whole(4),
    "redirect": _whole(5),
    "network-redirect": (5, 0, 0),
    "host-redirect": (5, 1, 1),
    "TOS-network-redirect": (5, 2, 2),
    "TOS-host-redirect": (5, 3, 3),
    "echo-request": _whole(8),
    "ping": _whole(8),
    "router-advertisement": _whole(9),
    "router-solicitation": _whole(10),
    "time-exceeded": _whole(11),
    "ttl-exceeded": _whole(11),
    "ttl-zero-during-transit": (11, 0, 0),
    "ttl-zero-during-reassembly": (11, 1, 1),
    "parameter-problem": _whole(12),
    "ip-header-bad": (12, 0, 0),
    "required-option-missing": (12, 1, 1),
    "timestamp-request": _whole(13),
    "timestamp-reply": _whole(14),
    "address-mask-request": _whole(17),
    "address-mask-reply": _whole(18),
}

ICMPV6_NAMES: Mapping[str, IcmpKind] = {
    "destination-unreachable": _whole(1),
    "no-route": (1, 0, 0),
    "communication-prohibited": (1, 1, 1),
    "beyond-scope": (1, 2, 2),
    "address-unreachable": (1, 3, 3),
    "port-unreachable": (1, 4, 4),
    "failed-policy": (1, 5, 5),
    "reject-route": (1, 6, 6),
    "packet-too-big": _whole(2),
    "time-exceeded": _whole(3),
    "ttl-exceeded": _whole(3),
    "ttl-zero-during-transit": (3, 0, 0),
    "ttl-zero-during-reassembly": (3, 1, 1),
    "parameter-problem": _whole(4),
    "bad-header": (4, 0, 0),
    "unknown-header-type": (4, 1, 1),
    "unknown-option": (4, 2, 2),
    "echo-request": _whole(128),
    "ping": _whole(128),
    "echo-reply": _whole(129),
    "pong": _whole(129),
    "router-solicitation": _whole(133),
    "router-advertisement": _whole(134),
    "neighbour-solicitation": _whole(135),
    "neighbor-solicitation": _whole(135),
    "neighbour-advertisement": _whole(136),
    "neighbor-advertisement": _whole(136),
    "redirect": _whole(137),
}


def read_icmp(text: str, names: Mapping[str, IcmpKind], protocol: str) -> IcmpKind:
    """
    Read a name, of which the beginning is enough, or ``type[/code]``.

    >>> read_icmp("fragm", ICMP_NAMES, "ICMP"), read_icmp("3/4", ICMP_NAMES, "ICMP"), read_icmp("8", ICMP_NAMES, "ICMP")
    ((3, 4, 4), (3, 4, 4), (8, 0, 255))
    """
    beginning = text.lower()
    found = [name for name in names if name.lower().startswith(beginning)]
    if len(found) > 1:
        raise UsageError(f"Ambiguous {protocol} type `{text}': `{found[0]}' or `{found[1]}'?")
    if found:
        return names[found[0]]
    first, slash, second = text.partition("/")
    type = c_integer(first, 0, 255)
    if type is None:
        raise UsageError(f"Unknown {protocol} type `{first}'")
    if not slash:
        return _whole(type)
    code = c_integer(second, 0, 255)
    if code is None:
        raise UsageError(f"Unknown {protocol} code `{text}'")
    return (type, code, code)


def emit_icmp(kind: IcmpKind) -> str:
    """``type``, and ``/code`` if it is one."""
    type, low, high = kind
    return str(type) if (low, high) == (0, 255) else f"{type}/{low}"


def describe_icmp(protocol: str, kind: IcmpKind, invert: bool, numeric: bool, names: Mapping[str, IcmpKind]) -> str:
    """``icmptype 3 code 4``, ``icmp !type 8``, or by name."""
    if not numeric:
        for name, known in names.items():
            if known == kind:
                return f"{protocol} {'!' if invert else ''}{name}"
    type, low, high = kind
    codes = "" if (low, high) == (0, 255) else f" code {low}"
    return f"{protocol}{' !' if invert else ''}type {type}{codes}"
