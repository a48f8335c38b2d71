"""
Adding packets to IP sets, and taking them out.

Behaviour of: xt_SET, revision 3 (`-j SET`); pinned by the corpus scenarios iptables-ipset-*.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.errors import UnsupportedError
from svcsim.hooks import HookState, Skb, Verdict
from svcsim.tables.extension import Loader
from svcsim.tables.ipset import IpSet
from svcsim.tables.matches.set import find_set, read_directions
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Action, Target

__all__ = ["SetTarget"]

_NEVER = 2**32 - 1


@TARGETS.register("SET")
@attrs.frozen
class SetTarget(Target):
    """
    ``--add-set name src|dst[,...] [--exist] [--timeout n]``, ``--del-set name src|dst[,...]``.

    The packet goes on; what cannot be added (a full set, an address out of range) is not.
    """

    options = (
        Option("add-set", arity=2),
        Option("del-set", arity=2),
        Option("map-set", arity=2),
        Option("exist", arity=0, requires=("add-set",)),
        Option("timeout", requires=("add-set",)),
        *(Option(name, arity=0, requires=("map-set",)) for name in ("map-mark", "map-prio", "map-queue")),
    )

    add: tuple[str, tuple[bool, ...]] | None = None
    delete: tuple[str, tuple[bool, ...]] | None = None
    exist: bool = False
    timeout: int | None = None

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the sets."""
        if "map-set" in args:
            raise UnsupportedError("SET --map-set", instead="use MARK with -m set")
        named = []
        for option in ("add-set", "del-set"):
            words = args.given[option][1] if option in args else None
            named.append((words[0], read_directions("SET", words[1])) if words else None)
        if named == [None, None]:
            raise UsageError("You must specify either `--add-set' or `--del-set' or `--map-set'")
        return cls(named[0], named[1], "exist" in args, args.number("timeout", 0, _NEVER - 1))

    def _words(self, dashes: str) -> str:
        words = []
        for option, named in (("add-set", self.add), ("del-set", self.delete)):
            if named is not None:
                directions = ",".join("src" if source else "dst" for source in named[1])
                words.append(f"{dashes}{option} {named[0]} {directions}")
            if option == "add-set":
                words += [f"{dashes}exist"] if self.exist else []
                words += [f"{dashes}timeout {self.timeout}"] if self.timeout is not None else []
        return " ".join(words)

    def emit(self) -> str:
        """The sets, and how they are changed."""
        return self._words("--")

    def describe(self, numeric: bool) -> str:
        """``add-set NAME src``."""
        return self._words("")

    def load(self, loader: Loader) -> Action:
        """Find the sets; the rule keeps them."""
        found = [find_set(loader, named[0]) if named else None for named in (self.add, self.delete)]
        return _Change(self, *found).apply


class _Change:
    """What a loaded rule does: the target, and the sets that it found."""

    __slots__ = ("__weakref__", "add", "delete", "target")

    def __init__(self, target: SetTarget, add: IpSet | None, delete: IpSet | None) -> None:
        self.target, self.add, self.delete = target, add, delete
        for each in (add, delete):
            if each is not None:
                each.users.add(self)

    def apply(self, skb: Skb, state: HookState) -> Verdict | None:
        """Add and delete; the packet goes on."""
        target = self.target
        if self.add is not None and target.add is not None:
            self.add.add_packet(skb, state, target.add[1], exist=target.exist, timeout=target.timeout)
        if self.delete is not None and target.delete is not None:
            self.delete.remove_packet(skb, state, target.delete[1])
        return None
