# SPDX-License-Identifier: MIT
"""Panels of curves: one metric against one factor, a curve with its interval band per model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.curves import draw_curves
from plots import emphasis
from plots.data import Results
from plots.emphasis import looks
from plots.notes import notes_of
from plots.page import Ending, Note, Page, interval_of
from plots.scale import Axis, Panel, Series, scale_of

CONNECTIONS = Axis("connections", "connections")


def usable(panels: Sequence[Panel], run: Results, axis: Axis) -> list[Panel]:
    """The panels the run has values for."""
    return [panel for panel in panels if run.has(axis.factor, panel.metric)]


def draw_panels(
    figure: Figure,
    run: Results,
    title: str,
    axis: Axis,
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    height: float = 3.9,
    shared_y: bool = True,
    same_x: bool = True,
    leaders: bool = True,
    notes: Sequence[Note] = (),
    all_series: Sequence[Series] | None = None,
) -> Page:
    """Draw `panels` side by side (or in `columns`) with one label column, and the notes below.
    same_x: the x axis has a name, and each panel needs no more room for it than its numbers take.

    all_series: of each panel, where it is not that of its metric in the whole run."""
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    if all_series is None:
        all_series = [run.series(panel.metric, axis.factor) for panel in panels]
    points = [p for series in all_series for line in series.values() for p in line]
    look = looks(run)
    ends = [
        e for e in endings(all_series[-1 if leaders else 0], run, axis) if not look[e.model].quiet
    ]
    page = Page(
        figure,
        run,
        title,
        points=points,
        notes=[
            *notes_of(run, axis, emphasis.told_of(look, points), panels),
            *notes,
            *emphasis.note(look),
        ],
        rows=rows,
        columns=columns,
        panels=len(panels),
        height=height,
        shared_y=shared_y,
        same_x=same_x,
        labels=[f"{look[e.model].label} {e.remark}".strip() for e in ends],
        interval=interval_of(run, points).replace("band:", "bar:") if axis.apart else None,
        look=look,
    )
    if shared_y:
        draw_curves(page.axes, axis, panels, all_series, look, scale_of(panels[0], points))
    else:
        for axes, panel, series in zip(page.axes, panels, all_series):
            own = [p for line in series.values() for p in line]
            draw_curves([axes], axis, [panel], [series], look, scale_of(panel, own))
    target = len(panels) - 1 if leaders else 0
    placed = _place(page.axes[target], ends, all_series[target], axis)
    if not leaders:
        placed.sort(key=lambda end: -end.place[1] if end.place else math.inf)
    page.label(page.axes[target], placed, leaders)
    return page


def endings(series: Series, run: Results, axis: Axis) -> list[Ending]:
    """How each model's curve ends; `place` is (0, 0) where it reaches the end (see _place)."""
    drawn = {
        model: [p for p in line if not math.isnan(p.estimate) and not p.missing]
        for model, line in series.items()
    }
    last = max((line[-1].x(axis.factor) for line in drawn.values() if line), default=math.nan)
    found = []
    for model in run.models:
        line = drawn.get(model, [])
        if not line:
            found.append(Ending(model, None, "(no value)"))
        elif axis.scale == "log" and line[-1].x(axis.factor) < last:
            level = axis.format(line[-1].x(axis.factor))
            found.append(Ending(model, None, f"({'to ' if len(line) > 1 else 'at '}{level})"))
        else:
            found.append(Ending(model, (0.0, 0.0)))
    return found


def _place(axes: Axes, ends: Sequence[Ending], series: Series, axis: Axis) -> list[Ending]:
    """Fill in where on `axes` the curves end."""
    placed = []
    low, high = axes.get_ylim()
    for end in ends:
        if end.place is None:
            placed.append(end)
            continue
        line = [p for p in series[end.model] if not math.isnan(p.estimate)]
        (curve,) = (c for c in axes.lines if c.get_gid() == f"curve:{line[-1].metric}:{end.model}")
        drawn = [y for y in curve.get_ydata() if not math.isnan(y)]  # infinite: where its arrow is
        y = float(drawn[-1]) if drawn else low
        placed.append(replace(end, place=(line[-1].x(axis.factor), min(max(y, low), high))))
    return placed
