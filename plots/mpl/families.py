# SPDX-License-Identifier: MIT
"""Many models: a panel for each family, its own in colour and all others behind them in grey."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.curves import draw_curves
from plots.data import Results
from plots.emphasis import COST, MOST, RATE, quieten
from plots.families import grouped
from plots.page import INK, LEADER, SMALL_SIZE, WIDTH, Page, spread
from plots.scale import Axis, Panel, Series, scale_of
from plots.style import ModelStyle, format_count, format_us, styles

X = None
PANELS = (
    Panel(COST, "server CPU per request", format_us),
    Panel(RATE, "throughput (requests/s)", format_count, "log"),
)
PANEL_IN = 1.9
ROW_IN = 0.14


def applies(run: Results) -> bool:
    """The run has more models than one panel can show, of several families, along one factor."""
    many = len([m for m in run.models if any(p.model == m and p.n for p in run.points)]) > MOST
    families = {family for family in run.families.values() if family}
    return many and not run.fixed and len(families) > 1 and _shown(run) is not None


def draw(run: Results, figure: Figure) -> None:
    """All panels have one scale, so that families can be compared."""
    shown = _shown(run)
    assert shown is not None
    factor, panel = shown
    axis = Axis(factor, factor.replace("_", " "), scale="auto")
    series = {
        model: line
        for model, line in run.series(panel.metric, factor).items()
        if any(math.isfinite(p.estimate) and not p.missing for p in line)
    }
    parts = grouped(run, list(series))
    points = [p for line in series.values() for p in line if not p.missing]
    look = styles(run.models)
    page = Page(
        figure,
        run,
        f"{panel.heading[0].upper()}{panel.heading[1:]}, family by family",
        points=points,
        notes=["Grey: the models of all other families. One scale for all panels."],
        rows=len(parts),
        columns=1,
        height=PANEL_IN,
        labels=list(series),
        look=look,
    )
    scale = scale_of(panel, points)
    for axes, (family, members) in zip(page.axes, parts):
        own = quieten(look, frozenset(members))
        # Those behind first, so that the family lies on top.
        ordered = {m: series[m] for m in [*(n for n in series if n not in members), *members]}
        lines = {m: [p for p in line if not p.missing] for m, line in ordered.items()}
        headed = Panel(panel.metric, f"{family or 'other'}", panel.format, panel.scale)
        draw_curves([axes], axis, [headed], [lines], own, scale)
        _label(page, axes, lines, members, own, factor)


def _shown(run: Results) -> tuple[str, Panel] | None:
    """The one factor with several levels, and the first panel that it can be drawn for."""
    several = [name for name in run.factors if len(run.levels(name)) > 1]
    if len(several) != 1:
        return None
    panel = next((p for p in PANELS if run.has(several[0], p.metric)), None)
    return (several[0], panel) if panel is not None else None


def _label(
    page: Page,
    axes: Axes,
    lines: Series,
    members: list[str],
    look: dict[str, ModelStyle],
    factor: str,
) -> None:
    """The family's names beside the ends of its curves."""
    box, dpi = axes.get_position(), page.figure.dpi
    low, high = axes.get_ylim()
    ends = []
    for model in members:
        values = [p for p in lines[model] if math.isfinite(p.estimate)]
        y = min(max(values[-1].estimate, low), high)
        ends.append((float(axes.transData.transform((values[-1].x(factor), y))[1]) / dpi, model))
    ends.sort(reverse=True)
    floor, top = box.y0 * page.total + 0.05, box.y1 * page.total
    places = spread([y for y, _ in ends], ROW_IN, floor, top)
    x = box.x1 * WIDTH
    for (y, model), place in zip(ends, places):
        page._line([x + 0.04, x + LEADER - 0.05], [y, place], look[model], linewidth=0.6)
        page.figure.text(
            (x + LEADER) / WIDTH,
            place / page.total,
            look[model].label,
            size=SMALL_SIZE,
            va="center_baseline",
            color=INK,
        ).set_gid(f"label:{model}")
