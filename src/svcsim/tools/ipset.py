"""
`ipset`: sets made, filled, listed and exchanged.

Behaviour of: ipset 7.17, its words, texts and exit codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.addr import Family, parse_address
from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tables.ipset import IpSet, IpSets, SetOptions
from svcsim.tables.ipset_element import DIMENSIONS
from svcsim.tools.command import Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["ipset"]

_TRY_HELP = "Try `ipset help' for more information.\n"
_VERBS = {
    "create": "create", "-N": "create", "--create": "create", "n": "create",
    "add": "add", "-A": "add", "--add": "add",
    "del": "del", "-D": "del", "--del": "del", "delete": "del",
    "test": "test", "-T": "test", "--test": "test",
    "list": "list", "-L": "list", "--list": "list", "l": "list",
    "save": "save", "-S": "save", "--save": "save",
    "restore": "restore", "-R": "restore", "--restore": "restore",
    "flush": "flush", "-F": "flush", "--flush": "flush",
    "destroy": "destroy", "-X": "destroy", "--destroy": "destroy", "x": "destroy",
    "rename": "rename", "-E": "rename", "--rename": "rename", "e": "rename",
    "swap": "swap", "-W": "swap", "--swap": "swap", "w": "swap",
    "version": "version", "-V": "version", "--version": "version",
    "help": "help", "-H": "help", "-h": "help", "--help": "help",
}  # fmt: skip
_SKBINFO = ("skbmark", "skbprio", "skbqueue")
_REVISIONS = {
    "bitmap:ip": 3, "bitmap:ip,mac": 3, "bitmap:port": 3, "hash:ip": 6, "hash:ip,mac": 1, "hash:ip,mark": 3,
    "hash:ip,port": 7, "hash:ip,port,ip": 6, "hash:ip,port,net": 8, "hash:mac": 1, "hash:net": 7, "hash:net,iface": 8,
    "hash:net,net": 4, "hash:net,port": 8, "hash:net,port,net": 3, "list:set": 3,
}  # fmt: skip


@attrs.define
class _Switches:
    exist: bool = False
    quiet: bool = False
    output: str = "plain"
    names: bool = False
    terse: bool = False
    sorted: bool = False


def ipset(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``ipset [-exist] [-q] COMMAND [SET] [words]``."""
    words, switches = _switches(args)
    try:
        return _run(node.ipsets, words, switches, stdin)
    except ConfigError as error:
        text = "" if switches.quiet else f"ipset v7.17: {error}\n"
        return Completed(error.exit_code, "", text)


def _switches(args: list[str]) -> tuple[list[str], _Switches]:
    """Take the options that may stand anywhere."""
    switches, words = _Switches(), []
    rest = iter(args)
    for word in rest:
        if word in ("-!", "-exist", "--exist"):
            switches.exist = True
        elif word in ("-q", "-quiet", "--quiet"):
            switches.quiet = True
        elif word in ("-o", "-output", "--output"):
            switches.output = next(rest, "plain")
        elif word in ("-n", "-name", "--name"):
            switches.names = True
        elif word in ("-t", "-terse", "--terse"):
            switches.terse = True
        elif word in ("-s", "-sorted", "--sorted"):
            switches.sorted = True
        elif word in ("-f", "-file", "--file"):
            raise UnsupportedError("ipset -file", instead="use standard input and output")
        elif word not in ("-r", "-resolve", "--resolve"):
            words.append(word)
    return words, switches


def _run(sets: IpSets, words: list[str], switches: _Switches, stdin: str) -> Completed:
    if not words:
        return Completed(2, "", f"ipset v7.17: No command specified.\n{_TRY_HELP}")
    verb = _VERBS.get(words[0])
    if verb is None:
        text = f"ipset v7.17: No command specified: unknown argument {words[0]}\n{_TRY_HELP}"
        return Completed(2, "", text)
    rest = words[1:]
    if verb == "version":
        return Completed(0, "ipset v7.17, protocol version: 7\n")
    if verb == "help":
        raise UnsupportedError("ipset help", instead="see the manual page ipset(8)")
    if verb == "restore":
        return _restore(sets, stdin, switches)
    if verb in ("list", "save"):
        return Completed(0, _listed(sets, rest, switches, save=verb == "save" or switches.output == "save"))
    if verb == "test":
        return _test(sets, rest, switches)
    _change(sets, verb, rest, switches)
    return Completed()


def _need(verb: str, words: list[str], count: int) -> None:
    if len(words) < count:
        which = "mandatory argument" if len(words) == 0 else "second mandatory argument"
        raise ConfigError(f"Missing {which} to command {verb}\n{_TRY_HELP.rstrip()}", exit_code=2)


def _change(sets: IpSets, verb: str, words: list[str], switches: _Switches) -> None:
    if verb == "create":
        _need(verb, words, 2)
        sets.create(words[0], _alias(words[1]), _options(words[1], words[2:]), exist=switches.exist)
    elif verb == "add":
        _need(verb, words, 2)
        _add(sets[words[0]], words[1], words[2:], switches.exist)
    elif verb == "del":
        _need(verb, words, 2)
        if sets[words[0]].type == "list:set":
            sets[words[0]].remove_member(words[1], exist=switches.exist)
        else:
            sets[words[0]].remove(words[1], exist=switches.exist)
    elif verb == "flush":
        for each in [sets[words[0]]] if words else list(sets):
            each.flush()
    elif verb == "destroy":
        sets.destroy(words[0] if words else None)
    else:
        _need(verb, words, 2)
        (sets.rename if verb == "rename" else sets.swap)(words[0], words[1])


def _alias(type: str) -> str:
    return {"iphash": "hash:ip", "nethash": "hash:net", "ipporthash": "hash:ip,port", "setlist": "list:set"}.get(
        type, type
    )


def _number(option: str, text: str, most: int, least: int = 0) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise ConfigError(f"Syntax error: '{text}' is invalid as number") from None
    if not least <= value <= most:
        raise ConfigError(f"Syntax error: '{text}' is out of range {least}-{most}")
    return value


def _options(type: str, words: list[str]) -> SetOptions:
    type = _alias(type)
    if type not in DIMENSIONS:
        raise ConfigError(f"Syntax error: typename '{type}' is unknown")
    given: dict[str, object] = {}
    rest = iter(words)
    for word in rest:
        if word in ("counters", "comment", "skbinfo", "forceadd"):
            given[word] = True
            continue
        value = next(rest, None)
        if value is None:
            raise ConfigError(f"Missing mandatory argument of option `{word}'\n{_TRY_HELP.rstrip()}", exit_code=2)
        if word == "family":
            if value not in ("inet", "inet6", "-4", "-6"):
                raise ConfigError(f"Syntax error: unknown INET family {value}")
            given["family"] = Family.IPV6 if value in ("inet6", "-6") else Family.IPV4
        elif word == "range" and type.startswith("bitmap"):
            given["range"] = _range(type, value)
        elif word == "timeout":
            given["timeout"] = _number(word, value, 2147483)
        elif word in ("netmask", "markmask") and type.startswith(("hash:ip", "bitmap:ip")):
            given[word] = _number(word, value, 128 if word == "netmask" else 0xFFFFFFFF)
        elif word in ("hashsize", "maxelem", "bucketsize") and type.startswith("hash"):
            given[word] = _number(word, value, 0xFFFFFFFF)
        elif word == "size" and type == "list:set":
            given[word] = _number(word, value, 65535)
        elif word not in ("initval", "probes", "resize", "gc"):
            raise ConfigError(f"Unknown argument: `{word}'\n{_TRY_HELP.rstrip()}", exit_code=1)
    if "hashsize" in given:  # the kernel rounds up to a power of two, and to 64 at least
        given["hashsize"] = max(64, 1 << (int(str(given["hashsize"])) - 1).bit_length())
    return SetOptions(**given)  # type: ignore[arg-type]


def _range(type: str, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if type == "bitmap:port":
        low = _number("range", first.rpartition(":")[2], 65535)
        high = _number("range", last, 65535) if dash else low
        return min(low, high), max(low, high)
    if "/" in text:
        host, _, length = text.partition("/")
        size = 1 << (32 - _number("range", length, 32))
        start = parse_address(host).value & ~(size - 1)
        return start, start + size - 1
    if not dash:
        raise ConfigError(f"Syntax error: Missing separator from {text}")
    low, high = parse_address(first).value, parse_address(last).value
    return min(low, high), max(low, high)


def _add(to: IpSet, element: str, words: list[str], exist: bool) -> None:
    given: dict[str, object] = {}
    extra: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in ("nomatch", "wildcard"):
            given[word] = True
            continue
        value = next(rest, None)
        if value is None:
            raise ConfigError(f"Missing mandatory argument of option `{word}'\n{_TRY_HELP.rstrip()}", exit_code=2)
        if word == "timeout":
            given[word] = _number(word, value, 2147483)
        elif word in ("packets", "bytes") and to.options.counters:
            given[word] = _number(word, value, 2**64 - 1)
        elif word == "comment" and to.options.comment:
            given[word] = value[:255]
        elif word in _SKBINFO and to.options.skbinfo:
            extra += [word, value]
        elif word in ("before", "after") and to.type == "list:set":
            given[word] = value
        elif word in ("packets", "bytes", "comment", *_SKBINFO):
            kind = {"packets": "counter", "bytes": "counter", "comment": "comment"}.get(word, "skbinfo")
            raise ConfigError(f"{kind.capitalize()} cannot be used: set was created without {kind} support")
        else:
            raise ConfigError(f"Unknown argument: `{word}'\n{_TRY_HELP.rstrip()}", exit_code=1)
    if to.type == "list:set":
        places = {key: str(value) for key, value in given.items() if key in ("before", "after")}
        to.add_member(element, exist=exist, **places)
    else:
        to.add(element, exist=exist, extra=" ".join(extra), **given)  # type: ignore[arg-type]


def _test(sets: IpSets, words: list[str], switches: _Switches) -> Completed:
    _need("test", words, 2)
    asked = sets[words[0]]
    if asked.type == "list:set":
        held = any(member.name == words[1] for member in asked.members)
    else:
        held = asked.holds(words[1])
    shown = words[1]
    if held:
        return Completed(0, "", "" if switches.quiet else f"Warning: {shown} is in set {asked.name}.\n")
    return Completed(1, "", "" if switches.quiet else f"{shown} is NOT in set {asked.name}.\n")


def _listed(sets: IpSets, words: list[str], switches: _Switches, *, save: bool) -> str:
    chosen = [sets[words[0]]] if words else list(sets)
    if switches.names:
        return "".join(f"{each.name}\n" for each in chosen)
    texts = []
    for each in chosen:
        lines = list(each.lines())
        if switches.sorted:
            lines.sort()
        if save:
            texts.append(f"create {each.name} {each.type} {each.header()}\n")
            texts += [f"add {each.name} {line}\n" for line in lines]
            continue
        head = (
            f"Name: {each.name}\nType: {each.type}\nRevision: {_REVISIONS[each.type]}\nHeader: {each.header()}\n"
            f"Size in memory: {_memory(each)}\nReferences: {each.references}\nNumber of entries: {len(lines)}\n"
        )
        if not switches.terse:
            head += "Members:\n" + "".join(f"{line}\n" for line in lines)
        texts.append(head)
    return ("" if save else "\n").join(texts)


def _memory(each: IpSet) -> int:
    """A figure for the listing; the kernel's own depends on its build, this one only grows as that does."""
    return 208 + 64 * (len(each.entries) + len(each.members))


def _restore(sets: IpSets, text: str, switches: _Switches) -> Completed:
    """Run the lines of `ipset save`; the first that fails ends it, and what was done before it stays."""
    for number, line in enumerate(text.splitlines(), 1):
        words = _words(line)
        if not words or words[0].startswith("#") or words == ["COMMIT"]:
            continue
        words, own = _switches(words)
        own.exist = own.exist or switches.exist
        try:
            verb = _VERBS.get(words[0], "")
            if verb not in ("create", "add", "del", "flush", "destroy", "rename", "swap"):
                raise ConfigError(f"Unknown command in restore mode: {line}")
            _change(sets, verb, words[1:], own)
        except ConfigError as error:
            return Completed(1, "", f"ipset v7.17: Error in line {number}: {error}\n")
    return Completed()


def _words(line: str) -> list[str]:
    """Split at blanks outside double quotes."""
    words = []
    for at, piece in enumerate(line.split('"')):
        words += [piece] if at % 2 else piece.split()
    return words
