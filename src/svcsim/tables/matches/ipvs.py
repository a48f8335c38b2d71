"""
Of what virtual service a packet is.

Behaviour of: xt_ipvs (`-m ipvs`); pinned by the corpus scenarios ipvs-match-*. The balancer itself is asked, through the
host; this wing knows nothing of it.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Prefix, format_address
from svcsim.hooks import CtInfo, HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.names import protocol_number
from svcsim.tables.options import Args, Option, c_integer, read_network
from svcsim.tables.problems import UsageError

__all__ = ["IpvsMatch"]

_METHODS = {"GATE": 3, "IPIP": 2, "MASQ": 0}
_DIRECTIONS = {"ORIGINAL": False, "REPLY": True}


@MATCHES.register("ipvs")
@attrs.frozen
class IpvsMatch(Match):
    """
    ``[!] --ipvs``, and of the packet's connection ``--vproto, --vaddr, --vport, --vdir, --vmethod, --vportctl``.

    Every option but the first is false, inverted or not, for a packet that IPVS has not handled or whose connection it
    does not find; and it finds one by packets towards a destination alone, never by answers.
    """

    options = (
        Option("ipvs", arity=0, invert=True),
        Option("vproto", invert=True),
        Option("vaddr", invert=True),
        Option("vport", invert=True),
        Option("vdir"),
        Option("vmethod", invert=True),
        Option("vportctl", invert=True),
    )

    handled: bool = False  # whether --ipvs stands there
    proto: int | None = None
    address: tuple[int, Prefix] | None = None  # as it was written, and the network
    port: int | None = None
    reply: bool | None = None
    method: str | None = None
    control_port: int | None = None
    inverted: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read what is asked for; something must be."""
        if not args.given:
            raise UsageError("IPVS: At least one option is required")
        proto = None
        if "vproto" in args:
            proto = c_integer(args.text("vproto"), 0, 255)
            if proto is None:
                proto = protocol_number(args.text("vproto"))
            if proto is None:
                raise args.bad_value("vproto", args.text("vproto"))
        address = None
        if "vaddr" in args:
            text = args.text("vaddr")
            address = (read_network(text.partition("/")[0], args.family).value, read_network(text, args.family))
        return cls(
            "ipvs" in args,
            proto,
            address,
            args.port(args.text("vport")) if "vport" in args else None,
            None if "vdir" not in args else bool(_one_of(args, "vdir", _DIRECTIONS)),
            args.text("vmethod").upper() if _one_of(args, "vmethod", _METHODS) is not None else None,
            args.port(args.text("vportctl")) if "vportctl" in args else None,
            inverted=frozenset(name for name in args.given if args.inverted(name)),
        )

    def _words(self) -> list[tuple[str, str]]:
        """Option and value of each test, in the order in which they are printed."""
        found = [("ipvs", "")] if self.handled else []
        if self.proto is not None:
            found.append(("vproto", str(self.proto)))
        if self.address is not None:
            found.append(("vaddr", _network_text(*self.address)))
        if self.port is not None:
            found.append(("vport", str(self.port)))
        if self.reply is not None:
            found.append(("vdir", "REPLY" if self.reply else "ORIGINAL"))
        if self.method is not None:
            found.append(("vmethod", self.method))
        if self.control_port is not None:
            found.append(("vportctl", str(self.control_port)))
        return found

    def _text(self, dashes: str) -> str:
        return " ".join(
            f"{'! ' if name in self.inverted else ''}{dashes}{name}{' ' * bool(value)}{value}"
            for name, value in self._words()
        )

    def emit(self) -> str:
        """Property, protocol, address, port, direction, method, port of the controlling connection."""
        return self._text("--")

    def describe(self, numeric: bool) -> str:
        """``! vaddr 10.96.0.0/16 vport 80``."""
        return self._text("")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the packet is of such a service."""
        inverted = self.inverted
        if self.handled and len(self._words()) == 1:
            return skb.ipvs_property is not ("ipvs" in inverted)
        if not skb.ipvs_property or (self.proto is not None and (skb.proto == self.proto) is ("vproto" in inverted)):
            return False
        conn = state.host.ipvs.connection_of(skb)
        if conn is None:
            return False
        if self.port is not None and (conn.vport == self.port) is ("vport" in inverted):
            return False
        if self.control_port is not None:
            control = conn.control
            if (control is not None and control.vport == self.control_port) is ("vportctl" in inverted):
                return False
        if self.reply is not None:
            if skb.ct is None or skb.ctinfo is CtInfo.UNTRACKED or skb.ctinfo.is_reply is not self.reply:
                return False
        if self.method is not None and (conn.method == _METHODS[self.method]) is ("vmethod" in inverted):
            return False
        if self.address is not None:
            network = self.address[1]
            return (conn.vaddr & network.mask == network.value) is not ("vaddr" in inverted)
        return True


def _one_of(args: Args, name: str, known: dict[str, int] | dict[str, bool]) -> int | None:
    """The value of a word, in letters of either case."""
    if name not in args:
        return None
    found = known.get(args.text(name).upper())
    if found is None:
        raise args.bad_value(name, args.text(name))
    return found


def _network_text(written: int, network: Prefix) -> str:
    """An address with its mask, unless that is full; the host's bits stay as they were written."""
    text, length = format_address(network.family, written), network.length
    if network.mask == network.family.all_ones:
        return text
    return f"{text}/{format_address(network.family, network.mask) if length is None else length}"
