# SPDX-License-Identifier: MIT
"""c10k: the server's CPU time per request against the number of connections."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import CONNECTIONS, draw_panels, usable
from plots.scale import Panel
from plots.style import format_us

X = CONNECTIONS.factor
PANELS = [
    Panel("server_cpu_us_per_request", "server CPU per request", format_us),
    Panel("server_user_us_per_request", "of which user", format_us),
    Panel("server_system_us_per_request", "of which system", format_us),
]


def applies(run: Results) -> bool:
    """The run varies the number of connections and measured CPU time per request."""
    return bool(usable(PANELS, run, CONNECTIONS))


def draw(run: Results, figure: Figure) -> None:
    """Total, user and system time on one scale."""
    title = run.title(
        "server_cpu_us_per_request", "What does a request cost the server in CPU time?"
    )
    draw_panels(figure, run, title, CONNECTIONS, usable(PANELS, run, CONNECTIONS))
