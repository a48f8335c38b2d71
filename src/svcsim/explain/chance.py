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
_EITHER = (Fraction(1, 2), Fraction(1, 2))


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
    What to take at the first forks, *met* by an earlier run; those that come after them are added to it.

    *given* is how many they were. *wide* names the draws that were too wide to be followed, each with how many things it
    could have meant.
    """

    met: list[Choice] = attrs.field(factory=list)
    given: int = attrs.field(init=False)
    wide: list[tuple[str, int]] = attrs.field(factory=list)
    _at: int = 0

    def __attrs_post_init__(self) -> None:
        self.given = len(self.met)

    def again(self) -> int | None:
        """What the script says of the next fork, None if it says nothing."""
        at = self._at
        if at == self.given:
            return None
        self._at = at + 1
        return self.met[at].taken

    def take(self, odds: tuple[Fraction, ...], question: str = "") -> int:
        """The next fork: what the script says, or what is likeliest."""
        taken = self.again()
        if taken is None:
            taken = odds.index(max(odds))
            self.met.append(Choice(odds, taken, question))
        return taken

    def assume(self, question: str) -> bool:
        """Whether something that is not modelled holds."""
        return self.take(_EITHER, question) == 0


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

    >>> dice = Dice(script=Script())
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
        script = self._dice.script
        if script is None:
            return super().falls_below(threshold, bits)
        self.ordinal += 1
        numbers = 1 << bits
        if not 0 < threshold < numbers:
            return threshold > 0
        taken = script.again()
        if taken is None:
            likely = Fraction(threshold, numbers)
            taken = script.take((likely, 1 - likely))
        return taken == 0

    def pick(self, weights: Sequence[int]) -> int:
        """Draw a place, or take the one that the script says."""
        return super().pick(weights) if self._dice.script is None else self._take(weights)

    def _take(self, weights: Sequence[int]) -> int:
        script = self._dice.script
        assert script is not None
        self.ordinal += 1
        total = sum(weights)
        if total in weights:
            return weights.index(total)  # nothing else can be
        taken = script.again()
        return script.take(tuple(Fraction(weight, total) for weight in weights)) if taken is None else taken

    def _note(self, kinds: int) -> None:
        script = self._dice.script
        if script is not None and kinds > 1:
            script.wide.append((self._dice.name_of(self), kinds))
