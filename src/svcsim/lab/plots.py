"""
Figures, where matplotlib is installed (the extra ``plot``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.errors import MissingExtraError, SvcsimError
from svcsim.lab.cost import LookupReport

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["plot_cost", "write_figure"]

# Told apart by eyes of every kind (Okabe and Ito, 2008), and by their marks in print.
_STYLES = {
    ("iptables", "first"): ("#56B4E9", "v", ":", "iptables, first service"),
    ("iptables", "random"): ("#0072B2", "o", "-", "iptables, random service"),
    ("iptables", "last"): ("#004166", "^", "--", "iptables, last service"),
    ("ipvs", "random"): ("#D55E00", "s", "-", "ipvs, random service"),
}
_FORMATS = (".png", ".svg", ".pdf")


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plots need matplotlib: pip install 'svcsim[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def plot_cost(report: LookupReport) -> Figure:
    """
    Draw what the first packet of a connection costs against the number of services: left in counts, right in time.

    Both axes are logarithmic, so a cost in proportion to the services is a line that climbs one decade a decade.
    The bars at the times reach from the quickest to the slowest repeat.
    """
    figure = _figure(10, 4.2)
    from matplotlib.ticker import LogLocator  # `_figure` has found matplotlib

    counts, times = figure.subplots(1, 2)
    for (mode, position), (colour, mark, line, label) in _STYLES.items():
        costs = report.of(mode, position)
        sizes = [cost.services for cost in costs]
        style = {"color": colour, "marker": mark, "linestyle": line, "markersize": 5, "linewidth": 1.6, "label": label}
        counts.plot(sizes, [cost.rules if mode == "iptables" else cost.probes for cost in costs], **style)
        middle = [cost.time.median / 1000 for cost in costs]
        below = [(cost.time.median - cost.time.low) / 1000 for cost in costs]
        above = [(cost.time.high - cost.time.median) / 1000 for cost in costs]
        times.errorbar(sizes, middle, [below, above], capsize=2, elinewidth=0.8, **style)
    counts.set_title("looked at", fontsize="medium")
    counts.set_ylabel("rules asked, or table entries probed")
    times.set_title("time", fontsize="medium")
    times.set_ylabel("microseconds for the packet's whole way")
    for axes in (counts, times):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("services")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1,) if axes is counts else (1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.grid(which="major", color="#dddddd", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    counts.legend(frameon=False, fontsize="small")
    figure.suptitle(f"The first packet of a connection, {report.endpoints} endpoints a service")
    return figure


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix of *path* chooses among PNG, SVG and PDF."""
    if path.suffix.lower() not in _FORMATS:
        raise SvcsimError(f"{path}: a plot is written as one of {', '.join(_FORMATS)}")
    figure.savefig(path, dpi=150)
