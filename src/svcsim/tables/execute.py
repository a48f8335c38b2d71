"""
Doing what a line of iptables asks for.

Behaviour of: iptables 1.8.9 (legacy), of which iptables-restore runs one command after the other before it commits.
"""

from __future__ import annotations

from svcsim.tables.command import Command
from svcsim.tables.edit import Edit
from svcsim.tables.listing import Style, describe_rule, list_chains, list_rules

__all__ = ["execute"]


def execute(command: Command, edit: Edit) -> str:
    """Make *command*'s changes within *edit*; return what it prints."""
    table, verb = edit.table, command.verb
    printed = ""
    if verb in "ACDIR" and command.verbose and not command.by_number:
        printed = "".join(describe_rule(table.family, rule) + "\n" for rule in command.rules)
    if verb in "ACDIR":
        _change_rules(command, edit)
    elif verb in "LS":
        printed += _list(command, edit)
    elif verb == "F":
        printed += _named("Flushing chain", command, edit, builtin=True)
        edit.flush(command.chain)
    elif verb == "Z":
        if command.verbose:
            printed += _named("Zeroing chain", command, edit, builtin=True)
        edit.zero(command.chain, command.number)
    elif verb == "X":
        printed += _named("Deleting chain", command, edit, builtin=False)
        if command.chain is not None:
            edit.remove(command.chain)
        else:
            _remove_all(edit)
    elif verb == "N":
        edit.create(command.chain or "")
    elif verb == "E":
        edit.rename(command.chain or "", command.new_name)
    elif verb == "P":
        counters = command.counters if "c" in command.given else (0, 0)
        edit.policy(command.chain or "", command.policy, counters)
    if command.also_zero:
        edit.zero(command.chain, command.number)
    return printed


def _change_rules(command: Command, edit: Edit) -> None:
    verb, chain, number, counters = command.verb, command.chain or "", command.number, command.counters
    if command.by_number:
        edit.delete(chain, number)
        return
    for rule in command.rules:
        if verb == "A":
            edit.append(chain, rule, counters)
        elif verb == "I":
            edit.insert(chain, number or 1, rule, counters)
        elif verb == "R":
            edit.replace(chain, number, rule, counters)
        elif verb == "D":
            edit.delete_rule(chain, rule)
        else:
            edit.find(chain, rule)


def _list(command: Command, edit: Edit) -> str:
    table, given = edit.table, command.given
    chain = edit.chain(command.chain) if command.chain is not None else None
    if command.verb == "S":
        return list_rules(table, verbose=command.verbose > 0, chain=chain, number=command.number)
    style = Style(command.verbose > 0, "n" in given, "x" in given, "0" in given)
    return list_chains(table, style, chain, command.number)


def _named(what: str, command: Command, edit: Edit, *, builtin: bool) -> str:
    """With ``-v``: what is done, chain by chain."""
    if not command.verbose:
        return ""
    chains = edit.table.listed() if command.chain is None else [edit.chain(command.chain)]
    return "".join(f"{what} `{chain.name}'\n" for chain in chains if builtin or not chain.builtin)


def _remove_all(edit: Edit) -> None:
    """Remove every chain of a user's; the first that must stay stops it all."""
    for chain in edit.table.listed():
        if not chain.builtin:
            edit.remove(chain.name)
