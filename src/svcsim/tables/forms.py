"""
Lines of one form, read at one stroke.

Programs write rules in few forms: the same options in the same order, with other addresses, names and numbers. A form is
learned from a line that was read word by word; a regular expression then takes the values out of every line like it.
What is read so is what reading word by word would give, and a line that fits no form is read that way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import attrs

from svcsim.errors import SvcsimError
from svcsim.tables.chain import POLICY, RUN, Chain, Link
from svcsim.tables.extension import Extension, Test
from svcsim.tables.match import Match
from svcsim.tables.parser import Parser, Use
from svcsim.tables.rule import Header, Jump, Rule, destination_test, source_test
from svcsim.tables.target import Target

__all__ = ["CHAIN", "Form", "Forms", "Plan", "Values"]

#: What a line says: packets and bytes, or None; the chain's name; the values.
Values = tuple[str, ...]
CHAIN, FIRST_VALUE = 2, 3

#: More forms than this are no forms any more: then nothing more is learned.
_MOST_FORMS = 64
#: So many different values of an extension are kept.
_MOST_VALUES = 1 << 17
_BARE, _QUOTED = r'([^\s"\\]+)', r'"([^"\\\n]*)"'
_COUNTERS = r"(?:\[([0-9]{1,19}):([0-9]{1,19})\] ?)?"
_NETWORK = r"([0-9a-fA-F.:]+(?:/[0-9]+)?)"
#: Of these chains the tool knows that a packet has not both devices; rules that name one are read word by word.
_LIMITED = "(?!(?:PREROUTING|INPUT|OUTPUT|POSTROUTING) )"


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


class _Slot:
    """An extension whose values differ from line to line; those that come again are kept."""

    __slots__ = ("brief", "family", "known", "parser", "pick", "places", "use")

    def __init__(self, parser: Parser, use: Use, places: list[int], groups: list[int]) -> None:
        self.parser, self.family, self.use, self.places = parser, parser.family, use, places
        #: Takes this extension's values out of all values of a line.
        self.pick = itemgetter(*groups)
        self.known: dict[Any, Any] = {}
        self.brief = len(use.words) == 2 and use.words[0] == use.plugin.main

    def make(self, values: Any) -> Any:
        """The extension with these values."""
        use = self.use
        found: Any = use.plugin.brief(values, self.family, use.proto[0]) if self.brief else None
        if found is None:
            words = use.words.copy()
            for place, value in zip(self.places, (values,) if len(self.places) == 1 else values, strict=True):
                words[place] = value
            found = self.parser.read(use.plugin, words, use.proto)
        if use.plugin.cached and len(self.known) < _MOST_VALUES:
            self.known[values] = found
        return found


class Form:
    """
    One form of line: *fits* answers with the match of a line that has it, at a place in a text.

    *plain*: its extensions are loaded as they are and checked by their class alone, so that a link can be had in one go
    and one rule of the form stands for all in a check.
    """

    def __init__(self, parser: Parser, line: str, words: list[str], plan: Plan, uses: list[Use], rule: Rule) -> None:
        self._parser = parser
        self._networks = parser.networks
        self._all_ones = parser.family.all_ones
        self._groups: dict[int, int] = {}
        self.fits = re.compile(self._pattern(line, words, plan, rule.header)).match
        self.source = next((self._groups[place] for place, side in plan.networks.items() if side == "s"), 0)
        self.destination = next((self._groups[place] for place, side in plan.networks.items() if side == "d"), 0)
        self.header: Header = rule.header
        self.jump = self._groups.get(plan.jump, 0)
        self.goto = plan.goto
        extensions = [*rule.matches, *([rule.target] if isinstance(rule.target, Target) else [])]
        ordered = [use for use in uses if issubclass(use.plugin, Match)]
        ordered += [use for use in uses if not issubclass(use.plugin, Match)]
        made = [self._slot(use, plan, extension) for use, extension in zip(ordered, extensions, strict=True)]
        self.target: Any = made.pop() if isinstance(rule.target, Target) else None
        self.matches: list[Any] = made
        self.varying = any(isinstance(match, _Slot) for match in made)
        self.fixed: tuple[Match, ...] = () if self.varying else tuple(made)
        self.tests: tuple[Test, ...] = self.header.tests
        if not self.varying:
            self.tests += tuple(match.matches for match in self.fixed if not match.always)
        link = Link.of(rule)
        self.kind, self.verdict = link.kind, link.aim
        self.limited = any(extension.limited for extension in extensions)
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
            self._groups[place] = len(self._groups) + FIRST_VALUE
        return " ".join(parts) + "\n"

    def _slot(self, use: Use, plan: Plan, extension: Extension) -> Any:
        """What stands for one extension: itself, if nothing of it differs from line to line."""
        places = [at for value, (owner, at) in plan.values.items() if owner is use]
        if not places:
            return extension
        groups = [self._groups[value] for value, (owner, _) in plan.values.items() if owner is use]
        return _Slot(self._parser, use, places, groups)

    def link(self, values: Values, chains: Mapping[str, Chain]) -> Link | None:
        """The link of the rule with these values, loaded if the form is plain; None if it must be read word by word."""
        aim, target = self.verdict, self.target
        source = destination = None
        matches, tests = self.fixed, self.tests
        try:
            if self.jump:
                aim = chains.get(values[self.jump])
                if aim is None or aim.end.kind == POLICY:
                    return None
                target = Jump(aim.name, True) if self.goto else aim.jump
                if target is None:
                    target = aim.jump = Jump(aim.name)
            elif target.__class__ is _Slot:
                own = target.pick(values)
                target = target.known.get(own) or target.make(own)
            if self.varying:
                for part in self.matches:
                    if part.__class__ is _Slot:
                        own = part.pick(values)
                        part = part.known.get(own) or part.make(own)
                    matches += (part,)
                    if not part.always:
                        tests += (part.matches,)
            if self.source:
                text = values[self.source]
                source = self._networks.get(text) or self._parser.network(text)
                tests = (source_test(source, self.header.not_source), *tests)
            if self.destination:
                text = values[self.destination]
                destination = self._networks.get(text) or self._parser.network(text)
        except SvcsimError:
            return None
        link = Link(Rule(source, destination, self.header, matches, target), self.kind, aim)
        if self.plain:
            if destination is not None:
                if destination.mask == self._all_ones and not self.header.not_destination:
                    link.key = destination.value
                else:
                    tests = (destination_test(destination, self.header.not_destination), *tests)
            link.tests = tests
            if self.kind == RUN:
                link.aim = target.apply
            link.limited = self.limited
        return link


def _is_plain(extension: Extension) -> bool:
    """Whether it is loaded as it is, and its class says all about where it may stand."""
    base = Match if isinstance(extension, Match) else Target
    plugin = extension.__class__
    return plugin.load is base.load and plugin.check is Extension.check and not plugin.stateful  # type: ignore[attr-defined]


class Forms:
    """The forms that were learned, for one table: what may stand in a line differs between tables."""

    def __init__(self) -> None:
        self.known: list[Form] = []
        #: The form of the line before.
        self.last: Form | None = None

    def find(self, text: str, at: int) -> re.Match[str] | None:
        """
        The match of the line at a place of *text*, whose form becomes the last one; None if it has none that is known.

        What came after the last form before is tried first.
        """
        last = self.last
        if last is not None:
            first, second = last.after
            found = first.fits(text, at)
            if found is not None:
                self.last = first
                return found
            found = second.fits(text, at)
            if found is not None:
                last.after = (second, first)
                self.last = second
                return found
        for form in self.known:
            found = form.fits(text, at)
            if found is not None:
                if last is not None:
                    last.after = (form, last.after[0])
                self.last = form
                return found
        return None

    def learn(
        self,
        parser: Parser,
        line: str,
        words: list[str],
        plan: Plan,
        uses: list[Use],
        rule: Rule,
        chains: Mapping[str, Chain],
    ) -> None:
        """Learn the form of *line*, which was read as *rule*, if it is one that other lines can have."""
        if not plan.plain or len(self.known) >= _MOST_FORMS:
            return
        form = Form(parser, line, words, plan, uses, rule)
        found = form.fits(f"{line}\n")
        link = form.link(found.groups(), chains) if found is not None else None
        if link is not None and link.rule == rule:
            self.known.append(form)
