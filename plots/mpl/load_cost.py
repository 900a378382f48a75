# SPDX-License-Identifier: MIT
"""load_latency: what a request costs the server, at equal offered load."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.load import AXIS, draw_load
from plots.scale import Panel
from plots.style import format_us

X = AXIS.factor
PANEL = Panel("server_cpu_us_per_request", "server CPU per request", format_us, "log")


def applies(run: Results) -> bool:
    """The run varies the offered load and measured CPU time per request."""
    return run.has(X, PANEL.metric)


def draw(run: Results, figure: Figure) -> None:
    """One panel; models are to be compared at one load, up and down, not along their curves."""
    question = "What does a request cost the server at equal offered load?"
    draw_load(figure, run, run.title(PANEL.metric, question), [PANEL])
