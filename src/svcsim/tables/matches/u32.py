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
_TOKEN = re.compile(r"\s*(?:(0[xX][0-9a-fA-F]+|[0-9]+)|(&&|<<|>>|[&@=,:]))")


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


def _tokens(text: str) -> list[str]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            raise UsageError(f"u32: at char {at}: unknown operator")
        found.append(token[1] or token[2])
        at = token.end()
    return found


def _read(text: str) -> tuple[U32Test, ...]:
    tests = []
    tokens = [*_tokens(text), "&&"]
    at = 0

    def number() -> int:
        value = c_integer(tokens[at]) if tokens[at][0].isdigit() else None
        if value is None:
            raise UsageError("u32: bad number, or none where one belongs")
        return value

    while at < len(tokens):
        steps, ranges = [("", number())], []
        at += 1
        while tokens[at] in ("&", "<<", ">>", "@"):
            operator = tokens[at]
            at += 1
            steps.append((operator, number()))
            at += 1
        if tokens[at] != "=":
            raise UsageError("u32: a test wants a value")
        while tokens[at] in ("=", ","):
            at += 1
            low = high = number()
            at += 1
            if tokens[at] == ":":
                at += 1
                high = number()
                at += 1
            ranges.append((low, high))
        if tokens[at] != "&&":
            raise UsageError("u32: && belongs between two tests")
        at += 1
        tests.append(U32Test(tuple(steps), tuple(ranges)))
        if len(tests) > _TESTS or len(steps) > _STEPS + 1 or len(ranges) > _RANGES:
            raise UsageError("u32: too many tests, steps or values (ten of each)")
    return tuple(tests)
