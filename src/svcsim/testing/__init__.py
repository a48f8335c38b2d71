"""
For the tests of those who write plug-ins, and of those who write anything about packets: needs the extra ``testing``.

`check_scheduler` is the door that every scheduler goes through, the built-in ones as well; `strategies` draws packets,
services, weights and scripts for Hypothesis.
"""

from __future__ import annotations

from svcsim.errors import MissingExtraError

try:
    import hypothesis  # noqa: F401 - the modules below cannot be read without it
except ImportError:
    raise MissingExtraError("svcsim.testing needs hypothesis: pip install 'svcsim[testing]'") from None

from svcsim.testing.schedulers import check_scheduler

__all__ = ["check_scheduler"]
