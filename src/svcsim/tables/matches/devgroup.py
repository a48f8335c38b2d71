"""
The groups of the devices that a packet comes and goes by.

Behaviour of: xt_devgroup (`-m devgroup`); groups are given by ``ip link set DEVICE group NUMBER``.
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import Hook, HookState, Skb
from svcsim.tables.extension import Place
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import ALL_BITS, Args, Option
from svcsim.tables.problems import Refusal, UsageError

__all__ = ["DevgroupMatch"]

_SIDES = {
    "src": frozenset({Hook.PRE_ROUTING, Hook.LOCAL_IN, Hook.FORWARD}),
    "dst": frozenset({Hook.FORWARD, Hook.LOCAL_OUT, Hook.POST_ROUTING}),
}


@MATCHES.register("devgroup")
@attrs.frozen
class DevgroupMatch(Match):
    """``[!] --src-group value[/mask]``, ``--dst-group``: *tests* are a side, value, mask, and whether inverted."""

    options = tuple(Option(f"{side}-group", invert=True) for side in _SIDES)

    tests: tuple[tuple[str, int, int, bool], ...]

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read groups; there must be one."""
        if not args.given:
            raise UsageError("devgroup match: You must specify either '--src-group' or '--dst-group'")
        tests = []
        for side in _SIDES:
            name = f"{side}-group"
            if name in args:
                text = args.text(name)
                if text[:1].isalpha() and text != "default":
                    raise args.problem(f'could not map name {text} to an integer value for option "--{name}".')
                value, mask = (0, ALL_BITS) if text == "default" else args.mark(name) or (0, ALL_BITS)
                tests.append((side, value, mask, args.inverted(name)))
        return cls(tuple(tests))

    def emit(self) -> str:
        """The groups; group 0 by its name."""
        return " ".join(
            f"{'! ' if no else ''}--{side}-group {'default' if (value, mask) == (0, ALL_BITS) else _group(value, mask)}"
            for side, value, mask, no in self.tests
        )

    def describe(self, numeric: bool) -> str:
        """``src-group 0x7 ! dst-group 0x1/0x1``."""
        return " ".join(f"{'! ' if no else ''}{side}-group {_group(v, m)}" for side, v, m, no in self.tests)

    @property
    def limited(self) -> bool:
        """It does matter from which hooks it can be reached."""
        return True

    def check(self, place: Place) -> None:
        """Refuse to ask for a device that is not known at a hook."""
        super().check(place)
        for side, _, _, _ in self.tests:
            if not place.hooks <= _SIDES[side]:
                raise Refusal(f"devgroup: --{side}-group is not known at every hook that the rule can be reached from")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether each device is of its group."""
        devices = state.host.devices
        for side, value, mask, no in self.tests:
            device = devices.get(state.indev if side == "src" else state.outdev)
            if (((0 if device is None else device.group) ^ value) & mask == 0) is no:
                return False
        return True


def _group(value: int, mask: int) -> str:
    return f"{value:#x}" + ("" if mask == ALL_BITS else f"/{mask:#x}")
