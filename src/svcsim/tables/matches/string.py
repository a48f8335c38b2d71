"""
Bytes somewhere in a packet.

Behaviour of: xt_string (`-m string`). Both algorithms find the same: the first place at or behind *low*, from the IP
header on, such that all of the pattern stands before *high*.
"""

from __future__ import annotations

import re
from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Place
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError
from svcsim.wire import encode

__all__ = ["StringMatch"]

_LENGTH = 128
_END = 65535
_ALGORITHMS = ("bm", "kmp")
_SPECIAL = re.compile(r"([\"\\])")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")


@MATCHES.register("string")
@attrs.frozen
class StringMatch(Match):
    """``[!] --string text`` or ``--hex-string``, ``--algo bm|kmp``, ``--from``, ``--to``, ``--icase``."""

    options = (
        Option("from"),
        Option("to"),
        Option("algo", required=True),
        Option("string", invert=True, excludes=("hex-string",)),
        Option("hex-string", invert=True, excludes=("string",)),
        Option("icase", arity=0),
    )

    pattern: bytes
    algorithm: str
    low: int = 0
    high: int = _END
    icase: bool = False
    invert: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read pattern, algorithm and range."""
        if "string" in args:
            pattern = args.text("string").encode()
        elif "hex-string" in args:
            pattern = _read_hex(args.text("hex-string"))
        else:
            raise UsageError("STRING match: You must specify `--string' or `--hex-string'")
        if len(pattern) > _LENGTH:
            raise UsageError(f'STRING too long "{args.text("string") or args.text("hex-string")}"')
        low, high = args.number("from", 0, _END) or 0, args.number("to", 0, _END)
        inverted = args.inverted("string") or args.inverted("hex-string")
        return cls(pattern, args.text("algo"), low, _END if high is None else high, "icase" in args, invert=inverted)

    def _shown(self) -> tuple[str, str]:
        if all(32 <= byte < 127 for byte in self.pattern):
            return "string", _SPECIAL.sub(r"\\\1", self.pattern.decode())
        return "hex-string", f"|{self.pattern.hex()}|"

    def emit(self) -> str:
        """Pattern, algorithm, range."""
        option, text = self._shown()
        parts = [f'{"! " if self.invert else ""}--{option} "{text}" --algo {self.algorithm}']
        parts += [f"--from {self.low}"] if self.low else []
        parts += [f"--to {self.high}"] if self.high != _END else []
        return " ".join([*parts, "--icase"] if self.icase else parts)

    def describe(self, numeric: bool) -> str:
        """``STRING match ! "x" ALGO name bm FROM 4 TO 60 ICASE``."""
        text = f'STRING match {"!" if self.invert else ""} "{self._shown()[1]}" ALGO name {self.algorithm}'
        text += f" FROM {self.low}" if self.low else ""
        text += f" TO {self.high}" if self.high != _END else ""
        return f"{text} ICASE" if self.icase else text

    def check(self, place: Place) -> None:
        """Refuse an end before the start, an algorithm that there is none of, and nothing to look for."""
        super().check(place)
        if self.low > self.high:
            raise Refusal("string: the end lies before the start")
        if self.algorithm not in _ALGORITHMS:
            raise Refusal(f"string: no algorithm {self.algorithm!r}", "No chain/target/match by that name.")
        if not self.pattern:
            raise Refusal("string: an empty pattern")

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether the pattern is there."""
        data, pattern = encode(skb.packet), self.pattern
        if self.icase:
            data, pattern = data.lower(), pattern.lower()
        return (pattern in data[self.low : self.high]) is not self.invert


def _read_hex(text: str) -> bytes:
    """Text in which bytes stand between bars as hexadecimal digits; a backslash takes the next character as it is."""
    found, at, within = bytearray(), 0, False
    while at < len(text):
        letter = text[at]
        if letter == "|":
            within = not within
        elif within:
            digits = text[at : at + 2]
            if letter == " ":
                at += 1
                continue
            if not _HEX.fullmatch(digits):
                raise UsageError("Invalid hex block")
            found.append(int(digits, 16))
            at += 1
        else:
            at += letter == "\\" and at + 1 < len(text)
            found += text[at].encode()
        at += 1
    if within:
        raise UsageError("Invalid hex block")
    return bytes(found)
