"""
TCP header: ports, flags, options.

Behaviour of: xt_tcpudp (`-m tcp`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto, Tcp
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option, c_integer
from svcsim.tables.problems import UsageError
from svcsim.tables.texts import ANY_PORT, describe_ports, emit_ports
from svcsim.tables.transport import answer_without_header

__all__ = ["TcpMatch"]

_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
_SYN = (0x17, 0x02)
_FLAGS_TWICE = "Only one of `--syn' or `--tcp-flags'  allowed"


def _flag_bits(text: str) -> int:
    bits = 0
    for name in text.upper().split(","):
        if name == "ALL":
            bits |= 0x3F
        elif name in _FLAGS:
            bits |= _FLAGS[name]
        elif name != "NONE":
            raise UsageError(f"Unknown TCP flag `{name}'")
    return bits


def _flag_names(bits: int) -> str:
    return ",".join(name for name, bit in _FLAGS.items() if bits & bit) or "NONE"


@MATCHES.register("tcp")
@attrs.frozen
class TcpMatch(Match):
    """
    ``[!] --sport, --dport port[:port]``, ``[!] --tcp-flags mask set``, ``[!] --syn``, ``[!] --tcp-option number``.

    Of the flags in *mask* exactly those in *flags* are set. A fragment but the first never matches; a packet with less
    than a TCP header is dropped.
    """

    protocols = frozenset({Proto.TCP})
    options = (
        Option("source-port", invert=True, once="Only one `--source-port' allowed"),
        Option("sport", same="source-port"),
        Option("destination-port", invert=True, once="Only one `--destination-port' allowed"),
        Option("dport", same="destination-port"),
        Option("syn", arity=0, invert=True, once=_FLAGS_TWICE),
        Option("tcp-flags", arity=2, invert=True, once=_FLAGS_TWICE),
        Option("tcp-option", invert=True, once="Only one `--tcp-option' allowed"),
    )

    sport: tuple[int, int] = ANY_PORT
    dport: tuple[int, int] = ANY_PORT
    mask: int = 0
    flags: int = 0
    option: int = 0
    not_sport: bool = attrs.field(default=False, kw_only=True)
    not_dport: bool = attrs.field(default=False, kw_only=True)
    not_flags: bool = attrs.field(default=False, kw_only=True)
    not_option: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ports, flags and option."""
        if "syn" in args and "tcp-flags" in args:
            raise UsageError(_FLAGS_TWICE)
        mask, flags = _SYN if "syn" in args else (0, 0)
        if "tcp-flags" in args:
            first, second = args.given["tcp-flags"][1]
            mask, flags = _flag_bits(first), _flag_bits(second)
        option = 0
        if "tcp-option" in args:
            text = args.text("tcp-option")
            option = c_integer(text, 1, 255) or 0
            if not option:
                raise UsageError(f'Bad TCP option "{text}"')
        return cls(
            args.port_range("source-port", "tcp") or ANY_PORT,
            args.port_range("destination-port", "tcp") or ANY_PORT,
            mask,
            flags,
            option,
            not_sport=args.inverted("source-port"),
            not_dport=args.inverted("destination-port"),
            not_flags=args.inverted("syn") or args.inverted("tcp-flags"),
            not_option=args.inverted("tcp-option"),
        )

    def emit(self) -> str:
        """Source port, destination port, option, flags."""
        text = emit_ports("sport", self.sport, self.not_sport) + emit_ports("dport", self.dport, self.not_dport)
        if self.option or self.not_option:
            text += f"{' !' if self.not_option else ''} --tcp-option {self.option}"
        if self.mask or self.not_flags:
            sign = " !" if self.not_flags else ""
            text += f"{sign} --tcp-flags {_flag_names(self.mask)} {_flag_names(self.flags)}"
        return text[1:]

    def describe(self, numeric: bool) -> str:
        """``tcp spt:1 dpts:80:90 option=2 flags:0x17/0x02``."""
        text = "tcp" + describe_ports("spt", self.sport, self.not_sport, numeric, "tcp")
        text += describe_ports("dpt", self.dport, self.not_dport, numeric, "tcp")
        if self.option or self.not_option:
            text += f" option={'!' if self.not_option else ''}{self.option}"
        if self.mask or self.not_flags:
            pair = (self.mask, self.flags)
            shown = "/".join(f"0x{bits:02X}" if numeric else _flag_names(bits) for bits in pair)
            text += f" flags:{'!' if self.not_flags else ''}{shown}"
        return text

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether ports, flags and option are as asked for."""
        header = skb.header
        if header.__class__ is not Tcp:
            return None if skb.original.fragment_offset == 1 else answer_without_header(skb)
        low, high = self.dport
        if (low <= skb.dport <= high) is self.not_dport:
            return False
        low, high = self.sport
        if (low <= skb.sport <= high) is self.not_sport:
            return False
        assert isinstance(header, Tcp)
        if self.mask and (header.flags & self.mask == self.flags) is self.not_flags:
            return False
        return not self.option or self._has_option(header.options) is not self.not_option

    def _has_option(self, options: bytes) -> bool:
        at = 0
        while at < len(options):
            kind = options[at]
            if kind == self.option:
                return True
            at += 1 if kind < 2 or at + 1 == len(options) else options[at + 1] or 1
        return False
