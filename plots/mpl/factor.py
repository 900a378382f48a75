# SPDX-License-Identifier: MIT
"""The main metric of an experiment against its factor, where no other figure shows the two.

The factor on the x axis is the first of the experiment that has several levels. Each combination
of the others has a panel. Where the main metric is of the usual requests of a mix, the rare ones
have panels of their own beside it. Levels that are texts, or whose scale is "ordinal", stand side
by side in the order of the experiment.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.figure import Figure

from plots import draw as drawing
from plots.data import Point, Results, level_text, number
from plots.page import EDGE, LEFT, SMALL_SIZE, Page, form_of, text_width, wrap
from plots.panel import draw_panels
from plots.scale import Axis, Format, Panel
from plots.style import format_bytes, format_count, format_level, format_ns, format_us

X = None
MOST_PANELS = 9
COLUMNS = 3
SCALES = ("log", "linear")
_FORMATS: Mapping[str, Format] = {"ns": format_ns, "us": format_us, "bytes": format_bytes}
# The tail of those who wait for others, and what the others usually have.
_BESIDE = {"usual_p99_ns": ("rare_p50_ns",)}
_LABELS = {
    "max_ns": "longest response time",
    "connect_p50_ns": "connect time p50",
    "connect_p99_ns": "connect time p99",
    "throughput_rps": "throughput (requests/s)",
    "server_cpu_us_per_request": "server CPU per request",
    "server_cpu_fraction": "server CPUs in use",
    "errors_per_request": "share of requests without an answer",
    "jain_fairness": "fairness (Jain)",
}


@dataclass(frozen=True)
class _Shown:
    """What is drawn: a metric, and others beside it, against a factor; one part of the run in each
    panel."""

    metric: str
    beside: tuple[str, ...]
    factor: str
    parts: tuple[Results, ...]


def applies(run: Results) -> bool:
    """The main metric has values at several levels of a factor, and no other figure draws it."""
    shown = _shown(run)
    return shown is not None and not _covered(run, shown)


def draw(run: Results, figure: Figure) -> None:
    """One panel for each combination of the other factors, all on one scale."""
    shown = _shown(run)
    assert shown is not None
    metrics = (shown.metric, *(shown.beside if len(shown.parts) <= COLUMNS else ()))
    parts = shown.parts[:MOST_PANELS]
    columns = len(metrics) if len(parts) == 1 else min(COLUMNS, len(parts))
    one_row = len(metrics) * len(parts) <= columns
    names = _in_order(run, shown.factor)
    ordinal = _scale(run, shown.factor) not in SCALES or any(
        math.isnan(number(name)) for name in names
    )
    view = _by_place(run, shown.factor, names) if ordinal else run
    seen = [_by_place(part, shown.factor, names) for part in parts] if ordinal else parts
    words = run.words(shown.factor)
    marks, keys = _marks(names, _room(figure, columns), words) if ordinal else ([], "")
    axis = _axis(run, shown.factor, names, marks) if ordinal else _axis(run, shown.factor, names)
    panels = [
        Panel(
            metric,
            _panel_heading(run, part, metric, len(metrics)),
            _format(run, metric),
            # A tail of milliseconds must not press those of microseconds into one line.
            "log" if metric.endswith("_ns") else "auto",
            2 if _format(run, metric) is format_bytes else 10,
        )
        for metric in metrics
        for part in parts
    ]
    page = draw_panels(
        figure,
        view,
        run.title("factor", run.title(shown.metric, _question(run))),
        axis,
        panels,
        columns=columns,
        height=3.9 if one_row else 2.4,
        leaders=one_row,
        same_x=not ordinal,
        notes=[*(_notes(shown, parts) if len(metrics) == 1 else []), *([keys] if keys else [])],
        all_series=[part.series(metric, shown.factor) for metric in metrics for part in seen],
    )
    for axes in page.axes[len(panels) :]:
        axes.set_axis_off()
    if ordinal:
        _name_places(page, marks)


def label(metric: str) -> str:
    """A metric as a heading: "p99_ns" as "response time p99"."""
    if found := re.fullmatch(r"(usual|rare)_(p[0-9_]+)_ns", metric):
        return f"{found[2].replace('_', '.')} of {found[1]} requests"
    if found := re.fullmatch(r"(service_|predicted_)?(p[0-9_]+)_ns", metric):
        kind = {"service_": "service time", "predicted_": "response time in theory"}
        return f"{kind.get(found[1], 'response time')} {found[2].replace('_', '.')}"
    usual = re.sub(r"_(ns|rps)$", "", metric).replace("_", " ").replace(" us per ", " µs per ")
    return _LABELS.get(metric, usual)


def _experiment(run: Results) -> Mapping[str, Any]:
    found = run.meta.get("experiment")
    return found if isinstance(found, dict) else {}


def _question(run: Results) -> str:
    return str(_experiment(run).get("question") or run.experiment)


def _scale(run: Results, factor: str) -> str:
    return str(run.described(factor).get("scale") or "linear")


def _shown(run: Results) -> _Shown | None:
    metric = str(_experiment(run).get("metric") or "")
    if run.fixed or metric not in run.metrics:
        return None
    for factor in run.factors:
        valued = {
            p.level(factor) for p in run.points if p.metric == metric and not math.isnan(p.estimate)
        }
        if len(valued) > 1:
            parts = [part for _, part in run.slices(factor) if metric in part.metrics]
            parts.sort(key=lambda part: [_in_order(run, k).index(v) for k, v in part.fixed])
            beside = tuple(m for m in _BESIDE.get(metric, ()) if m in run.metrics)
            return _Shown(metric, beside, factor, tuple(parts))
    return None


def _covered(run: Results, shown: _Shown) -> bool:
    """Whether another kind draws that metric against that factor, or is made for the experiment."""
    for name, kind in drawing.kinds().items():
        if name == "factor":
            continue
        panels = [*getattr(kind, "PANELS", []), *filter(None, [getattr(kind, "PANEL", None)])]
        same = kind.X == shown.factor and shown.metric in [panel.metric for panel in panels]
        if (same or name == run.experiment) and any(map(kind.applies, shown.parts)):
            return True
    return False


def _in_order(run: Results, factor: str) -> list[str]:
    """Numbers ascending; texts in the order of the profile, or of the run where it has none."""
    levels = list(run.levels(factor))
    if all(not math.isnan(number(level)) for level in levels):
        return levels
    profiles = _experiment(run).get("profiles")
    named: list[str] = []
    for profile in (profiles or {}).values() if isinstance(profiles, dict) else ():
        given = (profile.get("levels") or {}).get(factor, [])
        named += [level_text(level) for level in given]
    order = list(dict.fromkeys([*named, *levels]))
    return [level for level in order if level in levels]


def _by_place(run: Results, factor: str, names: Sequence[str]) -> Results:
    """The run with the places of the levels instead of the levels: 0, 1, 2 …"""

    def placed(point: Point) -> Point:
        at = str(names.index(point.level(factor)))
        return replace(
            point, factors=tuple((k, at if k == factor else v) for k, v in point.factors)
        )

    plan = run.meta.get("plan")
    moved = []
    for setting in plan if isinstance(plan, list) else ():
        given = setting.get("factors") if isinstance(setting, dict) else None
        level = level_text(given.get(factor)) if isinstance(given, dict) else ""
        if isinstance(given, dict) and level in names:
            moved.append({**setting, "factors": {**given, factor: names.index(level)}})
    points = tuple(placed(p) for p in run.points)
    return replace(run, points=points, meta={**run.meta, "plan": moved})


def _room(figure: Figure, columns: int) -> float:
    """About the width of a panel, inches."""
    form = form_of(figure)
    return form.width - LEFT - EDGE if form.stacked else 5.6 / min(COLUMNS, columns)


def _marks(names: Sequence[str], width: float, words: Mapping[str, str]) -> tuple[list[str], str]:
    """What stands on the x axis for each level, in a few lines; letters where the names are
    too long for that, with a note that says which is which. words: of levels that have any."""
    texts = [words.get(name) or _named(name) for name in names]
    room = width / len(names) - 0.08
    lines = [_in_lines(text, room) for text in texts]
    most = 3 if all(words.get(name) for name in names) else 2
    if all(len(one) <= most for one in lines) and not _too_wide(lines, room):
        return ["\n".join(one) for one in lines], ""
    letters = [chr(ord("A") + index) for index in range(len(names))]
    return letters, "; ".join(f"{a}: {text}" for a, text in zip(letters, texts)) + "."


def _in_lines(text: str, room: float) -> list[str]:
    """A mix of two requests that does not fit into one line has one in each."""
    halves = text.split(", ")
    if len(halves) == 2 and text_width(text, SMALL_SIZE) > room:
        return [f"{halves[0]},", halves[1]]
    return wrap(text, SMALL_SIZE, room)


def _too_wide(lines: Sequence[Sequence[str]], room: float) -> bool:
    return any(text_width(text, SMALL_SIZE) > room for one in lines for text in one)


def _named(level: str) -> str:
    value = number(level)
    return format_level(value) if not math.isnan(value) else level or "–"


def _axis(run: Results, factor: str, names: Sequence[str], marks: Sequence[str] = ()) -> Axis:
    told = run.described(factor)
    title = str(told.get("title") or told.get("unit") or factor)
    if marks:
        two = any("\n" in mark for mark in marks)  # they leave no room for a title
        places = tuple(float(place) for place in range(len(marks)))
        return Axis(
            *(factor, "" if two else title, lambda x: _named(names[int(x)]), "linear", places),
            apart=True,
        )
    return Axis(factor, title, scale=_scale(run, factor))


def _name_places(page: Page, marks: Sequence[str]) -> None:
    for axes in page.axes:
        limits = axes.get_xlim()
        axes.set_xticks(range(len(marks)), list(marks))
        axes.set_xlim(limits)


def _format(run: Results, metric: str) -> Format:
    units = {p.unit for p in run.points if p.metric == metric}
    return _FORMATS.get(units.pop() if len(units) == 1 else "", format_count)


def _heading(run: Results, part: Results) -> str:
    """Of a panel: the levels of the other factors, each with its title where it is a number."""
    told = []
    for name, level in part.fixed:
        title = str(run.described(name).get("unit") or run.described(name).get("title") or name)
        plain = level or "–" if math.isnan(number(level)) else f"{_named(level)} {title}"
        told.append(run.words(name).get(level, plain))
    told = [words for words in told if words]
    return ", ".join(told)


def _panel_heading(run: Results, part: Results, metric: str, metrics: int) -> str:
    heading = _heading(run, part)
    if metrics > 1:
        return f"{label(metric)}{': ' if heading else ''}{heading}"
    return heading or label(metric)


def _notes(shown: _Shown, parts: Sequence[Results]) -> list[str]:
    notes = []
    if len(parts) > 1:
        notes.append(f"Each panel: {label(shown.metric)}.")
    if len(shown.parts) > len(parts):
        more = len(shown.parts) - len(parts)
        notes.append(f"{more} more combinations of levels are in summary.tsv.")
    return notes
