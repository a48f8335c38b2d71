"""
A remark, for people.

Behaviour of: xt_comment (`-m comment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.texts import quote

__all__ = ["CommentMatch"]

#: What the kernel's structure has room for; the tool cuts off the rest without a word.
_LENGTH = 255
#: So many characters can have no more bytes than that.
_SURELY_FITS = _LENGTH // 4


@MATCHES.register("comment")
@attrs.frozen
class CommentMatch(Match):
    """``--comment text``: always true."""

    always = True
    cached = False
    main = "--comment"
    options = (Option("comment", required=True),)

    text: str

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the remark; what is too long is cut."""
        return cls(_cut(args.text("comment")))

    @classmethod
    def parse_many(cls, values: Sequence[str], family: Family, proto: int) -> list[Self]:
        """Read remarks."""
        return [cls(text if len(text) <= _SURELY_FITS else _cut(text)) for text in values]

    def emit(self) -> str:
        """The remark, quoted if need be."""
        return f"--comment {quote(self.text)}"

    def describe(self, numeric: bool) -> str:
        """The remark as one in C."""
        return f"/* {self.text} */"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """True."""
        return True


def _cut(text: str) -> str:
    return text.encode(errors="surrogateescape")[:_LENGTH].decode(errors="surrogateescape")
