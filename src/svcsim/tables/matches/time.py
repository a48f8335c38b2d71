"""
When a packet comes by: time of day, weekday, day of the month, date.

Behaviour of: xt_time. A node's clock begins with 1970, a Thursday, in UTC, which is the kernel's time zone here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Self

import attrs

from svcsim.clock import SECOND
from svcsim.errors import ConfigError
from svcsim.hooks import HookState, Skb
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError

__all__ = ["TimeMatch"]

_DAY, _LAST_SECOND = 86_400, 86_399
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ALL_WEEKDAYS, _ALL_DAYS = frozenset(range(1, 8)), frozenset(range(1, 32))  # 0 is no day, but may be named
_LAST_DATE = 0x7FFFFFFF
#: So many bits are kept of weekdays.
_BITS = 8
_DATE_FORM = "Should be YYYY[-MM[-DD[Thh[:mm[:ss]]]]]"
_NUMBER = re.compile(r"\s*\+?(\d*)")


def _number(text: str) -> tuple[int, str]:
    """The number that *text* begins with (none is 0), and the rest."""
    found = _NUMBER.match(text)
    assert found is not None
    return int(found[1] or 0), text[found.end() :]


def _seconds(text: str) -> int:
    """A time of day, ``hh:mm[:ss]``."""
    rest, parts = text, []
    for most, stops in ((23, (":",)), (59, ("", ":")), (59, ("",))):
        here = rest
        value, rest = _number(rest)
        if value > most or rest[:1] not in stops:
            raise UsageError(f'invalid time "{here}" specified, should be hh:mm[:ss] format and within the boundaries')
        parts.append(value)
        if not rest:
            break
        rest = rest[1:]
    hours, minutes, *more = parts if len(parts) > 1 else [*parts, 0]
    return hours * 3600 + minutes * 60 + sum(more)


def _date(text: str) -> int:
    """A date, ``YYYY[-MM[-DD[Thh[:mm[:ss]]]]]``, as seconds since 1970; days and months may run over, but not far."""
    parts, rest = [1970, 1, 1, 0, 0, 0], text
    limits = ((1970, 2038, "-"), (0, 12, "-"), (0, 31, "T"), (0, 23, ":"), (0, 59, ":"), (0, 59, ""))
    for at, (least, most, stop) in enumerate(limits):
        parts[at], rest = _number(rest)
        if not least <= parts[at] <= most or (rest and rest[0] != stop):
            _bad_date(text)
        if not rest:
            break
        rest = rest[1:]
    year, month, *others = parts
    if month == 0:
        year, month = year - 1, 12
    day, hours, minutes, seconds = others
    days = _days(year, month, day)
    if days < 0:
        raise ConfigError("mktime returned an error", exit_code=1)
    return days * _DAY + hours * 3600 + minutes * 60 + seconds


def _days(year: int, month: int, day: int) -> int:
    """The days from 1970 to a date; a *day* may lie outside of its month."""
    if month < 3:  # a year that begins with March has its odd day at its end
        year, month = year - 1, month + 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719_469


def _calendar(days: int) -> tuple[int, int, int]:
    """
    Year, month and day of so many days after 1970-01-01.

    >>> _calendar(0), _calendar(_days(2024, 2, 29)), _calendar(_days(2024, 2, 30))
    ((1970, 1, 1), (2024, 2, 29), (2024, 3, 1))
    """
    year = 1970 + days * 400 // 146_097
    year += _days(year + 1, 1, 1) <= days
    year -= days < _days(year, 1, 1)
    month = next(each for each in range(12, 0, -1) if _days(year, each, 1) <= days)
    return year, month, days - _days(year, month, 1) + 1


def _date_text(seconds: int, between: str) -> str:
    year, month, day = _calendar(seconds // _DAY)
    return f"{year:04}-{month:02}-{day:02}{between}{_clock_time(seconds % _DAY)}"


def _bad_date(text: str) -> NoReturn:
    raise UsageError(f'Invalid date "{text}" specified. {_DATE_FORM}')


def _weekdays(text: str) -> frozenset[int]:
    """Numbers or names; a number that is none of a day's counts for nothing, as its bit falls off."""
    found = set()
    words = text.split(",")
    for word in words if words[-1] else words[:-1]:
        digits = word.lstrip("+-")
        if not word or (digits.isascii() and digits.isdigit()):
            number = int(word or 0)
            if number == 0:
                raise UsageError("No, the week does NOT begin with Sunday.")
            found.add(number % 32)
        else:
            names = [at for at, name in enumerate(_WEEKDAYS, 1) if name[:2] == word[:2]]
            if not names:
                raise UsageError(f"{word[:3]} is not a valid day specifier")
            found.add(names[0])
    return frozenset(each for each in found if each < _BITS)


def _monthdays(text: str) -> frozenset[int]:
    found = set()
    for word in filter(None, text.split(",")):
        value, rest = _number(word)
        if rest or value > 31:
            raise UsageError(f"{word.strip()[:2]} is not a valid day for --monthdays")
        found.add(value)
    return frozenset(found)


def _clock_time(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _ordinal(number: int) -> str:
    """A day of the month as the tool says it: by its last digit alone."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


@MATCHES.register("time")
@attrs.frozen
class TimeMatch(Match):
    """
    ``--timestart``, ``--timestop``, ``--weekdays``, ``--monthdays``, ``--datestart``, ``--datestop``.

    Times of day and dates include both their ends. A *stop* before its *start* goes over midnight; with *contiguous* the
    hours after midnight belong to the day before.
    """

    start: int = 0
    stop: int = _LAST_SECOND
    weekdays: frozenset[int] = _ALL_WEEKDAYS
    monthdays: frozenset[int] = _ALL_DAYS
    since: int = 0
    until: int = _LAST_DATE
    kernel_zone: bool = False
    contiguous: bool = False

    options = (
        Option("timestart"),
        Option("timestop"),
        Option("weekdays", invert=True),
        Option("monthdays", invert=True),
        Option("datestart"),
        Option("datestop"),
        Option("contiguous", arity=0),
        Option("utc", arity=0),
        Option("kerneltz", arity=0),
        Option("localtz", arity=0),
    )

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read what is limited, in the order in which it was said; nothing is, if nothing is said."""
        readers: dict[str, Callable[[str], int | frozenset[int]]] = {
            "timestart": _seconds,
            "timestop": _seconds,
            "weekdays": _weekdays,
            "monthdays": _monthdays,
            "datestart": _date,
            "datestop": _date,
        }
        read: dict[str, Any] = {name: readers[name](args.text(name)) for name in args.given if name in readers}
        for name, every in (("weekdays", _ALL_WEEKDAYS), ("monthdays", _ALL_DAYS)):
            if args.inverted(name):
                read[name] ^= every
        fields = {"timestart": "start", "timestop": "stop", "datestart": "since", "datestop": "until"}
        made = cls(
            **{fields.get(name, name): value for name, value in read.items()},
            kernel_zone="kerneltz" in args or "localtz" in args,
            contiguous="contiguous" in args,
        )
        if made.contiguous and made.start < made.stop:
            raise UsageError("time: --contiguous only makes sense when stoptime is smaller than starttime")
        for one, other in (("utc", "kerneltz"), ("localtz", "utc")):
            if one in args and other in args:
                raise args.problem(f'option "--{one}" cannot be used together with "--{other}".')
        return made

    def matches(self, skb: Skb, state: HookState) -> bool:
        """Whether it holds now."""
        return self.holds_at(state.host.clock.now // SECOND)

    def holds_at(self, now: int) -> bool:
        """
        Whether it holds at *now*, in seconds since 1970.

        >>> TimeMatch(start=22 * 3600, stop=6 * 3600, weekdays=frozenset({4})).holds_at(3600)  # Thursday, one o'clock
        True
        """
        if not self.since <= now <= self.until:
            return False
        of_day = now % _DAY
        if self.start < self.stop:
            if not self.start <= of_day <= self.stop:
                return False
        elif self.stop < of_day < self.start:
            return False
        if self.contiguous and of_day <= self.stop:
            now -= _DAY
        days = now // _DAY
        return (days + 3) % 7 + 1 in self.weekdays and _calendar(days)[2] in self.monthdays

    def emit(self) -> str:
        """What is limited; the last date always."""
        words = []
        if (self.start, self.stop) != (0, _LAST_SECOND):
            words.append(f"--timestart {_clock_time(self.start)} --timestop {_clock_time(self.stop)}")
        if self.monthdays != _ALL_DAYS:
            words.append(f"--monthdays {_listed(map(str, sorted(self.monthdays - {0})))}")
        if self.weekdays != _ALL_WEEKDAYS:
            words.append(f"--weekdays {_listed(_WEEKDAYS[day - 1] for day in sorted(self.weekdays - {0}))}")
        words += [
            f"--{name} {_date_text(date, 'T')}"
            for name, date in (("datestart", self.since), ("datestop", self.until))
            if date
        ]
        words += ["--kerneltz"] * self.kernel_zone + ["--contiguous"] * self.contiguous
        return " ".join(words)

    def describe(self, numeric: bool) -> str:
        """``TIME from 09:00:00 to 17:30:00 on Mon UTC``."""
        told = "TIME"
        if (self.start, self.stop) != (0, _LAST_SECOND):
            told += f" from {_clock_time(self.start)} to {_clock_time(self.stop)}"
        if self.weekdays != _ALL_WEEKDAYS:
            told += f" on {_listed(_WEEKDAYS[day - 1] for day in sorted(self.weekdays - {0}))}"
        if self.monthdays != _ALL_DAYS:
            told += f" on {_listed(_ordinal(day) for day in sorted(self.monthdays - {0}))}"
        if self.since:
            told += f" starting from {_date_text(self.since, ' ')}"
        if self.until != _LAST_DATE:
            told += f" until date {_date_text(self.until, ' ')}" if self.until else " until date"
        return told + " UTC" * (not self.kernel_zone) + " contiguous" * self.contiguous


def _listed(words: Iterable[str]) -> str:
    return ",".join(words)
