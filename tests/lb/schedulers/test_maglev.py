"""Maglev's table: how even it is, and how little of it moves when one destination leaves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from svcsim.addr import Family
from svcsim.lb.schedulers.mh import TABLE_SIZES, deal
from svcsim.lb.service import Destination

GOLDEN = Path(__file__).parents[2] / "golden" / "maglev.txt"
FIRST = 0x0AF40002  # 10.244.0.2


def pods(count: int) -> list[Destination]:
    """Destinations of equal weight."""
    return [Destination(Family.IPV4, FIRST + n, 8080) for n in range(count)]


@pytest.mark.parametrize("size", TABLE_SIZES[:7])
@pytest.mark.parametrize("count", [1, 3, 10, 100, 250])
def test_equal_weights_get_the_same_number_of_slots_but_one(size: int, count: int) -> None:
    """They claim in turns, so nobody has two slots more than another, at every size that a kernel has."""
    slots = Counter(map(id, deal(pods(count), size)))
    assert sum(slots.values()) == size
    assert len(slots) == count
    assert max(slots.values()) - min(slots.values()) <= 1


def row(size: int, count: int) -> str:
    """What moves when one of *count* leaves a table of *size*: in all, and of what its leaving cannot move."""
    all_pods = pods(count)
    before = deal(all_pods, size)
    gone = all_pods[count // 2]
    after = deal([pod for pod in all_pods if pod is not gone], size)
    least = sum(pod is gone for pod in before)
    moved = sum(old is not new for old, new in zip(before, after, strict=True))
    return f"{size:6} {count:6} {least / size:9.3%} {moved / size:9.3%} {(moved - least) / size:9.3%}"


def table() -> str:
    """The whole golden table."""
    lines = [
        "Slots that get another destination when one of N equal ones leaves a table; the least is what it had itself",
        "",
        "  size      N     least     moved needlessly",
    ]
    lines += [row(size, count) for size in (4093, 65521) for count in (10, 100, 1000)]
    return "\n".join(lines) + "\n"


def test_what_moves_is_that_of_the_golden_table() -> None:
    """To make it anew, write what `table` returns into tests/golden/maglev.txt."""
    assert table() == GOLDEN.read_text()


def test_all_that_must_move_moves_and_little_else() -> None:
    """A table much larger than its destinations loses the fewest needlessly."""
    needless = {}
    for size in (251, 4093, 65521):
        needless[size] = float(row(size, 10).split()[-1].rstrip("%"))
    assert needless[65521] < needless[4093] < 5
