"""
A table as the administrator reads it: ``-L``, ``-S``, and the line that ``-v`` prints of a rule.

Behaviour of: the output of iptables 1.8.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from svcsim.addr import Family, Prefix, format_address
from svcsim.tables.chain import Chain, Link
from svcsim.tables.names import protocol_name
from svcsim.tables.rule import Jump, Rule
from svcsim.tables.target import Target
from svcsim.tables.unknown import UnknownTarget

if TYPE_CHECKING:
    from svcsim.tables.table import Table

__all__ = ["Style", "describe_rule", "list_chains", "list_rules"]

_COUNTER_WIDTH = 99999
_UNITS = "KMGT"
_LOCALHOST = {Family.IPV4: 127 << 24 | 1, Family.IPV6: 1}


@attrs.frozen
class Style:
    """How much a listing says: ``-v``, ``-n``, ``-x``, ``--line-numbers``."""

    verbose: bool = False
    numeric: bool = False
    exact: bool = False
    numbers: bool = False


def list_chains(table: Table, style: Style, chain: Chain | None = None, number: int = 0) -> str:
    """The text of ``-L``: of all chains, of one, or of rule *number* of one."""
    chains = table.listed() if chain is None else [chain]
    texts = []
    for listed in chains:
        lines = [] if number else [_title(listed, style), _heads(style)]
        for place, link in enumerate(listed, 1):
            if number in (0, place):
                lines.append(_row(table.family, link, place, style))
        texts.append("".join(line + "\n" for line in lines))
    return "\n".join(texts)


def list_rules(table: Table, *, verbose: bool = False, chain: Chain | None = None, number: int = 0) -> str:
    """The text of ``-S``: of all chains, of one, or of rule *number* of one."""
    chains = table.listed() if chain is None else [chain]
    lines = [] if number else [_declaration(listed, verbose) for listed in chains]
    for listed in chains:
        for place, link in enumerate(listed, 1):
            if number in (0, place):
                counters = f"-c {link.packets} {link.bytes}" if verbose else ""
                lines.append(f"-A {listed.name}{link.rule.emit(counters)}")
    return "".join(line + "\n" for line in lines)


def _declaration(chain: Chain, verbose: bool) -> str:
    if not chain.builtin:
        return f"-N {chain.name}"
    end = chain.end
    counters = " -c {} {}".format(*chain.policy_counters) if verbose else ""
    return f"-P {chain.name} {end.aim.name}{counters}"


def _count(number: int, style: Style, width: int = 5) -> str:
    """A counter, shortened to thousands and so on unless it shall be exact; a *width* of 0 is none."""
    if style.exact:
        return f"{number:{8 if width else 0}} "
    unit = ""
    if number > _COUNTER_WIDTH:
        for unit in _UNITS:
            number = (number + 500) // 1000
            if number <= 9999:
                break
        width -= 1 if width else 0
    return f"{number:{width}}{unit} "


def _title(chain: Chain, style: Style) -> str:
    if not chain.builtin:
        return f"Chain {chain.name} ({chain.references} references)"
    end, counters = chain.end, ""
    if style.verbose:
        packets, size = (_count(number, style, 0) for number in chain.policy_counters)
        counters = f" {packets}packets, {size}bytes"
    return f"Chain {chain.name} (policy {end.aim.name}{counters})"


def _heads(style: Style) -> str:
    text = "num  " if style.numbers else ""
    if style.verbose:
        text += f"{'pkts':>8} {'bytes':>10} " if style.exact else f"{'pkts':>5} {'bytes':>5} "
    text += f"{'target':<9}  prot opt"
    if style.verbose:
        text += f" {'in':<6} {'out':<6} "
    return f"{text} {'source':<19}  {'destination':<19} "


def _row(family: Family, link: Link, number: int, style: Style) -> str:
    rule: Rule = link.rule
    header = rule.header
    text = f"{number:<4} " if style.numbers else ""
    if style.verbose:
        text += _count(link.packets, style) + _count(link.bytes, style)
    proto = str(header.proto) if style.numeric else _protocol(header.proto)
    text += f"{_target_name(rule):<9} {'!' if header.not_proto else ' '}{proto:<4} {_fragment(rule)} "
    if style.verbose:
        anything = "*" if style.numeric else "any"
        indev, outdev = _devices(rule, anything)
        text += f" {indev:<6} {outdev:<6} "
    source = _network(family, rule.source, style.numeric)
    destination = _network(family, rule.destination, style.numeric)
    text += f"{'!' if header.not_source else ' '}{source:<19} "
    text += f"{'!' if header.not_destination else ' '}{destination:<19} "
    return text + _rest(rule, style.numeric)


def describe_rule(family: Family, rule: Rule) -> str:
    """The line that ``-v`` prints of a rule that is added or deleted."""
    header = rule.header
    indev, outdev = _devices(rule, "*")
    source, destination = (_network(family, prefix, numeric=True) for prefix in (rule.source, rule.destination))
    return (
        f"{_target_name(rule)} {'!' if header.not_proto else ' '}{_protocol(header.proto)} opt {_fragment(rule)} "
        f"in {indev} out {outdev} {'!' if header.not_source else ' '}{source} "
        f"{'!' if header.not_destination else ' '}-> {destination}  {_rest(rule, numeric=True)}"
    )


def _rest(rule: Rule, numeric: bool) -> str:
    """``[goto]``, what the matches say, what the target says."""
    target = rule.target
    text = "[goto] " if isinstance(target, Jump) and target.goto else ""
    parts: Iterator[str] = (match.describe(numeric) for match in rule.matches)
    for part in (*parts, target.describe(numeric) if isinstance(target, Target) else ""):
        text += f" {part}" if part else ""
    return text


def _target_name(rule: Rule) -> str:
    target = rule.target
    if target is None:
        return ""
    if isinstance(target, UnknownTarget):
        return target.called
    return target.chain if isinstance(target, Jump) else target.listed or target.name


def _protocol(number: int) -> str:
    return protocol_name(number) if number else "all"


def _fragment(rule: Rule) -> str:
    header = rule.header
    return f"{'!' if header.not_fragment else '-'}{'f' if header.fragment else '-'}"


def _devices(rule: Rule, anything: str) -> tuple[str, str]:
    header = rule.header
    indev = f"{'!' if header.not_indev else ''}{header.indev}" if header.indev else anything
    outdev = f"{'!' if header.not_outdev else ''}{header.outdev}" if header.outdev else anything
    return indev, outdev


def _network(family: Family, prefix: Prefix | None, numeric: bool) -> str:
    if prefix is None or not prefix.mask:
        return f"{format_address(family, 0)}/0" if numeric else "anywhere"
    if prefix.mask != family.all_ones:
        return str(prefix)
    if not numeric and prefix.value == _LOCALHOST[family]:
        return "localhost"
    return format_address(family, prefix.value)
