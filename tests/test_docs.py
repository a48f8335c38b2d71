"""What the documentation shows is what happens: examples in docstrings, in the README and in docs/ are run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import svcsim

ROOT = Path(__file__).parent.parent
MODULES = sorted(m.name for m in pkgutil.walk_packages(svcsim.__path__, "svcsim.") if not m.name.endswith("__main__"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXTRA = {"svcsim.pcap": "dpkt"}
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    """The examples in a module's docstrings print what they say."""
    if name in EXTRA:
        pytest.importorskip(EXTRA[name])
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)

    assert outcome.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pages(page):
    """The Python sessions on a page print what they say."""
    outcome = doctest.testfile(str(page), module_relative=False, optionflags=OPTIONS, encoding="utf-8")

    assert outcome.failed == 0
