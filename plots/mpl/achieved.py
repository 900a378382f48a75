# SPDX-License-Identifier: MIT
"""load_latency: achieved against offered load; where a curve leaves the diagonal is capacity."""

from dataclasses import replace

from matplotlib.figure import Figure

from plots.data import Results
from plots.load import AXIS, draw_load
from plots.scale import Panel
from plots.style import format_count

X = AXIS.factor
PANEL = Panel("throughput_rps", "achieved load (requests/s)", format_count, "zero")


def applies(run: Results) -> bool:
    """The run varies the offered load and measured throughput."""
    return run.has(X, PANEL.metric)


def draw(run: Results, figure: Figure) -> None:
    """One panel, both axes from nought, with the diagonal on which achieved equals offered load.

    Not logarithmic: there, half of what was offered looks like all of it."""
    title = run.title("kept", "How much of the offered load is served?")
    page = draw_load(figure, run, title, [PANEL], replace(AXIS, scale="zero"))
    axes = page.axes[0]
    ends = [
        max(axes.get_xlim()[0], axes.get_ylim()[0]),
        min(axes.get_xlim()[1], axes.get_ylim()[1]),
    ]
    axes.plot(ends, ends, color="#8A8A8A", linewidth=0.8, zorder=1, gid="diagonal")
