"""
The words of a `conntrack` command: which entries it is about, and what is to become of them.

Behaviour of: conntrack-tools 1.4.7. Options of a protocol are known only behind ``-p``.
"""

from __future__ import annotations

import re

import attrs

from svcsim.addr import Family, Prefix, parse_address
from svcsim.conntrack import Conn, ConnState, Status, opposite
from svcsim.conntrack_text import PROTOCOLS, state_of
from svcsim.errors import ConfigError
from svcsim.packet import ConnTuple, Proto

__all__ = ["Request", "read_request"]

_ANY = 0xFFFFFFFF
_COMMANDS = {
    "-L": "list", "--dump": "list",
    "-G": "get", "--get": "get",
    "-D": "delete", "--delete": "delete",
    "-I": "create", "--create": "create",
    "-A": "add", "--add": "add",
    "-R": "load", "--load-file": "load",
    "-U": "update", "--update": "update",
    "-F": "flush", "--flush": "flush",
    "-C": "count", "--count": "count",
    "-S": "stats", "--stats": "stats",
    "-E": "event", "--event": "event",
    "-V": "version", "--version": "version",
    "-h": "help", "--help": "help",
}  # fmt: skip
_TABLES = ("conntrack", "expect", "dying", "unconfirmed")
_OPTIONS = {
    "-s": "src", "--src": "src", "--orig-src": "src",
    "-d": "dst", "--dst": "dst", "--orig-dst": "dst",
    "-r": "reply-src", "--reply-src": "reply-src",
    "-q": "reply-dst", "--reply-dst": "reply-dst",
    "-p": "protonum", "--proto": "protonum", "--protonum": "protonum",
    "-f": "family", "--family": "family",
    "-t": "timeout", "--timeout": "timeout",
    "-u": "status", "--status": "status",
    "-m": "mark", "--mark": "mark",
    "-o": "output", "--output": "output",
    "-w": "zone", "--zone": "zone",
    "-n": "src-nat", "--src-nat": "src-nat",
    "-g": "dst-nat", "--dst-nat": "dst-nat",
    "-j": "any-nat", "--any-nat": "any-nat",
    "-z": "zero", "--zero": "zero",
    "--mask-src": "mask-src", "--mask-dst": "mask-dst", "--tuple-src": "tuple-src", "--tuple-dst": "tuple-dst",
    "--orig-zone": "orig-zone", "--reply-zone": "reply-zone",
    "-e": "event-mask", "--event-mask": "event-mask", "-b": "buffer-size", "--buffer-size": "buffer-size",
    "-l": "label", "--label": "label", "--label-add": "label-add", "--label-del": "label-del",
    "-c": "secmark", "--secmark": "secmark",
}  # fmt: skip
_PORTS = {
    "--sport": "sport", "--orig-port-src": "sport",
    "--dport": "dport", "--orig-port-dst": "dport",
    "--reply-port-src": "reply-sport",
    "--reply-port-dst": "reply-dport",
}  # fmt: skip
_OF_PROTOCOL: dict[int, dict[str, str]] = {
    Proto.TCP: _PORTS | {"--state": "state"},
    Proto.UDP: _PORTS,
    Proto.UDPLITE: _PORTS,
    Proto.SCTP: _PORTS | {"--state": "state", "--orig-vtag": "orig-vtag", "--reply-vtag": "reply-vtag"},
    Proto.ICMP: {"--icmp-type": "type", "--icmp-code": "code", "--icmp-id": "id"},
    Proto.ICMPV6: {"--icmpv6-type": "type", "--icmpv6-code": "code", "--icmpv6-id": "id"},
    Proto.GRE: {"--srckey": "sport", "--dstkey": "dport"},
    PROTOCOLS["dccp"]: {name: f"dccp-{option}" for name, option in _PORTS.items()}  # a kernel without DCCP keeps none
    | {"--state": "dccp-state", "--role": "dccp-role"},
}
_NAT = frozenset({"src-nat", "dst-nat", "any-nat"})
_STATUSES = {
    "ASSURED": Status.ASSURED,
    "SEEN_REPLY": Status.SEEN_REPLY,
    "FIXED_TIMEOUT": Status.FIXED_TIMEOUT,
    "EXPECTED": Status.EXPECTED,
    "UNSET": 0,
    "UNREPLIED": 0,
    "OFFLOAD": 1 << 14,
    "HW_OFFLOAD": 1 << 15,
}
_OUTPUTS = frozenset({"extended", "id", "timestamp", "ktimestamp", "labels", "save", "userspace", "xml"})
#: Options that change what is, and so do not choose.
_NEW = frozenset({"create", "add"})
_EVERY_COMMAND = frozenset({"list", "get", "delete", "create", "add", "update", "event"})
#: Options that only the commands named take; what is not listed, every command takes that is about single entries.
_ONLY_FOR = {
    "timeout": ("create", "add", "update", "delete"),
    **dict.fromkeys(("src-nat", "dst-nat"), ("list", "delete", "create", "add", "update", "event")),
    **dict.fromkeys(("status", "mark", "family"), ("list", "delete", "create", "add", "update", "event")),
    **dict.fromkeys(("mask-src", "mask-dst"), ("list", "delete", "update", "event")),
    **dict.fromkeys(("zone", "orig-zone", "reply-zone"), ("list", "delete", "create", "add", "event")),
    "any-nat": ("list", "event"),
    "secmark": ("list", "create", "add", "event"),
    "orig-vtag": ("create", "add", "update", "get"),
    "reply-vtag": ("create", "add", "update", "get"),
    "zero": ("list", "create", "add"),
    "output": ("list", "get", "delete", "update", "event"),
    "event-mask": ("event",),
    "buffer-size": ("event",),
    "tuple-src": (),
    "tuple-dst": (),
}


@attrs.define
class Request:
    """
    A command: *kind*, the *table* it names, and the options given by their long names.

    >>> request = read_request(["-L", "-p", "tcp", "--dport", "80"])
    >>> request.kind, request.proto, request.given
    ('list', 6, {'protonum': 'tcp', 'dport': '80'})
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
        return None if text is None else _c_number(text) & 0xFFFF

    def state(self) -> ConnState | None:
        """The state of TCP or SCTP that ``--state`` names."""
        label = self.given.get("state")
        return None if label is None or self.proto is None else state_of(self.proto, label)

    def seconds(self) -> int:
        """The life that ``--timeout`` gives."""
        return _c_number(self.given.get("timeout", ""))

    def tags(self) -> list[int]:
        """The verification tags of an SCTP association."""
        return [_c_number(self.given.get(f"{way}-vtag", "")) for way in ("orig", "reply")]

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
                raise _usage("you have to specify `--src' and `--dst'")
        assert self.proto is not None
        sport, dport = self._keys()
        orig_src = self.prefixes["src"] if "src" in self.prefixes else self.prefixes["reply-dst"]
        orig_dst = self.prefixes["dst"] if "dst" in self.prefixes else self.prefixes["reply-src"]
        orig = (int(orig_src.family), self.proto, orig_src.value, orig_dst.value, sport, dport)
        if orig_src.family is not orig_dst.family:
            raise _usage("mismatched address family")
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
            host, port = _host_and_port(self.given["dst-nat"])
            port = port if proto != Proto.UDPLITE else None  # the tool passes over those of UDP-Lite
            src, sport = _address(host).value, sport if port is None else port
        if self.given.get("src-nat"):
            host, port = _host_and_port(self.given["src-nat"])
            port = port if proto != Proto.UDPLITE else None
            dst, dport = _address(host).value, dport if port is None else port
        return (family, proto, src, dst, sport, dport)

    def _keys(self) -> tuple[int, int]:
        """Ports, or what stands in their place."""
        proto = self.proto
        if proto in (Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP):
            sport, dport = self.number("sport"), self.number("dport")
            if sport is None or dport is None:
                raise _usage("you have to specify `--sport' and `--dport'")
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
    host, wanted_port = _host_and_port(wanted)
    if wanted_port is not None and not (ported and port == wanted_port):
        return False
    return moved and address == _address(host).value


def read_request(args: list[str]) -> Request:
    """Read the words behind ``conntrack``."""
    request = Request()
    words = list(reversed(args))
    while words:
        word = words.pop()
        if not word.startswith("-"):
            continue  # the tool passes over words that belong to nothing
        if word in _COMMANDS:
            if request.kind:
                raise _usage("Invalid commands combination")
            request.kind = _COMMANDS[word]
            if request.kind == "load":
                if not words:
                    raise _usage(f"option `{word}' requires an argument")
                request.file = words.pop()
            elif words and not words[-1].startswith("-"):
                request.table = words.pop()
                if request.table not in _TABLES:
                    raise _usage(f"unknown type `{request.table}'")
            continue
        _take_option(request, word, words)
    _check(request)
    return request


def _take_option(request: Request, word: str, words: list[str]) -> None:
    """Take the option *word* and its value, which may be attached to it or stand first in *words*."""
    known = _OPTIONS | (_OF_PROTOCOL.get(request.proto, {}) if request.proto is not None else {})
    name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
    if not word.startswith("--") and word[:2] in _OPTIONS and len(word) > 2:
        name, equals, value = word[:2], "=", word[2:]
    if name not in known:
        raise _usage(f"unknown option `{name}'")
    option = known[name]
    if option == "zero":
        value = ""
    elif not equals:
        if words and not (option in _NAT and words[-1].startswith("-")):
            value = words.pop()
        elif option not in _NAT:
            raise _usage(f"option `{name}' requires an argument")
    request.given[option] = value
    _understand(request, option, value)


def _understand(request: Request, option: str, value: str) -> None:
    """Give a value its meaning at once, because the options of a protocol are known only behind it."""
    if option == "protonum":
        named = PROTOCOLS.get(value.lower().replace("ipv6-icmp", "icmpv6"))
        proto = int(value) if value.isdecimal() and len(value) <= 3 else named
        if proto is None or proto > 255:
            raise _usage(f"`{value}' unsupported protocol")
        request.proto = proto
    elif option == "family":
        if value not in ("ipv4", "ipv6"):
            raise _usage(f"`{value}' unsupported protocol")
        request.family = Family.IPV4 if value == "ipv4" else Family.IPV6
    elif option in ("src", "dst", "reply-src", "reply-dst"):
        request.prefixes[option] = _prefix(value)
    elif option == "mark":
        mark, _, mask = value.partition("/")
        request.mark = _c_number(mark)
        request.mark_mask = _c_number(mask) if mask else _ANY
    elif option == "status":
        request.status = _status(request, value)
    elif option == "output":
        request.outputs = _outputs(value)
    elif option in ("mask-src", "mask-dst"):
        request.masks[option.removeprefix("mask-")] = _address(value).value
    elif option.startswith("label"):
        raise _usage(f"unknown label '{value}'")
    elif option in _NAT and value:
        _address(_host_and_port(value)[0])


def _check(request: Request) -> None:
    if request.table in ("dying", "unconfirmed") and request.kind != "list":
        raise _usage("Can't do that command with tables `dying' and `unconfirmed'")
    if request.table == "expect" and request.kind == "update":
        raise _usage("Can't do --update on expectations")
    if request.table == "expect" and request.kind in ("delete", "create", "get") and "src" not in request.given:
        raise _usage("You need to supply the `--src' option for this command")
    if request.kind in _NEW or request.kind == "get":
        _check_whole(request)
    for name in request.given:
        if request.kind and request.kind not in _ONLY_FOR.get(name, _EVERY_COMMAND):
            raise _usage(f"Illegal option `--{name}' with this command")
    for name in request.masks:
        if name not in request.prefixes:
            raise _usage(f"Can't use --mask-{name} without --{name}")
    families = {prefix.family for prefix in request.prefixes.values()}
    if request.family is not None:
        families.add(request.family)
    if len(families) > 1:
        raise _usage("mismatched address family")
    if request.given.get("status") == "UNSET" and request.kind in ("list", "delete"):
        raise ConfigError("Operation failed: invalid parameters")
    try:
        request.state()
    except ConfigError as error:
        raise _usage(str(error)) from None


def _check_whole(request: Request) -> None:
    """An entry to be made or got is to be told whole."""
    needed = ["protonum"]
    if request.kind in _NEW:
        needed += ["timeout"]
        needed += ["state"] if request.proto in (Proto.TCP, Proto.SCTP) else []
        needed += ["orig-vtag", "reply-vtag"] if request.proto == Proto.SCTP else []
    for name in needed:
        if name not in request.given:
            raise _usage(f"You need to supply the `--{name}' option for this command")
    if request.proto in (Proto.ICMP, Proto.ICMPV6) and "type" not in request.given:
        option = "icmp-type" if request.proto == Proto.ICMP else "icmpv6-type"
        raise _usage(f"You need to supply the `--{option}' option for this command")
    if request.proto == Proto.GRE and not {"sport", "dport"} <= request.given.keys():
        raise _usage("you have to specify `--srckey' and `--dstkey'")


def _status(request: Request, value: str) -> int:
    status = 0
    for name in value.split(","):
        if name in ("SRC_NAT", "DST_NAT"):
            raise ConfigError("Operation failed: invalid parameters")
        if name not in _STATUSES:
            raise _usage(f"Bad parameter `{value}'")
        status |= _STATUSES[name]
        request.unreplied = request.unreplied or name == "UNREPLIED"
    return status


def _outputs(value: str) -> frozenset[str]:
    names = frozenset(value.split(","))
    for name in sorted(names):
        if name not in _OUTPUTS:
            raise _usage(f"Bad parameter `{name}'")
    if "save" in names and len(names) > 1:
        raise ConfigError("cannot combine save output with any other output type, use -o save only")
    return names


def _prefix(text: str) -> Prefix:
    host, slash, bits = text.partition("/")
    address = _address(host)
    if slash and not (bits.isascii() and bits.isdigit() and len(bits) <= 3):
        raise _usage("Invalid netmask")
    try:
        return Prefix.parse(text) if slash else address
    except ConfigError:
        raise _usage("Invalid netmask") from None


def _address(text: str) -> Prefix:
    try:
        address = parse_address(text)
    except ConfigError:
        raise _usage(f"Invalid IP address `{text}'") from None
    return Prefix(address.family, address.value, address.family.all_ones)


def _is_zero(text: str) -> bool:
    return _c_number(text) == 0


def _host_and_port(text: str) -> tuple[str, int | None]:
    """Split ``address``, ``address:port`` or ``[address]:port``."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, _c_number(rest[1:]) & 0xFFFF if rest.startswith(":") else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _c_number(port) & 0xFFFF
    return text, None


def _c_number(text: str) -> int:
    """A number as `strtoul` reads it: decimal, hexadecimal or octal, up to the first character that is none."""
    found = re.match(r"\s*(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]{0,18})", text)
    if found is None:
        return 0
    digits = found[1]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    return int(digits, base) & _ANY


def _usage(message: str) -> ConfigError:
    return ConfigError(f"{message}\nTry `conntrack -h' or 'conntrack --help' for more information.", exit_code=2)
