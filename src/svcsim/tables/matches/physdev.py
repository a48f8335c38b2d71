"""
The ports of a bridge that a packet comes and goes by.

Behaviour of: xt_physdev (`-m physdev`). There are no bridges here: no packet comes by a port, so a rule matches if all
that it asks for is inverted.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.device import NAME_LENGTH
from svcsim.hooks import Hook, HookState, Skb
from svcsim.tables.extension import Place
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["PhysdevMatch"]

#: In the order in which they are printed.
_TESTS = ("physdev-is-in", "physdev-in", "physdev-is-out", "physdev-out", "physdev-is-bridged")
_OUT = frozenset({"physdev-is-out", "physdev-out"})


@MATCHES.register("physdev")
@attrs.frozen
class PhysdevMatch(Match):
    """``[!] --physdev-in name``, ``-out name``, ``-is-in``, ``-is-out``, ``-is-bridged``."""

    options = tuple(Option(name, arity=0 if "-is-" in name else 1, invert=True) for name in _TESTS)

    tests: tuple[tuple[str, str, bool], ...]  # name, device, inverted

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the tests; there must be one."""
        if not args.given:
            raise UsageError("PHYSDEV: no physdev option specified")
        for name in ("physdev-in", "physdev-out"):
            if len(args.text(name)) > NAME_LENGTH:
                raise UsageError(f"interface name `{args.text(name)}' must be shorter than IFNAMSIZ ({NAME_LENGTH})")
        return cls(
            tuple(
                (name, "" if "-is-" in name else args.text(name), args.inverted(name))
                for name in _TESTS
                if name in args
            )
        )

    def emit(self) -> str:
        """The tests in the tool's own order."""
        return " ".join(
            f"{'! ' if no else ''}--{name}{f' {device}' if device else ''}" for name, device, no in self.tests
        )

    def describe(self, numeric: bool) -> str:
        """``PHYSDEV match --physdev-in eth0``."""
        return f"PHYSDEV match {self.emit()}"

    @property
    def limited(self) -> bool:
        """It does matter from which hooks it can be reached."""
        return True

    def check(self, place: Place) -> None:
        """Refuse to ask in OUTPUT which port a packet will leave by: it is not known there."""
        super().check(place)
        asked = {name for name, _, _ in self.tests}
        bridged = any(name == "physdev-is-bridged" and not no for name, _, no in self.tests)
        if asked & _OUT and not bridged and Hook.LOCAL_OUT in place.hooks:
            raise Refusal("physdev: using --physdev-out and --physdev-is-out are only supported in bridged traffic")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether every test is inverted."""
        return all(no for _, _, no in self.tests)
