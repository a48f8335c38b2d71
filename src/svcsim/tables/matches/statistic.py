"""
Every n-th packet, or one by chance.

Behaviour of: xt_statistic (`-m statistic`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.rng import Stream
from svcsim.tables.extension import Loader, Test
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["Chance", "NthMatch", "RandomMatch", "StatisticMatch", "Turn"]

#: A probability is kept in 31 bits: this one always holds.
_CERTAIN = 1 << 31


@attrs.define(eq=False)
class Chance:
    """A loaded rule's own sequence of draws."""

    stream: Stream
    threshold: int
    invert: bool

    def __call__(self, skb: Skb, state: HookState) -> bool:
        return self.stream.falls_below(self.threshold, 31) is not self.invert


@attrs.define(eq=False)
class Turn:
    """A loaded rule's own counter: of *every* packets the one that finds it at its *end*."""

    count: int
    end: int
    invert: bool

    def __call__(self, skb: Skb, state: HookState) -> bool:
        self.count = count = 0 if self.count == self.end else self.count + 1
        return (count == 0) is not self.invert


@MATCHES.register("statistic")
@attrs.frozen
class StatisticMatch(Match):
    """``--mode random [!] --probability p`` or ``--mode nth [!] --every n --packet k``."""

    options = (
        Option("mode"),
        Option("probability", invert=True),
        Option("every", invert=True),
        Option("packet"),
    )

    @classmethod
    def parse(cls, args: Args) -> StatisticMatch:
        """Read one of the two modes."""
        mode = args.text("mode", "random")
        if mode not in ("random", "nth"):
            raise UsageError(f'Bad mode "{mode}"')
        if mode == "random":
            if "probability" not in args:
                raise UsageError("--probability must be specified when using random mode")
            if "mode" not in args:
                raise args.problem('option "--mode" must be specified')
            return RandomMatch.parse(args)
        if "every" not in args and "packet" not in args:
            raise UsageError("--every and --packet must be specified when using nth mode")
        for name, other in (("every", "packet"), ("packet", "every")):
            if name not in args:
                raise args.problem(f'option "--{other}" also requires "--{name}".')
        return NthMatch.parse(args)


@attrs.frozen
class RandomMatch(StatisticMatch):
    """True by chance: *threshold* in 2**31."""

    threshold: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a probability."""
        try:
            probability = float(args.text("probability"))
        except ValueError:
            probability = -1.0
        if not 0 <= probability <= 1:
            raise args.problem('bad value for option "--probability", or out of range (0-1).')
        return cls(round(probability * _CERTAIN), invert=args.inverted("probability"))

    def _shown(self) -> str:
        return f"probability {self.threshold / _CERTAIN:.11f}"

    def emit(self) -> str:
        """The probability as it is kept, with eleven decimals."""
        return f"--mode random{' !' if self.invert else ''} --{self._shown()}"

    def describe(self, numeric: bool) -> str:
        """``statistic mode random probability 0.50000000000``."""
        return f"statistic mode random{' !' if self.invert else ''} {self._shown()}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether a draw of the host's falls below the threshold; a loaded rule draws from a sequence of its own."""
        return Chance(state.host.streams["statistic"], self.threshold, self.invert)(skb, state)

    def load(self, loader: Loader) -> Test:
        """Give the loaded rule its own sequence of draws."""
        return Chance(Stream(loader.host.streams["statistic"].u64()), self.threshold, self.invert)


@attrs.frozen
class NthMatch(StatisticMatch):
    """True for packet number *packet* of every *every* that come by, counted from 0."""

    stateful = True

    every: int
    packet: int
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read both numbers."""
        every, packet = args.number("every", 1), args.number("packet")
        assert every is not None
        assert packet is not None
        if packet >= every:
            raise UsageError("the --packet p must be 0 <= p <= n-1")
        return cls(every, packet, invert=args.inverted("every"))

    def emit(self) -> str:
        """Both numbers."""
        return f"--mode nth{' !' if self.invert else ''} --every {self.every} --packet {self.packet}"

    def describe(self, numeric: bool) -> str:
        """``statistic mode nth every 3 packet 2``; packet 0 is not mentioned."""
        packet = f" packet {self.packet}" if self.packet else ""
        return f"statistic mode nth{' !' if self.invert else ''} every {self.every}{packet}"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """What a rule that was loaded just now says of its first packet."""
        return (self.packet == 0) is not self.invert

    def load(self, loader: Loader) -> Test:
        """Give the loaded rule its own counter, set so that *packet* packets pass before the first that counts."""
        end = self.every - 1
        return Turn(end - self.packet, end, self.invert)
