# SPDX-License-Identifier: MIT
"""What each model costs per request beyond the baseline that was subtracted from all."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.data import Point, Results
from plots.page import FAINT, GREY, INK, SMALL_SIZE, TEXT_SIZE, Footnote, Note, Page, text_width
from plots.scale import ticks
from plots.style import format_count, format_us, styles

X = None
BEYOND = "beyond:"
Level = tuple[tuple[str, str], ...]


def applies(run: Results) -> bool:
    """The experiment names a baseline, and models were measured in the same blocks as it."""
    return not run.fixed and bool(_points(run))


def draw(run: Results, figure: Figure) -> None:
    """A column for each level, a bar for each model with its interval, the dearest above."""
    points = _points(run)
    levels = sorted({p.factors for p in points}, key=lambda at: [_sortable(v) for _, v in at])
    first = {p.model: p.estimate for p in points if p.factors == levels[0]}
    models = sorted({p.model for p in points}, key=lambda name: -first.get(name, -math.inf))
    baseline = _baseline(run)
    page = Page(
        figure,
        run,
        _title(baseline, [p for p in points if p.factors == levels[0]]),
        points=points,
        notes=_notes(points),
        exact=True,
        columns=len(levels),
        height=0.27 * len(models),
        labels=[],
        interval=f"mean of the differences to {baseline} in the same block, line: 95 % interval",
        left=max(text_width(name, TEXT_SIZE) for name in models) + 0.3,
    )
    ends = [v for p in points for v in (p.lo, p.hi, p.estimate) if math.isfinite(v)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = (high - low) or 1.0
    for index, (axes, level) in enumerate(zip(page.axes, levels)):
        _frame(
            axes,
            models,
            (low - 0.06 * room, high + (0.7 if page.form.stacked else 0.42) * room),
            index == 0 or page.form.stacked,
        )
        at = ", ".join(f"{k} {format_count(float(v)) if _is_number(v) else v}" for k, v in level)
        base = _base(run, baseline, level)
        less = f": {format_us(base)} subtracted" if math.isfinite(base) else ""
        axes.set_title(f"{at}{less}", loc="left", size=TEXT_SIZE)
        axes.set_xlabel(f"server CPU beyond {baseline}, µs")
        for point in points:
            if point.factors == level:
                _bar(axes, run, point, models.index(point.model), room)


def _points(run: Results) -> list[Point]:
    return [p for p in run.points if p.metric.startswith(BEYOND) and math.isfinite(p.estimate)]


def _baseline(run: Results) -> str:
    told = run.meta.get("experiment")
    return str(told.get("baseline", "")) if isinstance(told, dict) else ""


def _base(run: Results, baseline: str, level: Level) -> float:
    """The estimate of the baseline itself at that level, in the same metric."""
    metrics = {p.metric.removeprefix(BEYOND) for p in _points(run)}
    found = (
        p.estimate
        for p in run.points
        if p.model == baseline and p.factors == level and p.metric in metrics
    )
    return next(found, math.nan)


def _title(baseline: str, points: Sequence[Point]) -> str:
    """The dearest and the cheapest, as they were measured at the first level."""
    ordered = sorted(points, key=lambda p: p.estimate)
    if len(ordered) < 2:
        return f"What does a request cost beyond {baseline}?"
    dear, cheap = ordered[-1], ordered[0]
    least = f"{cheap.model} {format_us(cheap.estimate)}"
    if cheap.lo <= 0:
        least = f"{cheap.model} nothing that was seen"
    return f"Beyond {baseline}, a request costs {dear.model} {format_us(dear.estimate)}, {least}"


def _frame(axes: Axes, rows: Sequence[str], limits: tuple[float, float], names: bool) -> None:
    axes.set_xlim(limits)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    places = ticks(*limits, log=False, most=6)
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_yticks(range(len(rows)), list(rows) if names else [""] * len(rows))
    axes.tick_params(axis="y", length=0, labelsize=TEXT_SIZE)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1).set_gid("baseline")


def _bar(axes: Axes, run: Results, point: Point, row: int, room: float) -> None:
    doubt = point.status not in ("ok", "client-limited")
    colour = styles(run.models)[point.model].colour
    (bar,) = axes.barh([row], [point.estimate], height=0.6, color=colour, alpha=0.8)
    bar.set_gid(f"beyond:{point.model}")
    end = max(0.0, point.estimate)
    text = _amount(point.estimate, 3)
    if point.spread:
        axes.plot([point.lo, point.hi], [row, row], color=INK, linewidth=1.0, zorder=3)
        text, end = f"{text} ± {_amount((point.hi - point.lo) / 2, 2)}", max(end, point.hi)
    axes.text(
        end + 0.02 * room,
        row,
        f"{text}{' ?' if doubt else ''}",
        size=SMALL_SIZE,
        color=GREY if doubt else INK,
        va="center_baseline",
    )


def _amount(value: float, digits: int) -> str:
    """So many digits, and never an exponent."""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _notes(points: Sequence[Point]) -> list[Note]:
    """What is in doubt, and that a bar below nought is no mistake."""
    notes: list[Note] = []
    if any(p.estimate < 0 for p in points):
        notes.append("Below nought: cheaper than the baseline, which waits for each client anew.")
    doubts = sorted({f"{p.model}: {p.status}" for p in points if p.status in ("suspect", "void")})
    return [*notes, *([Footnote("? in doubt", f"?: {'; '.join(doubts)}.")] if doubts else [])]


def _is_number(text: str) -> bool:
    return not math.isnan(_sortable(text)[1])


def _sortable(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, math.nan, text)
