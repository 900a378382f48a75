# SPDX-License-Identifier: MIT
"""coordinated_omission: the same requests timed from their intended start and from their
sending."""

import math
from dataclasses import replace

from matplotlib.figure import Figure

from plots.data import Point, Results, number
from plots.page import Ending, Footnote, Note, Page
from plots.curves import draw_curves
from plots.notes import notes_of
from plots.scale import Axis, Panel, scale_of
from plots.style import ModelStyle, format_inverse, format_ns

X = None
MOST_PANELS = 9
PERCENTILES = {"p50": 2, "p75": 4, "p90": 10, "p99": 100, "p99_9": 1000, "p99_99": 10000}
KINDS = {
    "predicted_": ModelStyle("predicted_", "in theory", "#767676", ".", "diamond"),
    "": ModelStyle("", "response time", "#264FA9", "solid", "circle"),
    "service_": ModelStyle("service_", "service time", "#DD5107", "-", "square"),
}
AXIS = Axis(
    "inverse",
    "percentile (%)",
    lambda inverse: format_inverse(inverse).removesuffix("%").strip(),
    places=tuple(float(inverse) for inverse in PERCENTILES.values() if inverse not in (4,)),
)
PANEL = Panel("latency_ns", "", format_ns, "log")

Level = tuple[tuple[str, str], ...]


def applies(run: Results) -> bool:
    """The experiment of that name, with both latencies measured."""
    return run.experiment == "coordinated_omission" and {"p99_ns", "service_p99_ns"} <= run.metrics


def draw(run: Results, figure: Figure) -> None:
    """A panel per model and level (the highest ones if there are many), all on one scale."""
    cells = list(dict.fromkeys((p.model, p.factors) for p in run.points))
    cells = [cell for cell in cells if any(_curves(run, *cell).values())]
    cells.sort(key=lambda cell: [number(level) for _, level in cell[1]])
    dropped, cells = cells[:-MOST_PANELS], cells[-MOST_PANELS:]
    all_curves = [_curves(run, *cell) for cell in cells]
    points = [p for curves in all_curves for line in curves.values() for p in line]
    used = [kind for kind in KINDS if any(curves[kind] for curves in all_curves)]
    columns = 2 if len(cells) == 4 else min(3, len(cells))
    notes: list[Note] = [
        "Response time counts from when a request was due, service time from when it was sent: "
        "what waits behind a frozen server is late in the first and absent from the second."
    ]
    if any(p.estimate == math.inf for p in points):
        text = "↑ infinite: more requests stayed unanswered than the percentile leaves out."
        notes.append(Footnote("↑ infinite", text))
    if dropped:
        told = "; ".join(_words(*cell) for cell in dropped)
        text = f"Measured, not drawn for want of room: {told}."
        notes.append(Footnote(f"{len(dropped)} cells without a panel", text))
    if run.factors:
        factor = Axis(run.factors[0], run.factors[0])
        notes += notes_of(run, factor, [p for p in run.points if p.status != "ok"])
    page = Page(
        figure,
        run,
        run.title(
            "hidden",
            "What does a load generator miss that times requests from when they were sent?",
        ),
        points=points,
        notes=notes,
        rows=-(-len(cells) // columns),
        columns=columns,
        panels=len(cells),
        height=3.6 if len(cells) <= 3 else 2.3,
        labels=[KINDS[kind].label for kind in used],
        look=KINDS,
    )
    panels = [
        replace(PANEL, heading=("" if index else "latency, ") + _words(*cell))
        for index, cell in enumerate(cells)
    ]
    drawn = page.axes[: len(cells)]
    draw_curves(drawn, AXIS, panels, all_curves, KINDS, scale_of(PANEL, points))
    for axes in page.axes[len(cells) :]:
        axes.set_axis_off()
    last = all_curves[-1]
    ends = [
        Ending(kind, (last[kind][-1].x("inverse"), last[kind][-1].estimate) if last[kind] else None)
        for kind in used
    ]
    top = page.axes[len(cells) - 1].get_ylim()[1]
    ends = [
        replace(end, place=(end.place[0], min(end.place[1], top))) if end.place else end
        for end in ends
    ]
    leaders = len(cells) % columns == 0
    page.label(page.axes[len(cells) - 1], ends, leaders)


def _curves(run: Results, model: str, level: Level) -> dict[str, list[Point]]:
    """The percentiles of each kind of latency at one cell, x in 1/(1-percentile)."""
    here = {p.metric: p for p in run.points if p.model == model and p.factors == level}
    curves: dict[str, list[Point]] = {}
    for kind in KINDS:
        found = ((inverse, here.get(f"{kind}{name}_ns")) for name, inverse in PERCENTILES.items())
        curves[kind] = [
            replace(point, model=kind, factors=(("inverse", str(inverse)),), metric=PANEL.metric)
            for inverse, point in found
            if point is not None and not math.isnan(point.estimate)
        ]
    return curves


def _words(model: str, level: Level) -> str:
    parts = []
    for name, text in level:
        if name == "freeze_ms":
            milliseconds = number(text)
            parts.append(f"frozen for {text} ms" if milliseconds else "undisturbed")
        else:
            parts.append(f"{name} {text}")
    return ", ".join([model, *parts])
