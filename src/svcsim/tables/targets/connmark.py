"""
Set the mark of the packet's connection, or carry a mark from one to the other.

Behaviour of: xt_connmark, revision 2 (`-j CONNMARK`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.marks import MARK_OPTIONS, MARK_SPELLINGS, describe_mark, read_mark
from svcsim.tables.options import ALL_BITS, Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["ConnmarkTarget"]

_CARRY = ("save-mark", "restore-mark")
_OPERATIONS = (*MARK_SPELLINGS, *_CARRY)


def _others(name: str) -> tuple[str, ...]:
    return tuple(other for other in _OPERATIONS if other != name)


@TARGETS.register("CONNMARK")
@attrs.frozen
class ConnmarkTarget(Target):
    """
    ``--set-xmark`` and its other spellings; ``--save-mark``, ``--restore-mark`` with ``--nfmask``, ``--ctmask``, ``--mask``.

    *how* is set, save (packet to connection) or restore (connection to packet). *shift* moves the bits that are carried:
    to the left if positive. A packet without a connection passes by.
    """

    tracks = True
    options = (
        *(attrs.evolve(option, excludes=_others(option.name)) for option in MARK_OPTIONS),
        *(Option(name, arity=0, excludes=_others(name)) for name in _CARRY),
        Option("nfmask"),
        Option("ctmask"),
        Option("mask", excludes=("nfmask", "ctmask")),
        Option("left-shift-mark", excludes=("right-shift-mark",)),
        Option("right-shift-mark", excludes=("left-shift-mark",)),
    )

    how: str
    value: int = 0
    packet_mask: int = ALL_BITS
    conn_mask: int = ALL_BITS
    shift: int = 0

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read an operation and its masks."""
        mask = args.number("mask")
        packet_mask, conn_mask = args.number("nfmask"), args.number("ctmask")
        shift = (args.number("left-shift-mark", 0, 32) or 0) - (args.number("right-shift-mark", 0, 32) or 0)
        pair = read_mark(args)
        if pair is not None:
            return cls("set", pair[0], ALL_BITS, pair[1] if mask is None else mask, shift)
        how = next((name for name in _CARRY if name in args), None)
        if how is None:
            raise UsageError("CONNMARK target: No operation specified")
        default = ALL_BITS if mask is None else mask
        return cls(
            how.removesuffix("-mark"),
            0,
            default if packet_mask is None else packet_mask,
            default if conn_mask is None else conn_mask,
            shift,
        )

    def _shifted(self) -> str:
        return f"{'left' if self.shift > 0 else 'right'}-shift-mark {abs(self.shift)}"

    def emit(self) -> str:
        """The operation with both masks."""
        if self.how == "set":
            text = f"--set-xmark {self.value:#x}/{self.conn_mask:#x}"
        else:
            text = f"--{self.how}-mark --nfmask {self.packet_mask:#x} --ctmask {self.conn_mask:#x}"
        return f"{text} --{self._shifted()}" if self.shift else text

    def describe(self, numeric: bool) -> str:
        """``CONNMARK set 0x1``, ``CONNMARK restore ctmask 0xf nfmask ~0xf0``."""
        if self.how == "set":
            text = f"CONNMARK {describe_mark(self.value, self.conn_mask)}"
        elif self.packet_mask != self.conn_mask and self.how == "save":
            text = f"CONNMARK save nfmask {self.packet_mask:#x} ctmask ~{self.conn_mask:#x}"
        elif self.packet_mask != self.conn_mask:
            text = f"CONNMARK restore ctmask {self.conn_mask:#x} nfmask ~{self.packet_mask:#x}"
        else:
            mask = "" if self.conn_mask == ALL_BITS else f" mask {self.conn_mask:#x}"
            text = f"CONNMARK {self.how}{mask}"
        return f"{text} {self._shifted()}" if self.shift else text

    def apply(self, skb: Skb, state: HookState) -> None:
        """Set one of the two marks."""
        conn = skb.ct
        if conn is None:
            return
        if self.how == "set":
            conn.mark = self._moved(conn.mark & ~self.conn_mask ^ self.value)
        elif self.how == "save":
            conn.mark = conn.mark & ~self.conn_mask ^ self._moved(skb.mark & self.packet_mask)
        else:
            skb.mark = skb.mark & ~self.packet_mask ^ self._moved(conn.mark & self.conn_mask)

    def _moved(self, bits: int) -> int:
        return bits << self.shift & ALL_BITS if self.shift > 0 else bits >> -self.shift
