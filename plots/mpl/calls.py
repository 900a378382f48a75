# SPDX-License-Identifier: MIT
"""c10k: what the server asks of the kernel per request: system calls, waits, context switches."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import CONNECTIONS, draw_panels, usable
from plots.scale import Panel
from plots.style import format_count

X = CONNECTIONS.factor
PANELS = [
    Panel("waits_per_request", "waiting calls per request", format_count, "log"),
    Panel("context_switches_per_request", "context switches per request", format_count, "log"),
    Panel("syscalls_per_request", "system calls per request", format_count, "log"),
]


def applies(run: Results) -> bool:
    """The run varies the number of connections and counted system calls."""
    return run.has(X, "syscalls_per_request")


def draw(run: Results, figure: Figure) -> None:
    """Each on a scale of its own; the labels go with system calls, which tell most models apart."""
    title = run.title(
        "syscalls_per_request", "How often does a request make the server call the kernel?"
    )
    draw_panels(figure, run, title, CONNECTIONS, usable(PANELS, run, CONNECTIONS))
