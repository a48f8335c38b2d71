"""
TCP's options as the kernel's rules look through them (RFC 9293, 3.2).
"""

from __future__ import annotations

__all__ = ["MSS_LENGTH", "find_mss"]

_MSS, MSS_LENGTH = 2, 4
_NO_OPERATION = 1


def find_mss(options: bytes) -> int | None:
    """
    Where the maximum segment size stands, None if it is not there.

    >>> find_mss(bytes.fromhex("0101 020405b4")), find_mss(b"")
    (2, None)
    """
    at = 0
    while at + MSS_LENGTH <= len(options):
        kind, length = options[at], options[at + 1]
        if kind == _MSS and length == MSS_LENGTH:
            return at
        at += 1 if kind <= _NO_OPERATION or not length else length
    return None
