# SPDX-License-Identifier: MIT
"""Curves against offered load: the legend ranks the models by the rate they achieved at best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from plots import emphasis
from plots.data import Results
from plots.emphasis import looks
from plots.page import Ending, Note, Page
from plots.curves import draw_curves
from plots.notes import notes_of
from plots.scale import Axis, Panel, scale_of
from plots.style import format_count

AXIS = Axis("offered_rps", "offered load (requests/s)", format_count, "auto")
RATE = "throughput_rps"
SHORT = 0.97


def capacities(run: Results) -> dict[str, float]:
    """The highest rate each model achieved at any offered load; models without one are left out."""
    best: dict[str, float] = {}
    for model, line in run.series(RATE, AXIS.factor).items():
        rates = [p.estimate for p in line if math.isfinite(p.estimate) and not p.missing]
        if rates:
            best[model] = max(rates)
    return best


def saturated(run: Results, model: str) -> bool:
    """Whether the model fell short of the highest load it was offered, so that its best is its
    capacity; otherwise its capacity is at least that."""
    line = run.series(RATE, AXIS.factor).get(model, [])
    # Poisson arrivals vary, so the achieved rate falls a little short of the intended by chance.
    return any(p.missing or p.estimate < SHORT * p.x(AXIS.factor) for p in line[-1:])


def draw_load(
    figure: Figure, run: Results, title: str, panels: Sequence[Panel], axis: Axis = AXIS
) -> Page:
    """Panels side by side on one y axis, capacities marked under them and told in the legend."""
    all_series = [run.series(panel.metric, AXIS.factor) for panel in panels]
    points = [p for series in all_series for line in series.values() for p in line]
    best = capacities(run)
    measured = {p.model for p in points if not math.isnan(p.estimate) and not p.missing}
    ranked = sorted(run.models, key=lambda model: -best.get(model, 0.0))
    ends = [
        Ending(
            model,
            (0.0, 0.0) if model in measured else None,
            f"{'' if saturated(run, model) else '≥ '}{format_count(best[model])}/s"
            if model in best
            else "(no value)",
        )
        for model in ranked
    ]
    look = looks(run)
    ends = [end for end in ends if not look[end.model].quiet]
    notes: list[Note] = [
        *notes_of(run, AXIS, emphasis.told_of(look, points), panels),
        *emphasis.note(look),
    ]
    if best:
        notes.insert(
            0,
            "▲ on the x axis, and the rate in the legend: the highest rate the model achieved at "
            "any offered load (≥ where even the highest was served).",
        )
    page = Page(
        figure,
        run,
        title,
        points=points,
        notes=notes,
        columns=len(panels),
        labels=[f"{look[end.model].label} {end.remark}" for end in ends],
        look=look,
    )
    scale = scale_of(panels[0], points)
    # A model without any value is told of in legend and notes; a cross at each load adds nothing.
    shown = [{m: line for m, line in every.items() if m in measured} for every in all_series]
    draw_curves(page.axes, axis, panels, shown, look, scale)
    for axes, panel in zip(page.axes, panels):
        for model, rate in best.items():
            if look[model].quiet:
                continue
            axes.plot(
                [rate],
                [0.0],
                transform=axes.get_xaxis_transform()
                + ScaledTranslation(0, 3 / 72, axes.figure.dpi_scale_trans),
                linestyle="none",
                marker="^",
                markersize=6,
                markeredgewidth=0.5,
                markeredgecolor="white",
                color=look[model].colour,
                clip_on=False,
                zorder=7,
                gid=f"capacity:{panel.metric}:{model}",
            )
    page.label(page.axes[-1], ends, leaders=False)
    return page
