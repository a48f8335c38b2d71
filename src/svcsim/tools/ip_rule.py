"""
`ip rule`.

Behaviour of: iproute2 6.1 and the kernel's policy rules: a rule without a preference goes before the second one of the
list, and deleting takes the first rule that is all that is said of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family, Prefix, format_address
from svcsim.errors import ConfigError, MissingError
from svcsim.route import RouteKind, RouteRule
from svcsim.tools.command import Completed
from svcsim.tools.ip_route import KINDS, table_name, table_number
from svcsim.tools.ip_words import Words, number_of, prefix_of

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["rule"]

_VALUED = frozenset(
    {"from", "to", "fwmark", "iif", "dev", "oif", "pref", "preference", "priority", "order", "lookup", "table", "type"}
)
_REFUSED = frozenset(
    "not tos dsfield goto nop suppress_prefixlength sup_pl suppress_ifgroup sup_group uidrange ipproto sport dport "
    "l3mdev realms protocol nat map-to tun_id".split()
)
_ALL_BITS = 0xFFFFFFFF


def rule(node: Node, words: Words, family: Family | None) -> Completed:
    """``ip rule {add|del|show|flush} [from P] [to P] [fwmark M[/MASK]] [iif D] [oif D] [pref N] [lookup T]``."""
    family = family or Family.IPV4
    routing = node.routes[family]
    verb = words.verb("rule", ("list", "lst", "show", "add", "delete", "flush"), default="show")
    if verb in ("list", "lst", "show"):
        fields = _fields(words, family, "rule show")
        return Completed(0, "".join(_line(family, held) + "\n" for held in routing.rules if _fits(held, fields)))
    if verb == "flush":
        for held in [held for held in routing.rules if held.priority]:
            routing.delete_rule(held)
        return Completed()
    if not words:
        raise ConfigError(f'"ip rule {"add" if verb == "add" else "del"}" requires arguments.')
    fields = _fields(words, family, f"rule {verb}")
    if verb == "add":
        fields.setdefault("table", table_number("main"))
        if "priority" not in fields:
            second = routing.rules[1].priority if len(routing.rules) > 1 else 0
            fields["priority"] = max(second - 1, 0)
        routing.add_rule(RouteRule(**fields))  # type: ignore[arg-type]
        return Completed()
    for held in routing.rules:
        if _fits(held, fields):
            routing.delete_rule(held)
            return Completed()
    raise MissingError("RTNETLINK answers: No such file or directory", exit_code=2)


def _fields(words: Words, family: Family, command: str) -> dict[str, object]:
    """What is said of a rule, by the names of its fields."""
    fields: dict[str, object] = {}
    if words.peek() in ("blackhole", "unreachable", "prohibit", "unicast"):
        fields["kind"] = KINDS[words.take()]
    given = words.options(_VALUED, refused=_REFUSED, command=command, positional="type")
    for word, text in given.items():
        match word:
            case "from" | "to":
                if text not in ("all", "any", "default", "0/0"):
                    fields["source" if word == "from" else "destination"] = _network(word, text, family)
            case "fwmark":
                value, slash, mask = text.partition("/")
                fields["mark"] = number_of("fwmark", value)
                fields["mask"] = number_of("fwmask", mask) if slash else _ALL_BITS
            case "iif" | "dev":
                fields["indev"] = text
            case "oif":
                fields["outdev"] = text
            case "pref" | "preference" | "priority" | "order":
                fields["priority"] = number_of("preference", text)
            case "lookup" | "table":
                fields["table"] = table_number(text, what="invalid table ID")
            case "type":
                if text not in ("blackhole", "unreachable", "prohibit", "unicast"):
                    raise ConfigError(f'Error: argument "{text}" is wrong: Failed to parse rule type', exit_code=255)
                fields["kind"] = KINDS[text]
    return fields


def _network(word: str, text: str, family: Family) -> Prefix:
    prefix = prefix_of(text, None)
    if prefix.family is not family:
        raise ConfigError(f"Error: Invalid {'source' if word == 'from' else 'dst'} address.", exit_code=2)
    return prefix


def _fits(held: RouteRule, fields: dict[str, object]) -> bool:
    """Whether a rule is all that is said of it."""
    return all(getattr(held, name) == value for name, value in fields.items())


def _line(family: Family, held: RouteRule) -> str:
    def shown(prefix: Prefix | None) -> str:
        if prefix is None:
            return "all"
        host = format_address(family, prefix.value)
        return host if prefix.length == family.bits else f"{host}/{prefix.length}"

    words = [f"{held.priority}:\tfrom", shown(held.source)]
    words += ["to", shown(held.destination)] if held.destination else []
    if held.mask:
        words += ["fwmark", f"{held.mark:#x}" + ("" if held.mask == _ALL_BITS else f"/{held.mask:#x}")]
    words += ["iif", held.indev] if held.indev else []
    words += ["oif", held.outdev] if held.outdev else []
    if held.kind is RouteKind.UNICAST:
        words += ["lookup", table_name(held.table)]
    else:
        words.append(held.kind.value)
    return " ".join(words)
