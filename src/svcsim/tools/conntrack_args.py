"""
The words of a `conntrack` command: which entries it is about, and what is to become of them.

Behaviour of: conntrack-tools 1.4.7. Options of a protocol are known only behind ``-p``.
"""

from __future__ import annotations

from svcsim.addr import Family, Prefix
from svcsim.conntrack import Status
from svcsim.conntrack_text import PROTOCOLS
from svcsim.errors import ConfigError
from svcsim.packet import Proto
from svcsim.tools.conntrack_request import Request, c_number, host_and_port, read_address, usage_error

__all__ = ["read_request"]

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


def read_request(args: list[str]) -> Request:
    """
    Read the words behind ``conntrack``.

    >>> request = read_request(["-L", "-p", "tcp", "--dport", "80"])
    >>> request.kind, request.proto, request.given
    ('list', 6, {'protonum': 'tcp', 'dport': '80'})
    """
    request = Request()
    words = list(reversed(args))
    while words:
        word = words.pop()
        if not word.startswith("-"):
            continue  # the tool passes over words that belong to nothing
        if word in _COMMANDS:
            if request.kind:
                raise usage_error("Invalid commands combination")
            request.kind = _COMMANDS[word]
            if request.kind == "load":
                if not words:
                    raise usage_error(f"option `{word}' requires an argument")
                request.file = words.pop()
            elif words and not words[-1].startswith("-"):
                request.table = words.pop()
                if request.table not in _TABLES:
                    raise usage_error(f"unknown type `{request.table}'")
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
        raise usage_error(f"unknown option `{name}'")
    option = known[name]
    if option == "zero":
        value = ""
    elif not equals:
        if words and not (option in _NAT and words[-1].startswith("-")):
            value = words.pop()
        elif option not in _NAT:
            raise usage_error(f"option `{name}' requires an argument")
    request.given[option] = value
    _understand(request, option, value)


def _understand(request: Request, option: str, value: str) -> None:
    """Give a value its meaning at once, because the options of a protocol are known only behind it."""
    if option == "protonum":
        named = PROTOCOLS.get(value.lower().replace("ipv6-icmp", "icmpv6"))
        proto = int(value) if value.isdecimal() and len(value) <= 3 else named
        if proto is None or proto > 255:
            raise usage_error(f"`{value}' unsupported protocol")
        request.proto = proto
    elif option == "family":
        if value not in ("ipv4", "ipv6"):
            raise usage_error(f"`{value}' unsupported protocol")
        request.family = Family.IPV4 if value == "ipv4" else Family.IPV6
    elif option in ("src", "dst", "reply-src", "reply-dst"):
        request.prefixes[option] = _prefix(value)
    elif option == "mark":
        mark, _, mask = value.partition("/")
        request.mark = c_number(mark)
        request.mark_mask = c_number(mask) if mask else _ANY
    elif option == "status":
        request.status = _status(request, value)
    elif option == "output":
        request.outputs = _outputs(value)
    elif option in ("mask-src", "mask-dst"):
        request.masks[option.removeprefix("mask-")] = read_address(value).value
    elif option.startswith("label"):
        raise usage_error(f"unknown label '{value}'")
    elif option in _NAT and value:
        read_address(host_and_port(value)[0])


def _check(request: Request) -> None:
    if request.table in ("dying", "unconfirmed") and request.kind != "list":
        raise usage_error("Can't do that command with tables `dying' and `unconfirmed'")
    if request.table == "expect" and request.kind == "update":
        raise usage_error("Can't do --update on expectations")
    if request.table == "expect" and request.kind in ("delete", "create", "get") and "src" not in request.given:
        raise usage_error("You need to supply the `--src' option for this command")
    if request.kind in _NEW or request.kind == "get":
        _check_whole(request)
    for name in request.given:
        if request.kind and request.kind not in _ONLY_FOR.get(name, _EVERY_COMMAND):
            raise usage_error(f"Illegal option `--{name}' with this command")
    for name in request.masks:
        if name not in request.prefixes:
            raise usage_error(f"Can't use --mask-{name} without --{name}")
    families = {prefix.family for prefix in request.prefixes.values()}
    if request.family is not None:
        families.add(request.family)
    if len(families) > 1:
        raise usage_error("mismatched address family")
    if request.given.get("status") == "UNSET" and request.kind in ("list", "delete"):
        raise ConfigError("Operation failed: invalid parameters")
    try:
        request.state()
    except ConfigError as error:
        raise usage_error(str(error)) from None


def _check_whole(request: Request) -> None:
    """An entry to be made or got is to be told whole."""
    needed = ["protonum"]
    if request.kind in _NEW:
        needed += ["timeout"]
        needed += ["state"] if request.proto in (Proto.TCP, Proto.SCTP) else []
        needed += ["orig-vtag", "reply-vtag"] if request.proto == Proto.SCTP else []
    for name in needed:
        if name not in request.given:
            raise usage_error(f"You need to supply the `--{name}' option for this command")
    if request.proto in (Proto.ICMP, Proto.ICMPV6) and "type" not in request.given:
        option = "icmp-type" if request.proto == Proto.ICMP else "icmpv6-type"
        raise usage_error(f"You need to supply the `--{option}' option for this command")
    if request.proto == Proto.GRE and not {"sport", "dport"} <= request.given.keys():
        raise usage_error("you have to specify `--srckey' and `--dstkey'")


def _status(request: Request, value: str) -> int:
    status = 0
    for name in value.split(","):
        if name in ("SRC_NAT", "DST_NAT"):
            raise ConfigError("Operation failed: invalid parameters")
        if name not in _STATUSES:
            raise usage_error(f"Bad parameter `{value}'")
        status |= _STATUSES[name]
        request.unreplied = request.unreplied or name == "UNREPLIED"
    return status


def _outputs(value: str) -> frozenset[str]:
    names = frozenset(value.split(","))
    for name in sorted(names):
        if name not in _OUTPUTS:
            raise usage_error(f"Bad parameter `{name}'")
    if "save" in names and len(names) > 1:
        raise ConfigError("cannot combine save output with any other output type, use -o save only")
    return names


def _prefix(text: str) -> Prefix:
    host, slash, bits = text.partition("/")
    address = read_address(host)
    if slash and not (bits.isascii() and bits.isdigit() and len(bits) <= 3):
        raise usage_error("Invalid netmask")
    try:
        return Prefix.parse(text) if slash else address
    except ConfigError:
        raise usage_error("Invalid netmask") from None
