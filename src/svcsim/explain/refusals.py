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
from svcsim.tables.ipset_entry import Counting
from svcsim.tables.match import Match
from svcsim.tables.matches.set import SetMatch
from svcsim.tables.matches.statistic import RandomMatch
from svcsim.tables.names import protocol_name
from svcsim.tables.rule import Header, Rule, destination_test, source_test
from svcsim.trace import Walked

__all__ = ["BY_CHANCE", "Refusal", "chance_of", "holds_in_set", "refusals", "sets_asked", "why_unmatched"]

#: Why a rule did not match that asks for nothing else in vain.
BY_CHANCE = "not this time: by chance"
_UNCOUNTED = Counting(update=False, members=False)
#: What else decided.
_MEMORY = {
    "limit": "its bucket was empty",
    "hashlimit": "by the rate of this packet's bucket",
    "quota": "by what is left of it",
    "recent": "by its list of addresses",
    "connlimit": "by the number of connections",
    "connbytes": "by what the connection has counted",
    "statistic": "it was not its turn",
}
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
    """
    The text of the first test of *link*'s rule, which did not match, that fails for *skb*, and why.

    A rule that would match now did not then: a target behind it changed a set, a process the host.
    """
    rule: Rule = link.rule
    for test, why, holds in _header_tests(rule, skb, state):
        if not holds:
            return test, why
    unsure: list[Match] = []
    unknown: list[Match] = []  # asked last
    for match in rule.matches:
        if match.always:
            continue
        if match.unknown:
            unknown.append(match)
            continue
        if _remembers(match):
            unsure.append(match)
            continue
        if isinstance(match, SetMatch):
            if holds_in_set(match, skb, state) is match.invert:
                return str(match), _seen_of_set(match, skb, state) + _unless(unsure)
            continue
        answer = match.matches(skb, state)
        if answer is None:
            return str(match), "the packet is too short to be judged"
        if not answer:
            return str(match), _seen(match, skb) + _unless(unsure)
    if not unsure and not unknown:
        return " ".join(map(str, rule.matches)), "it would hold now: what it looks at has changed since"
    if unknown:
        return " ".join(map(str, unknown)), "assumed not to hold, as it is not modelled" + _unless(unsure)
    if chance_of(rule) is not None:
        return " ".join(map(str, unsure)), BY_CHANCE
    memories = (_MEMORY.get(match.name, "by what it remembers") for match in unsure)
    return " ".join(map(str, unsure)), f"not this time: {' or '.join(memories)}"


def _unless(unsure: list[Match]) -> str:
    return f" (unless {' or '.join(map(str, unsure))} said no before it)" if unsure else ""


def chance_of(rule: Rule) -> float | None:
    """How likely the random matches of *rule* hold together; None if it has none."""
    chance: float | None = None
    for match in rule.matches:
        if isinstance(match, RandomMatch):
            likely = min(1.0, match.threshold / _CERTAIN)
            chance = (1.0 if chance is None else chance) * (1 - likely if match.invert else likely)
    return chance


def _remembers(match: Match) -> bool:
    """Whether to ask again would be another question, as it is of a set that compares its counters."""
    if isinstance(match, SetMatch):
        return bool(match.limits)
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


def holds_in_set(match: SetMatch, skb: Skb, state: HookState) -> bool:
    """Whether the set holds the packet; asked so, it counts nothing."""
    found = state.host.ipsets.get(match.set_name)
    return found is not None and found.match(
        skb, state, match.directions, nomatch=match.return_nomatch, counting=_UNCOUNTED
    )


def sets_asked(rule: Rule, walked: Walked) -> list[str]:
    """What the sets that *rule* looked into hold of the packet."""
    skb, state = walked.skb, walked.state
    return [_seen_of_set(match, skb, state) for match in rule.matches if isinstance(match, SetMatch)]


def _seen_of_set(match: SetMatch, skb: Skb, state: HookState) -> str:
    """What was looked for in the set, how large that is, and whether it was there."""
    found = state.host.ipsets.get(match.set_name)
    if found is None:
        return f"there is no set {match.set_name}"
    source, target = (format_address(skb.family, address) for address in (skb.src, skb.dst))
    ends = [f"{source} port {skb.sport}" if way else f"{target} port {skb.dport}" for way in match.directions[:2]]
    said = "holds" if holds_in_set(match, skb, state) else "does not hold"
    return f"{match.set_name} ({found.type.name}, {len(found)} entries) {said} {' and '.join(dict.fromkeys(ends))}"


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
