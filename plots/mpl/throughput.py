# SPDX-License-Identifier: MIT
"""c10k: requests per second against the number of connections."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import CONNECTIONS, draw_panels
from plots.scale import Panel
from plots.style import format_count

X = CONNECTIONS.factor
PANEL = Panel("throughput_rps", "throughput (requests/s)", format_count)


def applies(run: Results) -> bool:
    """The run varies the number of connections and measured throughput."""
    return run.has(X, PANEL.metric)


def draw(run: Results, figure: Figure) -> None:
    """One panel; the y axis starts at nought unless the models are far apart."""
    title = run.title(
        "throughput_rps", "How does throughput change with the number of connections?"
    )
    draw_panels(figure, run, title, CONNECTIONS, [PANEL], height=4.2)
