# SPDX-License-Identifier: MIT
"""load_latency: achieved against offered load; where a curve leaves the diagonal is capacity."""

from dataclasses import replace

from matplotlib.figure import Figure

from plots.data import Results, number
from plots.load import AXIS, draw_load
from plots.scale import WIDE, Panel
from plots.style import format_count

X = AXIS.factor
PANEL = Panel("throughput_rps", "achieved load (requests/s)", format_count, "zero")


def applies(run: Results) -> bool:
    """The run varies the offered load and measured throughput."""
    return run.has(X, PANEL.metric)


def draw(run: Results, figure: Figure) -> None:
    """One panel, both axes alike, with the diagonal on which achieved equals offered load."""
    rates = [number(level) for level in run.levels(X)]
    panel = replace(PANEL, scale="log") if rates[-1] > WIDE * rates[0] > 0 else PANEL
    page = draw_load(
        figure, run, run.title("kept", "How much of the offered load is served?"), [panel]
    )
    axes = page.axes[0]
    ends = [
        max(axes.get_xlim()[0], axes.get_ylim()[0]),
        min(axes.get_xlim()[1], axes.get_ylim()[1]),
    ]
    axes.plot(ends, ends, color="#8A8A8A", linewidth=0.8, zorder=1, gid="diagonal")
