# SPDX-License-Identifier: MIT
"""Curves on axes: a line with its interval band per model, and marks for what is no plain point.

What cannot be drawn as a plain point is drawn all the same: infinite values as arrows in a strip
above the data, values a logarithmic axis cannot show as arrows below it, unsupported and failed
cells as crosses in a strip under the data, and doubtful values as hollow markers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from plots.data import DOUBTFUL, Point
from plots.page import FAINT, GREY, SMALL_SIZE, TEXT_SIZE
from plots.scale import WIDE, Axis, Panel, Scale, Series, ticks
from plots.style import ModelStyle

MARK_PT = 7.0  # room an edge mark takes, points
MOST_ROWS = 5
SIDE_PT = 8.0  # the most between two models that stand side by side, points


def _glyph(symbol: str) -> Path:
    """A character as a marker. matplotlib draws one from mathematical text only, which is switched
    off for all else (page.RC): a "$" in a name is a dollar."""
    with rc_context({"text.parse_math": True}):
        style = MarkerStyle(f"${symbol}$")
        return style.get_path().transformed(style.get_transform())


_MARKS: Mapping[str, str | Path] = {
    "unsupported": "x",
    "failed": _glyph("!"),
    "void": _glyph("?"),
    "infinite": _glyph(r"\uparrow"),
    "nonpositive": _glyph(r"\downarrow"),
}


def draw_curves(
    all_axes: Sequence[Axes],
    axis: Axis,
    panels: Sequence[Panel],
    all_series: Sequence[Series],
    look: Mapping[str, ModelStyle],
    scale: Scale,
) -> None:
    """Draw panels that share their axes: same scales, same strips, and numbers on the first alone
    of those that stand side by side."""
    groups = []
    # One range for all: a panel may lack a level that its neighbours have.
    levels = sorted({p.x(axis.factor) for s in all_series for line in s.values() for p in line})
    for axes, series in zip(all_axes, all_series):
        # A quiet model has its line alone: marks for all of many would fill the strips.
        points = [p for model, line in series.items() if not look[model].quiet for p in line]
        _frame_x(axes, axis, levels)
        per_row = max(1, int(_spacing_pt(axes, axis, levels) // MARK_PT))
        below = [p for p in points if p.missing or _hidden(p, scale)]
        above = [p for p in points if p.estimate == math.inf]
        groups.append((per_row, below, above))
    rows_below = max(_rows(below, axis, per_row) for per_row, below, _ in groups)
    rows_above = max(_rows(above, axis, per_row) for per_row, _, above in groups)
    missing = any(p.missing for _, below, _ in groups for p in below)
    left = min(axes.get_position().x0 for axes in all_axes)
    for axes, panel, series, (per_row, below, above) in zip(all_axes, panels, all_series, groups):
        strips = _frame_y(axes, panel, scale, rows_below, rows_above, "n/a" if missing else "≤ 0")
        shifts = _shifts(axes, axis, levels, [m for m in series if not look[m].quiet])
        for model, line in series.items():
            shift = shifts.get(model, 0.0)
            _draw_curve(axes, axis, panel, look[model], line, scale, strips, shift)
        _edge_marks(axes, axis, panel, look, below, per_row, strips.bottom_pt, scale)
        _edge_marks(axes, axis, panel, look, above, per_row, strips.top_pt, scale)
        if axes.get_position().x0 > left:
            axes.tick_params(labelleft=False)
            for text in strips.texts:
                text.set_visible(False)


def _hidden(point: Point, scale: Scale) -> bool:
    """A value the logarithmic axis cannot show."""
    return scale.log and math.isfinite(point.estimate) and point.estimate <= 0


def _rows(points: Sequence[Point], axis: Axis, per_row: int) -> int:
    counts: dict[float, int] = {}
    for point in points:
        counts[point.x(axis.factor)] = counts.get(point.x(axis.factor), 0) + 1
    return min(MOST_ROWS, -(-max(counts.values()) // per_row)) if counts else 0


def _frame_x(axes: Axes, axis: Axis, levels: Sequence[float]) -> None:
    positive = [level for level in levels if level > 0]
    log = axis.scale == "log" and len(positive) == len(levels) and bool(levels)
    if axis.scale == "auto":
        log = bool(positive) and len(positive) == len(levels) and levels[-1] > WIDE * levels[0]
    first, last = (levels[0], levels[-1]) if levels else (1.0, 10.0)
    if log:
        axes.set_xscale("log")
        ratio = max(last / first, 10.0)
        axes.set_xlim(first / ratio**0.08, max(last, first) * ratio**0.08)
        if axis.every > 1:
            axes.set_xlim(first, last * ratio**0.02)
    elif axis.apart:  # half a level on both sides, for the models and for the names
        axes.set_xlim(first - 0.5, last + 0.5)
    else:
        span = (last - first) or abs(first) or 1.0
        start = 0.0 if axis.scale in ("auto", "zero") and first >= 0 else first - 0.08 * span
        axes.set_xlim(start, last + 0.06 * span)
    low, high = axes.get_xlim()
    room = axes.get_position().width * axes.figure.get_figwidth()
    most = max(2, int(room / 0.4))
    places = list(levels) if axis.scale == "log" and len(levels) <= most else []
    if not log and len(levels) in (2, 3) and _spacing_pt(axes, axis, levels) > 36.0:
        places = list(levels)
    if axis.places:
        places = [place for place in axis.places if low <= place <= high]
    elif not places:
        places = ticks(max(low, 1e-9) if log else low, high, log, most=most)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([axis.format(value) for value in places]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(axis.label, labelpad=3)


def _spacing_pt(axes: Axes, axis: Axis, levels: Sequence[float]) -> float:
    """The least distance between neighbouring levels, points."""
    if len(levels) < 2:
        return 60.0
    xs = [axes.transData.transform((level, 1.0))[0] for level in levels]
    return float(min(b - a for a, b in zip(xs, xs[1:]))) * 72 / float(axes.figure.dpi)


def _shifts(
    axes: Axes, axis: Axis, levels: Sequence[float], models: Sequence[str]
) -> dict[str, float]:
    """How far to the right of a level each model stands, points; nowhere, where they need not."""
    if not axis.apart:
        return {}
    step = min(SIDE_PT, 0.5 * _spacing_pt(axes, axis, levels) / max(1, len(models)))
    middle = (len(models) - 1) / 2
    return {model: (index - middle) * step for index, model in enumerate(models)}


@dataclass(frozen=True)
class _Strips:
    top: float  # y (data) of the first row of the upper strip
    floor: float  # y (data) of the upper edge of the lower strip
    top_pt: float  # first row's height over the lower edge of the axes, points
    bottom_pt: float
    texts: list[Text]


def _frame_y(
    axes: Axes,
    panel: Panel,
    scale: Scale,
    rows_below: int,
    rows_above: int,
    below_name: str = "n/a",
) -> _Strips:
    """Set limits so that the data keep clear of the strips, and draw the strips."""
    height = axes.get_position().height * axes.figure.get_figheight() * 72
    below = rows_below * MARK_PT + 5 if rows_below else 0.0
    above = rows_above * MARK_PT + 6 if rows_above else 0.0
    pad = 0.04 * height
    low, high = scale.map(scale.low), scale.map(scale.high)
    pad_low = pad if scale.log or scale.low < 0 or below else 0.0
    unit = (high - low) / max(height - below - above - pad - pad_low, 20.0)
    bottom, top = low - (below + pad_low) * unit, high + (above + pad) * unit
    if scale.log:
        axes.set_yscale("log")
    axes.set_ylim(scale.back(bottom), scale.back(top))
    places = ticks(
        scale.back(bottom + below * unit),
        scale.back(top - above * unit),
        scale.log,
        scale.base,
        most=max(3, min(8, int(height / 30))),
    )
    if not scale.log:
        places = [value for value in places if value >= scale.low - 1e-12]
    if below or above:
        # A number at the edge of a strip would stand on the strip's name.
        def height_of(value: float) -> float:
            return float((scale.map(value) - bottom) / unit)

        lowest = below / 2 + SMALL_SIZE * 1.3 if below else 0.0
        highest = height - above / 2 - SMALL_SIZE * 1.3 if above else height
        clear = [value for value in places if lowest <= height_of(value) <= highest]
        places = clear or places
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.yaxis.set_major_formatter(FixedFormatter([panel.format(value) for value in places]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    heading = axes.set_title(panel.heading, loc="left", size=TEXT_SIZE, weight="bold", pad=7)
    heading.set_gid("heading")
    texts: list[Text] = []
    for room, edge, sign, name in ((below, 0.0, 1, below_name), (above, height, -1, "∞")):
        if not room:
            continue
        inner = (edge + sign * room) / height
        axes.fill_between(
            [0, 1],
            edge / height,
            inner,
            transform=axes.transAxes,
            color="#F2F2F2",
            linewidth=0,
            zorder=0.5,
        )
        text = axes.text(
            0.0,
            (edge + sign * room / 2) / height,
            name,
            transform=axes.transAxes + ScaledTranslation(-5 / 72, 0, axes.figure.dpi_scale_trans),
            ha="right",
            va="center",
            size=SMALL_SIZE + (2 if name == "∞" else 0),
            color=GREY,
        )
        text.set_gid(f"strip:{name}")
        texts.append(text)
    return _Strips(
        top=scale.back(top - (above - 2 - MARK_PT / 2) * unit) if above else scale.back(top),
        floor=scale.back(bottom + below * unit),
        top_pt=height - above + 3 + MARK_PT / 2,
        bottom_pt=3 + MARK_PT / 2,
        texts=texts,
    )


def _draw_curve(
    axes: Axes,
    axis: Axis,
    panel: Panel,
    look: ModelStyle,
    line: Sequence[Point],
    scale: Scale,
    strips: _Strips,
    shift_pt: float = 0.0,
) -> None:
    """The line, its band, and its markers: filled where the value may be believed."""
    place = axes.transData
    if shift_pt:
        place = place + ScaledTranslation(shift_pt / 72, 0, axes.figure.dpi_scale_trans)
    top, floor = strips.top, strips.floor

    def clip(value: float) -> float:
        if value == math.inf:
            return top
        return max(value, floor) if scale.log and math.isfinite(value) else value

    xs = [p.x(axis.factor) for p in line]
    joined = [math.nan if p.missing or _hidden(p, scale) else clip(p.estimate) for p in line]
    # Of neighbouring infinite values only the first is joined to the curve; all have an arrow.
    path = [
        math.nan if i and y == top and line[i - 1].estimate == math.inf else y
        for i, y in enumerate(joined)
    ]
    axes.plot(
        xs,
        path,
        color=look.colour,
        linestyle=look.mpl_dash,
        linewidth=0.9 if look.quiet else 1.5,
        # A dot: a curve of one point has no line.
        marker="." if look.quiet else "",
        markersize=2.5,
        gid=f"curve:{panel.metric}:{look.name}",
        transform=place,
        zorder=1.5 if look.quiet else 3,
    )
    if look.quiet:
        return
    # Two replicates make a bar, not a band; a dense spectrum would be nothing but bars.
    least = 2 if axis.every > 1 else 3
    banded = [
        p.spread and p.n >= least and not math.isnan(y) and not axis.apart
        for p, y in zip(line, joined)
    ]
    axes.fill_between(
        xs,
        [clip(p.lo) for p in line],
        [clip(p.hi) for p in line],
        where=banded,
        color=look.colour,
        alpha=0.16,
        linewidth=0,
        gid=f"band:{panel.metric}:{look.name}",
        zorder=2,
    )
    for index, (p, band) in enumerate(zip(line, banded)):
        neighbours = banded[max(0, index - 1) : index] + banded[index + 1 : index + 2]
        lone = band and not any(neighbours)
        if lone or (p.spread and not band and not math.isnan(joined[index])):
            axes.plot(
                [xs[index]] * 2,
                [clip(p.lo), clip(p.hi)],
                color=look.colour,
                linewidth=2.5 if lone or axis.apart else 1.0,
                alpha=0.35 if lone or axis.apart else 0.6,
                transform=place,
                gid=f"bar:{panel.metric}:{look.name}",
                zorder=2,
            )
    for hollow in (False, True):
        chosen = [
            (x, y)
            for x, y, p in zip(xs, joined, line)
            if math.isfinite(p.estimate) and not math.isnan(y) and (p.status in DOUBTFUL) is hollow
        ]
        chosen = chosen[:: axis.every]
        if chosen:
            axes.plot(
                [x for x, _ in chosen],
                [y for _, y in chosen],
                linestyle="none",
                marker=look.mpl_marker,
                markersize=5.0 if hollow else 4.2,
                markerfacecolor="white" if hollow else look.colour,
                markeredgecolor=look.colour,
                markeredgewidth=1.2 if hollow else 0.6,
                transform=place,
                gid=f"{'hollow' if hollow else 'solid'}:{panel.metric}:{look.name}",
                zorder=5 if hollow else 4,
            )


def _edge_marks(
    axes: Axes,
    axis: Axis,
    panel: Panel,
    look: Mapping[str, ModelStyle],
    points: Sequence[Point],
    per_row: int,
    base_pt: float,
    scale: Scale,
) -> None:
    """Marks in a strip, those of one level side by side and then in rows."""
    by_level: dict[float, list[Point]] = {}
    for point in points:
        by_level.setdefault(point.x(axis.factor), []).append(point)
    for level, members in by_level.items():
        for index, point in enumerate(members):
            row, place = divmod(index, per_row)
            in_row = min(per_row, len(members) - row * per_row)
            shift = _inside(axes, level, in_row) + (place - (in_row - 1) / 2) * MARK_PT
            row %= MOST_ROWS
            if point.estimate == math.inf:
                kind = "infinite"
            elif _hidden(point, scale):
                kind = "nonpositive"
            else:
                kind = point.status
            axes.plot(
                [level],
                [0.0],
                transform=axes.get_xaxis_transform()
                + ScaledTranslation(
                    shift / 72, (base_pt + row * MARK_PT) / 72, axes.figure.dpi_scale_trans
                ),
                linestyle="none",
                marker=_MARKS[kind],
                markersize=4.5 if kind == "unsupported" else 7,
                markeredgewidth=1.3 if kind == "unsupported" else 0.4,
                color=look[point.model].colour,
                clip_on=False,
                gid=f"{kind}:{panel.metric}:{point.model}:{point.level(axis.factor)}",
                zorder=6,
            )


def _inside(axes: Axes, level: float, count: int) -> float:
    """How far to shift `count` marks side by side at `level` to stay on the axes, points."""
    here = float(axes.transData.transform((level, 1.0))[0])
    box = axes.bbox
    half = count * MARK_PT / 2 * float(axes.figure.dpi) / 72
    moved = min(max(here, box.x0 + half), box.x1 - half) if box.width > 2 * half else here
    return float(moved - here) * 72 / float(axes.figure.dpi)
