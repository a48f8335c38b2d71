"""
Maglev's table in figures: how even its slots are, and what a destination that leaves takes along.

Source: Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, sections 3.4 and 5.3.
The table is the kernel's (ip_vs_mh), which is dealt out by other hashes than the paper's. A client is a slot, so what is
true of slots is true of clients up to chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from svcsim.addr import Family, parse_address
from svcsim.errors import ConfigError
from svcsim.lab.disruption import Moves, count_moves
from svcsim.lb.schedulers.mh import TABLE_SIZES, deal
from svcsim.lb.service import Destination

__all__ = ["removal", "slot_counts"]

_FIRST = parse_address("10.244.0.2").value


def slot_counts(size: int, weights: Sequence[int]) -> tuple[int, ...]:
    """
    How many slots of a table of *size* (one of the kernel's ten) each destination has, by its weight.

    Of equal weights nobody has two slots more than another: they claim in turns.

    >>> slot_counts(251, [1] * 10)
    (26, 25, 25, 25, 25, 25, 25, 25, 25, 25)
    >>> slot_counts(251, [1, 2, 2])
    (51, 100, 100)
    """
    pods = _pods(size, weights)
    slots = Counter(deal(pods, size))
    return tuple(slots[pod] for pod in pods)


def removal(size: int, destinations: int, which: int | None = None) -> Moves:
    """
    The slots that get another destination when one of so many equal ones leaves: number *which*, the middle one if None.

    Those that it had itself are forced. A table with many slots for each destination moves few others.

    >>> moves = removal(4093, 10)
    >>> print(f"{moves.forced_share:.3%} had to move, {moves.needless_share:.3%} moved needlessly")
    9.993% had to move, 1.148% moved needlessly
    """
    pods = _pods(size, [1] * destinations)
    which = destinations // 2 if which is None else which
    if destinations < 2 or not 0 <= which < destinations:
        raise ConfigError(f"one of {destinations} destinations, number {which} from 0, cannot leave others behind")
    gone = pods[which]
    return count_moves(deal(pods, size), deal([pod for pod in pods if pod is not gone], size), [gone])


def _pods(size: int, weights: Sequence[int]) -> list[Destination]:
    if size not in TABLE_SIZES:
        raise ConfigError(f"a kernel's table has {', '.join(map(str, TABLE_SIZES))} slots, not {size}")
    if not 1 <= len(weights) <= size or min(weights) < 0 or not any(weights):
        raise ConfigError(f"a table of {size} slots wants 1 to {size} destinations, one of them with a weight")
    return [Destination(Family.IPV4, _FIRST + number, 8080, weight) for number, weight in enumerate(weights)]
