"""
Draws and open questions answered by a script, so that every branch of a packet's way can be followed.

A run follows its script as far as that goes, and takes what is likeliest from there on; what could have been drawn
instead is noted as it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import attrs

from svcsim.rng import Stream, Streams

__all__ = ["Choice", "Dice", "Script", "ScriptedStream"]

#: A draw of more numbers than this that mean different things is not followed into each: ports, mostly.
_WIDEST = 256
_EVEN = Fraction(1, 2)


@attrs.frozen
class Choice:
    """
    A fork on a packet's way: the probabilities of what could be *taken*.

    If *question* is not empty, nobody knows how likely: it names what is not modelled, 0 stands for "it holds" and 1 for
    "it does not", each for one half.
    """

    odds: tuple[Fraction, ...]
    taken: int
    question: str = ""


@attrs.define(eq=False)
class Script:
    """
    What is *chosen* at the first forks; what was *met* on the way, those among it.

    *wide* names the draws that were too wide to be followed, each with how many things it could have meant.
    """

    chosen: tuple[int, ...] = ()
    met: list[Choice] = attrs.field(factory=list)
    wide: list[tuple[str, int]] = attrs.field(factory=list)

    def take(self, odds: tuple[Fraction, ...], question: str = "") -> int:
        """The next fork: what the script says, or what is likeliest."""
        at = len(self.met)
        taken = self.chosen[at] if at < len(self.chosen) else odds.index(max(odds))
        self.met.append(Choice(odds, taken, question))
        return taken

    def assume(self, question: str) -> bool:
        """Whether something that is not modelled holds."""
        return self.take((_EVEN, _EVEN), question) == 0


@attrs.define(eq=False)
class Dice:
    """What all streams of a world draw from: a *script*, or if there is none themselves, by name *streams*."""

    streams: Streams | None = None
    script: Script | None = None

    def name_of(self, stream: Stream) -> str:
        """Who draws from *stream*."""
        streams = self.streams
        if streams is None:
            return "a draw"
        return next((name for name in streams if streams[name] is stream), "a draw")


class ScriptedStream(Stream):
    """
    A stream that a script can speak for; without one it draws as the original would.

    >>> dice = Dice(script=Script((2,)))
    >>> stream = ScriptedStream(dice)
    >>> stream.pick([1, 0, 3]), stream.falls_below(1 << 30, 31)
    (2, True)
    >>> [[str(odd) for odd in choice.odds] for choice in dice.script.met]
    [['1/4', '0', '3/4'], ['1/2', '1/2']]
    """

    __slots__ = ("_dice",)

    def __init__(self, dice: Dice) -> None:
        super().__init__(0)
        self._dice = dice

    def u64(self) -> int:
        """Draw 64 bits; too much to follow each."""
        self._note(1 << 64)
        return super().u64()

    def below(self, bound: int, *, period: int = 0) -> int:
        """Draw a number, or take the one that the script says."""
        kinds = period if 0 < period < bound else bound
        if self._dice.script is None or kinds > _WIDEST:
            self._note(kinds)
            return super().u64() * bound >> 64
        return self._take([len(range(first, bound, kinds)) for first in range(kinds)])

    def falls_below(self, threshold: int, bits: int) -> bool:
        """Draw, or answer as the script says: 0 stands for yes."""
        if self._dice.script is None:
            return super().falls_below(threshold, bits)
        threshold = min(threshold, 1 << bits)
        return self._take([threshold, (1 << bits) - threshold]) == 0

    def pick(self, weights: Sequence[int]) -> int:
        """Draw a place, or take the one that the script says."""
        return super().pick(weights) if self._dice.script is None else self._take(weights)

    def _take(self, weights: Sequence[int]) -> int:
        script = self._dice.script
        assert script is not None
        self.ordinal += 1
        total = sum(weights)
        odds = tuple(Fraction(weight, total) for weight in weights)
        return odds.index(1) if 1 in odds else script.take(odds)

    def _note(self, kinds: int) -> None:
        script = self._dice.script
        if script is not None and kinds > 1:
            script.wide.append((self._dice.name_of(self), kinds))
