"""Checksums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import u16
from svcsim.checksum import adjust, crc32c, internet, word_sum


def word_by_word(data: bytes, start: int = 0) -> int:
    """RFC 1071, read aloud."""
    total = start
    padded = data + b"\0" * (len(data) % 2)
    for i in range(0, len(padded), 2):
        total += padded[i] << 8 | padded[i + 1]
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(st.binary(max_size=100), st.integers(0, 2**40))
def test_the_remainder_is_the_sum(data, start):
    """The sum by remainder is the sum word by word."""
    assert internet(data, start) == word_by_word(data, start)


@pytest.mark.parametrize("size", [767, 768, 769, 770, 771, 1500, 9001, 65535])
def test_long_data_is_summed_alike(size):
    """What is summed as an array has the sum that it has word by word, whatever is left over at its end."""
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()

    assert internet(data) == word_by_word(data)
    assert internet(bytes(size)) == 0xFFFF
    assert internet(b"\xff" * size) == word_by_word(b"\xff" * size)


def test_only_zeros_sum_up_to_zero():
    """A sum of zero means zeros; any other sum that leaves nothing means a checksum of 0."""
    assert (word_sum(bytes(9)), word_sum(bytes(9000))) == (0, 0)
    assert (internet(b""), internet(bytes(4)), internet(b"\xff\xff")) == (0xFFFF, 0xFFFF, 0)


@given(st.binary(min_size=2, max_size=40))
def test_data_with_its_checksum_adds_up(data):
    """Whoever sums up data and its checksum gets nothing, which is how a receiver judges it."""
    data += b"\0" * (len(data) % 2)

    assert word_by_word(data + internet(data).to_bytes(2)) == 0


@given(st.binary(min_size=8, max_size=40).filter(any), u16)
def test_adjusting_is_summing_again(data, word):
    """The checksum after a change of one word is the one of the changed bytes (but for the two zeroes)."""
    data = data + b"\0" * (len(data) % 2)
    changed = word.to_bytes(2) + data[2:]

    adjusted = adjust(internet(data), int.from_bytes(data[:2]), word)

    assert adjusted % 0xFFFF == internet(changed) % 0xFFFF


@given(u16, st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_adjusting_there_and_back(checksum, old, new):
    """A change taken back leaves the checksum as it was, right or wrong, whatever is changed."""
    assert adjust(adjust(checksum, old, new), new, old) == checksum % 0xFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c(data, crc):
    """The examples of RFC 3720, B.4 (as numbers, not in the order in which they are sent)."""
    assert crc32c(data) == crc
