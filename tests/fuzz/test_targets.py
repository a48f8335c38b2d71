"""Every fuzz target takes bytes; the harness itself runs where atheris is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_targets_take_bytes(name):
    """A target answers any bytes."""

    @settings(max_examples=25)
    @given(st.binary(max_size=60))
    def check(data):
        TARGETS[name](data)

    check()
