"""Maglev's figures: even slots, and little that moves beside what must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.lab.maglev import removal, slot_counts
from svcsim.lb.schedulers.mh import TABLE_SIZES

small = st.sampled_from(TABLE_SIZES[:4])


@pytest.mark.parametrize(
    "size, count", [(size, count) for size in TABLE_SIZES for count in (10, 100, 1000) if count <= size]
)
def test_equal_weights_differ_by_one_slot_at_most(size, count):
    """At every size that a kernel can have: all slots are dealt, and nobody has two more than another."""
    slots = slot_counts(size, [1] * count)

    assert sum(slots) == size
    assert max(slots) - min(slots) <= 1


@given(small, st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any))
def test_slots_follow_the_weights(size, weights):
    """In whole rounds each claims as often as its weight says, so slots per weight differ by less than one round."""
    slots = slot_counts(size, weights)
    rounds = size // sum(weights)

    assert sum(slots) == size
    for count, weight in zip(slots, weights, strict=True):
        assert weight * rounds <= count <= weight * (rounds + 1)
        assert (count == 0) == (weight == 0)


@given(small, st.integers(2, 40), st.data())
def test_what_leaves_must_move(size, count, data):
    """Whichever leaves, its own slots are the forced ones: one part in so many, to the slot."""
    which = data.draw(st.integers(0, count - 1))
    moves = removal(size, count, which)

    assert moves.total == size
    assert moves.forced == slot_counts(size, [1] * count)[which]
    assert moves.forced <= moves.moved <= size


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_a_larger_table_moves_less_needlessly(count):
    """The default table of 4093 slots against one of 65521."""
    assert removal(65521, count).needless_share < removal(4093, count).needless_share < 0.04


def test_refusals():
    """No kernel has such a table, more destinations than slots, or nobody who stays."""
    with pytest.raises(ConfigError, match="a kernel's table has 251, 509"):
        slot_counts(4096, [1])
    for weights in ([], [0, 0], [1, -1], [1] * 252):
        with pytest.raises(ConfigError, match="1 to 251 destinations"):
            slot_counts(251, weights)
    for count, which in ((1, 0), (3, 3), (3, -1)):
        with pytest.raises(ConfigError, match="cannot leave others"):
            removal(251, count, which)
