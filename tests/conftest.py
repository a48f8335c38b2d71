"""For all tests: how long an example takes is no result, so Hypothesis sets no deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
