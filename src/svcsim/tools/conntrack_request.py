"""
What a `conntrack` command asks for: which entries it is about, and what is to become of them.

Behaviour of: conntrack-tools 1.4.7; `conntrack_args` reads its words.
"""

from __future__ import annotations

import re

import attrs

from svcsim.addr import Family, Prefix, parse_address
from svcsim.conntrack import Conn, ConnState, Status, opposite
from svcsim.conntrack_text import state_of
from svcsim.errors import ConfigError
from svcsim.packet import ConnTuple, Proto

__all__ = ["Request", "c_number", "host_and_port", "read_address", "usage_error"]

_ANY = 0xFFFFFFFF


@attrs.define
class Request:
    """
    A command: *kind*, the *table* it names, and the options given by their long names.

    >>> Request("list", given={"dport": "0x50"}).number("dport")
    80
    """

    kind: str = ""
    table: str = "conntrack"
    file: str = ""
    given: dict[str, str] = attrs.field(factory=dict)
    proto: int | None = None
    family: Family | None = None
    prefixes: dict[str, Prefix] = attrs.field(factory=dict)  # by the option that gave them
    masks: dict[str, int] = attrs.field(factory=dict)  # of the prefix of the same name
    status: int | None = None
    unreplied: bool = False
    mark: int | None = None
    mark_mask: int = _ANY
    outputs: frozenset[str] = frozenset()

    def number(self, name: str) -> int | None:
        """A number as C reads it: what does not begin with digits is 0, what is too large wraps."""
        text = self.given.get(name)
        return None if text is None else c_number(text) & 0xFFFF

    def state(self) -> ConnState | None:
        """The state of TCP or SCTP that ``--state`` names."""
        label = self.given.get("state")
        return None if label is None or self.proto is None else state_of(self.proto, label)

    def seconds(self) -> int:
        """The life that ``--timeout`` gives."""
        return c_number(self.given.get("timeout", ""))

    def tags(self) -> list[int]:
        """The verification tags of an SCTP association."""
        return [c_number(self.given.get(f"{way}-vtag", "")) for way in ("orig", "reply")]

    # -- which entries ------------------------------------------------------------------------------------------------

    def fits(self, conn: Conn) -> bool:
        """Whether the command is about *conn*."""
        orig, reply, status = conn.orig, conn.reply, conn.status
        if self.family is not None and orig[0] != self.family:
            return False
        if self.proto is not None and orig[1] != self.proto:
            return False
        sides = {"src": orig[2], "dst": orig[3], "reply-src": reply[2], "reply-dst": reply[3]}
        chosen = {name: prefix for name, prefix in self.prefixes.items() if name not in self.masks}
        if any(prefix.family != orig[0] or sides[name] not in prefix for name, prefix in chosen.items()):
            return False
        if not self._fits_masks(conn):
            return False
        if self.kind != "update":  # there, these say what is to be
            if self.status is not None and status & self.status != self.status:
                return False
            if self.unreplied and status & Status.SEEN_REPLY:
                return False
            if self.mark is not None and conn.mark & self.mark_mask != self.mark:
                return False
            label = self.given.get("state")
            if label is not None and (conn.state is None or conn.state.label != label.replace("LISTEN", "SYN_SENT2")):
                return False
        zones = (self.given.get(name, "0") for name in ("zone", "orig-zone", "reply-zone"))
        return all(map(_is_zero, zones)) and self._fits_numbers(conn) and self._fits_nat(conn)

    def _fits_masks(self, conn: Conn) -> bool:
        for name, mask in self.masks.items():
            prefix, value = self.prefixes[name], conn.orig[2 if name == "src" else 3]
            if conn.orig[0] != prefix.family or (value ^ prefix.value) & mask:
                return False
        return True

    def _fits_numbers(self, conn: Conn) -> bool:
        orig, reply = conn.orig, conn.reply
        held = {
            "sport": orig[4],
            "dport": orig[5],
            "reply-sport": reply[4],
            "reply-dport": reply[5],
            "id": orig[4],
            "type": orig[5] >> 8,
            "code": orig[5] & 0xFF,
        }
        return all(self.number(name) in (None, value) for name, value in held.items())

    def _fits_nat(self, conn: Conn) -> bool:
        wanted = self.given
        if "src-nat" in wanted and not _is_mapped(conn, Status.SRC_NAT_DONE, wanted["src-nat"]):
            return False
        if "dst-nat" in wanted and not _is_mapped(conn, Status.DST_NAT_DONE, wanted["dst-nat"]):
            return False
        either = (Status.SRC_NAT_DONE, Status.DST_NAT_DONE)
        return "any-nat" not in wanted or any(_is_mapped(conn, side, wanted["any-nat"]) for side in either)

    # -- what an entry is to be ---------------------------------------------------------------------------------------

    def tuples(self) -> tuple[ConnTuple, ConnTuple]:
        """The two tuples of the entry that is to be made or got."""
        for name in ("src", "dst"):
            if name not in self.given and f"reply-{'dst' if name == 'src' else 'src'}" not in self.given:
                raise usage_error("you have to specify `--src' and `--dst'")
        assert self.proto is not None
        sport, dport = self._keys()
        orig_src = self.prefixes["src"] if "src" in self.prefixes else self.prefixes["reply-dst"]
        orig_dst = self.prefixes["dst"] if "dst" in self.prefixes else self.prefixes["reply-src"]
        orig = (int(orig_src.family), self.proto, orig_src.value, orig_dst.value, sport, dport)
        if orig_src.family is not orig_dst.family:
            raise usage_error("mismatched address family")
        back = opposite(orig)
        if back is None:
            raise ConfigError("Operation failed: invalid parameters")
        reply_sport, reply_dport = self.number("reply-sport"), self.number("reply-dport")
        ported = self.proto in (Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP)
        changed = "reply-src" in self.prefixes or "reply-dst" in self.prefixes
        if ported and changed and (reply_sport is None) != (reply_dport is None):
            raise ConfigError("Operation failed: invalid parameters")
        if ported and changed and reply_sport is None and "src" in self.prefixes and "dst" in self.prefixes:
            raise ConfigError("Operation failed: invalid parameters")
        src = self.prefixes["reply-src"].value if "reply-src" in self.prefixes else back[2]
        dst = self.prefixes["reply-dst"].value if "reply-dst" in self.prefixes else back[3]
        reply = (back[0], back[1], src, dst, reply_sport or back[4], reply_dport or back[5])
        return orig, self._translated(reply)

    def _translated(self, reply: ConnTuple) -> ConnTuple:
        """The reply tuple as ``--src-nat`` and ``--dst-nat`` want it."""
        family, proto, src, dst, sport, dport = reply
        if self.given.get("dst-nat"):
            host, port = host_and_port(self.given["dst-nat"])
            port = port if proto != Proto.UDPLITE else None  # the tool passes over those of UDP-Lite
            src, sport = read_address(host).value, sport if port is None else port
        if self.given.get("src-nat"):
            host, port = host_and_port(self.given["src-nat"])
            port = port if proto != Proto.UDPLITE else None
            dst, dport = read_address(host).value, dport if port is None else port
        return (family, proto, src, dst, sport, dport)

    def _keys(self) -> tuple[int, int]:
        """Ports, or what stands in their place."""
        proto = self.proto
        if proto in (Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP):
            sport, dport = self.number("sport"), self.number("dport")
            if sport is None or dport is None:
                raise usage_error("you have to specify `--sport' and `--dport'")
            return sport, dport
        if proto in (Proto.ICMP, Proto.ICMPV6):
            kind, code = self.number("type") or 0, self.number("code") or 0
            return self.number("id") or 0, (kind & 0xFF) << 8 | code & 0xFF
        return self.number("sport") or 0, self.number("dport") or 0


def _is_mapped(conn: Conn, side: int, wanted: str) -> bool:
    """Whether one side is mapped: to the address *wanted*, and to the port if it names one and that changed at all."""
    if not conn.status & side:
        return False
    held, was = ((3, 5), (2, 4)) if side == Status.SRC_NAT_DONE else ((2, 4), (3, 5))
    address, port = conn.reply[held[0]], conn.reply[held[1]]
    moved, ported = address != conn.orig[was[0]], port != conn.orig[was[1]]
    if not wanted:
        return moved or ported
    host, wanted_port = host_and_port(wanted)
    if wanted_port is not None and not (ported and port == wanted_port):
        return False
    return moved and address == read_address(host).value


def _is_zero(text: str) -> bool:
    return c_number(text) == 0


def host_and_port(text: str) -> tuple[str, int | None]:
    """Split ``address``, ``address:port`` or ``[address]:port``."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, c_number(rest[1:]) & 0xFFFF if rest.startswith(":") else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, c_number(port) & 0xFFFF
    return text, None


def read_address(text: str) -> Prefix:
    try:
        address = parse_address(text)
    except ConfigError:
        raise usage_error(f"Invalid IP address `{text}'") from None
    return Prefix(address.family, address.value, address.family.all_ones)


def c_number(text: str) -> int:
    """A number as `strtoul` reads it: decimal, hexadecimal or octal, up to the first character that is none."""
    found = re.match(r"\s*(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]{0,18})", text)
    if found is None:
        return 0
    digits = found[1]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    return int(digits, base) & _ANY


def usage_error(message: str) -> ConfigError:
    return ConfigError(f"{message}\nTry `conntrack -h' or 'conntrack --help' for more information.", exit_code=2)
