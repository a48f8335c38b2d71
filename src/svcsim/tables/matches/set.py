"""
Membership in an IP set.

Behaviour of: xt_set, revision 4 (`-m set`); pinned by the corpus scenarios iptables-ipset-*.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Loader, Test
from svcsim.tables.ipset import IpSet
from svcsim.tables.ipset_entry import Counting
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["SetMatch", "find_set", "read_directions"]

_COUNTERS = tuple(f"{what}-{how}" for what in ("packets", "bytes") for how in ("eq", "lt", "gt"))
_MOST_DIMENSIONS = 6


def read_directions(name: str, text: str) -> tuple[bool, ...]:
    """Read ``src,dst``: True for source."""
    words = text.split(",")
    if len(words) > _MOST_DIMENSIONS:
        raise UsageError(f"{name}: you can't specify more src/dst flags")
    for word in words:
        if word not in ("src", "dst"):
            raise UsageError("You must spell `src' or `dst' in the flags")
    return tuple(word == "src" for word in words)


def find_set(loader: Loader, name: str) -> IpSet:
    """The set of this name on the host; a rule that names one keeps it from being destroyed."""
    found = loader.host.ipsets.get(name)
    if found is None:
        raise UsageError(f"Set {name} doesn't exist.\n", spaced=True)
    return found


@MATCHES.register("set")
@attrs.frozen
class SetMatch(Match):
    """
    ``[!] --match-set name src|dst[,...]``, ``--return-nomatch``, ``[!] --update-counters``,
    ``[!] --update-subcounters``, ``[!] --packets-eq|lt|gt n``, ``[!] --bytes-eq|lt|gt n``.

    A set of more dimensions than there are directions, or of another family, holds nothing. *limits* compare the
    counters of the element that holds the packet.
    """

    options = (
        Option("match-set", arity=2, invert=True, required=True),
        Option("return-nomatch", arity=0),
        Option("update-counters", arity=0, invert=True),
        Option("update-subcounters", arity=0, invert=True),
        *(Option(name, invert=name.endswith("eq")) for name in _COUNTERS),
    )
    stateful = False

    set_name: str
    directions: tuple[bool, ...]
    return_nomatch: bool = False
    update: bool = True
    update_members: bool = True
    limits: tuple[tuple[str, int, bool], ...] = ()
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the set and how to look into it."""
        name, directions = args.given["match-set"][1]
        limits = []
        for option in _COUNTERS:
            number = args.number(option, 0, 2**64 - 1)
            if number is not None:
                limits.append((option, number, args.inverted(option)))
        for what in ("packets", "bytes"):
            if sum(option.startswith(what) for option, _, _ in limits) > 1:
                raise UsageError(f"only one of the --{what}-eq|lt|gt options can be specified")
        return cls(
            name,
            read_directions("set", directions),
            "return-nomatch" in args,
            not args.inverted("update-counters"),
            not args.inverted("update-subcounters"),
            tuple(limits),
            invert=args.inverted("match-set"),
        )

    def _words(self) -> str:
        return f"{self.set_name} {','.join('src' if source else 'dst' for source in self.directions)}"

    def _rest(self) -> str:
        words = [" return-nomatch"] if self.return_nomatch else []
        words += [] if self.update else [" ! update-counters"]
        words += [] if self.update_members else [" ! update-subcounters"]
        words += [f"{' !' if inverted else ''} {option} {number}" for option, number, inverted in self.limits]
        return "".join(words)

    def emit(self) -> str:
        """Set and directions, then what else was said."""
        rest = "".join(
            part if part == " !" else f" --{part.strip()}"
            for part in self._rest().replace(" !", "\0 !\0").split("\0")
            if part
        )
        return f"{'! ' if self.invert else ''}--match-set {self._words()}{rest}"

    def describe(self, numeric: bool) -> str:
        """``! match-set NAME src``."""
        return f"{'! ' if self.invert else ''}match-set {self._words()}{self._rest()}"

    def load(self, loader: Loader) -> Test:
        """Find the set; the rule keeps it."""
        return _Lookup(self, find_set(loader, self.set_name)).holds

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Look the set up by name; a loaded rule has found it already."""
        found = state.host.ipsets.get(self.set_name)
        return found is not None and _Lookup(self, found).holds(skb, state)


class _Lookup:
    """What a loaded rule asks: the match, and the set that it found."""

    __slots__ = ("__weakref__", "counting", "match", "set")

    def __init__(self, match: SetMatch, found: IpSet) -> None:
        self.match, self.set = match, found
        limits = ((*option.partition("-")[::2], number, inverted) for option, number, inverted in match.limits)
        self.counting = Counting(match.update, match.update_members, tuple(limits))
        found.users.add(self)

    def holds(self, skb: Skb, state: HookState) -> bool:
        """Whether the packet is in the set, and the element's counters are as asked for."""
        match = self.match
        found = self.set.match(skb, state, match.directions, nomatch=match.return_nomatch, counting=self.counting)
        return found is not match.invert
