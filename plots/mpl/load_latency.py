# SPDX-License-Identifier: MIT
"""load_latency: response time against offered load, the hockey stick, with measured capacities."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.load import AXIS, draw_load
from plots.panel import usable
from plots.scale import Panel
from plots.style import format_ns

X = AXIS.factor
PANELS = [
    Panel("p50_ns", "p50 response time", format_ns, "log"),
    Panel("p99_ns", "p99", format_ns, "log"),
]


def applies(run: Results) -> bool:
    """The run varies the offered load and measured a response-time percentile."""
    return bool(usable(PANELS, run, AXIS))


def draw(run: Results, figure: Figure) -> None:
    """p50 and p99 on one logarithmic scale; triangles on the x axis are capacities."""
    title = run.title("kept", "How does latency grow with offered load?")
    draw_load(figure, run, title, usable(PANELS, run, AXIS))
