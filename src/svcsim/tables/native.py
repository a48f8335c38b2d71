"""
What nf_tables makes of the transport tests of a rule: expressions of its own, one for each port and flag.

Behaviour of: iptables-nft 1.8.9. Several ``-m tcp`` of a rule are one, a range from port 0 needs no inversion, and
a packet that is too short for its header does not match where ip_tables would drop it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Test
from svcsim.tables.match import Match
from svcsim.tables.matches.tcp import TcpMatch
from svcsim.tables.matches.udp import UdpMatch
from svcsim.tables.texts import ANY_PORT

__all__ = ["forgiving", "is_native", "native_matches"]

_LAST_PORT = ANY_PORT[1]
_PORTS_LENGTH, _FLAGS_AT = 4, 13


def native_matches(matches: Iterable[Match]) -> tuple[Match, ...]:
    """
    The matches of a rule as they come back from nf_tables; of options given twice the last one counts.

    >>> rule = TcpMatch(dport=(80, 80)), TcpMatch(sport=(0, 1023), not_sport=True)
    >>> [str(match) for match in native_matches(rule)]
    ['-m tcp --sport 1024:65535 --dport 80']
    """
    found: list[Any] = []
    for match in matches:
        at = next((i for i, other in enumerate(found) if is_native(match) and other.__class__ is match.__class__), None)
        if at is None:
            found.append(_plain_ranges(match) if isinstance(match, TcpMatch | UdpMatch) and is_native(match) else match)
        else:
            kind: Any = match.__class__
            fields = [field for field in attrs.fields(kind) if getattr(match, field.name) != field.default]
            given = {field.name: getattr(match, field.name) for field in fields}
            found[at] = _plain_ranges(attrs.evolve(found[at], **given))
    return tuple(found)


def is_native(match: Match) -> bool:
    """Whether nf_tables has expressions of its own for *match*: ports and flags, but not TCP's options, nor nothing."""
    if isinstance(match, TcpMatch):
        asks = match.sport != ANY_PORT or match.dport != ANY_PORT or match.mask or match.not_flags
        return bool(asks) and not match.option and not match.not_option
    return isinstance(match, UdpMatch) and (match.sport != ANY_PORT or match.dport != ANY_PORT)


def _plain_ranges(match: TcpMatch | UdpMatch) -> TcpMatch | UdpMatch:
    """The same without an inverted range from port 0 on."""
    changes: dict[str, object] = {}
    for side in ("sport", "dport"):
        low, high = getattr(match, side)
        if getattr(match, f"not_{side}") and low == 0 < high < _LAST_PORT:
            changes |= {side: (high + 1, _LAST_PORT), f"not_{side}": False}
    return attrs.evolve(match, **changes) if changes else match  # type: ignore[arg-type]


def forgiving(test: Test, match: Match) -> Test:
    """The *test* of a native *match*: of a packet that is cut short, what is there is looked at, and nothing dropped."""
    assert isinstance(match, TcpMatch | UdpMatch)

    def ask(skb: Skb, state: HookState) -> bool:
        answer = test(skb, state)
        return _of_short(match, skb) if answer is None else answer

    return ask


def _of_short(match: TcpMatch | UdpMatch, skb: Skb) -> bool:
    data = skb.payload
    if skb.original.fragment_offset or len(data) < _PORTS_LENGTH:
        return False
    for (low, high), inverted, at in ((match.sport, match.not_sport, 0), (match.dport, match.not_dport, 2)):
        if (low <= int.from_bytes(data[at : at + 2]) <= high) is inverted:
            return False
    if isinstance(match, TcpMatch) and match.mask:
        return len(data) > _FLAGS_AT and (data[_FLAGS_AT] & match.mask == match.flags) is not match.not_flags
    return True
