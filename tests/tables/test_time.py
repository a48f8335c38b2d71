"""The time match: both ends count, midnight is crossed, and the calendar is the real one."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim import Node, Packet
from svcsim.tables.matches.time import TimeMatch

MINUTE, HOUR, DAY = 60, 3600, 86_400


def at(year, month, day, hour=0, minute=0, second=0):
    """Seconds since 1970."""
    moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    return int(moment.timestamp())


def made(options):
    """The match of a rule with these options."""
    node = Node()
    assert node.run(f"iptables -A INPUT -m time {options}").returncode == 0
    (link,) = node.rules[4]["filter"].chains["INPUT"]
    return link.rule.matches[0]


@given(st.integers(0, 0x7FFFFFFF), st.sets(st.integers(1, 7)), st.sets(st.integers(1, 31)))
def test_days_are_those_of_the_calendar(now, weekdays, monthdays):
    """Weekday and day of the month are what a calendar says."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)

    holds = TimeMatch(weekdays=frozenset(weekdays), monthdays=frozenset(monthdays)).holds_at(now)

    assert holds is (moment.isoweekday() in weekdays and moment.day in monthdays)


@given(st.integers(0, DAY - 1), st.integers(0, DAY - 1), st.integers(0, 0x7FFFFFFF))
def test_times_of_day(start, stop, now):
    """Both ends count; a stop before its start goes over midnight."""
    of_day = now % DAY
    wanted = start <= of_day <= stop if start < stop else of_day >= start or of_day <= stop

    assert TimeMatch(start=start, stop=stop).holds_at(now) is wanted


def test_contiguous():
    """The hours after midnight belong to the day before, if that is asked for."""
    saturday_one = at(2024, 5, 4, 1)
    options = "--timestart 22:00 --timestop 06:00 --weekdays Fri"

    assert not made(options).holds_at(saturday_one)
    assert made(f"{options} --contiguous").holds_at(saturday_one)
    assert made(options).holds_at(at(2024, 5, 3, 23))


def test_dates():
    """Dates hold from their first second to their last."""
    match = made("--datestart 2024-05-01 --datestop 2024-05-31T12:30")

    assert [match.holds_at(when) for when in (at(2024, 5, 1) - 1, at(2024, 5, 1))] == [False, True]
    assert [match.holds_at(at(2024, 5, 31, 12, 30) + more) for more in (0, 1)] == [True, False]


def test_a_node_s_clock():
    """A rule holds while its time lasts, on the node's own clock."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24"])
    node.run("iptables -A INPUT -m time --timestart 00:10 --timestop 00:20 -j DROP")

    def dropped():
        return not node.receive(Packet.echo("192.0.2.9", "192.0.2.1"), "eth0").delivered

    seen = []
    for _ in range(4):
        seen.append(dropped())
        node.advance(9 * MINUTE)
    assert seen == [False, False, True, False]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--timestart 9:5", "--timestart 09:05:00 --timestop 23:59:59 --datestop 2038-01-19T03:14:07"),
        ("! --weekdays Sa,Su", "--weekdays Mon,Tue,Wed,Thu,Fri --datestop 2038-01-19T03:14:07"),
        ("--weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun", "--datestop 2038-01-19T03:14:07"),
        ("--datestart 2024-2-30", "--datestart 2024-03-01T00:00:00 --datestop 2038-01-19T03:14:07"),
        ("--monthdays 31,0", "--monthdays 31 --datestop 2038-01-19T03:14:07"),
    ],
)
def test_text(options, text):
    """It is printed as the tool prints it, and that is read as the same."""
    assert made(options).emit() == text
    assert made(text).emit() == text


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--timestart 24:00", 'invalid time "24:00" specified'),
        ("--timestart 12:60", 'invalid time "60" specified'),
        ("--weekdays mon", "mon is not a valid day specifier"),
        ("--weekdays 0", "No, the week does NOT begin with Sunday."),
        ("--monthdays 32", "32 is not a valid day for --monthdays"),
        ("--datestart 2024-13", 'Invalid date "2024-13" specified'),
        ("--timestart 5:00 --timestop 6:00 --contiguous", "--contiguous only makes sense"),
        ("--utc --kerneltz", 'option "--utc" cannot be used together with "--kerneltz"'),
    ],
)
def test_refusals(options, complaint):
    """What cannot be is refused in the tool's words, and no rule is there."""
    node = Node()

    done = node.run(f"iptables -A INPUT -m time {options}")

    assert done.returncode == 2
    assert complaint in done.stderr
    assert node.run("iptables -S INPUT").stdout == "-P INPUT ACCEPT\n"
