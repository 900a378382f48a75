# SPDX-License-Identifier: MIT
"""What met together and in turns: each model's CPU per request as a ratio to the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.data import Interval, Meeting, Point, Results, number
from plots.mpl.sign import is_sign
from plots.page import (
    EDGE,
    LEFT,
    FAINT,
    GREY,
    INK,
    TEXT_SIZE,
    Footnote,
    Note,
    Page,
    form_of,
    text_width,
)
from plots.scale import ticks
from plots.style import format_count, styles

X = None
METRIC = "server_cpu_us_per_request"
TWIN, CONTROL = "twin", "control"
# Where both arrangements speak, one is drawn above the line of the model and one below it.
MARKS = {"together": ("o", 0.16), "turns": ("s", -0.16)}
# Of an interval that is wider than all estimates together, so much is shown beyond them.
ROOM = 1.25
# What stands on the axis where all of it fits.
ROUND = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 100.0)


@dataclass(frozen=True)
class Bar:
    """One interval: whose, how it was measured, and whether it is to be believed."""

    row: str
    arrangement: str
    ratio: Interval
    status: str


def applies(run: Results) -> bool:
    """The run compared its models together or in turns, at few enough levels for a panel each."""
    met = any(p.metric.split(":")[0] in MARKS for p in run.points) and bool(run.meetings)
    return met and not is_sign(run)


def draw(run: Results, figure: Figure) -> None:
    """A panel for each level, a row for each model; the twin and the control stand below."""
    meetings = run.meetings
    levels = list(dict.fromkeys(m.factors for m in meetings))
    panels = [_bars(run, level) for level in levels]
    rows = [*_order(panels), TWIN, CONTROL]
    reference = " or ".join(dict.fromkeys(m.reference for m in meetings))
    look = styles(run.models)
    labels = {row: look[row].label if row in look else _words(row, reference) for row in rows}
    # The names stand beside the last panel; or, where panels stand below each other, left of each.
    stacked = form_of(figure).stacked
    names = max(text_width(text, TEXT_SIZE) for text in labels.values()) + EDGE + 0.1
    page = Page(
        figure,
        run,
        run.title(METRIC, f"What does a request cost the server, against {reference}?"),
        points=[],
        notes=_notes(run, meetings),
        columns=len(levels),
        height=0.24 * len(rows),
        exact=True,
        labels=[] if stacked else list(labels.values()),
        interval="ratio, bar: 95 % interval over fresh servers",
        left=names if stacked else LEFT,
    )
    both = len({bar.arrangement for bars in panels for bar in bars}) > 1

    def above(arrangement: str) -> float:
        return MARKS[arrangement][1] if both and arrangement in MARKS else 0.0

    for axes, level, bars in zip(page.axes, levels, panels):
        # On a scale of its own: what differs by a tenth at one level may by tenfold at another.
        limits = _range([bar.ratio for bar in bars])
        axes.set_title(_heading(level), loc="left", size=TEXT_SIZE, color=INK)
        _frame(axes, len(rows), limits, reference)
        for bar in bars:
            colour = look[bar.row].colour if bar.row in look else GREY
            _bar(axes, bar, rows.index(bar.row) - above(bar.arrangement), colour, limits)
        for meeting in meetings:
            if meeting.factors == level and math.isfinite(meeting.expected):
                _expected(axes, meeting, rows.index(CONTROL) - above(meeting.arrangement))
    for axes in page.axes if stacked else page.axes[-1:]:
        _name_rows(page, axes, rows, labels)


def _bars(run: Results, level: tuple[tuple[str, str], ...]) -> list[Bar]:
    found = []
    for point in run.points:
        arrangement, _, metric = point.metric.partition(":")
        if metric == METRIC and arrangement in MARKS and point.factors == level:
            ratio = Interval(point.estimate, point.lo, point.hi)
            found.append(Bar(point.model, arrangement, ratio, point.status))
    for meeting in run.meetings:
        if meeting.factors == level and meeting.arrangement in MARKS:
            own = {bar.status for bar in found if bar.arrangement == meeting.arrangement}
            status = min(own, default="ok") if len(own) == 1 else "ok"
            found.append(Bar(TWIN, meeting.arrangement, meeting.twin, status))
            found.append(Bar(CONTROL, meeting.arrangement, meeting.control, status))
    return [bar for bar in found if math.isfinite(bar.ratio.estimate) and bar.ratio.estimate > 0]


def _order(panels: Sequence[Sequence[Bar]]) -> list[str]:
    """Models by what they cost in the first panel that has them, the cheapest first."""
    cost: dict[str, float] = {}
    for bars in panels:
        for bar in bars:
            if bar.row not in (TWIN, CONTROL):
                cost.setdefault(bar.row, bar.ratio.estimate)
    return sorted(cost, key=lambda name: cost[name])


def _range(ratios: Sequence[Interval]) -> tuple[float, float]:
    """Of the axis: all estimates and 1, and the intervals as far as ROOM allows."""
    middle = [1.0, *(r.estimate for r in ratios)]
    low, high = min(middle) / ROOM, max(middle) * ROOM
    ends = [v for r in ratios for v in (r.lo, r.hi) if math.isfinite(v) and v > 0]
    low = max(low, min([1.0, *ends]) / 1.03)
    high = min(high, max([1.0, *ends]) * 1.03)
    return min(low, 0.97), max(high, 1.03)


def _frame(axes: Axes, rows: int, limits: tuple[float, float], reference: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(rows - 0.4, -0.6)
    room = axes.get_position().width * float(axes.figure.get_figwidth())
    most = max(3, min(7, int(room / 0.5)))
    places = [place for place in ROUND if limits[0] <= place <= limits[1]]
    if len(places) < 3:  # less than a few tens of per cent
        places = ticks(*limits, log=False, most=most)
    elif len(places) > most:
        places = ticks(*limits, log=True, most=most)
    axes.set_xticks(places, [f"{place:.3g}" for place in places])
    axes.minorticks_off()
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"times {reference}" if room > 1.8 else "times")
    for row in range(rows):
        axes.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    axes.axhline(rows - 2.5, color=GREY, linewidth=0.5, zorder=0)
    axes.axvline(1.0, color=INK, linewidth=0.8, zorder=1).set_gid("one")


def _bar(axes: Axes, bar: Bar, y: float, colour: str, limits: tuple[float, float]) -> None:
    marker = MARKS[bar.arrangement][0]
    gid = f"ratio:{bar.arrangement}:{bar.row}"
    sound = bar.status == "ok"
    if math.isfinite(bar.ratio.lo) and math.isfinite(bar.ratio.hi):
        ends = [max(bar.ratio.lo, limits[0]), min(bar.ratio.hi, limits[1])]
        axes.plot(ends, [y, y], color=colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
    (dot,) = axes.plot([bar.ratio.estimate], [y], marker=marker, markersize=4.2, linestyle="none")
    filled = bar.arrangement == "together"
    dot.set(color=colour, markerfacecolor=colour if filled else "white", zorder=3)
    if not sound:
        dot.set(marker="x" if bar.status == "void" else marker, alpha=0.55)
    dot.set_gid(gid)


def _expected(axes: Axes, meeting: Meeting, y: float) -> None:
    """Where the control should be."""
    (line,) = axes.plot([meeting.expected] * 2, [y - 0.3, y + 0.3], color="#C22F2F", linewidth=1.2)
    line.set(zorder=4)
    line.set_gid(f"expected:{meeting.arrangement}")


def _name_rows(page: Page, axes: Axes, rows: Sequence[str], labels: dict[str, str]) -> None:
    """To the right of the panel, each at its row; or to its left."""
    stacked, width = page.form.stacked, page.form.width
    box = axes.get_position()
    for index, row in enumerate(rows):
        share = (index + 0.6) / (len(rows) + 0.2)
        text = page.figure.text(
            EDGE / width if stacked else box.x1 + 0.12 / width,
            box.y1 - share * box.height,
            labels[row],
            size=TEXT_SIZE,
            color=GREY if row in (TWIN, CONTROL) else INK,
            va="center_baseline",
            ha="left",
        )
        text.set_gid(f"label:{row}")


def _words(row: str, reference: str) -> str:
    return f"{reference} again" if row == TWIN else f"{reference} + known cost"


def _heading(level: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(
        v if math.isnan(number(v)) else f"{format_count(number(v))} {_unit(name)}"
        for name, v in level
    )


def _unit(factor: str) -> str:
    return {"offered_rps": "requests/s", "idle": "idle connections"}.get(factor, factor)


def _notes(run: Results, meetings: Sequence[Meeting]) -> list[Note]:
    there = {m.arrangement for m in meetings}
    told: list[Note] = []
    if "together" in there:
        rates = [
            f"{format_count(m.offered_rps)}/s each at {_heading(m.factors)}"
            for m in meetings
            if m.arrangement == "together"
            and math.isfinite(m.offered_rps)
            and "offered_rps" not in dict(m.factors)
        ]
        told.append("● together: on the same CPUs at the same time, at equal offered load.")
        if rates:
            told.append(Footnote("loads", f"Offered load together: {'; '.join(rates)}."))
    if "turns" in there:
        told.append("□ in turns: each has the CPU to itself, under the load of the cells.")
    told.append(
        "Grey, the two controls: the reference against itself belongs at 1, and with a known cost"
        " added at the red line."
    )
    told += _doubts(run.points)
    gone: dict[tuple[str, ...], list[str]] = {}
    for meeting in meetings:
        places = gone.setdefault(meeting.left_out, [])
        if _heading(meeting.factors) not in places:
            places.append(_heading(meeting.factors))
    for names, levels in gone.items():
        if names:
            text = f"Not compared at {', '.join(levels)}: {', '.join(names)}."
            told.append(Footnote("some not compared", text))
    return told


def _doubts(points: Sequence[Point]) -> list[Footnote]:
    said: dict[tuple[str, str], dict[str, None]] = {}
    for p in points:
        arrangement, _, metric = p.metric.partition(":")
        if metric == METRIC and p.status in ("void", "suspect"):
            where = f"{arrangement} at {_heading(p.factors)}"
            said.setdefault((p.status, p.reason), {})[where] = None
    mark = {"void": "×", "suspect": "pale"}
    return [
        Footnote(
            f"{mark[status]}: {status}", f"{mark[status]}, {status}: {', '.join(where)} ({reason})."
        )
        for (status, reason), where in said.items()
    ]
