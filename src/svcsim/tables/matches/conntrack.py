"""
What connection tracking knows of a packet: state, translation, the connection's own addresses.

Behaviour of: xt_conntrack, revision 3 (`-m conntrack`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family, format_address
from svcsim.clock import SECOND
from svcsim.conntrack import Status
from svcsim.hooks import HookState, Skb
from svcsim.tables.connection_states import STATES, STATUSES, names_of, read_names
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.names import port_number, protocol_number
from svcsim.tables.options import ALL_BITS, Args, Option, c_integer, read_network
from svcsim.tables.problems import UsageError
from svcsim.tables.texts import describe_mask, range_text

__all__ = ["AddressTest", "ConntrackMatch"]

_TRANSLATED = STATES["SNAT"] | STATES["DNAT"]
_SIDES = ("ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst")


@attrs.frozen
class AddressTest:
    """An address of a connection seen through *mask*; *value* keeps the bits that the mask hides."""

    family: Family
    value: int
    mask: int

    @classmethod
    def parse(cls, text: str, family: Family) -> Self:
        """Read ``address[/mask]``."""
        mask = read_network(text, family).mask
        host = text.rpartition("/")[0] if "/" in text else text
        return cls(family, read_network(host, family).value, mask)

    def fits(self, address: int) -> bool:
        """Whether *address* agrees in the bits of the mask."""
        return (address ^ self.value) & self.mask == 0

    def __str__(self) -> str:
        return format_address(self.family, self.value) + describe_mask(self.family, self.mask)

    def described(self, numeric: bool) -> str:
        """As a listing prints it: by name, and then without its mask, if there is one."""
        if numeric:
            return str(self)
        if self.value == 0:
            return "anywhere"
        here = 127 << 24 | 1 if self.family is Family.IPV4 else 1
        return "localhost" if self.value == here else format_address(self.family, self.value)


@MATCHES.register("conntrack")
@attrs.frozen
class ConntrackMatch(Match):
    """
    ``[!] --ctstate``, ``--ctstatus``, ``--ctproto``, ``--ctorigsrc`` and its like, ``--ctexpire``, ``--ctdir``.

    A packet without a connection can fit a test of its state and nothing else; if one is given and holds, the others
    are not looked at. What is None or empty is not tested; *inverted* names the options that stood behind a ``!``.
    """

    tracks = True
    options = (
        Option("ctstate", invert=True),
        Option("ctproto", invert=True),
        *(Option(side, invert=True) for side in _SIDES),
        *(Option(f"{side}port", invert=True) for side in _SIDES),
        Option("ctstatus", invert=True),
        Option("ctexpire", invert=True),
        Option("ctdir"),
    )

    states: int | None = None
    proto: int | None = None
    addresses: tuple[AddressTest | None, ...] = (None,) * 4
    ports: tuple[tuple[int, int] | None, ...] = (None,) * 4
    status: int | None = None
    expires: tuple[int, int] | None = None
    reply: bool | None = None
    inverted: frozenset[str] = frozenset()
    _plain: bool = attrs.field(init=False, eq=False, repr=False)  # nothing but the state is tested

    @_plain.default
    def _is_plain(self) -> bool:
        tests = (self.proto, self.status, self.expires, self.reply, *self.addresses, *self.ports)
        return all(test is None for test in tests)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read what is to be tested; something must be."""
        if not args.given:
            raise UsageError("conntrack: At least one option is required")
        states = status = proto = reply = None
        if "ctstate" in args:
            states = read_names(args.text("ctstate"), STATES, "ctstate")
        if "ctstatus" in args:
            text = args.text("ctstatus")
            status = 0 if text.upper() == "NONE" else read_names(text, STATUSES, "ctstatus")
        if "ctproto" in args:
            text = args.text("ctproto")
            proto = c_integer(text, 0, 255)
            proto = protocol_number(text.lower()) if proto is None else proto
            if proto is None:
                raise UsageError(f'unknown protocol "{text}" specified')
        if "ctdir" in args:
            text = args.text("ctdir")
            if text.upper() not in ("ORIGINAL", "REPLY"):
                raise args.bad_value("ctdir", text)
            reply = text.upper() == "REPLY"
        return cls(
            states,
            proto,
            tuple(AddressTest.parse(args.text(side), args.family) if side in args else None for side in _SIDES),
            tuple(_read_ports(args, f"{side}port") for side in _SIDES),
            status,
            args.number_range("ctexpire", ALL_BITS),
            reply,
            frozenset(name for name in args.given if args.inverted(name)),
        )

    def _parts(self, numeric: bool) -> list[tuple[str, str]]:
        """Each test with its value, in the tool's order."""
        parts: list[tuple[str, str | None]] = [
            ("ctstate", None if self.states is None else names_of(self.states, STATES)),
            ("ctproto", None if self.proto is None else str(self.proto)),
            *(
                (side, None if test is None else test.described(numeric))
                for side, test in zip(_SIDES, self.addresses, strict=True)
            ),
            *((f"{side}port", ends and range_text(ends)) for side, ends in zip(_SIDES, self.ports, strict=True)),
            ("ctstatus", None if self.status is None else names_of(self.status, STATUSES) or "NONE"),
            ("ctexpire", self.expires and range_text(self.expires)),
            ("ctdir", None if self.reply is None else "REPLY" if self.reply else "ORIGINAL"),
        ]
        return [(name, value) for name, value in parts if value is not None]

    def emit(self) -> str:
        """The tests in the tool's own order."""
        return " ".join(
            f"{'! ' if name in self.inverted else ''}--{name} {value}" for name, value in self._parts(numeric=True)
        )

    def describe(self, numeric: bool) -> str:
        """``! ctstate NEW ctproto 6``."""
        return " ".join(
            f"{'! ' if name in self.inverted else ''}{name} {value}" for name, value in self._parts(numeric)
        )

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether all that is tested holds."""
        conn, states = skb.ct, self.states
        if states is not None:
            bit = skb.ctinfo.bit
            if conn is not None and states & _TRANSLATED:
                if conn.status & Status.SRC_NAT:
                    bit |= STATES["SNAT"]
                if conn.status & Status.DST_NAT:
                    bit |= STATES["DNAT"]
            if (bit & states != 0) is ("ctstate" in self.inverted):
                return False
        if conn is None:
            return states is not None
        return self._plain or self._rest(skb, state)

    def _rest(self, skb: Skb, state: HookState) -> bool:
        """The tests of the connection itself, in the kernel's order."""
        conn, inverted = skb.ct, self.inverted
        assert conn is not None
        if self.reply is not None and skb.ctinfo.is_reply is not self.reply:
            return False
        orig, reply = conn.orig, conn.reply
        for name, test, address in zip(_SIDES, self.addresses, (*orig[2:4], *reply[2:4]), strict=True):
            if test is not None and test.fits(address) is (name in inverted):
                return False
        if self.proto is not None and (orig[1] == self.proto) is ("ctproto" in inverted):
            return False
        for name, ends, port in zip(_SIDES, self.ports, (*orig[4:6], *reply[4:6]), strict=True):
            if ends is not None and (ends[0] <= port <= ends[1]) is (f"{name}port" in inverted):
                return False
        if self.status is not None and (conn.status & self.status != 0) is ("ctstatus" in inverted):
            return False
        if self.expires is not None:
            seconds = conn.remaining(state.host.clock.now) // SECOND if conn.confirmed else 0
            low, high = self.expires
            return (low <= seconds <= high) is not ("ctexpire" in inverted)
        return True


def _read_ports(args: Args, name: str) -> tuple[int, int] | None:
    """Ports by number or by name; the tool keeps 16 bits of a number and does not mind a reversed range."""
    if name not in args:
        return None
    texts = args.text(name).split(":")
    if len(texts) > 2:
        raise args.problem(f'Too many components for option "--{name}" (max: 2)')
    ends = []
    for text, default in zip(texts, (0, 65535), strict=False):
        port = default if not text and len(texts) == 2 else c_integer(text)
        port = port_number(text) if port is None else port
        if port is None:
            raise UsageError(f'Port "{text}" does not resolve to anything.')
        ends.append(port & 0xFFFF)
    return ends[0], ends[-1]
