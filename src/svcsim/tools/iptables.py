"""
`iptables`, `ip6tables`, and their `-restore` and `-save`.

Behaviour of: iptables 1.8.9 (legacy). The names with -nft speak of rules of their own, which nf_tables keeps and which
work beside those; words are read, and what is printed is written, as legacy does it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.errors import ConfigError, MissingError
from svcsim.tables.command import Command
from svcsim.tables.execute import execute
from svcsim.tables.problems import Refusal, UsageError
from svcsim.tables.reader import read_command
from svcsim.tables.restore import RestoreError, restore
from svcsim.tables.save import save
from svcsim.tables.table import TABLES, Ruleset
from svcsim.tools.command import Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["iptables", "iptables_restore", "iptables_save"]

_VERSION = "v1.8.9 (legacy)"
_NFT_REFUSES = 4  # the exit code when nf_tables does not take a rule
#: Commands that only look: nothing is committed, so no counter of a policy starts anew.
_LOOKS = frozenset("LSC")
#: The options of iptables-restore, with their letters; a value follows those in the second set.
_RESTORE = {
    "counters": "c",
    "verbose": "v",
    "version": "V",
    "test": "t",
    "help": "h",
    "noflush": "n",
    "wait": "w",
    "wait-interval": "W",
    "table": "T",
    "modprobe": "M",
}
_SAVE = {"counters": "c", "version": "V", "table": "t", "modprobe": "M", "file": "f", "dump": "d"}


def _program(name: str) -> tuple[Family, str]:
    """The family of a command, and the name that it calls itself."""
    bare = name.replace("-legacy", "").replace("-nft", "")
    return (Family.IPV6 if bare.startswith("ip6") else Family.IPV4), bare


def _rules(node: Node, name: str, family: Family) -> Ruleset:
    """The rules that a command speaks of: those of nf_tables if its name says so."""
    return (node.nft_rules if "-nft" in name else node.rules)[family]


def _try(program: str) -> str:
    return f"Try `{program} -h' or '{program} --help' for more information.\n"


def _misused(program: str, error: UsageError, where: str = "") -> Completed:
    """What the tool says of words that it does not understand."""
    said = error.message if error.bare else f"{program} {_VERSION}: {error.message}"
    hint = _try(program) if error.exit_code == 2 else ""
    gap = "\n" if error.spaced else ""
    return Completed(error.exit_code, "", f"{said}\n{gap}{where if hint else ''}{hint}")


def iptables(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """One command: ``-A -C -D -I -R -L -S -F -Z -N -X -P -E``, and ``-t TABLE``."""
    family, program = _program(name)
    rules = _rules(node, name, family)
    try:
        command = read_command(rules.parser, args, lambda table: _chains(rules, table))
        warnings = "".join(f"{warning}\n" for warning in command.warnings)
        if "V" in command.given:
            return Completed(0, f"{program} {_VERSION}\n")
        if "h" in command.given:
            return Completed(0, f"{program} {_VERSION}\n\nUsage: {program} -[ACDIRLSFZNXEP] chain [options]\n")
        if command.other_family:
            return Completed(2, "", _try(program))
        if command.table not in TABLES:
            return _no_table(program, command.table)
        return Completed(0, _execute(rules, command), warnings)
    except UsageError as error:
        return _misused(program, error)
    except Refusal as error:
        return Completed(_NFT_REFUSES if rules.nft else error.exit_code, "", f"{program}: {error.message}\n")
    except ConfigError as error:
        return Completed(error.exit_code, "", f"{program}: {error}\n")


def _chains(rules: Ruleset, table: str) -> Container[str]:
    """The chains of a table, which comes into being by being asked for."""
    return rules[table].chains if table in TABLES else ()


def _execute(rules: Ruleset, command: Command) -> str:
    edit = rules[command.table].edit()
    try:
        printed = execute(command, edit)
    except BaseException:
        edit.roll_back()
        raise
    if command.verb in _LOOKS and not command.also_zero:
        edit.roll_back()
    else:
        edit.commit()
    return printed


def _no_table(program: str, table: str) -> Completed:
    text = (
        f"{program} {_VERSION}: can't initialize {program} table `{table}': "
        "Table does not exist (do you need to insmod?)\n"
        f"Perhaps {program} or your kernel needs to be upgraded.\n"
    )
    return Completed(3, "", text)


def _split(args: list[str], names: dict[str, str], valued: str) -> tuple[dict[str, str], list[str], str]:
    """Options by letter with their values, other words, and the option that is none of *names*, if there is one."""
    given: dict[str, str] = {}
    others: list[str] = []
    words = iter(args)
    for word in words:
        if word.startswith("--") and len(word) > 2:
            long, equals, value = word[2:].partition("=")
            letters = {letter for known, letter in names.items() if known.startswith(long)}
            exact = names.get(long)
            letter = exact or (letters.pop() if len(letters) == 1 else "")
            if not letter:
                return given, others, f"unrecognized option '{word}'"
            given[letter] = value if equals else next(words, "") if letter in valued else ""
        elif word.startswith("-") and word != "-":
            rest = word[1:]
            while rest:
                letter, rest = rest[0], rest[1:]
                if letter not in names.values():
                    return given, others, f"invalid option -- '{letter}'"
                if letter in valued:
                    given[letter], rest = rest or next(words, ""), ""
                elif letter == "w":
                    given[letter], rest = rest, ""
                else:
                    given[letter] = ""
        else:
            others.append(word)
    return given, others, ""


def iptables_restore(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``iptables-restore [-c] [-v] [-V] [-t] [-h] [-n] [-w secs] [-W usecs] [-T table] [-M command]``, from its input."""
    family, program = _program(name)
    given, others, problem = _split(args, _RESTORE, "TWM")
    if problem:
        return Completed(1, "", f"{name}: {problem}\nTry `{program} -h' for more information.\n")
    if "V" in given:
        return Completed(0, f"{program} {_VERSION}\n")
    if "h" in given:
        return Completed(
            0, f"Usage: {program} [-c] [-v] [-V] [-t] [-h] [-n] [-w secs] [-W usecs] [-T table] [-M command]\n"
        )
    if "W" in given and "w" not in given:
        warning = "Ignoring deprecated --wait-interval option.\nOption --wait-interval requires option --wait\n"
        return Completed(1, "", warning)
    if others and not ("w" in given and len(others) == 1 and others[0].isdigit()):
        return Completed(1, "", f"Can't open {others[-1]}: No such file or directory\n")
    try:
        printed = restore(
            _rules(node, name, family),
            stdin,
            flush="n" not in given,
            counters="c" in given,
            test="t" in given,
            only=given.get("T"),
            verbose="v" in given,
        )
    except RestoreError as error:
        cause = error.cause
        if isinstance(cause, UsageError):
            misused = _misused(program, cause, f"Error occurred at line: {error.line}\n")
            return Completed(misused.returncode, error.printed, misused.stderr)
        said = str(cause) if "COMMIT expected" in str(cause) else f"line {error.line} failed"
        code = _NFT_REFUSES if isinstance(cause, Refusal) and _rules(node, name, family).nft else 1
        return Completed(code, error.printed, f"{program}: {said}\n")
    return Completed(0, printed)


def iptables_save(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``iptables-save [-M modprobe] [-c] [-t table] [-f filename]``."""
    family, program = _program(name)
    given, others, problem = _split(args, _SAVE, "tMf")
    if problem:
        return Completed(1, "", f"{name}: {problem}\nLook at manual page `{program}.8' for more information.\n")
    if others:
        return Completed(1, "", "Unknown arguments found on commandline\n")
    if "V" in given:
        return Completed(0, f"{program} {_VERSION}\n")
    if given.get("f", "/dev/stdout") != "/dev/stdout":
        return Completed(1, "", f"Failed to open file {given['f']}: there are no files here\n")
    try:
        return Completed(0, save(_rules(node, name, family), given.get("t"), counters="c" in given, program=program))
    except MissingError:
        text = f"{program} {_VERSION}: Cannot initialize: Table does not exist (do you need to insmod?)\n"
        return Completed(1, "", text)
