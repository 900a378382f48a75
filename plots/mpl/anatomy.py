# SPDX-License-Identifier: MIT
"""anatomy: what a request makes each server do: system calls by name, and CPU time."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import families
from plots.data import Point, Results, number
from plots.page import FAINT, INK, TEXT_SIZE, Footnote, Note, Page, form_of
from plots.scale import ticks
from plots.style import format_count

X = None
CALL = "syscall:"
WAKEUPS = "wakeups_per_request"
REFERENCE = "epoll_lt"
USER, SYSTEM = "server_user_us_per_request", "server_system_us_per_request"
OTHERS = "others"
# Told apart by lightness too; the last is for all others.
COLOURS = (
    "#264FA9",
    "#19C1FD",
    "#E8B608",
    "#DD5107",
    "#6A1614",
    "#179039",
    "#B863C8",
    "#42116C",
    "#87B080",
    "#7290FA",
    "#5B5531",
    "#FF9DA7",
    "#1A3742",
)
GREY_BAR = "#B8B8B8"
CPU_COLOURS = {USER: "#E8B608", SYSTEM: "#264FA9"}
CPU_NAMES = {USER: "user", SYSTEM: "kernel"}
# A bar more than twice as long as all but the longest few is cut, and its number says so.
CUT_QUANTILE = 0.85


def applies(run: Results) -> bool:
    """The run recorded system calls by name."""
    return not run.fixed and any(metric.startswith(CALL) for metric in run.metrics)


def draw(run: Results, figure: Figure) -> None:
    """A column for each level: above the calls of a request, below its CPU time."""
    levels = list(dict.fromkeys(p.factors for p in run.points))
    levels.sort(key=lambda level: [number(value) for _, value in level])
    form = form_of(figure)
    # So many rows as there are models fill a column: the calls and the time of one level.
    left_out, levels = (levels[:-1], levels[-1:]) if form.stacked else ([], levels)
    calls = [p for p in run.points if p.metric.startswith(CALL)]
    names = _frequent(calls)
    told = {p.model for p in run.points if p.n}
    models = [model for model in run.models if model in told]
    rows = families.rows(run, models)
    split = [{m: _calls(run, m, level, names) for m in models} for level in levels]
    legend = [*names, OTHERS, *CPU_NAMES.values()]
    page = Page(
        figure,
        run,
        title(levels, split),
        points=[p for p in run.points if p.metric == "syscalls_per_request"],
        notes=[*_notes(run, told), *_beyond(left_out)],
        rows=1 if form.stacked else 2,
        columns=2 if form.stacked else len(levels),
        height=rows.height,
        exact=True,
        beside=True,
        labels=legend,
        interval="median",
        left=rows.left,
    )
    above, below = page.axes[: len(levels)], page.axes[len(levels) :]
    colours = dict(zip(names, COLOURS))
    size = page.form.number_size()
    end = _bars(above, rows, split, [*names, OTHERS], {**colours, OTHERS: GREY_BAR}, size)
    for axes, level, shown in zip(above, levels, split):
        _wakeups(
            axes, rows, [p for p in run.points if p.factors == level and shown.get(p.model)], end
        )
    cpu = [{m: _cpu(run, m, level) for m in models} for level in levels]
    _bars(below, rows, cpu, list(CPU_NAMES), CPU_COLOURS, size)
    for axes, level in zip(above, levels):
        axes.set_title(f"{_at(level)}: system calls", size=TEXT_SIZE, loc="left", color=INK)
    for axes, level in zip(below, levels):
        axes.set_title(f"{_at(level)}: CPU, µs", size=TEXT_SIZE, loc="left", color=INK)
    page.swatches(above[-1], [(name, {**colours, OTHERS: GREY_BAR}[name]) for name in legend[:-2]])
    page.swatches(below[-1], [(CPU_NAMES[key], CPU_COLOURS[key]) for key in CPU_NAMES])


def title(
    levels: Sequence[tuple[tuple[str, str], ...]],
    split: Sequence[Mapping[str, Mapping[str, float]]],
) -> str:
    """What was found at the middle level, in a sentence: the reference, the least and the most."""
    middle = len(levels) // 2
    totals = {m: sum(parts.values()) for m, parts in split[middle].items() if parts}
    others = sorted((m for m in totals if m != REFERENCE), key=lambda m: totals[m])
    said = [f"{REFERENCE} makes {_count(totals[REFERENCE])}"] if REFERENCE in totals else []
    if others:
        said.append(f"{others[0]} {_count(totals[others[0]])}")
    if len(others) > 1:
        said.append(f"{others[-1]} {_count(totals[others[-1]])}")
    return f"System calls of a request at {_at(levels[middle])}: {', '.join(said)}"


def _count(value: float) -> str:
    return format_count(value) if value >= 100 else f"{value:.2g}"


def _frequent(calls: Sequence[Point]) -> list[str]:
    """The calls that get a colour: those that most is made of, over models and levels, each of
    which counts alike however many calls it makes."""
    totals: dict[tuple[str, object], float] = {}
    for p in calls:
        key = (p.model, p.factors)
        totals[key] = totals.get(key, 0.0) + p.estimate
    shares: dict[str, float] = {}
    for p in calls:
        name = p.metric.removeprefix(CALL)
        shares[name] = shares.get(name, 0.0) + p.estimate / totals[p.model, p.factors]
    return sorted(shares, key=lambda name: (-shares[name], name))[: len(COLOURS)]


def _calls(
    run: Results, model: str, level: tuple[tuple[str, str], ...], names: Sequence[str]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for p in run.points:
        if p.model == model and p.factors == level and p.metric.startswith(CALL):
            name = p.metric.removeprefix(CALL)
            key = name if name in names else OTHERS
            found[key] = found.get(key, 0.0) + p.estimate
    return found


def _cpu(run: Results, model: str, level: tuple[tuple[str, str], ...]) -> dict[str, float]:
    return {
        p.metric: p.estimate
        for p in run.points
        if p.model == model
        and p.factors == level
        and p.metric in CPU_NAMES
        and math.isfinite(p.estimate)
    }


def _bars(
    all_axes: Sequence[Axes],
    rows: families.Rows,
    parts: Sequence[dict[str, dict[str, float]]],
    keys: Sequence[str],
    colours: dict[str, str],
    size: float,
) -> float:
    """Stacked bars on one scale for all levels; the total stands at the end of each. Returns where
    the longest end."""
    totals = sorted(sum(one.values()) for level in parts for one in level.values() if one)
    usual = totals[min(len(totals) - 1, int(CUT_QUANTILE * len(totals)))] if totals else 1.0
    end = min(max(totals, default=1.0), 2 * usual) or 1.0
    width = float(all_axes[0].figure.get_figwidth())
    for index, (axes, level) in enumerate(zip(all_axes, parts)):
        # Only what begins a row of panels has the names beside it.
        first = index == 0 and axes.get_position().x0 * width < rows.left + 0.1
        families.frame(axes, rows, names=first)
        axes.set_xlim(0.0, end * 1.28)
        places = ticks(0.0, end, False, most=5)
        axes.set_xticks(places, [format_count(place) for place in places])
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        for model, place in rows.places.items():
            one, start = level.get(model, {}), 0.0
            for key in keys:
                width = min(one.get(key, 0.0), end - start)
                if width > 0:
                    axes.barh(place, width, 0.72, left=start, color=colours[key], linewidth=0)
                    start += width
            total = sum(one.values())
            cut = " →" if total > end else ""
            said = f"{format_count(total)}{cut}" if one else "–"
            axes.text(
                start + 0.015 * end, place, said, size=size, va="center_baseline", color=INK
            ).set_gid(f"total:{model}")
    return end


def _wakeups(axes: Axes, rows: families.Rows, points: Sequence[Point], end: float) -> None:
    """A mark at the number of wake-ups, on the scale of the calls."""
    for p in points:
        if p.metric == WAKEUPS and math.isfinite(p.estimate):
            place = (min(p.estimate, end), rows.places[p.model] + 0.36)
            (mark,) = axes.plot(*place, "^", ms=3.6, color=INK, clip_on=False, mew=0)
            mark.set_gid(f"wakeups:{p.model}")


def _beyond(left_out: Sequence[tuple[tuple[str, str], ...]]) -> list[Note]:
    """What a column has no room for."""
    return [f"Not drawn: {', '.join(_at(level) for level in left_out)}."] if left_out else []


def _at(level: tuple[tuple[str, str], ...]) -> str:
    """ "100 + 9.9k idle"."""
    values = dict(level)
    count = values["connections"]
    parts = [f"{format_count(number(count))} connection{'' if count == '1' else 's'}"]
    if number(values.get("idle", "0")):
        parts = [f"{format_count(number(values['connections']))} of"]
        parts.append(format_count(number(values["connections"]) + number(values["idle"])))
    return " ".join(parts)


def _notes(run: Results, told: set[str]) -> list[Note]:
    """What is missing, and why."""
    notes: list[Note] = [
        "Per request, on one scale for all levels. The number is the total; → the bar is cut."
        " ▲ wake-ups."
    ]
    missing = {p.model: p.reason for p in run.points if p.model not in told and p.reason}
    if missing:
        text = "Not measured: " + "; ".join(f"{m} ({why})" for m, why in missing.items())
        notes.append(Footnote(f"not measured: {', '.join(missing)}", text))
    return notes
