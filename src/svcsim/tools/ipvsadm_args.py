"""
What the words behind ``ipvsadm`` mean.

Behaviour of: ipvsadm 1.31's command line. Its order of complaints is kept: options are read from left to right and the
first bad value ends it; then come stray words, scheduler flags, options that the command wants or does not take, and
last what contradicts itself. All of it happens before the kernel is asked, so a refusal changes nothing.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family, parse_address
from svcsim.errors import ConfigError
from svcsim.packet import Proto
from svcsim.tools.ipvsadm_checks import TUNNEL_TYPES, check
from svcsim.tools.ipvsadm_values import read_endpoint, read_ipv4, read_number, read_timeout
from svcsim.tools.popt import NONE, OPTIONAL, REQUIRED, Option, UsageError, split_words

__all__ = ["Request", "option_names", "read_request", "usage_hint"]

_DEFAULT_PERSISTENCE = 360  # the manual page says 300; the tool does this
_INT_MAX = 2**31 - 1

#: Every option by its long name, commands first; `_LABELS` is the order in which the tool looks at them.
_OPTIONS = {
    "add-service": Option("A"),
    "edit-service": Option("E"),
    "delete-service": Option("D"),
    "clear": Option("C"),
    "list": Option("Ll"),
    "add-server": Option("a"),
    "delete-server": Option("d"),
    "edit-server": Option("e"),
    "set": Option(),
    "start-daemon": Option("", REQUIRED),
    "stop-daemon": Option("", REQUIRED),
    "restore": Option("R"),
    "save": Option("S"),
    "zero": Option("Z"),
    "help": Option("h"),
    "version": Option("v"),
    "numeric": Option("n", NONE, "numeric"),
    "connection": Option("c", NONE, "connection"),
    "tcp-service": Option("t", REQUIRED, "service-address"),
    "udp-service": Option("u", REQUIRED, "service-address"),
    "sctp-service": Option("", REQUIRED, "service-address"),
    "fwmark-service": Option("f", REQUIRED, "service-address"),
    "scheduler": Option("s", REQUIRED, "scheduler"),
    "persistent": Option("p", OPTIONAL, "persistent"),
    "netmask": Option("M", REQUIRED, "netmask"),
    "real-server": Option("r", REQUIRED, "real-server"),
    "masquerading": Option("m", NONE, "forwarding-method"),
    "ipip": Option("i", NONE, "forwarding-method"),
    "gatewaying": Option("g", NONE, "forwarding-method"),
    "weight": Option("w", REQUIRED, "weight"),
    "u-threshold": Option("x", REQUIRED, "u-threshold"),
    "l-threshold": Option("y", REQUIRED, "l-threshold"),
    "mcast-interface": Option("", REQUIRED, "mcast-interface"),
    "timeout": Option("", NONE, "timeout"),
    "daemon": Option("", NONE, "daemon"),
    "stats": Option("", NONE, "stats"),
    "rate": Option("", NONE, "rate"),
    "thresholds": Option("", NONE, "thresholds"),
    "persistent-conn": Option("", NONE, "persistent-conn"),
    "nosort": Option("", NONE, "nosort"),
    "sort": Option(),
    "syncid": Option("", REQUIRED, "syncid"),
    "exact": Option("X", NONE, "exact"),
    "ipv6": Option("6"),
    "ops": Option("o", NONE, "ops"),
    "pe": Option("", REQUIRED, "pe"),
    "sched-flags": Option("b", REQUIRED, "sched-flags"),
    "mcast-group": Option("", REQUIRED, "mcast-group"),
    "mcast-port": Option("", REQUIRED, "mcast-port"),
    "mcast-ttl": Option("", REQUIRED, "mcast-ttl"),
    "sync-maxlen": Option("", REQUIRED, "sync-maxlen"),
    "tun-info": Option("", NONE, "tun-info"),
    "tun-type": Option("", REQUIRED, "tun-type"),
    "tun-port": Option("", REQUIRED, "tun-port"),
    "tun-nocsum": Option("", NONE, "tun-nocsum"),
    "tun-csum": Option("", NONE, "tun-csum"),
    "tun-remcsum": Option("", NONE, "tun-remcsum"),
}
_COMMANDS = list(_OPTIONS)[: list(_OPTIONS).index("numeric")]
_LABELS = list(dict.fromkeys(option.label for option in _OPTIONS.values() if option.label))

_PROTOCOLS = {"tcp-service": Proto.TCP, "udp-service": Proto.UDP, "sctp-service": Proto.SCTP}

#: Options whose value is a number: its range, and what a complaint calls it.
_NUMBERS = {
    "weight": (0, _INT_MAX, "weight"),
    "u-threshold": (0, _INT_MAX, "u_threshold"),
    "l-threshold": (0, _INT_MAX, "l_threshold"),
    "tun-port": (1, 65535, "tunnel port"),
    "syncid": (0, 255, "syncid"),
    "mcast-port": (1, 65535, "mcast-port"),
    "mcast-ttl": (1, 255, "mcast-ttl"),
    "sync-maxlen": (1, 65507, "sync-maxlen"),
}

#: Scheduler flags by word: the bit, and the only scheduler that takes the word ("" for any).
_FLAG_WORDS = {
    "flag-1": (0x08, ""),
    "flag-2": (0x10, ""),
    "flag-3": (0x20, ""),
    "sh-fallback": (0x08, "sh"),
    "sh-port": (0x10, "sh"),
    "mh-fallback": (0x08, "mh"),
    "mh-port": (0x10, "mh"),
}


@attrs.define
class Request:
    """One command with all that its options say; *given* holds the labels of the options that were there."""

    command: str
    given: set[str] = attrs.field(factory=set)
    family: Family = Family.IPV4
    protocol: int = 0
    address: int = 0
    port: int = 0
    fwmark: int = 0
    scheduler: str = "wlc"
    flag_words: str = ""
    flags: int = 0
    timeout: int = 0
    netmask: int = 0xFFFFFFFF  # IPv6: a prefix length
    engine: str = ""
    server_family: Family = Family.IPV4
    server_address: int = 0
    server_port: int | None = None
    method: str = "gatewaying"
    weight: int = 1
    u_threshold: int = 0
    l_threshold: int = 0
    tun_type: str = "ipip"
    tun_port: int = 0
    role: str = ""  # of the daemon that is started or stopped
    mcast_interface: str = ""
    mcast_group: str = ""
    syncid: int = 0
    mcast_port: int = 0
    mcast_ttl: int = 0
    sync_maxlen: int = 0
    timeouts: list[int] = attrs.field(factory=list)


def usage_hint(name: str) -> str:
    """What the tool says when it was not given a command."""
    return f"Try `{name} -h' or '{name} --help' for more information."


def option_names() -> list[str]:
    """Every option as it may be written, with its short name."""
    return [f"--{name}" + "".join(f", -{letter}" for letter in option.short) for name, option in _OPTIONS.items()]


def read_request(name: str, words: list[str]) -> Request:
    """
    Read the words of one command that was called by *name*; `UsageError` says what the tool would.

    >>> request = read_request("ipvsadm", ["-A", "-t", "10.96.0.10:80", "-s", "rr", "-p"])
    >>> request.command, request.port, request.scheduler, request.timeout
    ('add-service', 80, 'rr', 360)
    >>> read_request("ipvsadm", ["-A", "-D"])
    Traceback (most recent call last):
    svcsim.tools.popt.UsageError: invalid option `-D'
    """
    stray: list[str] = []
    options = split_words(words, _OPTIONS, stray)
    try:
        command, value, _ = next(options, ("", None, ""))
    except UsageError:
        command, value = "", None
    if command not in _COMMANDS:
        raise UsageError(usage_hint(name), 255)
    request = Request(command)
    if command in ("help", "version"):
        return request
    if command == "start-daemon" and value not in ("master", "backup"):
        raise UsageError("illegal start-daemon parameter specified")
    if command == "stop-daemon" and value not in ("master", "backup"):
        raise UsageError("illegal start_daemon specified")
    if command in ("start-daemon", "stop-daemon"):
        request.role = value or ""
    for option, value, typed in options:
        if option in _COMMANDS:
            raise UsageError(f"invalid option `{typed}'")
        label = _OPTIONS[option].label
        if label:
            if label in request.given:
                raise UsageError(f"multiple '{label}' options specified")
            request.given.add(label)
        _take(request, option, value)
    if command == "set":
        if len(stray) < 3:
            raise UsageError("--set option requires 3 timeout values")
        request.timeouts = [read_timeout(word, least=0) for word in stray[:3]]
        del stray[:3]
    if stray:
        raise UsageError(f"unexpected argument {stray[0]}")
    _read_flags(request)
    check(request, _LABELS)
    return request


def _take(request: Request, option: str, value: str | None) -> None:
    """Enter one option into *request*."""
    if option in _PROTOCOLS:
        assert value is not None
        request.protocol = _PROTOCOLS[option]
        request.family, request.address, port = read_endpoint(value, "virtual server")
        request.port = port or 0
        if request.family is Family.IPV6:
            request.netmask = 128
    elif option == "real-server":
        assert value is not None
        place = read_endpoint(value, "real server")
        request.server_family, request.server_address, request.server_port = place
    elif option == "fwmark-service":
        request.fwmark = read_number(value, 1, 2**32 - 1, f"invalid fwmark value `{value}' specified")
    elif option == "ipv6":
        if not request.fwmark:
            raise UsageError("-6 used before -f\n")
        request.family, request.netmask = Family.IPV6, 128
    elif option == "persistent":
        request.timeout = _DEFAULT_PERSISTENCE if value is None else read_timeout(value, least=1)
    elif option == "netmask":
        assert value is not None
        if request.family is Family.IPV6:
            request.netmask = read_number(value, 1, 128, "illegal ipv6 netmask specified")
        else:
            mask = read_ipv4(value)
            if mask is None:
                raise UsageError("illegal virtual server persistent mask specified")
            request.netmask = mask
    elif option in _NUMBERS:
        least, most, what = _NUMBERS[option]
        setattr(request, option.replace("-", "_"), read_number(value, least, most, f"illegal {what} specified"))
    elif option in ("masquerading", "ipip", "gatewaying"):
        request.method = option
    elif option == "tun-type":
        if value not in TUNNEL_TYPES:
            raise UsageError("illegal tunnel type specified")
        request.tun_type = value
    elif option == "scheduler":
        # The kernel's name has room for 15 characters.
        request.scheduler = value[:15] if value else request.scheduler
    elif option == "sched-flags":
        request.flag_words = value or ""
    elif option == "mcast-interface":
        request.mcast_interface = value or ""
    elif option == "mcast-group":
        try:
            group = parse_address(value or "")
        except ConfigError:
            raise UsageError("illegal mcast-group specified") from None
        request.mcast_group = str(group)
    elif option == "pe":
        request.engine = value or ""


def _read_flags(request: Request) -> None:
    for word in filter(None, request.flag_words.split(",")):
        if word not in _FLAG_WORDS:
            raise UsageError(f"invalid scheduler flag `{word}'")
        bit, scheduler = _FLAG_WORDS[word]
        if scheduler not in ("", request.scheduler):
            raise UsageError(f"incompatible scheduler flag `{word}'")
        request.flags |= bit
