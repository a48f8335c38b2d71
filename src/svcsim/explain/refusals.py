"""
Why a rule did not match: its tests asked again of the packet as it was when the walk came by.

Nothing is recorded per rule while a packet is carried; a stretch of a chain and the packet are enough. What depends on
more than the packet (chance, a limit, a list that has moved on) cannot be asked again; it is named instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Prefix, format_address
from svcsim.hooks import CtInfo, HookState, Skb
from svcsim.packet import Icmp, Tcp
from svcsim.tables.chain import Link
from svcsim.tables.match import Match
from svcsim.tables.matches.set import SetMatch
from svcsim.tables.matches.statistic import RandomMatch
from svcsim.tables.names import protocol_name
from svcsim.tables.rule import Header, Rule, destination_test, source_test
from svcsim.trace import Walked

__all__ = ["Refusal", "chance_of", "refusals", "why_unmatched"]

#: How likely a match is by chance: what xt_statistic compares 31 bits with.
_CERTAIN = 1 << 31


@attrs.frozen
class Refusal:
    """Rule *number*, a *rule* that was asked and did not match, and the first *test* that failed: *why*."""

    number: int
    rule: Rule
    test: str
    why: str

    def __str__(self) -> str:
        return f"rule {self.number}: {self.test or 'no target'}: {self.why}"


def refusals(walked: Walked, *, but: int = 0) -> Iterator[Refusal]:
    """The rules of a stretch that did not match (rule *but* did), each with its first test that failed."""
    skb = walked.skb
    for number, link in enumerate(walked.chain, 1):
        if number > walked.stop:
            break
        if number >= walked.start and number != but:
            test, why = why_unmatched(link, skb, walked.state)
            yield Refusal(number, link.rule, test, why)


def why_unmatched(link: Link, skb: Skb, state: HookState) -> tuple[str, str]:
    """The text of the first test of *link*'s rule that fails for *skb*, and why; two empty texts if all hold."""
    rule: Rule = link.rule
    for test, why, holds in _header_tests(rule, skb, state):
        if not holds:
            return test, why
    unsure: list[str] = []
    for match in rule.matches:
        if match.always:
            continue
        if _remembers(match, state):
            unsure.append(str(match))
            continue
        answer = match.matches(skb, state)
        if answer is None:
            return str(match), "the packet is too short to be judged"
        if not answer:
            before = f" (unless {' or '.join(unsure)} said no before it)" if unsure else ""
            return str(match), _seen(match, skb) + before
    if not unsure:
        return "", ""
    return " ".join(unsure), "not this time: " + (
        "by chance" if chance_of(rule) is not None else "by what it remembers"
    )


def chance_of(rule: Rule) -> float | None:
    """How likely the random matches of *rule* hold together; None if it has none."""
    chance: float | None = None
    for match in rule.matches:
        if isinstance(match, RandomMatch):
            likely = min(1.0, match.threshold / _CERTAIN)
            chance = (1.0 if chance is None else chance) * (1 - likely if match.invert else likely)
    return chance


def _remembers(match: Match, state: HookState) -> bool:
    """Whether to ask again would be another question; to ask a set that counts changes its counters."""
    if isinstance(match, SetMatch):
        found = state.host.ipsets.get(match.set_name)
        return found is None or found.counts
    return type(match).load is not Match.load or match.stateful


def _header_tests(rule: Rule, skb: Skb, state: HookState) -> Iterator[tuple[str, str, bool]]:
    """Each test of the IP header: its text, what the packet shows, and whether it holds."""
    header, family = rule.header, skb.family
    if rule.key is not None:
        yield f"-d {rule.destination}", f"destination is {format_address(family, skb.dst)}", skb.dst == rule.key
    if rule.source is not None:
        holds = source_test(rule.source, header.not_source)(skb, state)
        yield _address("s", rule.source, header.not_source), f"source is {format_address(family, skb.src)}", bool(holds)
    if rule.destination is not None and rule.key is None:
        holds = destination_test(rule.destination, header.not_destination)(skb, state)
        text = _address("d", rule.destination, header.not_destination)
        yield text, f"destination is {format_address(family, skb.dst)}", bool(holds)
    shown = (
        (Header(indev=header.indev, not_indev=header.not_indev), f"input is {state.indev or 'no device'}"),
        (Header(outdev=header.outdev, not_outdev=header.not_outdev), f"output is {state.outdev or 'no device'}"),
        (Header(proto=header.proto, not_proto=header.not_proto), f"protocol is {protocol_name(skb.proto)}"),
        (Header(fragment=header.fragment, not_fragment=header.not_fragment), _fragment(skb)),
    )
    for part, why in shown:
        for test in part.tests:
            yield part.text.strip(), why, bool(test(skb, state))


def _address(letter: str, prefix: Prefix, inverted: bool) -> str:
    return f"{'! ' if inverted else ''}-{letter} {prefix}"


def _fragment(skb: Skb) -> str:
    return "a later fragment" if skb.original.fragment_offset else "not a later fragment"


def _seen(match: Match, skb: Skb) -> str:
    """What the packet shows of that which *match* looks at."""
    name, header = match.name, skb.header
    if name in ("tcp", "udp", "sctp", "multiport", "dccp"):
        flags = f", flags {header.flags:#04x}" if isinstance(header, Tcp) else ""
        return f"ports are {skb.sport} > {skb.dport}{flags}"
    if name in ("icmp", "icmp6") and isinstance(header, Icmp):
        return f"type is {header.type}/{header.code}"
    if name in ("conntrack", "state"):
        untracked = skb.ctinfo in (CtInfo.INVALID, CtInfo.UNTRACKED)
        return f"state is {skb.ctinfo.state}" + ("" if untracked or skb.ct is None else f", status {skb.ct.status:#x}")
    if name == "mark":
        return f"mark is {skb.mark:#x}"
    if name == "connmark":
        return "no connection" if skb.ct is None else f"the connection's mark is {skb.ct.mark:#x}"
    if name == "length":
        return f"length is {skb.length}"
    if name in ("ttl", "hl"):
        return f"ttl is {skb.ttl}"
    if name in ("tos", "dscp"):
        return f"tos is {skb.tos:#x}"
    if name == "owner":
        return "no local sender" if skb.owner is None else f"sent by user {skb.owner.uid}"
    ends = (format_address(skb.family, address) for address in (skb.src, skb.dst))
    return f"not so for {' > '.join(ends)}"
