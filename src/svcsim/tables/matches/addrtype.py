"""
What kind of address it is to this host.

Behaviour of: xt_addrtype, revision 1 (`-m addrtype`). IPv4 asks the local routing table alone; IPv6 asks for the route.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb
from svcsim.route import RouteKind, Routing
from svcsim.tables.extension import Place
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["AddrtypeMatch"]

_TYPES = (
    *("UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT"),
    *("THROW", "NAT", "XRESOLVE"),
)
_BITS = {name: 1 << place for place, name in enumerate(_TYPES)}
_OF_ROUTE = {kind: _BITS.get(kind.name, _BITS["UNICAST"]) for kind in RouteKind}
_NOT_IPV6 = _BITS["BLACKHOLE"] | _BITS["PROHIBIT"] | _BITS["THROW"] | _BITS["NAT"] | _BITS["XRESOLVE"]
_BY_ROUTE = _BITS["LOCAL"] | _BITS["ANYCAST"] | _BITS["UNREACHABLE"]
_NO_DEVICE_IN = frozenset({Hook.LOCAL_OUT, Hook.POST_ROUTING})
_NO_DEVICE_OUT = frozenset({Hook.PRE_ROUTING, Hook.LOCAL_IN})


@MATCHES.register("addrtype")
@attrs.frozen
class AddrtypeMatch(Match):
    """
    ``[!] --src-type, --dst-type TYPE,...``, ``--limit-iface-in``, ``--limit-iface-out``.

    *source* and *destination* are sets of types as bits, None where not tested. With *limit* (``in`` or ``out``) an
    address that belongs to another device is not LOCAL.
    """

    options = (
        Option("src-type", invert=True),
        Option("dst-type", invert=True),
        Option("limit-iface-in", arity=0, excludes=("limit-iface-out",)),
        Option("limit-iface-out", arity=0, excludes=("limit-iface-in",)),
    )

    source: int | None = None
    destination: int | None = None
    limit: str = ""
    not_source: bool = attrs.field(default=False, kw_only=True)
    not_destination: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the types; at least one side must have some."""
        if "src-type" not in args and "dst-type" not in args:
            raise UsageError("addrtype: you must specify --src-type or --dst-type")
        limit = "in" if "limit-iface-in" in args else "out" if "limit-iface-out" in args else ""
        return cls(
            _read(args, "src-type"),
            _read(args, "dst-type"),
            limit,
            not_source=args.inverted("src-type"),
            not_destination=args.inverted("dst-type"),
        )

    def emit(self) -> str:
        """Source types, destination types, limit."""
        parts = []
        for option, types, inverted in self._sides():
            if types is not None:
                parts.append(f"{'! ' if inverted else ''}--{option} {_names(types)}")
        if self.limit:
            parts.append(f"--limit-iface-{self.limit}")
        return " ".join(parts)

    def describe(self, numeric: bool) -> str:
        """``ADDRTYPE match src-type LOCAL dst-type !UNICAST limit-in``."""
        text = "ADDRTYPE match"
        for option, types, inverted in self._sides():
            if types is not None:
                text += f" {option} {'!' if inverted else ''}{_names(types)}"
        return f"{text} limit-{self.limit}" if self.limit else text

    def _sides(self) -> tuple[tuple[str, int | None, bool], ...]:
        return (("src-type", self.source, self.not_source), ("dst-type", self.destination, self.not_destination))

    @property
    def limited(self) -> bool:
        """Whether a device is asked for, which is not known everywhere."""
        return self.limit != ""

    def check(self, place: Place) -> None:
        """Refuse a limit by a device that is not known there, and types that a family has not."""
        super().check(place)
        unknown = {"in": _NO_DEVICE_IN, "out": _NO_DEVICE_OUT}.get(self.limit, frozenset())
        if place.hooks & unknown:
            raise Refusal(f"addrtype: {self.limit}put interface limitation not valid where there is none")
        if place.family is Family.IPV6:
            types = (self.source or 0) | (self.destination or 0)
            if types & _NOT_IPV6:
                raise Refusal("addrtype: ipv6 PROHIBIT (THROW, NAT ..) matching not supported")
            if types & _BITS["BROADCAST"]:
                raise Refusal("addrtype: ipv6 does not support BROADCAST matching")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether both addresses are of the kinds asked for."""
        routing = state.host.routes[state.family]
        device = state.indev if self.limit == "in" else state.outdev if self.limit == "out" else ""
        is_of = _is_of_ipv4 if state.family is Family.IPV4 else _is_of_ipv6
        if self.source is not None and is_of(routing, skb.src, self.source, device) is self.not_source:
            return False
        return self.destination is None or is_of(routing, skb.dst, self.destination, device) is not self.not_destination


def _is_of_ipv4(routing: Routing, address: int, types: int, device: str) -> bool:
    return _OF_ROUTE[routing.address_type(address, device)] & types != 0


def _is_of_ipv6(routing: Routing, address: int, types: int, device: str) -> bool:
    """By the address itself first; only the types that depend on this host are looked up."""
    multicast = address >> 120 == 0xFF
    if types & _BITS["MULTICAST"] and not multicast:
        return False
    if types & _BITS["UNICAST"] and (multicast or address == 0):
        return False
    if types & _BITS["UNSPEC"] and address != 0:
        return False
    if not types & _BY_ROUTE:
        return True
    if routing.is_local(address, device):
        return types & _BITS["LOCAL"] != 0
    kind = routing.lookup(address, outdev=device).kind
    return kind not in (RouteKind.UNICAST, RouteKind.LOCAL) and types & _BITS["UNREACHABLE"] != 0


def _read(args: Args, option: str) -> int | None:
    if option not in args:
        return None
    bits = 0
    for name in args.text(option).split(","):
        bit = _BITS.get(name.upper())
        if bit is None:
            raise UsageError(f'addrtype: bad type "{name}"')
        bits |= bit
    return bits


def _names(types: int) -> str:
    return ",".join(name for name, bit in _BITS.items() if types & bit)
