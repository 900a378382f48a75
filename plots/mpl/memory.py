# SPDX-License-Identifier: MIT
"""c10k: memory per connection, the process's own and the kernel's."""

from matplotlib.figure import Figure

from plots.data import Results
from plots.panel import CONNECTIONS, draw_panels, usable
from plots.scale import Panel
from plots.style import format_bytes

X = CONNECTIONS.factor
PANELS = [
    Panel("kernel_bytes_per_connection", "kernel memory per connection", format_bytes, "log", 2),
    Panel("user_bytes_per_connection", "user memory per connection", format_bytes, "log", 2),
]


def applies(run: Results) -> bool:
    """The run varies the number of connections and measured memory per connection."""
    return bool(usable(PANELS, run, CONNECTIONS))


def draw(run: Results, figure: Figure) -> None:
    """Kernel and user side by side on one scale; the labels go with user memory, which differs."""
    title = run.title("user_bytes_per_connection", "How much memory does a connection hold?")
    panels = usable(PANELS, run, CONNECTIONS)
    note = "The kernel's is the whole machine's: of both ends of a connection."
    notes = [note] if panels[0] is PANELS[0] else []
    draw_panels(figure, run, title, CONNECTIONS, panels, notes=notes)
