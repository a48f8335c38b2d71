"""
The words of an `ipset` command: its switches, what `create` makes, what `add` puts beside an element.

Behaviour of: ipset 7.17.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from svcsim.addr import Family
from svcsim.errors import ConfigError
from svcsim.tables.ipset import IpSet
from svcsim.tables.ipset_entry import Entry
from svcsim.tables.ipset_list import Place
from svcsim.tables.ipset_text import read_address, read_integer, read_port, syntax_error
from svcsim.tables.ipset_types import SetOptions, SetType, find_type

__all__ = ["Added", "Switches", "read_added", "read_create", "read_switches", "usage_error"]

_TRY_HELP = "Try `ipset help' for more information."
#: Words of sets before they had methods, and the types that such sets became.
_IGNORED = frozenset({"probes", "resize", "gc"})
_ONCE_OLD = frozenset({"hash:ip", "hash:net", "hash:ip,port", "hash:ip,port,ip", "hash:ip,port,net"})
_FAMILIES = {"inet": Family.IPV4, "ipv4": Family.IPV4, "inet6": Family.IPV6, "ipv6": Family.IPV6}
_FLAGS = ("counters", "comment", "skbinfo", "forceadd")
_MOST_SECONDS, _MOST_COUNT, _MOST_COMMENT = 2147483, 2**64 - 2, 255
_MARK = re.compile(r"0[xX]([0-9a-fA-F]{1,8})(?:/0[xX]([0-9a-fA-F]{1,8}))?")
_PRIORITY = re.compile(r"([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})")
_MASK_WIDTHS = {Family.IPV4: "1-32", Family.IPV6: "1-128"}


def usage_error(message: str) -> ConfigError:
    """What the tool says of a command that it cannot make out."""
    return ConfigError(f"{message}\n{_TRY_HELP}", exit_code=2)


@attrs.define
class Switches:
    """Options that may stand anywhere in a command."""

    exist: bool = False
    quiet: bool = False
    output: str = "plain"
    names: bool = False
    terse: bool = False
    sorted: bool = False
    file: str = ""
    output_given: bool = False


def read_switches(args: list[str], switches: Switches) -> list[str]:
    """Take the options out of *args* into *switches*; what is left are the words of the command."""
    words = []
    rest = iter(args)
    for word in rest:
        plain = word.removeprefix("-")
        if word in ("-!", "-exist", "--exist"):
            switches.exist = True
        elif word in ("-q", "-quiet", "--quiet"):
            switches.quiet = True
        elif word in ("-n", "-name", "--name"):
            switches.names = True
        elif word in ("-t", "-terse", "--terse"):
            switches.terse = True
        elif word in ("-s", "-sorted", "--sorted"):
            switches.sorted = True
        elif word.startswith("-") and plain in ("o", "output", "-output", "f", "file", "-file"):
            value = next(rest, None)
            if value is None:
                raise usage_error(f"Missing mandatory argument to option {word}")
            if plain.lstrip("-").startswith("f"):
                switches.file = value
            elif value not in ("plain", "save", "xml"):
                raise syntax_error(f"unknown output mode '{value}'")
            else:
                switches.output, switches.output_given = value, True
        elif word not in ("-r", "-resolve", "--resolve"):
            words.append(word)
    return words


def _pairs(words: list[str], flags: frozenset[str], valued: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Words with their values; a flag has none. A value may be given once."""
    seen = set()
    rest = iter(words)
    for word in rest:
        if word in flags:
            yield word, ""
        elif word not in valued:
            raise usage_error(f"Unknown argument: `{word}'")
        else:
            value = next(rest, None)
            if value is None:
                raise usage_error(f"Missing mandatory argument of option `{word}'")
            if word in seen:
                raise syntax_error(f"{word} already specified")
            seen.add(word)
            yield word, value


# -- create -----------------------------------------------------------------------------------------------------------


def read_create(name: str, words: list[str], *, newest: bool) -> tuple[SetOptions, str]:
    """
    Read what stands behind the type *name*; also what the tool says of words that it ignores.

    *newest*: the kernel knows the newest revision of each type.
    """
    type = find_type(name)
    if type is None:
        raise syntax_error(f"typename '{name}' is unknown")
    words = list(_spread(words))
    given: dict[str, str] = {}
    ignored = []
    old = _IGNORED if type.name in _ONCE_OLD else frozenset()
    for word, value in _pairs(words, frozenset(_FLAGS) & type.words, type.words - frozenset(_FLAGS) | old):
        if word in _IGNORED:
            ignored.append(f"Option '--{word} {value}' is ignored. Please upgrade your syntax.\n")
            continue
        if word in type.late and not newest:
            raise usage_error(
                f"Argument `{word}' is supported in the kernel module of the set type {type.name} starting from the "
                f"revision {type.revision} and you have installed revision {type.revision - 1} only. "
                "Your kernel is behind your ipset utility."
            )
        given[word] = value
    return _options(type, given), "Warning: " + "".join(ignored) if ignored else ""


def _spread(words: list[str]) -> Iterator[str]:
    """``-4`` and ``-6`` are families without a word before them."""
    for word in words:
        if word in ("-4", "-6"):
            yield from ("family", "inet" if word == "-4" else "inet6")
        else:
            yield word


def _options(type: SetType, given: dict[str, str]) -> SetOptions:
    family = Family.IPV4
    if "family" in given:
        if given["family"] not in _FAMILIES:
            raise syntax_error(f"unknown inet family {given['family']}")
        family = _FAMILIES[given["family"]]
    if "netmask" in given and "bitmask" in given:
        raise syntax_error("bitmask and netmask are mutually exclusive, provide only one")

    def number(word: str, default: int, most: int = 0xFFFFFFFF) -> int:
        return read_integer(given[word], most) if word in given else default

    def optional(word: str, most: int = 0xFFFFFFFF) -> int | None:
        return read_integer(given[word], most) if word in given else None

    markmask = optional("markmask")
    if markmask == 0:
        raise ConfigError("The value of the markmask parameter is invalid")
    netmask = _netmask(family, given["netmask"]) if "netmask" in given else None
    size = number("bucketsize", 12, 255)
    return SetOptions(
        family=family,
        hashsize=max(64, 1 << max(number("hashsize", 1024) - 1, 0).bit_length()),  # a power of two, 64 at least
        maxelem=number("maxelem", 65536),
        bucketsize=min(max(size + size % 2, 2), 12),
        initval=optional("initval"),
        netmask=None if netmask == family.bits else netmask,
        bitmask=_bitmask(family, given["bitmask"]) if "bitmask" in given else None,
        markmask=markmask,
        timeout=optional("timeout", _MOST_SECONDS),
        range=_range(type, given["range"], netmask) if "range" in given else None,
        size=max(number("size", 8), 4),
        **{flag: flag in given for flag in _FLAGS},
    )


def _netmask(family: Family, text: str) -> int:
    try:
        return read_integer(text, family.bits, 1)
    except ConfigError as error:
        widths = _MASK_WIDTHS[family]
        raise ConfigError(f"{error}\nSyntax error: netmask is out of the inclusive range of {widths}") from None


def _bitmask(family: Family, text: str) -> int | None:
    try:
        value = read_address(family, text)
    except ConfigError as error:
        inet = "inet" if family is Family.IPV4 else "inet6"
        raise ConfigError(f"{error}\nSyntax error: bitmask is not valid for family = {inet}") from None
    if value == 0:
        raise ConfigError("The value of the netmask parameter is invalid")
    return None if value == family.all_ones else value


def _range(type: SetType, text: str, netmask: int | None) -> tuple[int, int]:
    """First and last of a bitmap: ports, or addresses widened to whole networks of *netmask*."""
    first, dash, last = text.partition("-")
    if "bare port" in type.kinds:
        if not dash:
            raise usage_error("Mandatory option `to' is missing")
        high = read_port(last)
        low = read_port(first.rpartition(":")[2])
    elif "/" in text:
        host, _, length = text.partition("/")
        size = 1 << (32 - read_integer(length, 32))
        low = read_address(Family.IPV4, host) & -size
        high = low + size - 1
    elif dash:
        low, high = read_address(Family.IPV4, first), read_address(Family.IPV4, last)
    else:
        raise syntax_error(f"IP/cidr or IP-IP range must be specified: {text}")
    low, high = min(low, high), max(low, high)
    step = 1 << (32 - netmask) if netmask is not None else 1
    return low & -step, high | (step - 1)


# -- add, del and test ------------------------------------------------------------------------------------------------


@attrs.define
class Added:
    """What stands behind an element; *place* is one in a list of sets."""

    entry: Entry | None = None
    timeout: int | None = None
    nomatch: bool = False
    place: Place | None = None


def read_added(held: IpSet, words: list[str], verb: str) -> Added:
    """Read what stands behind the element of ``add``, ``del`` or ``test``."""
    networks, places = held.type.has_networks, held.type.method == "list"
    flags = {"nomatch"} if networks and verb != "del" else set()
    flags |= {"wildcard"} if "iface" in held.type.kinds and verb == "add" else set()
    valued = {"before", "after"} if places else set()
    if verb == "add":
        valued |= {"timeout", "packets", "bytes", "comment", "skbmark", "skbprio", "skbqueue"}
    added = Added()
    entry = Entry()
    seen = []
    for word, value in _pairs(words, frozenset(flags), frozenset(valued)):
        seen.append(word)
        match word:
            case "nomatch":
                entry.nomatch = added.nomatch = True
            case "wildcard":
                entry.wildcard = True
            case "before" | "after":
                added.place = (word, value)
            case "timeout":
                added.timeout = read_integer(value, _MOST_SECONDS)
                continue
            case "packets":
                entry.packets = read_integer(value, _MOST_COUNT)
            case "bytes":
                entry.bytes = read_integer(value, _MOST_COUNT)
            case "comment":
                entry.comment = _comment(value)
            case "skbmark":
                entry.mark = _mark(value)
            case "skbprio":
                entry.priority = _priority(value)
            case "skbqueue":
                entry.queue = read_integer(value, 65535)
        added.entry = entry
    _check_support(held, seen)
    return added


def _check_support(held: IpSet, words: list[str]) -> None:
    """Refuse what the set was not made to keep."""
    options = held.options
    for support, needed, label in (
        (options.timeout is not None, ("timeout",), "Timeout cannot be used: set was created without timeout"),
        (
            options.counters,
            ("packets", "bytes"),
            "Packet/byte counters cannot be used: set was created without counter",
        ),
        (options.comment, ("comment",), "Comment cannot be used: set was created without comment"),
        (
            options.skbinfo,
            ("skbmark", "skbprio", "skbqueue"),
            "Skbinfo mapping cannot be used: set was created without skbinfo",
        ),
    ):
        if not support and any(word in needed for word in words):
            raise ConfigError(f"{label} support")


def _comment(text: str) -> str:
    if '"' in text:
        raise syntax_error('" character is not permitted in comments')
    if len(text.encode()) > _MOST_COMMENT:
        raise syntax_error(f"Comment is longer than the maximum allowed {_MOST_COMMENT} characters")
    return text


def _mark(text: str) -> tuple[int, int]:
    found = _MARK.fullmatch(text)
    if found is None:
        raise syntax_error("Invalid skbmark format, it should be:  MARK/MASK or MARK (see manpage)")
    return int(found[1], 16), int(found[2], 16) if found[2] else 0xFFFFFFFF


def _priority(text: str) -> int:
    found = _PRIORITY.fullmatch(text)
    if found is None:
        raise syntax_error("Invalid skbprio format, it should be:MAJOR:MINOR (see manpage)")
    return int(found[1], 16) << 16 | int(found[2], 16)
