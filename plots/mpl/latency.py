# SPDX-License-Identifier: MIT
"""c10k: response time p50, p99, p99.9 against the number of connections."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import CONNECTIONS, draw_panels, usable
from plots.scale import Panel
from plots.style import format_ns

X = CONNECTIONS.factor
PANELS = [
    Panel("p50_ns", "p50 response time", format_ns, "log"),
    Panel("p99_ns", "p99", format_ns, "log"),
    Panel("p99_9_ns", "p99.9", format_ns, "log"),
]


def applies(run: Results) -> bool:
    """The run varies the number of connections and measured a response-time percentile."""
    return bool(usable(PANELS, run, CONNECTIONS))


def draw(run: Results, figure: Figure) -> None:
    """A panel per percentile on one logarithmic scale."""
    title = run.title("p99_ns", "How long do requests take as connections grow?")
    draw_panels(figure, run, title, CONNECTIONS, usable(PANELS, run, CONNECTIONS))
