"""
Sets as `ipset list` and `ipset save` print them: plain, as commands, as XML.

Behaviour of: ipset 7.17.
"""

from __future__ import annotations

from collections.abc import Iterable

from svcsim.tables.ipset import IpSet
from svcsim.tables.ipset_types import Item
from svcsim.tools.ipset_args import Switches

__all__ = ["listed"]


def listed(sets: Iterable[IpSet], switches: Switches) -> str:
    """Print *sets* as *switches* want them."""
    if switches.output == "save":
        return "".join(_saved(each, switches) for each in sets)
    if switches.output == "xml":
        return "<ipsets>\n" + "".join(_xml(each, switches) for each in sets) + "</ipsets>\n"
    if switches.names:
        return "".join(f"{each.name}\n" for each in sets)
    return "\n".join(_plain(each, switches) for each in sets)


def _words(items: Iterable[Item]) -> str:
    return " ".join(word if value is None else f"{word} {value}" for word, value in items)


def _members(held: IpSet, switches: Switches) -> list[tuple[str, list[Item]]]:
    found = list(held.members())
    return sorted(found, key=lambda pair: pair[0]) if switches.sorted and held.type.method != "list" else found


def _lines(held: IpSet, switches: Switches) -> list[str]:
    return [f"{text} {_words(items)}" if items else text for text, items in _members(held, switches)]


def _revision(held: IpSet) -> int:
    return held.type.revision - (not held.sets.newest and bool(held.type.late))


def _saved(held: IpSet, switches: Switches) -> str:
    head = f"create {held.name} {held.type.name} {_words(held.header())}\n"
    return head + "".join(f"add {held.name} {line}\n" for line in _lines(held, switches))


def _plain(held: IpSet, switches: Switches) -> str:
    head = (
        f"Name: {held.name}\nType: {held.type.name}\nRevision: {_revision(held)}\n"
        f"Header: {_words(held.header())}\nSize in memory: {held.memory}\nReferences: {held.references}\n"
        f"Number of entries: {len(held)}\n"
    )
    return head if switches.terse else head + "Members:\n" + "".join(f"{line}\n" for line in _lines(held, switches))


def _tags(items: Iterable[Item]) -> str:
    return "".join(f"<{word}/>" if value is None else f"<{word}>{value}</{word}>" for word, value in items)


def _xml(held: IpSet, switches: Switches) -> str:
    if switches.names:
        return f'<ipset name="{held.name}"/>\n'
    text = (
        f'<ipset name="{held.name}">\n<type>{held.type.name}</type>\n<revision>{_revision(held)}</revision>\n'
        f"<header>{_tags(held.header())}\n<memsize>{held.memory}</memsize>\n<references>{held.references}</references>\n"
        f"<numentries>{len(held)}</numentries>\n</header>\n"
    )
    if not switches.terse:
        rows = (f"<member><elem>{text}</elem>{_tags(items)}</member>\n" for text, items in _members(held, switches))
        text += f"<members>\n{''.join(rows)}</members>\n"
    return text + "</ipset>\n"
