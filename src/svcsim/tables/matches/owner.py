"""
Who sends: the user behind a local socket.

Behaviour of: xt_owner (`-m owner`). What this host makes by itself - resets, ICMP errors - has no socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import attrs

from svcsim.hooks import Hook, HookState, Skb
from svcsim.tables.extension import Place
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.names import group_name, user_name, user_number
from svcsim.tables.options import Args, Option, c_integer
from svcsim.tables.problems import Refusal, UsageError
from svcsim.tables.texts import range_text

__all__ = ["OwnerMatch"]

#: User numbers end one before the number that means "nobody's".
_LAST = 0xFFFFFFFE


@MATCHES.register("owner")
@attrs.frozen
class OwnerMatch(Match):
    """
    ``[!] --uid-owner user[-user]``, ``[!] --gid-owner group[-group]``, ``--suppl-groups``, ``[!] --socket-exists``.

    Without a socket every test is false, and true if inverted.
    """

    hooks = frozenset({Hook.LOCAL_OUT, Hook.POST_ROUTING})
    options = (
        Option("uid-owner", invert=True),
        Option("gid-owner", invert=True),
        Option("suppl-groups", arity=0),
        Option("socket-exists", arity=0, invert=True),
    )

    users: tuple[int, int] | None = None
    groups: tuple[int, int] | None = None
    socket: bool = False
    supplementary: bool = False
    not_users: bool = attrs.field(default=False, kw_only=True)
    not_groups: bool = attrs.field(default=False, kw_only=True)
    not_socket: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read users, groups and whether there must be a socket."""
        if "suppl-groups" in args and "gid-owner" not in args:
            raise args.bad_value("suppl-groups", "you need to use --gid-owner first")
        if not args.given:
            raise UsageError("owner: At least one of --uid-owner, --gid-owner or --socket-exists is required")
        return cls(
            _read(args, "uid-owner", group=False),
            _read(args, "gid-owner", group=True),
            "socket-exists" in args,
            "suppl-groups" in args,
            not_users=args.inverted("uid-owner"),
            not_groups=args.inverted("gid-owner"),
            not_socket=args.inverted("socket-exists"),
        )

    def emit(self) -> str:
        """Socket, users, groups."""
        parts = ["! --socket-exists" if self.not_socket else "--socket-exists"] if self.socket else []
        if self.users is not None:
            parts.append(f"{'! ' if self.not_users else ''}--uid-owner {range_text(self.users, '-')}")
        if self.groups is not None:
            parts.append(f"{'! ' if self.not_groups else ''}--gid-owner {range_text(self.groups, '-')}")
        if self.supplementary:
            parts.append("--suppl-groups")
        return " ".join(parts)

    def describe(self, numeric: bool) -> str:
        """``owner UID match 1000``."""
        parts = [f"{'! ' if self.not_socket else ''}owner socket exists"] if self.socket else []
        sides: tuple[tuple[str, tuple[int, int] | None, bool, Callable[[int], str]], ...] = (
            ("UID", self.users, self.not_users, user_name),
            ("GID", self.groups, self.not_groups, group_name),
        )
        for label, ends, inverted, name in sides:
            if ends is not None:
                alone = ends[0] == ends[1] and not numeric
                shown = name(ends[0]) if alone else range_text(ends, "-")
                parts.append(f"{'! ' if inverted else ''}owner {label} match {shown}")
        if self.supplementary:
            parts.append("incl. suppl. groups")
        return " ".join(parts)

    def check(self, place: Place) -> None:
        """Refuse a reversed range."""
        super().check(place)
        for ends in (self.users, self.groups):
            if ends is not None and ends[0] > ends[1]:
                raise Refusal(f"owner: the range {range_text(ends, '-')} is reversed")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the sender is as asked for."""
        owner = skb.owner
        if owner is None:
            asked = (self.users, self.not_users), (self.groups, self.not_groups), (self.socket or None, self.not_socket)
            return all(what is None or inverted for what, inverted in asked)
        if self.socket and self.not_socket:
            return False
        if owner.uid is None:
            return (self.users is None or self.not_users) and (self.groups is None or self.not_groups)
        if self.users is not None:
            low, high = self.users
            if (low <= owner.uid <= high) is self.not_users:
                return False
        if self.groups is not None:
            low, high = self.groups
            known = {owner.gid, *owner.groups} if self.supplementary else {owner.gid}
            if any(low <= group <= high for group in known) is self.not_groups:
                return False
        return True


def _read(args: Args, option: str, *, group: bool) -> tuple[int, int] | None:
    """A name, a number, or a range of numbers."""
    if option not in args:
        return None
    text = args.text(option)
    named = user_number(text, group=group)
    if named is not None:
        return named, named
    first, dash, last = text.partition("-")
    low = c_integer(first, 0, _LAST)
    high = c_integer(last, 0, _LAST) if dash else low
    if low is None or high is None:
        raise args.bad_value(option, text)
    return low, high
