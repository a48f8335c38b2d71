"""
The verdicts themselves.

Behaviour of: the standard target of ip_tables (`-j ACCEPT`, `-j DROP`, `-j RETURN`).
"""

from __future__ import annotations

import attrs

from svcsim.hooks import Verdict
from svcsim.tables.target import TARGETS, Target

__all__ = ["Accept", "Drop", "Return"]


@TARGETS.register("ACCEPT")
@attrs.frozen
class Accept(Target):
    """Let the packet go on behind this table."""

    verdict = Verdict.ACCEPT


@TARGETS.register("DROP")
@attrs.frozen
class Drop(Target):
    """Let the packet go no further."""

    verdict = Verdict.DROP


@TARGETS.register("RETURN")
@attrs.frozen
class Return(Target):
    """Go back to where the chain was called from; in a built-in chain, to its policy."""

    returns = True
