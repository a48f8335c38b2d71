"""
A rule as a value: what it asks of the IP header, its matches, and its target.

Behaviour of: struct ipt_entry, and its text as iptables-save prints it.
"""

from __future__ import annotations

from functools import lru_cache
from types import MethodType
from typing import NamedTuple

import attrs

from svcsim.addr import Family, Prefix, format_address
from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Test
from svcsim.tables.match import Match
from svcsim.tables.names import protocol_name
from svcsim.tables.target import Target

__all__ = ["Header", "Jump", "Rule", "destination_test", "source_test"]


@attrs.frozen
class Header:
    """
    What a rule asks of a packet's header besides addresses, and which of all that it asks is inverted.

    The empty name and 0 ask nothing. A device's name may end in ``+``, which stands for any rest; ``+`` alone asks
    nothing either, inverted or not, but is kept because a listing shows it. *fragment* asks for fragments but the first.
    There are few different ones in a ruleset, which its rules share.
    """

    indev: str = ""
    outdev: str = ""
    proto: int = 0
    fragment: bool = False
    not_source: bool = False
    not_destination: bool = False
    not_indev: bool = False
    not_outdev: bool = False
    not_proto: bool = False
    not_fragment: bool = False
    #: What to ask a packet, in the kernel's order, addresses left out.
    tests: tuple[Test, ...] = attrs.field(init=False, eq=False, repr=False)
    #: Its options as iptables-save prints them, each with a blank before it; addresses stand before it.
    text: str = attrs.field(init=False, eq=False, repr=False)
    #: Whether it asks nothing at all; a device called ``+`` is something asked.
    empty: bool = attrs.field(init=False, eq=False, repr=False)

    @tests.default
    def _tests(self) -> tuple[Test, ...]:
        tests: list[Test] = []
        if self.indev and self.indev != "+":
            tests.append(_input_test(self.indev, self.not_indev))
        if self.outdev and self.outdev != "+":
            tests.append(_output_test(self.outdev, self.not_outdev))
        if self.proto:
            tests.append(_proto_test(self.proto, self.not_proto))
        if self.fragment:
            tests.append(_fragment_test(self.not_fragment))
        return tuple(tests)

    @text.default
    def _text(self) -> str:
        text = ""
        if self.indev and self.indev != "+":
            text += f"{' !' if self.not_indev else ''} -i {self.indev}"
        if self.outdev and self.outdev != "+":
            text += f"{' !' if self.not_outdev else ''} -o {self.outdev}"
        if self.proto:
            text += f"{' !' if self.not_proto else ''} -p {protocol_name(self.proto)}"
        if self.fragment:
            text += " ! -f" if self.not_fragment else " -f"
        return text

    @empty.default
    def _empty(self) -> bool:
        asked = self.indev or self.outdev or self.proto or self.fragment
        return not (asked or self.not_source or self.not_destination)


def _device_fits(device: str, name: str) -> bool:
    return device.startswith(name[:-1]) if name.endswith("+") else device == name


# Devices, protocols and fragments come in few kinds, so that their tests are shared.


@lru_cache(maxsize=4096)
def _input_test(name: str, inverted: bool) -> Test:
    return lambda skb, state: _device_fits(state.indev, name) is not inverted


@lru_cache(maxsize=4096)
def _output_test(name: str, inverted: bool) -> Test:
    return lambda skb, state: _device_fits(state.outdev, name) is not inverted


@lru_cache(maxsize=512)
def _proto_test(proto: int, inverted: bool) -> Test:
    if inverted:
        return lambda skb, state: skb.proto != proto
    return lambda skb, state: skb.proto == proto


@lru_cache(maxsize=2)
def _fragment_test(inverted: bool) -> Test:
    return lambda skb, state: (skb.original.fragment_offset != 0) is not inverted


@attrs.frozen
class Jump:
    """``-j chain``, or with *goto* ``-g chain``: who goes does not come back behind the rule that sent him."""

    chain: str
    goto: bool = False

    def __str__(self) -> str:
        return f"-{'g' if self.goto else 'j'} {self.chain}"


class Rule(NamedTuple):
    """
    One rule; without a target it only counts.

    An address that is None asks nothing; whether one is inverted says the header. A tuple, because there are so many: it
    is made and compared in half the time.

    >>> print(Rule(Prefix.parse("192.0.2.0/24"), target=Jump("WEB")))
    -s 192.0.2.0/24 -j WEB
    """

    source: Prefix | None = None
    destination: Prefix | None = None
    header: Header = Header()
    matches: tuple[Match, ...] = ()
    target: Target | Jump | None = None

    @property
    def unconditional(self) -> bool:
        """Whether it holds for every packet, as the kernel sees at a glance: nothing asked, no match at all."""
        return not self.matches and self.source is None and self.destination is None and self.header.empty

    @property
    def key(self) -> int | None:
        """The one destination that it asks for, None if that is not all there is to the destination."""
        prefix = self.destination
        if prefix is None or self.header.not_destination or prefix.mask != prefix.family.all_ones:
            return None
        return prefix.value

    def header_tests(self) -> tuple[Test, ...]:
        """What to ask of a packet's header, in the kernel's order, but for what a `Link` knows from its key."""
        header = self.header
        tests = header.tests
        if self.destination is not None and (self.key is None or self.destination.family is not Family.IPV4):
            tests = (destination_test(self.destination, header.not_destination), *tests)
        if self.source is not None:
            tests = (source_test(self.source, header.not_source), *tests)
        return tests

    def emit(self, counters: str = "", texts: dict[int, str] | None = None) -> str:
        """
        Its text as iptables-save prints it, each part with a blank before it; *counters* stands before the target.

        *texts* keeps those of matches by identity, for somebody who prints many rules that share them.
        """
        source, destination, header, matches, target = self
        text = header.text
        if destination is not None:
            text = f"{' !' if header.not_destination else ''} -d {_network(destination)}{text}"
        if source is not None:
            text = f"{' !' if header.not_source else ''} -s {_network(source)}{text}"
        for match in matches:
            if texts is None or not match.cached:
                text = f"{text} {match!s}"
                continue
            own = texts.get(id(match))
            if own is None:
                own = texts[id(match)] = str(match)
            text = f"{text} {own}"
        if counters:
            text = f"{text} {counters}"
        return text if target is None else f"{text} {target!s}"

    def __str__(self) -> str:
        return self.emit()[1:]


def _network(prefix: Prefix) -> str:
    family, value, mask = prefix
    return f"{format_address(family, value)}/{family.bits}" if mask == family.all_ones else str(prefix)


# An address is asked for by so many rules that a function of its own for each would take up most of what they do: a
# method bound to the address takes a third.


def source_test(prefix: Prefix, inverted: bool) -> Test:
    """Ask whether the source is in *prefix*."""
    if inverted:
        return MethodType(_not_from, prefix)
    if prefix.mask == prefix.family.all_ones:
        return MethodType(_from_host, prefix.value)
    return MethodType(_from, prefix)


def destination_test(prefix: Prefix, inverted: bool) -> Test:
    """Ask whether the destination is in *prefix*."""
    return MethodType(_not_to if inverted else _to, prefix)


def _from_host(value: int, skb: Skb, state: HookState) -> bool:
    return skb.src == value


def _from(prefix: Prefix, skb: Skb, state: HookState) -> bool:
    _, value, mask = prefix
    return skb.src & mask == value


def _not_from(prefix: Prefix, skb: Skb, state: HookState) -> bool:
    _, value, mask = prefix
    return skb.src & mask != value


def _to(prefix: Prefix, skb: Skb, state: HookState) -> bool:
    _, value, mask = prefix
    return skb.dst & mask == value


def _not_to(prefix: Prefix, skb: Skb, state: HookState) -> bool:
    _, value, mask = prefix
    return skb.dst & mask != value
