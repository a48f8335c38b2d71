"""
The states of a packet within its connection, and a connection's status, as rules name them.

Behaviour of: xt_conntrack and its half in libxtables.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from svcsim.conntrack import Status
from svcsim.hooks import CtInfo
from svcsim.tables.problems import UsageError

__all__ = ["STATES", "STATUSES", "names_of", "read_names"]

#: In the order in which they are printed, with the bits of `CtInfo` and two more.
STATES: Mapping[str, int] = {
    **{info.state: info.bit for info in sorted(CtInfo, key=attrgetter("bit"))},
    "SNAT": 32,
    "DNAT": 64,
}
STATUSES: Mapping[str, int] = {
    "EXPECTED": Status.EXPECTED,
    "SEEN_REPLY": Status.SEEN_REPLY,
    "ASSURED": Status.ASSURED,
    "CONFIRMED": Status.CONFIRMED,
}


def read_names(text: str, known: Mapping[str, int], what: str) -> int:
    """Read a list of names separated by commas, small letters or capitals; *what* is how a complaint calls them."""
    bits = 0
    for name in text.split(","):
        bit = known.get(name.upper()) if name else None
        if bit is None:
            raise UsageError(f'Bad {what} "{name}"')
        bits |= bit
    return bits


def names_of(bits: int, known: Mapping[str, int]) -> str:
    """The names of *bits* in their order, separated by commas."""
    return ",".join(name for name, bit in known.items() if bits & bit)
