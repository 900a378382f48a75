# SPDX-License-Identifier: MIT
"""idle: what thousands of silent connections cost the requests of a hundred others."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import draw_panels, usable
from plots.scale import Axis, Panel
from plots.style import format_count, format_ns, format_us

X = "idle"
# Linear, so that a cost per idle connection is a straight line, and its slope can be seen.
AXIS = Axis(X, "idle connections", format_count, "linear")
PANELS = [
    Panel("server_cpu_us_per_request", "server CPU per request", format_us),
    Panel("throughput_rps", "throughput (requests/s)", format_count, "log"),
    Panel("p99_ns", "p99 response time", format_ns, "log"),
]


def applies(run: Results) -> bool:
    """The run varies the number of idle connections and measured CPU time per request."""
    return run.has(X, PANELS[0].metric)


def draw(run: Results, figure: Figure) -> None:
    """Cost, rate and tail, each on its own scale."""
    question = "What do idle connections cost the requests of the others?"
    title = run.title(f"slope:{PANELS[0].metric}", question)
    panels = usable(PANELS, run, AXIS)
    draw_panels(figure, run, title, AXIS, panels, height=3.3, shared_y=False, leaders=False)
