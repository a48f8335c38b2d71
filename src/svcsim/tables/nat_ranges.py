"""
Address and port ranges of NAT targets, as text.

Behaviour of: libxtables' NAT options.
"""

from __future__ import annotations

from svcsim.addr import Family, format_address, parse_address
from svcsim.errors import ConfigError
from svcsim.nat import NatRange
from svcsim.packet import Proto
from svcsim.tables.names import port_number
from svcsim.tables.options import Args, c_integer
from svcsim.tables.problems import UsageError
from svcsim.tables.texts import range_text

__all__ = ["describe_flags", "emit_flags", "emit_ports", "emit_range", "read_port_range", "read_range"]

_DCCP = 33
_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.ICMP, _DCCP})
_FLAGS = ("random", "random_fully", "persistent")

Ports = tuple[int | None, int | None, int | None]


def _port(text: str) -> int:
    port = c_integer(text, 0, 65535)
    port = port_number(text) if port is None else port
    if port is None:
        raise UsageError(f"Port `{text}' not valid")
    return port


def _read_ports(text: str, args: Args) -> Ports:
    """Lowest, highest and base port of ``port[-port[/base]]``; the rule must have named a protocol with ports."""
    if args.proto not in _PORTED:
        raise UsageError("Need TCP, UDP, SCTP or DCCP with port specification")
    first, dash, rest = text.partition("-")
    if not dash and "/" in text:
        raise UsageError(f"Garbage after port value: `{text[text.index('/') :]}'")
    low = _port(first)
    if not dash:
        return low, low, None
    last, slash, shift = rest.partition("/")
    high = _port(last)
    if high < low:
        raise UsageError(f"Port range `{last}' funky")
    return low, high, _port(shift) if slash else None


def read_port_range(args: Args) -> NatRange:
    """The range of ``--to-ports`` and flags, without addresses."""
    low, high, base = _read_ports(args.text("to-ports"), args) if "to-ports" in args else (None, None, None)
    return _with_flags(args, None, None, (low, high, base))


def read_range(args: Args, option: str) -> NatRange:
    """The range behind *option*, ``[address[-address]][:port[-port[/base]]]``, and flags."""
    text = args.text(option)
    addresses, ports_text = _split(text, args.family)
    ports = _read_ports(ports_text, args) if ports_text is not None else (None, None, None)
    if not addresses:
        return _with_flags(args, None, None, ports)
    first, dash, last = addresses.partition("-")
    low = _address(first, args.family)
    return _with_flags(args, low, _address(last, args.family) if dash else low, ports)


def _with_flags(args: Args, low: int | None, high: int | None, ports: Ports) -> NatRange:
    random, fully, persistent = (name in args for name in ("random", "random-fully", "persistent"))
    return NatRange(low, high, *ports, random, fully, persistent)


def _split(text: str, family: Family) -> tuple[str, str | None]:
    """Addresses and ports; IPv6 addresses stand in brackets if ports follow."""
    if family is Family.IPV4:
        addresses, colon, ports = text.partition(":")
        return addresses, ports if colon else None
    if text.startswith("["):
        addresses, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise UsageError("Invalid address format")
        if rest and not rest.startswith(":"):
            raise UsageError(f"Port `{rest.partition(':')[2]}' not valid")
        return addresses, rest[1:] if rest else None
    if text.startswith(":") and not text.startswith("::"):
        return "", text[1:]
    return text, None


def _address(text: str, family: Family) -> int:
    try:
        address = parse_address(text)
    except ConfigError:
        address = None
    if address is None or address.family is not family:
        raise UsageError(f'Bad IP address "{text}"')
    return address.value


def emit_ports(nat_range: NatRange) -> str:
    """``port[-port[/base]]``, nothing if there are none."""
    if nat_range.min_port is None or nat_range.max_port is None:
        return ""
    shift = "" if nat_range.base_port is None else f"/{nat_range.base_port}"
    return range_text((nat_range.min_port, nat_range.max_port), "-") + shift


def emit_range(nat_range: NatRange, family: Family) -> str:
    """Addresses and ports as `read_range` reads them."""
    low, high, ports = nat_range.min_addr, nat_range.max_addr, emit_ports(nat_range)
    text = ""
    if low is not None and high is not None:
        text = format_address(family, low) + ("" if low == high else f"-{format_address(family, high)}")
        if ports and family is Family.IPV6:
            text = f"[{text}]"
    return f"{text}:{ports}" if ports else text


def emit_flags(nat_range: NatRange) -> str:
    """The flags as options, each with a blank before it."""
    if not (nat_range.random or nat_range.random_fully or nat_range.persistent):
        return ""
    return "".join(f" --{flag.replace('_', '-')}" for flag in _FLAGS if getattr(nat_range, flag))


def describe_flags(nat_range: NatRange) -> str:
    """The flags as a listing says them, each with a blank before it."""
    return "".join(f" {flag.replace('_', '-')}" for flag in _FLAGS if getattr(nat_range, flag))
