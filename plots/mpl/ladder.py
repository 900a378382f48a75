# SPDX-License-Identifier: MIT
"""The ladder of io_uring: what each rung costs per request, one thing changed at a time."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.data import Point, Results, number
from plots.mpl.sign import is_sign
from plots.page import FAINT, GREY, INK, SMALL_SIZE, TEXT_SIZE, Footnote, Note, Page, text_width
from plots.scale import ticks
from plots.style import format_count, styles

X = None
METRIC = "server_cpu_us_per_request"
LADDER = "ladder"  # of the sets that the run names
LEAST = 3  # rungs; fewer make no ladder
# The share of all estimates and ends of intervals that the scale is made for; others may be far.
USUAL = 0.7
HOW = {"together": "beside the reference, at equal load", "turns": "in turns"}


def applies(run: Results) -> bool:
    """Several rungs met together or in turns, at few enough levels for a panel each."""
    return not run.fixed and not is_sign(run) and bool(_panels(run))


def draw(run: Results, figure: Figure) -> None:
    """A panel for each way and level in which they met; rungs downwards, each with its interval."""
    panels = _panels(run)
    meetings = {(m.arrangement, m.factors): m.reference for m in run.meetings}
    reference = " or ".join(dict.fromkeys(meetings[key] for key in panels if key in meetings))
    there = {p.model for points in panels.values() for p in points}
    rungs = [name for name in _ladder(run) if name in there or name == reference]
    others = [reference] if reference and reference not in rungs else []
    rows = [*others, *rungs]
    page = Page(
        figure,
        run,
        title(reference, panels),
        points=[],
        notes=_notes(rungs, panels),
        exact=True,
        columns=len(panels),
        height=0.27 * len(rows),
        labels=[],
        interval="ratio of server CPU per request, bar: 95 % interval",
        left=max(text_width(name, TEXT_SIZE) for name in rows) + 0.3,
    )
    low, high = _range([p for points in panels.values() for p in points])
    room = high - low
    for index, (axes, (key, points)) in enumerate(zip(page.axes, panels.items())):
        _frame(
            axes,
            rows,
            (low - 0.08 * room, high + (0.6 if page.form.stacked else 0.34) * room),
            index == 0 or page.form.stacked,
        )
        arrangement, factors = key
        at = ", ".join(_at(name, level) for name, level in factors if number(level))
        axes.set_title(f"{HOW[arrangement]}{f': {at}' if at else ''}", loc="left", size=TEXT_SIZE)
        axes.set_xlabel(f"% of {meetings.get(key, reference)}, more or less")
        for point in points:
            _rung(axes, run, point, rows.index(point.model), high, room)


def title(
    reference: str, panels: Mapping[tuple[str, tuple[tuple[str, str], ...]], Sequence[Point]]
) -> str:
    """What was found in the first panel, in a sentence: how many rungs cost less, how many more."""
    (_, factors), points = next(iter(panels.items()))
    at = ", ".join(_at(name, level) for name, level in factors if number(level))
    less, more = sum(p.hi < 1 for p in points), sum(p.lo > 1 for p in points)
    unknown = len(points) - less - more
    start = f"At {at} a" if at else "A"
    if not less and not more:
        return f"{start} request costs no rung less or more than {reference} that can be told"
    count, word = (less, "less") if less else (more, "more")
    text = f"{start} request costs {count} of {len(points)} rungs {word} than {reference}"
    text += f", {more} more" if less and more else ""
    return text + (f"; of {unknown} it cannot be told" if unknown else "")


def _at(factor: str, level: str) -> str:
    value = number(level)
    return level if math.isnan(value) else f"{format_count(value)} {factor}"


def _ladder(run: Results) -> list[str]:
    sets = run.meta.get("sets")
    named = sets.get(LADDER) if isinstance(sets, dict) else None
    return [str(name) for name in named] if isinstance(named, list) else []


def _panels(run: Results) -> dict[tuple[str, tuple[tuple[str, str], ...]], list[Point]]:
    """The ratios of rungs, by arrangement and level; where there are too few, none."""
    ladder = _ladder(run)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[Point]] = {}
    for p in run.points:
        arrangement, _, metric = p.metric.partition(":")
        good = arrangement in HOW and metric == METRIC and math.isfinite(p.estimate)
        if good and p.model in ladder and p.status != "void":
            found.setdefault((arrangement, p.factors), []).append(p)
    return {key: points for key, points in found.items() if len(points) >= LEAST}


def _range(points: Sequence[Point]) -> tuple[float, float]:
    """In percent: all but the far ones. One that costs many times as much would leave no room to
    tell the others apart."""
    ends = [100 * (v - 1) for p in points for v in (p.lo, p.hi, p.estimate) if math.isfinite(v)]
    usual = sorted(abs(v) for v in ends)[int(USUAL * (len(ends) - 1))]
    near = [v for v in ends if abs(v) <= 3 * usual]
    low, high = min([0.0, *near]), max([0.0, *near])
    return (low, high) if high - low > 0 else (-1.0, 1.0)


def _frame(axes: Axes, rows: Sequence[str], limits: tuple[float, float], names: bool) -> None:
    axes.set_xlim(limits)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    places = ticks(*limits, log=False, most=6)
    axes.set_xticks(places, [f"{place:+g}" if place else "0" for place in places])
    axes.set_yticks(range(len(rows)), list(rows) if names else [""] * len(rows))
    axes.tick_params(axis="y", length=0, labelsize=TEXT_SIZE)
    axes.spines["left"].set_visible(False)
    for row in range(len(rows)):
        axes.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1).set_gid("reference")


def _rung(axes: Axes, run: Results, point: Point, row: int, edge: float, room: float) -> None:
    look = styles(run.models)[point.model]
    value = 100 * (point.estimate - 1)
    if value > edge:
        axes.text(
            edge,
            row,
            f"{point.estimate:.3g} times →",
            size=SMALL_SIZE,
            color=look.colour,
            va="center_baseline",
        ).set_gid(f"rung:{point.model}")
        return
    low, high = (100 * (v - 1) for v in (point.lo, point.hi))
    text = f"{value:+.1f}"
    end = value
    if math.isfinite(low) and math.isfinite(high):
        axes.plot([low, high], [row, row], color=look.colour, linewidth=1.6, zorder=2)
        text, end = f"{text} ± {(high - low) / 2:.1f}", high
    (dot,) = axes.plot([value], [row], "o", markersize=4.6, color=look.colour, zorder=3)
    dot.set_gid(f"rung:{point.model}")
    doubt = point.status != "ok"
    axes.text(
        end + 0.02 * room,
        row,
        f"{text}{' ?' if doubt else ''}",
        size=SMALL_SIZE,
        color=GREY if doubt else INK,
        va="center_baseline",
    )


def _notes(
    rungs: Sequence[str], panels: dict[tuple[str, tuple[tuple[str, str], ...]], list[Point]]
) -> list[Note]:
    """What the rungs are, and which could not be compared."""
    notes: list[Note] = [
        "docs/models.md says which rung is compared with which, and what it changes."
    ]
    doubts = {p.reason for points in panels.values() for p in points if p.status != "ok"}
    notes += [Footnote("? in doubt", f"?: {reason}") for reason in sorted(doubts) if reason]
    return notes
