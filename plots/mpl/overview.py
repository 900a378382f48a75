# SPDX-License-Identifier: MIT
"""c10k in one figure, for the README: throughput, tail latency, CPU and memory."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import CONNECTIONS, draw_panels, usable
from plots.scale import Panel
from plots.style import format_bytes, format_count, format_ns, format_us

X = CONNECTIONS.factor
PANELS = [
    Panel("throughput_rps", "throughput (requests/s)", format_count),
    Panel("p99_ns", "p99 response time", format_ns, "log"),
    Panel("server_cpu_us_per_request", "server CPU per request", format_us),
    Panel("user_bytes_per_connection", "user memory per connection", format_bytes, "log", 2),
]


def applies(run: Results) -> bool:
    """The run varies the number of connections and measured at least two of the four."""
    return len(usable(PANELS, run, CONNECTIONS)) >= 2


def draw(run: Results, figure: Figure) -> None:
    """Two by two, each with its own y axis; the legend is in the order of the first panel."""
    draw_panels(
        figure,
        run,
        "I/O models from one connection to many: rate, tail, cost",
        CONNECTIONS,
        usable(PANELS, run, CONNECTIONS),
        columns=2,
        height=2.35,
        shared_y=False,
        leaders=False,
        notes=["Legend in the order in which the throughput curves end."],
    )
