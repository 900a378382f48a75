# SPDX-License-Identifier: MIT
"""c1m: how long it takes to open up to a million connections, what each holds, and what the active
ones see of the others."""

import math

from matplotlib.figure import Figure

from plots.data import Results, number
from plots.panel import draw_panels, usable
from plots.scale import Axis, Panel
from plots.style import format_bytes, format_count, format_ns

X = "idle"


def format_s(value: float) -> str:
    """Seconds, in the unit that suits them."""
    return format_ns(1e9 * value)


AXIS = Axis(X, "idle connections", format_count, "log")
PANELS = [
    Panel("open_s", "time to open all", format_s, "log"),
    Panel("kernel_bytes_per_connection", "kernel bytes each, both ends", format_bytes, "log", 2),
    Panel("service_p50_ns", "p50 of the 100 active ones", format_ns, "log"),
    Panel("service_p99_ns", "p99 of the 100 active ones", format_ns, "log"),
    Panel("user_bytes_per_connection", "server's own bytes each", format_bytes, "log", 2),
    Panel("client_bytes_per_connection", "client's own bytes each", format_bytes, "log", 2),
]


def applies(run: Results) -> bool:
    """The run varies the number of idle connections, and is about opening them."""
    experiment = run.meta.get("experiment")
    main = experiment.get("metric") if isinstance(experiment, dict) else None
    return main == PANELS[0].metric and run.has(X, PANELS[0].metric)


def most(run: Results) -> str:
    """How long the most connections took, and whom; "" where nothing is known of it."""
    known = [
        (number(point.level(X)), -point.estimate, point.model)
        for point in run.points
        if point.metric == PANELS[0].metric and math.isfinite(point.estimate)
    ]
    if not known:
        return ""
    idle, seconds, model = max(known)
    return f"{model} held {format_count(idle)} idle connections, opened in {format_s(-seconds)}"


def draw(run: Results, figure: Figure) -> None:
    """A panel for each, with its own scale."""
    question = "What does it take to hold a million connections?"
    panels = usable(PANELS, run, AXIS)
    title = most(run) or run.title(PANELS[0].metric, question)
    page = draw_panels(
        figure, run, title, AXIS, panels, columns=2, height=2.0, shared_y=False, leaders=False
    )
    for axes in page.axes[len(panels) :]:
        axes.set_axis_off()
