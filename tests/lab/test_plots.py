"""Figures are drawn from reports and written by suffix."""

from __future__ import annotations

import sys

import pytest

from svcsim.errors import SvcsimError
from svcsim.lab.cost import LookupCost, LookupReport
from svcsim.lab.plots import plot_cost, write_figure
from svcsim.lab.timing import Fit, Timing


def report() -> LookupReport:
    """Costs as a list and a table have them."""
    costs = [
        LookupCost(mode, size, position, float(size if mode == "iptables" else 0), 1.0, Timing(9000, 8000, 9900))
        for mode in ("iptables", "ipvs")
        for size in (10, 100)
        for position in ("first", "last", "random", "none")
    ]
    return LookupReport(3, 0, 3, 10, tuple(costs), Fit(1.0, 2.0, 1.0), 0.0)


@pytest.mark.parametrize("suffix, start", [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_a_figure_is_written_by_its_suffix(tmp_path, suffix, start):
    """PNG, SVG and PDF files begin as such files do."""
    pytest.importorskip("matplotlib")
    path = tmp_path / f"cost{suffix}"
    write_figure(plot_cost(report()), path)

    assert path.read_bytes().startswith(start)


def test_every_line_has_its_name_and_every_axis_its_unit():
    """A figure explains itself: labelled logarithmic axes and a legend of all lines."""
    pytest.importorskip("matplotlib")
    counts, times = plot_cost(report()).axes

    assert [text.get_text() for text in counts.get_legend().get_texts()] == [
        "iptables, first service",
        "iptables, random service",
        "iptables, last service",
        "ipvs, random service",
    ]
    for axes in (counts, times):
        assert axes.get_xlabel() == "services"
        assert axes.get_ylabel()
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_another_suffix_is_refused(tmp_path):
    """What is no format of a picture is refused by name, and nothing is written."""
    pytest.importorskip("matplotlib")
    with pytest.raises(SvcsimError, match=r"\.png"):
        write_figure(plot_cost(report()), tmp_path / "cost.txt")

    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_way_out_is_named(monkeypatch):
    """A plain installation has no plots, and says how to get them."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(SvcsimError, match=r"pip install 'svcsim\[plot\]'"):
        plot_cost(report())
