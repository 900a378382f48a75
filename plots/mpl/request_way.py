# SPDX-License-Identifier: MIT
"""request_way: where the time of one request goes, from the client's send to its own wake-up."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import families
from plots.data import DOUBTFUL, Point, Results, number
from plots.page import FAINT, INK, TEXT_SIZE, Footnote, Note, Page, form_of
from plots.scale import ticks
from plots.style import format_count

X = None
SUM, WORK = "way_ns", "way_work_ns"
# In the order in which they happen: the client's in blues, the server's in reds.
PARTS = {
    "way_late_ns": ("client late", "#B8B8B8"),
    "way_send_ns": ("client's send", "#19C1FD"),
    "way_wake_ns": ("server's wake-up", "#E8B608"),
    WORK: ("server's work", "#DD5107"),
    "way_client_ns": ("client's wake-up", "#264FA9"),
}
# A bar more than twice as long as most is cut, and its number says so.
CUT_QUANTILE = 0.75
REFERENCE = "epoll_lt"
COLUMN_IN = 9.0  # of panels, below each other
Level = tuple[tuple[str, str], ...]


def applies(run: Results) -> bool:
    """The run split the time of its requests."""
    return any(p.metric == SUM and p.n for p in run.points)


def draw(run: Results, figure: Figure) -> None:
    """A column for each rate, a bar for each model."""
    told = [p for p in run.points if p.metric in PARTS and math.isfinite(p.estimate)]
    levels = sorted(dict.fromkeys(p.factors for p in told), key=rate)
    bars = {level: bars_at(told, level) for level in levels}
    models = [m for m in run.models if any(m in one for one in bars.values())]
    rows = families.rows(run, models)
    notes = _notes(run, models)
    if form_of(figure).stacked and len(levels) > 1 and rows.height * len(levels) > COLUMN_IN:
        # Of more than a column holds, the rate that the title is about.
        others = [level for level in levels if level != middle(levels)]
        notes.append(f"Not drawn: {' and '.join(f'{format_count(rate(at))}/s' for at in others)}.")
        levels = [middle(levels)]
        bars = {level: bars[level] for level in levels}
    page = Page(
        figure,
        run,
        title(run.models, bars),
        points=[p for p in run.points if p.metric == SUM and p.factors in levels],
        notes=notes,
        columns=len(levels),
        exact=True,
        height=rows.height,
        labels=[name for name, _ in PARTS.values()],
        interval="median",
        left=rows.left,
    )
    totals = sorted(sum(parts.values()) for one in bars.values() for parts in one.values())
    usual = totals[min(len(totals) - 1, int(CUT_QUANTILE * len(totals)))]
    end = min(totals[-1], 2 * usual) / 1e3
    for index, (axes, level) in enumerate(zip(page.axes, levels)):
        families.frame(axes, rows, names=index == 0 or page.form.stacked)
        axes.set_xlim(0.0, end * 1.24)
        places = ticks(0.0, end, False, most=5)
        axes.set_xticks(places, [format_count(place) for place in places])
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(f"{format_count(rate(level))}/s, µs", size=TEXT_SIZE, loc="left", color=INK)
        for model, parts in bars[level].items():
            _bar(axes, rows.places[model], model, parts, end, page.form.number_size())
    page.swatches(page.axes[-1], list(PARTS.values()))


def rate(level: Level) -> float:
    return number(dict(level).get("offered_rps", "nan"))


def middle(levels: Sequence[Level]) -> Level:
    return sorted(levels, key=rate)[len(levels) // 2]


def bars_at(points: Sequence[Point], level: Level) -> dict[str, dict[str, float]]:
    """By model: its parts at a level, ns."""
    found: dict[str, dict[str, float]] = {}
    for p in points:
        if p.factors == level:
            found.setdefault(p.model, {})[p.metric] = p.estimate
    return found


def title(models: Sequence[str], bars: Mapping[Level, Mapping[str, Mapping[str, float]]]) -> str:
    """What was found at the middle rate, in a sentence."""
    level = middle(list(bars))
    at = bars[level]
    model = REFERENCE if REFERENCE in at else next(m for m in models if m in at)
    total, work = sum(at[model].values()) / 1e3, at[model].get(WORK, 0.0) / 1e3
    return (
        f"At {format_count(rate(level))}/s a request takes {model} {format_count(total)} µs,"
        f" of which it works {format_count(work)} µs"
    )


def _bar(
    axes: Axes, place: float, model: str, parts: Mapping[str, float], end: float, size: float
) -> None:
    start = 0.0
    for metric, (_, colour) in PARTS.items():
        width = min(parts.get(metric, 0.0) / 1e3, end - start)
        if width > 0:
            axes.barh(place, width, 0.72, left=start, color=colour, linewidth=0)
            start += width
    total = sum(parts.values()) / 1e3
    said = f"{format_count(total)}{' →' if total > end else ''}"
    axes.text(start + 0.015 * end, place, said, size=size, va="center_baseline", color=INK).set_gid(
        f"total:{model}"
    )


def _notes(run: Results, models: Sequence[str]) -> list[Note]:
    notes: list[Note] = [
        "Each part: mean over the middle half of the requests, by response time; of several"
        " replicates the median."
    ]
    doubted: dict[str, list[str]] = {}
    for p in run.points:
        if p.metric == SUM and p.n and p.status in DOUBTFUL:
            at = f"{p.model} at {format_count(rate(p.factors))}"
            doubted.setdefault(p.status, []).append(at)
    notes += [
        Footnote("some in doubt", f"In doubt, {status}: {', '.join(these)}.")
        for status, these in doubted.items()
    ]
    missing = [m for m in run.models if m not in models]
    if missing:
        notes.append(f"Not told: {', '.join(missing)}.")
    return notes
