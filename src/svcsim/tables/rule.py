"""
A rule as a value: what it asks of the IP header, its matches, and its target.

Behaviour of: struct ipt_entry, and its text as iptables-save prints it.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from svcsim.addr import Prefix
from svcsim.hooks import HookState, Skb
from svcsim.tables.extension import Test
from svcsim.tables.match import Match
from svcsim.tables.names import protocol_name
from svcsim.tables.target import Target

__all__ = ["Header", "Jump", "Rule"]


@attrs.frozen
class Header:
    """
    What a rule asks before any match: addresses, devices, protocol, fragment.

    None, the empty name and 0 ask nothing. A device's name may end in ``+``, which stands for any rest; ``+`` alone asks
    nothing either, inverted or not, but is kept because a listing shows it. *fragment* asks for fragments but the first.
    """

    source: Prefix | None = None
    destination: Prefix | None = None
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
    #: The one destination that it asks for, None if that is not all there is to the destination.
    key: int | None = attrs.field(init=False, eq=False, repr=False)
    #: What to ask a packet, in the kernel's order, but for the `key`.
    tests: tuple[Test, ...] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        prefix = self.destination
        single = prefix is not None and not self.not_destination and prefix.mask == prefix.family.all_ones
        object.__setattr__(self, "key", prefix.value if single and prefix is not None else None)
        object.__setattr__(self, "tests", tuple(self._tests()))

    @property
    def unconditional(self) -> bool:
        """Whether it asks nothing at all; a device called ``+`` is something asked."""
        return self == _NOTHING

    def emit(self) -> str:
        """Its options as iptables-save prints them, each with a blank behind it."""
        text = ""
        if self.source is not None:
            text = f"{'! ' if self.not_source else ''}-s {self.source} "
        if self.destination is not None:
            text += f"{'! ' if self.not_destination else ''}-d {self.destination} "
        if self.indev and self.indev != "+":
            text += f"{'! ' if self.not_indev else ''}-i {self.indev} "
        if self.outdev and self.outdev != "+":
            text += f"{'! ' if self.not_outdev else ''}-o {self.outdev} "
        if self.proto:
            text += f"{'! ' if self.not_proto else ''}-p {protocol_name(self.proto)} "
        if self.fragment:
            text += "! -f " if self.not_fragment else "-f "
        return text

    def _tests(self) -> list[Test]:
        tests: list[Test] = []
        if self.source is not None and (self.source.mask or self.not_source):
            tests.append(_source_test(self.source, self.not_source))
        if self.destination is not None and self.key is None:
            tests.append(_destination_test(self.destination, self.not_destination))
        if self.indev and self.indev != "+":
            tests.append(_device_test(self.indev, self.not_indev, "indev"))
        if self.outdev and self.outdev != "+":
            tests.append(_device_test(self.outdev, self.not_outdev, "outdev"))
        if self.proto:
            tests.append(_proto_test(self.proto, self.not_proto))
        if self.fragment:
            tests.append(_fragment_test(self.not_fragment))
        return tests


_NOTHING = Header()


def _source_test(prefix: Prefix, inverted: bool) -> Test:
    value, mask = prefix.value, prefix.mask
    if inverted:
        return lambda skb, state: skb.src & mask != value
    if mask == prefix.family.all_ones:
        return lambda skb, state: skb.src == value
    return lambda skb, state: skb.src & mask == value


def _destination_test(prefix: Prefix, inverted: bool) -> Test:
    value, mask = prefix.value, prefix.mask
    if inverted:
        return lambda skb, state: skb.dst & mask != value
    return lambda skb, state: skb.dst & mask == value


# Devices, protocols and fragments come in few kinds, so that their tests are shared by all rules.


@lru_cache(maxsize=4096)
def _device_test(name: str, inverted: bool, side: str) -> Test:
    beginning = name[:-1] if name.endswith("+") else None

    def is_input(skb: Skb, state: HookState) -> bool:
        device = state.indev
        return (device == name if beginning is None else device.startswith(beginning)) is not inverted

    def is_output(skb: Skb, state: HookState) -> bool:
        device = state.outdev
        return (device == name if beginning is None else device.startswith(beginning)) is not inverted

    return is_input if side == "indev" else is_output


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


@attrs.frozen
class Rule:
    """
    One rule; without a target it only counts.

    >>> print(Rule(Header(Prefix.parse("192.0.2.0/24")), (), Jump("WEB")))
    -s 192.0.2.0/24 -j WEB
    """

    header: Header = _NOTHING
    matches: tuple[Match, ...] = ()
    target: Target | Jump | None = None

    @property
    def unconditional(self) -> bool:
        """Whether it holds for every packet, as the kernel sees at a glance: nothing asked, no match at all."""
        return not self.matches and self.header.unconditional

    def emit(self, counters: str = "") -> str:
        """Its text as iptables-save prints it; *counters* stands before the target."""
        text = self.header.emit()
        for match in self.matches:
            text += f"{match} "
        if counters:
            text += f"{counters} "
        return text[:-1] if self.target is None else f"{text}{self.target}"

    def __str__(self) -> str:
        return self.emit()
