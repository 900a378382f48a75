# SPDX-License-Identifier: MIT
"""Many models: a panel for each family, its own and the reference in colour and all others behind
them in grey."""

import math
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.curves import draw_curves
from plots.data import Point, Results
from plots.emphasis import COST, MOST, RATE, quieten, reference_of
from plots.families import grouped
from plots.page import INK, LEADER, SMALL_SIZE, Page, form_of, spread, text_width
from plots.scale import Axis, Panel, Scale, Series, scale_of
from plots.style import ModelStyle, format_count, format_us, styles

X = None
PANELS = (
    Panel(COST, "server CPU per request", format_us),
    Panel(RATE, "throughput (requests/s)", format_count, "log"),
)
PANEL_IN = 1.9
COLUMN_IN = 1.4  # where six of them must go on a page of print
COLUMNS = 2
# An axis shows at least this ratio, so that what differs by a few per cent looks alike.
LEAST_RATIO = 4.0
ROW_IN = 0.14


def applies(run: Results) -> bool:
    """The run has more models than one panel can show, of several families, along one factor."""
    many = len([m for m in run.models if any(p.model == m and p.n for p in run.points)]) > MOST
    families = {family for family in run.families.values() if family}
    return many and not run.fixed and len(families) > 1 and _shown(run) is not None


def draw(run: Results, figure: Figure) -> None:
    """Each panel on the scale of its family: on one for all, the dearest model would press the
    others into a line. The reference stands in each, to compare by."""
    shown = _shown(run)
    assert shown is not None
    factor, panel = shown
    told = run.described(factor)
    axis = Axis(factor, str(told.get("unit") or factor.replace("_", " ")), scale="auto")
    series = {
        model: line
        for model, line in run.series(panel.metric, factor).items()
        if any(math.isfinite(p.estimate) and not p.missing for p in line)
    }
    parts = grouped(run, list(series))
    points = [p for line in series.values() for p in line if not p.missing]
    look = styles(run.models)
    anchor = reference_of(run)
    plain = f"{panel.heading[0].upper()}{panel.heading[1:]}, family by family"
    title = run.title(f"slope:{panel.metric}", run.title(panel.metric, plain))
    page = Page(
        figure,
        run,
        title,
        points=points,
        notes=[f"Grey: all other families. Each panel has its own scale, and {anchor} is in each."],
        rows=-(-len(parts) // COLUMNS),
        columns=COLUMNS,
        panels=len(parts),
        height=COLUMN_IN if form_of(figure).stacked else PANEL_IN,
        exact=True,
        shared_y=False,
        labels=[],
        look=look,
        right=LEADER + max(text_width(look[m].label, SMALL_SIZE) for m in series) + 0.1,
    )
    for axes in page.axes[len(parts) :]:
        page.figure.delaxes(axes)
    for axes, (family, own_models) in zip(page.axes, parts):
        members = list(dict.fromkeys([*(m for m in [anchor] if m in series), *own_models]))
        own = quieten(look, frozenset(members))
        scale = _scale(panel, [p for p in points if p.model in members])
        # Those behind first, so that the family lies on top.
        ordered = {m: series[m] for m in [*(n for n in series if n not in members), *members]}
        lines = {m: [p for p in line if not p.missing] for m, line in ordered.items()}
        headed = Panel(panel.metric, f"{family or 'other'}", panel.format, panel.scale)
        draw_curves([axes], axis, [headed], [lines], own, scale)
        _label(page, axes, lines, members, own, factor)


def _scale(panel: Panel, points: list[Point]) -> Scale:
    """Logarithmic, about the values of these."""
    found = scale_of(replace(panel, scale="log"), points)
    middle = math.sqrt(found.low * found.high)
    half = math.sqrt(LEAST_RATIO)
    return replace(found, low=min(found.low, middle / half), high=max(found.high, middle * half))


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
    width = page.form.width
    x = box.x1 * width
    for (y, model), place in zip(ends, places):
        page._line([x + 0.04, x + LEADER - 0.05], [y, place], look[model], linewidth=0.6)
        page.figure.text(
            (x + LEADER) / width,
            place / page.total,
            look[model].label,
            size=SMALL_SIZE,
            va="center_baseline",
            color=INK,
        ).set_gid(f"label:{model}")
