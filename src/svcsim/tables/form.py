"""
One form of line, and the rules that lines of it stand for.

A regular expression takes the values out of a line. Those of many lines are made into rules column by column: all
networks, then all remarks, then all rules. What is read so is what reading word by word would give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import repeat
from operator import attrgetter
from typing import Any

import attrs

from svcsim.addr import Family
from svcsim.errors import SvcsimError
from svcsim.tables.chain import ANYTHING, RUN, Chain, Link
from svcsim.tables.extension import Extension, Test
from svcsim.tables.grammar import LONGEST_LINE, MOST_WORDS
from svcsim.tables.match import Match
from svcsim.tables.parser import Parser, Use
from svcsim.tables.rule import Header, Jump, Rule, destination_test, source_test
from svcsim.tables.slot import Slot
from svcsim.tables.target import Target

__all__ = ["Form", "Plan", "Values"]

#: What a line says: packets and bytes, or None; the chain's name; the values.
Values = tuple[str, ...]
_CHAIN, _FIRST_VALUE = 2, 3

#: Words of printable ASCII, not too long; whoever writes others has his line read word by word.
_BARE, _QUOTED = r"([!#-\[\]-~]{1,255}+)", r'"([^"\\\n]{0,255}+)"'
_COUNTERS = r"(?:\[([0-9]{1,19}):([0-9]{1,19})\] ?)?"
_NETWORK = r"([0-9a-fA-F.:]{1,39}+(?:/[0-9]{1,3}+)?)"
_LONGEST_VALUE = 1020  # bytes
#: Of these chains the tool knows that a packet has not both devices; rules that name one are read word by word.
_LIMITED = "(?!(?:PREROUTING|INPUT|OUTPUT|POSTROUTING) )"

#: A rule of its parts, without a call in Python.
_rule = partial(tuple.__new__, Rule)
_test_of = attrgetter("matches")


@attrs.define
class Plan:
    """
    What a reader noticed of a line: by the words' places, which are values, and of what.

    *networks*: s and d; *values*: the extension and the place among its words. *plain* is False for a line that a form
    could not stand for.
    """

    networks: dict[int, str] = attrs.field(factory=dict)
    values: dict[int, tuple[Use, int]] = attrs.field(factory=dict)
    jump: int = 0
    goto: bool = False
    plain: bool = True

    def has_form(self, line: str, words: list[str]) -> bool:
        """Whether a form can stand for *line* and for others like it, the longest that it might be."""
        values = 2 + len(self.networks) + len(self.values)
        return self.plain and len(line) + values * _LONGEST_VALUE <= LONGEST_LINE and len(words) + 3 <= MOST_WORDS


class Form:
    """
    One form of line: *fits* answers with the match of a line that has it, at a place in a text.

    *plain*: its extensions are loaded as they are and checked by their class alone, so that a link can be had in one go
    and one rule of the form stands for all in a check.
    """

    def __init__(self, parser: Parser, line: str, words: list[str], plan: Plan, uses: list[Use], rule: Rule) -> None:
        self._parser = parser
        self._family = parser.family
        self._groups: dict[int, int] = {}
        self.fits = re.compile(self._pattern(line, words, plan, rule.header)).match
        self._source = next((self._groups[place] for place, side in plan.networks.items() if side == "s"), 0)
        self._destination = next((self._groups[place] for place, side in plan.networks.items() if side == "d"), 0)
        self._header: Header = rule.header
        self.jumps = plan.jump in self._groups
        self._jump, self._goto = self._groups.get(plan.jump, 0), plan.goto
        extensions = [*rule.matches, *([rule.target] if isinstance(rule.target, Target) else [])]
        ordered = [use for use in uses if issubclass(use.plugin, Match)]
        ordered += [use for use in uses if not issubclass(use.plugin, Match)]
        made = [self._slot(use, plan, extension) for use, extension in zip(ordered, extensions, strict=True)]
        self._target: Any = made.pop() if isinstance(rule.target, Target) else None
        self._matches: list[Any] = made
        self._varying = any(isinstance(part, Slot) for part in made)
        self._always = [match.always for match in rule.matches]
        #: Whether what is asked differs from line to line, addresses apart; else it is this.
        self._asking = any(isinstance(part, Slot) and not part.plugin.always for part in made)
        self._tests = self._header.tests + tuple(match.matches for match in rule.matches if not match.always)
        link = Link.of(rule)
        self._kind, self._verdict = link.kind, link.aim
        self._limited = rule if any(extension.limited for extension in extensions) else None
        self.tracks = any(extension.tracks for extension in extensions)
        self.plain = all(map(_is_plain, extensions))
        #: The forms of the lines that came after one of this form the last two times that they differed.
        self.after: tuple[Form, Form] = (self, self)

    def _pattern(self, line: str, words: list[str], plan: Plan, header: Header) -> str:
        """The expression of lines like this one; each value is a group."""
        parts = [f"{_COUNTERS}-A", f"{_LIMITED if header.indev or header.outdev else ''}{_BARE}"]
        for place, word in enumerate(words[2:], 2):
            if place in plan.networks:
                parts.append(_NETWORK)
            elif place == plan.jump or place in plan.values:
                parts.append(_QUOTED if f'"{word}"' in line else _BARE)
            else:
                parts.append(re.escape(word))
                continue
            self._groups[place] = len(self._groups) + _FIRST_VALUE
        return " ".join(parts) + "\n"

    def _slot(self, use: Use, plan: Plan, extension: Extension) -> Any:
        """What stands for one extension: itself, if nothing of it differs from line to line."""
        places = [at for value, (owner, at) in plan.values.items() if owner is use]
        if not places:
            return extension
        groups = [self._groups[value] for value, (owner, _) in plan.values.items() if owner is use]
        return Slot(self._parser, use, places, groups, extension.__class__)

    def links(self, lines: list[Values], chains: Mapping[str, Chain]) -> tuple[list[Chain], list[Link]] | None:
        """
        For lines with these values: the chain of each, and the link of its rule, loaded if the form is plain.

        None if one of the lines must be read word by word.
        """
        columns = list(zip(*lines, strict=True))
        held: list[Any] = list(map(chains.get, columns[_CHAIN]))
        aims: list[Any] = list(map(chains.get, columns[self._jump])) if self.jumps else [self._verdict] * len(lines)
        if None in held or (self.jumps and any(aim is None or aim.builtin for aim in set(aims))):
            return None
        try:
            sources, destinations = self._networks(columns, self._source), self._networks(columns, self._destination)
            matches = [_column(part, columns) for part in self._matches]
            targets = self._jumps_to(aims) if self.jumps else _column(self._target, columns)
        except SvcsimError:
            return None
        together = zip(*matches, strict=False) if self._varying else repeat(tuple(self._matches))
        rules = map(_rule, zip(sources, destinations, repeat(self._header), together, targets, strict=False))
        if not self.plain:
            return held, list(map(Link, rules, repeat(self._kind), aims))
        if self._kind == RUN:
            aims = [target.apply for target, _ in zip(targets, aims, strict=False)]
        keys, tests = self._asked(sources, destinations, matches)
        return held, list(map(Link, rules, repeat(self._kind), aims, keys, tests, repeat(self._limited)))

    def _jumps_to(self, aims: list[Chain]) -> list[Any]:
        """The targets that lead to these chains; all who jump to a chain share theirs."""
        if self._goto:
            return [Jump(aim.name, True) for aim in aims]
        for aim in aims:
            if aim.jump is None:
                aim.jump = Jump(aim.name)
        return [aim.jump for aim in aims]

    def _networks(self, columns: list[Any], group: int) -> Iterable[Any]:
        return self._parser.networks(columns[group]) if group else repeat(None)

    def _asked(
        self, sources: Iterable[Any], destinations: Iterable[Any], matches: list[Iterable[Any]]
    ) -> tuple[Iterable[Any], Iterable[tuple[Test, ...]]]:
        """The keys and the tests of links of a plain form, as `Link.load` would make them."""
        header = self._header
        tests: Iterable[tuple[Test, ...]] = repeat(self._tests)
        if self._asking:
            asked = [map(_test_of, column) for column, always in zip(matches, self._always, strict=True) if not always]
            tests = zip(*map(repeat, header.tests), *asked, strict=False)
        keys: Iterable[Any] = repeat(ANYTHING)
        if self._destination:
            inverted, ones = header.not_destination, None if header.not_destination else self._family.all_ones
            keys = [float(value) if mask == ones else ANYTHING for _, value, mask in destinations]
            exact = self._family is Family.IPV4
            tests = [
                rest if exact and key is not ANYTHING else (destination_test(network, inverted), *rest)
                for key, network, rest in zip(keys, destinations, tests, strict=False)
            ]
        if self._source:
            inverted = header.not_source
            tests = [(source_test(source, inverted), *rest) for source, rest in zip(sources, tests, strict=False)]
        return keys, tests


def _column(part: Any, columns: list[Any]) -> Iterable[Any]:
    """A match or target for each of some lines."""
    return part.column(columns) if isinstance(part, Slot) else repeat(part)


def _is_plain(extension: Extension) -> bool:
    """Whether it is loaded as it is, and its class says all about where it may stand."""
    base = Match if isinstance(extension, Match) else Target
    plugin = extension.__class__
    return plugin.load is base.load and plugin.check is Extension.check and not plugin.stateful  # type: ignore[attr-defined]
