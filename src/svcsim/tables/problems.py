"""
What is wrong with a rule: the tool's complaint about words, the kernel's refusal of a table.

Messages are those of iptables 1.8.9, without the program's name around them; a tool adds that.
"""

from __future__ import annotations

from svcsim.errors import ConfigError, RulesetError

__all__ = ["Refusal", "UsageError"]

_INVALID = "Invalid argument. Run `dmesg' for more information."


class UsageError(RulesetError):
    """
    Words that iptables does not understand; nothing was asked of the kernel.

    *spaced*: the tool prints an empty line behind the message; *bare*: it does not say its own name before it. *word* is
    the place of the word, from 0, at which it was noticed, where that is known.
    """

    def __init__(self, message: str, *, spaced: bool = False, bare: bool = False, exit_code: int = 2) -> None:
        self.spaced, self.bare = spaced, bare
        self.word: int | None = None
        super().__init__(message, exit_code=exit_code)


class Refusal(ConfigError):
    """
    A rule that the kernel does not take: *message* is all that the tool says, *reason* what the kernel's log would.

    >>> raise Refusal("MASQUERADE: used from hooks PRE_ROUTING, but only valid from POST_ROUTING")
    Traceback (most recent call last):
    svcsim.tables.problems.Refusal: MASQUERADE: used from hooks PRE_ROUTING, but only valid from POST_ROUTING
    """

    def __init__(self, reason: str, message: str = _INVALID) -> None:
        self.reason, self.message = reason, message
        super().__init__(reason, exit_code=1)
