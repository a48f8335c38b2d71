"""
A remark, for people.

Behaviour of: xt_comment (`-m comment`).
"""

from __future__ import annotations

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


@MATCHES.register("comment")
@attrs.frozen
class CommentMatch(Match):
    """``--comment text``: always true."""

    always = True
    main = "--comment"
    options = (Option("comment", required=True),)

    text: str

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read the remark; what is too long is cut."""
        text = args.text("comment")
        if len(text) > _LENGTH // 4:  # only then can it have more bytes than there is room for
            text = text.encode(errors="surrogateescape")[:_LENGTH].decode(errors="surrogateescape")
        return cls(text)

    @classmethod
    def brief(cls, value: str, family: Family, proto: int) -> Self | None:
        """A remark that is surely not too long."""
        return cls(value) if len(value) <= _LENGTH // 4 else None

    def emit(self) -> str:
        """The remark, quoted if need be."""
        return f"--comment {quote(self.text)}"

    def describe(self, numeric: bool) -> str:
        """The remark as one in C."""
        return f"/* {self.text} */"

    def matches(self, skb: Skb, state: HookState) -> bool:
        """True."""
        return True
