"""
How many connections a client or a server has at once.

Behaviour of: xt_connlimit, nf_conncount (`-m connlimit`). A rule counts the connections that it has seen; those that are
gone, or closed, are left out when it looks again.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.conntrack import Conntrack
from svcsim.conntrack_tcp import TcpPhase, TcpState
from svcsim.hooks import HookState, Skb
from svcsim.packet import ConnTuple
from svcsim.tables.extension import Loader, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tracking import tuple_of

__all__ = ["ConnlimitMatch"]

_CLOSED = frozenset({TcpPhase.TIME_WAIT, TcpPhase.CLOSE})
_FLAGS = ("connlimit-saddr", "connlimit-daddr")


@attrs.define(eq=False)
class _Seen:
    """A loaded rule's own connections, by the part of an address that is counted for."""

    match: ConnlimitMatch
    table: Conntrack
    by_address: dict[int, dict[ConnTuple, None]] = attrs.field(factory=dict)

    def __call__(self, skb: Skb, state: HookState) -> bool | None:
        match, _family = self.match, skb.family
        address = skb.dst if match.by_destination else skb.src
        group = address >> (match.width - match.length)
        conn = skb.ct
        tuple = tuple_of(skb.original, skb) if conn is None else conn.orig
        if tuple is None:
            return None
        seen = self.by_address.setdefault(group, {})
        for other in [each for each in seen if each != tuple and self._is_over(each)]:
            del seen[other]
        seen[tuple] = None
        return (len(seen) > match.limit) is match.above

    def _is_over(self, tuple: ConnTuple) -> bool:
        found = self.table.find(tuple)
        if found is None:
            return True
        state = found[0].state
        return isinstance(state, TcpState) and state.phase in _CLOSED


@MATCHES.register("connlimit")
@attrs.frozen
class ConnlimitMatch(Match):
    """``--connlimit-above n`` or ``--connlimit-upto n``, ``--connlimit-mask length``, ``--connlimit-daddr``."""

    stateful = True
    tracks = True
    options = (
        Option("connlimit-upto", invert=True, excludes=("connlimit-above",)),
        Option("connlimit-above", invert=True, excludes=("connlimit-upto",)),
        Option("connlimit-mask"),
        Option("connlimit-saddr", arity=0, excludes=("connlimit-daddr",)),
        Option("connlimit-daddr", arity=0, excludes=("connlimit-saddr",)),
    )

    limit: int
    above: bool = True
    mask: int | None = None
    by_destination: bool = False
    width: int = 32

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read limit and mask."""
        name = "connlimit-upto" if "connlimit-upto" in args else "connlimit-above"
        limit = args.number(name)
        if limit is None:
            raise UsageError('You must specify "--connlimit-above" or "--connlimit-upto".')
        above = (name == "connlimit-above") is not args.inverted(name)
        bits = args.family.bits
        return cls(limit, above, args.number("connlimit-mask", 0, 128), "connlimit-daddr" in args, bits)

    @property
    def length(self) -> int:
        """How many bits of the address count."""
        return self.width if self.mask is None else min(self.mask, self.width)

    def emit(self) -> str:
        """Limit, mask and side."""
        side = "daddr" if self.by_destination else "saddr"
        mask = f" --connlimit-mask {self.length}"
        return f"--connlimit-{'above' if self.above else 'upto'} {self.limit}{mask} --connlimit-{side}"

    def describe(self, numeric: bool) -> str:
        """``#conn src/32 > 2``."""
        side = "dst" if self.by_destination else "src"
        return f"#conn {side}/{self.length} {'>' if self.above else '<='} {self.limit}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """What a rule that was loaded just now says of its first packet."""
        return (self.limit < 1) is self.above

    def load(self, loader: Loader) -> Test:
        """Give the loaded rule its memory."""
        return _Seen(self, loader.host.conntrack)
