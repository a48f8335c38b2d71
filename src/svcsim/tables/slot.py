"""
An extension in lines of one form, whose values differ from line to line.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from svcsim.tables.extension import Extension
from svcsim.tables.parser import Parser, Use
from svcsim.tables.problems import UsageError

__all__ = ["Slot"]

#: So many different values of an extension are kept.
_MOST_VALUES = 1 << 17


class Slot:
    """An extension whose values differ from line to line; those that come again are kept."""

    __slots__ = ("_brief", "_known", "_parser", "_pick", "_places", "_use", "plugin")

    def __init__(self, parser: Parser, use: Use, places: list[int], groups: list[int], plugin: type[Extension]) -> None:
        self.plugin: Any = plugin
        self._parser, self._use, self._places = parser, use, places
        self._pick = itemgetter(*groups)
        self._known = parser.values_of(plugin, use, places)
        self._brief = len(use.words) == 2 and use.words[0] == use.plugin.main

    def column(self, columns: list[Any]) -> Sequence[Any]:
        """The extensions of some lines, out of all that the lines say."""
        values = self._pick(columns)
        if len(self._places) > 1:
            values = list(zip(*values, strict=True))
        if not self.plugin.cached:
            return self._make(values)
        known = self._known
        if len(known) > _MOST_VALUES:
            known.clear()
        fresh = [value for value in dict.fromkeys(values) if value not in known]
        if fresh:
            known.update(zip(fresh, self._make(fresh), strict=True))
        return list(map(known.__getitem__, values))

    def _make(self, values: Sequence[Any]) -> Sequence[Any]:
        """The extensions with these values."""
        use, made = self._use, None
        if self._brief:
            made = use.plugin.parse_many(values, self._parser.family, use.proto[0])
        return list(map(self._read, values)) if made is None else made

    def _read(self, values: Any) -> Any:
        """The extension with these values, word by word."""
        use = self._use
        words = use.words.copy()
        for place, value in zip(self._places, (values,) if len(self._places) == 1 else values, strict=True):
            words[place] = value
        found = self._parser.read(use.plugin, words, use.proto)
        if found.__class__ is not self.plugin:
            raise UsageError(f"{use.plugin.name}: of another kind than that which the form was learned with")
        return found
