"""
`iptables`, `ip6tables`, and their `-restore` and `-save`.

Behaviour of: iptables 1.8.9 (legacy). The names ending in -legacy and -nft mean the same rules; texts are legacy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.tables.execute import execute
from svcsim.tables.problems import Refusal, UsageError
from svcsim.tables.reader import read_command
from svcsim.tables.save import RestoreError, restore, save
from svcsim.tables.table import TABLES, Ruleset
from svcsim.tools.command import Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["iptables", "iptables_restore", "iptables_save"]

_VERSION = "v1.8.9 (legacy)"
#: Commands that only look: nothing is committed, so no counter of a policy starts anew.
_LOOKS = frozenset("LSC")


def _program(name: str) -> tuple[Family, str]:
    """The family of a command, and the name that it calls itself."""
    bare = name.replace("-legacy", "").replace("-nft", "")
    return (Family.IPV6 if bare.startswith("ip6") else Family.IPV4), bare


def _usage(program: str, error: UsageError, middle: str = "") -> Completed:
    """What the tool says of words that it does not understand."""
    said = error.message if error.bare else f"{program} {_VERSION}: {error.message}"
    gap = "\n" if error.spaced else ""
    hint = f"Try `{program} -h' or '{program} --help' for more information.\n"
    return Completed(error.exit_code, "", f"{said}\n{gap}{middle}{hint}")


def iptables(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """One command: ``-A -C -D -I -R -L -S -F -Z -N -X -P -E`` and ``-t TABLE``."""
    family, program = _program(name)
    rules = node.rules[family]
    table = _table_of(args)
    try:
        if "-V" in args or "--version" in args:
            return Completed(0, f"{program} {_VERSION}\n")
        chains = rules.tables[table].chains if table in rules.tables else ()
        command = read_command(rules.parser, args, chains, table)
        if command.other_family:
            return Completed()
        if command.table not in TABLES:
            return _no_table(program, command.table)
        return _execute(rules, program, command)
    except UsageError as error:
        return _usage(program, error)
    except Refusal as error:
        return Completed(error.exit_code, "", f"{program}: {error.message}\n")
    except ConfigError as error:
        return Completed(error.exit_code, "", f"{program}: {error}\n")


def _execute(rules: Ruleset, program: str, command: object) -> Completed:
    edit = rules[command.table].edit()  # type: ignore[attr-defined]
    try:
        printed = execute(command, edit)  # type: ignore[arg-type]
    except (ConfigError, UnsupportedError):
        edit.roll_back()
        raise
    if command.verb in _LOOKS and not command.also_zero:  # type: ignore[attr-defined]
        edit.roll_back()
    else:
        edit.commit()
    return Completed(0, printed)


def _table_of(args: list[str]) -> str:
    """The table that the words name, so that its chains are known before they are read."""
    for at, word in enumerate(args):
        if word in ("-t", "--table") and at + 1 < len(args):
            return args[at + 1]
        if word.startswith("--table="):
            return word.partition("=")[2]
        if word.startswith("-t") and len(word) > 2:
            return word[2:]
    return "filter"


def _no_table(program: str, table: str) -> Completed:
    text = (
        f"{program} {_VERSION}: can't initialize {program} table `{table}': Table does not exist (do you need to insmod?)\n"
        f"Perhaps {program} or your kernel needs to be upgraded.\n"
    )
    return Completed(3, "", text)


def iptables_restore(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``iptables-restore [-c] [-n] [-t] [-v] [-T TABLE]``: what iptables-save wrote, from standard input."""
    family, program = _program(name)
    flush, counters, test, verbose, only = True, False, False, False, None
    words = iter(args)
    for word in words:
        if word in ("-n", "--noflush"):
            flush = False
        elif word in ("-c", "--counters"):
            counters = True
        elif word in ("-t", "--test"):
            test = True
        elif word in ("-v", "--verbose"):
            verbose = True
        elif word in ("-T", "--table"):
            only = next(words, "")
        elif word in ("-V", "--version"):
            return Completed(0, f"{program} {_VERSION}\n")
        elif word in ("-w", "--wait", "-W", "--wait-interval"):
            continue
        elif not word.isdigit():
            raise UnsupportedError(f"{program} {word}", instead="known: -c -n -t -v -T -w -V, and standard input")
    rules = node.rules[family]
    try:
        printed = restore(rules, stdin, flush=flush, counters=counters, test=test, only=only, verbose=verbose)
    except RestoreError as error:
        cause = error.cause
        if isinstance(cause, UsageError):
            return _usage(program, cause, f"Error occurred at line: {error.line}\n")
        text = str(cause) if "COMMIT expected" in str(cause) else f"line {error.line} failed"
        return Completed(error.exit_code, "", f"{program}: {text}\n")
    return Completed(0, printed)


def iptables_save(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``iptables-save [-c] [-t TABLE]``."""
    family, program = _program(name)
    counters, table = False, None
    words = iter(args)
    for word in words:
        if word in ("-c", "--counters"):
            counters = True
        elif word in ("-t", "--table"):
            table = next(words, "")
        elif word in ("-V", "--version"):
            return Completed(0, f"{program} {_VERSION}\n")
        else:
            raise UnsupportedError(f"{program} {word}", instead="known: -c -t -V")
    try:
        return Completed(0, save(node.rules[family], table, counters=counters, program=program))
    except MissingError:
        text = f"{program} {_VERSION}: Cannot initialize: Table does not exist (do you need to insmod?)\n"
        return Completed(1, "", text)
