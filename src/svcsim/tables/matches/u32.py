"""
Any bits of a packet, by where they stand.

Behaviour of: xt_u32 (`-m u32`). A test is a walk over the packet: read the 32 bits at a place, mask and shift them, and
with ``@`` let the place that they name be the new beginning.
"""

from __future__ import annotations

import re
from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import ALL_BITS, Args, Option, c_integer
from svcsim.tables.problems import UsageError
from svcsim.wire import encode

__all__ = ["U32Match", "U32Test"]

#: What the kernel's structure has room for.
_TESTS = _STEPS = _RANGES = 10
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


@attrs.frozen
class U32Test:
    """One walk: *steps* are operators with their numbers, the first one the place to read; *ranges* what may be there."""

    steps: tuple[tuple[str, int], ...]
    ranges: tuple[tuple[int, int], ...]

    def holds(self, data: bytes) -> bool:
        """Whether the bits are in one of the ranges; a place outside of the packet has none."""
        base, place, value = 0, 0, 0
        for operator, number in self.steps:
            if operator == "&":
                value &= number
            elif operator == "<<":
                value = value << number & ALL_BITS if number < 32 else 0
            elif operator == ">>":
                value >>= number
            else:
                base = base + value if operator == "@" else 0
                place = base + number
                if place + 4 > len(data):
                    return False
                value = int.from_bytes(data[place : place + 4])
        return any(low <= value <= high for low, high in self.ranges)

    def __str__(self) -> str:
        walk = "".join(f"{operator}{number:#x}" for operator, number in self.steps)
        ranges = ",".join(f"{low:#x}" if low == high else f"{low:#x}:{high:#x}" for low, high in self.ranges)
        return f"{walk}={ranges}"


@MATCHES.register("u32")
@attrs.frozen
class U32Match(Match):
    """``[!] --u32 "place&mask>>bits@place=low:high,...&&..."``: all of *tests* hold."""

    options = (Option("u32", invert=True, required=True),)

    tests: tuple[U32Test, ...]
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read tests."""
        return cls(_read(args.text("u32")), invert=args.inverted("u32"))

    def emit(self) -> str:
        """The tests, all numbers hexadecimal."""
        return f'{"! " if self.invert else ""}--u32 "{"&&".join(map(str, self.tests))}"'

    def describe(self, numeric: bool) -> str:
        """``u32 ! "0x0&0xff=0x1"``."""
        return f'u32 {"! " if self.invert else ""}"{"&&".join(map(str, self.tests))}"'

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether every test holds."""
        data = encode(skb.packet)
        return all(test.holds(data) for test in self.tests) is not self.invert


class _Reader:
    """The text of an expression, taken token by token."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def _skip(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        self._skip()
        return self._at >= len(self._text)

    def number(self) -> int:
        """Take a number."""
        if self.ended:
            raise UsageError("u32: abrupt end of input after location specifier")
        found = _NUMBER.match(self._text, self._at)
        value = c_integer(found[0]) if found else None
        if found is None or value is None:
            raise UsageError(f"u32: at char {self._at}: not a number or out of range")
        self._at = found.end()
        return value

    def take(self, *signs: str) -> str:
        """Take one of *signs* if it comes next."""
        self._skip()
        for sign in signs:
            if self._text.startswith(sign, self._at):
                self._at += len(sign)
                return sign
        return ""

    def complain(self, message: str) -> UsageError:
        """The complaint about what comes next."""
        return UsageError(f"u32: at char {self._at}: {message}")


def _read(text: str) -> tuple[U32Test, ...]:
    reader, tests = _Reader(text), []
    while True:
        steps, ranges = [("", reader.number())], []
        while not reader.take("="):
            if reader.ended:
                raise UsageError("u32: abrupt end of input after location specifier")
            operator = reader.take("<<", ">>", "&", "@")
            if not operator:
                raise reader.complain("unknown operator")
            steps.append((operator, reader.number()))
        while True:
            low = reader.number()
            ranges.append((low, reader.number() if reader.take(":") else low))
            if not reader.take(","):
                break
        tests.append(U32Test(tuple(steps), tuple(ranges)))
        if len(tests) > _TESTS or len(steps) > _STEPS + 1 or len(ranges) > _RANGES:
            raise UsageError("u32: too many tests, steps or values (ten of each)")
        if reader.ended:
            return tuple(tests)
        if not reader.take("&&"):
            raise reader.complain('expected "," or "&&"')
