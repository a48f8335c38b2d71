"""
Addresses seen lately, in lists by name.

Behaviour of: xt_recent, revision 1 (`-m recent`). A list outlives the rules that are replaced as long as one names it.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family, format_address
from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Loader, Place, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError
from svcsim.tables.recent_list import RecentList

__all__ = ["RecentMatch"]

_ACTIONS = ("set", "rcheck", "update", "remove")
_SHOWN = {"set": "SET", "rcheck": "CHECK", "update": "UPDATE", "remove": "REMOVE"}
_NAME_LENGTH = 199
_HITS = 65535


def _actions() -> tuple[Option, ...]:
    return tuple(
        Option(name, arity=0, invert=True, excludes=tuple(other for other in _ACTIONS if other != name))
        for name in _ACTIONS
    )


@MATCHES.register("recent")
@attrs.frozen
class RecentMatch(Match):
    """
    ``[!] --set|--rcheck|--update|--remove``, ``--seconds``, ``--reap``, ``--hitcount``, ``--rttl``, ``--name``,
    ``--rsource``, ``--rdest``, ``--mask``.

    *seconds* and *hits* of 0 are no limits.
    """

    options = (
        *_actions(),
        Option("seconds"),
        Option("reap", arity=0, requires=("seconds",)),
        Option("hitcount"),
        Option("rttl", arity=0, excludes=("set", "remove")),
        Option("name"),
        Option("rsource", arity=0),
        Option("rdest", arity=0),
        Option("mask"),
    )

    family: Family
    action: str
    name_of_list: str
    mask: int
    destination: bool = False
    seconds: int = 0
    hits: int = 0
    reap: bool = False
    same_ttl: bool = False
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read what is to be done, and with which list."""
        action = next((name for name in _ACTIONS if name in args), None)
        if action is None:
            raise UsageError("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'")
        sides = [name for name in args.given if name in ("rsource", "rdest")]
        return cls(
            args.family,
            action,
            args.text("name", "DEFAULT"),
            args.address("mask", args.text("mask")) if "mask" in args else args.family.all_ones,
            sides[-1:] == ["rdest"],
            args.number("seconds", 1) or 0,
            args.number("hitcount") or 0,
            "reap" in args,
            "rttl" in args,
            invert=args.inverted(action),
        )

    def emit(self) -> str:
        """Everything, defaults included."""
        parts = [f"{'! ' if self.invert else ''}--{self.action}"]
        if self.seconds:
            parts.append(f"--seconds {self.seconds}")
        if self.reap:
            parts.append("--reap")
        if self.hits:
            parts.append(f"--hitcount {self.hits}")
        if self.same_ttl:
            parts.append("--rttl")
        side = "rdest" if self.destination else "rsource"
        parts.append(f"--name {self.name_of_list} --mask {format_address(self.family, self.mask)} --{side}")
        return " ".join(parts)

    def describe(self, numeric: bool) -> str:
        """``recent: SET name: DEFAULT side: source mask: 255.255.255.255``."""
        parts = [f"{'! ' if self.invert else ''}recent: {_SHOWN[self.action]}"]
        if self.seconds:
            parts.append(f"seconds: {self.seconds}")
        if self.reap:
            parts.append("reap")
        if self.hits:
            parts.append(f"hit_count: {self.hits}")
        if self.same_ttl:
            parts.append("TTL-Match")
        side, mask = "dest" if self.destination else "source", format_address(self.family, self.mask)
        parts.append(f"name: {self.name_of_list} side: {side} mask: {mask}")
        return " ".join(parts)

    def check(self, place: Place) -> None:
        """Refuse limits where nothing is looked up, and names that are no file's."""
        super().check(place)
        if self.action in ("set", "remove") and (self.seconds or self.hits):
            raise Refusal(f"recent: --seconds and --hitcount have no meaning with --{self.action}")
        if self.hits > _HITS:
            raise Refusal(f"recent: hitcount ({self.hits}) is larger than allowed maximum ({_HITS})")
        if not 0 < len(self.name_of_list) <= _NAME_LENGTH or "/" in self.name_of_list:
            raise Refusal(f"recent: not a name for a list: {self.name_of_list!r}")

    def load(self, loader: Loader) -> Test:
        """Find the list of this name, or make it; it keeps the mask of the rule that made it."""
        clock = loader.host.clock
        shared = loader.share("recent", self.name_of_list, lambda: RecentList(self.name_of_list, clock, self.mask))
        shared.need(self.hits)

        def ask(skb: Skb, state: HookState) -> bool:
            return self._ask(shared, skb, state)

        return ask

    def matches(self, skb: Skb, state: HookState) -> bool:
        """What a rule that was loaded just now, with a new list, says of its first packet."""
        return self._ask(RecentList(self.name_of_list, state.host.clock, self.mask), skb, state)

    def _ask(self, seen: RecentList, skb: Skb, state: HookState) -> bool:
        # What leaves and was not sent from here has been counted down by one already.
        ttl = skb.ttl + 1 if state.outdev and skb.owner is None else skb.ttl
        key = (skb.dst if self.destination else skb.src) & seen.mask
        entry = seen.find(key, ttl if self.same_ttl else None)
        if entry is None:
            if self.action == "set":
                seen.add(key, ttl)
            return (self.action == "set") is not self.invert
        if self.action == "remove":
            seen.remove(key)
            return not self.invert
        if self.action == "set":
            seen.touch(key, ttl)
            return not self.invert
        hit = seen.has_hits(entry, self.seconds, self.hits)
        answer = hit is not self.invert
        updates = self.action == "update" and answer
        if self.reap:
            seen.reap(self.seconds, spare=entry if updates else None)
        if updates:
            seen.touch(key, ttl)
        return answer
