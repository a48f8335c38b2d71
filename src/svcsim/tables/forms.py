"""
Lines read at one stroke, because others like them were read before.

Programs write rules in few forms: the same options in the same order, with other addresses, names and numbers. A form is
learned from a line that was read word by word; a line that fits no form is read that way as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from svcsim.tables.chain import Chain
from svcsim.tables.form import Form, Plan, Values
from svcsim.tables.parser import Parser, Use
from svcsim.tables.rule import Rule

__all__ = ["Forms", "Stretch"]

#: More forms than this are no forms any more: then nothing more is learned.
_MOST_FORMS = 64


@attrs.define
class Stretch:
    """Lines up to a place in a text, each of a known form: the *forms* one by one, and what the *lines* of each say."""

    end: int
    forms: list[Form] = attrs.field(factory=list)
    lines: dict[Form, list[Values]] = attrs.field(factory=partial(defaultdict, list))


class Forms:
    """The forms that were learned, for one table: what may stand in a line differs between tables."""

    def __init__(self) -> None:
        self.known: list[Form] = []
        #: The form of the line before.
        self._last: Form | None = None

    def stretch(self, text: str, at: int, most: int) -> Stretch:
        """
        The lines from a place of *text* on that have a known form, at most so many.

        What came after a line of the last one's form before is tried first.
        """
        stretch = Stretch(at)
        if not self.known:
            return stretch
        forms, lines, last = stretch.forms, stretch.lines, self._last or self.known[0]
        while len(forms) < most:
            form, other = last.after
            found = form.fits(text, at)
            if found is None:
                found = other.fits(text, at)
                if found is not None:
                    last.after = (other, form)
                    form = other
                else:
                    form, found = self._find(text, at)
                    if found is None:
                        break
                    last.after = (form, last.after[0])
            lines[form].append(found.groups())
            forms.append(form)
            at, last = found.end(), form
        stretch.end, self._last = at, last
        return stretch

    def _find(self, text: str, at: int) -> tuple[Any, re.Match[str] | None]:
        """The form of a line, and its match."""
        for form in self.known:
            found = form.fits(text, at)
            if found is not None:
                return form, found
        return None, None

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
        if len(self.known) >= _MOST_FORMS or not plan.has_form(line, words):
            return
        form = Form(parser, line, words, plan, uses, rule)
        found = form.fits(f"{line}\n")
        made = form.links([found.groups()], chains) if found is not None else None
        if made is not None and made[1][0].rule == rule:
            self.known.append(form)
