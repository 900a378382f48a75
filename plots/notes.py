# SPDX-License-Identifier: MIT
"""The footnotes of a figure: what its marks mean, where they are, and what was not measured."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from plots.data import DOUBTFUL, Point, Results, number
from plots.page import Footnote
from plots.scale import Axis, Panel

# A note of more characters than this, some two lines, tells where and leaves out why.
LONG = 260
_MEANING = {
    "client-limited": "○ hollow, client-limited (the load generator set the limit, not the server)",
    "suspect": "○ hollow, suspect",
    "void": "? void (measured, but not to be believed)",
    "failed": "! failed",
    "unsupported": "× not supported",
}
# What the figure itself says of each.
_KEYS = {
    "client-limited": "○ hollow: in doubt",
    "suspect": "○ hollow: in doubt",
    "void": "? void",
    "failed": "! failed",
    "unsupported": "× not supported",
}


def notes_of(
    run: Results, axis: Axis, points: Sequence[Point], panels: Sequence[Panel] = ()
) -> list[Footnote]:
    """What the marks mean and where they are, one note per kind, models with one story together."""
    grid = run.levels(axis.factor)
    grid = tuple(
        sorted({*grid, *(level for _, level in run.planned(axis.factor))}, key=lambda s: number(s))
    )
    notes: list[Footnote] = []
    for status in ("unsupported", "failed", "client-limited", "suspect", "void"):
        stories: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for model in run.models:
            mine = [p for p in points if p.model == model and p.status == status]
            by_reason: dict[str, dict[str, None]] = {}
            alike: dict[str, str] = {}  # reasons that differ in their numbers alone are one
            for p in mine:
                reason = gist(p)
                reason = alike.setdefault(re.sub(r"[0-9.,]+", "", reason), reason)
                by_reason.setdefault(reason, {})[p.level(axis.factor)] = None
            for reason, levels in by_reason.items():
                stories.setdefault((tuple(levels), reason), []).append(model)
        if stories:
            told = (
                f"{', '.join(models)} at {level_range(levels, grid, axis)}{_because(reason)}"
                for (levels, reason), models in stories.items()
            )
            text = f"{_MEANING[status]}: {'; '.join(told)}."
            if len(text) > LONG and status in DOUBTFUL:
                where = _where(run, axis, [p for p in points if p.status == status])
                text = f"{_MEANING[status]}; reasons in summary.tsv: {where}."
            notes.append(Footnote(_KEYS[status], text))
    remarks: dict[str, list[Point]] = {}
    for p in points:
        for remark in remarks_of(p):
            remarks.setdefault(remark, []).append(p)
    if remarks:
        told = (f"{_where(run, axis, where)} ({remark})" for remark, where in remarks.items())
        notes.append(Footnote("remarks", f"Remarks: {'; '.join(told)}."))
    infinite = _where(run, axis, [p for p in points if p.estimate == math.inf])
    if infinite:
        text = "↑ infinite (more requests stayed unanswered than the percentile leaves out)"
        notes.append(Footnote("↑ infinite", f"{text}: {infinite}."))
    hidden = [
        p
        for panel in panels
        if panel.scale == "log"
        for p in points
        if p.metric == panel.metric and math.isfinite(p.estimate) and p.estimate <= 0
    ]
    if hidden:
        text = f"↓ nought, or lost in the noise: {_where(run, axis, hidden)}."
        notes.append(Footnote("↓ nought, or lost in the noise", text))
    gaps = run.unmeasured(axis.factor)
    if gaps:
        shared: dict[tuple[str, ...], list[str]] = {}
        for model, missed in gaps.items():
            shared.setdefault(tuple(missed), []).append(model)
        told = (
            f"{', '.join(models)} at {level_range(levels, grid, axis)}"
            for levels, models in shared.items()
        )
        early = "" if run.complete else " (run ended early)"
        notes.append(Footnote("gaps: not measured", f"Not measured{early}: {'; '.join(told)}."))
    return notes


def _where(run: Results, axis: Axis, points: Sequence[Point]) -> str:
    grid = run.levels(axis.factor)
    told = []
    for model in run.models:
        levels = {p.level(axis.factor): None for p in points if p.model == model}
        if levels:
            told.append(f"{model} at {level_range(tuple(levels), grid, axis)}")
    return "; ".join(told)


def gist(point: Point) -> str:
    """Why a point is not ok: the codes of its verdict if it has any, else the reason's text."""
    if point.status in DOUBTFUL and (point.codes or point.status == "client-limited"):
        return ", ".join(code for code in point.codes if code != point.status)
    return point.reason


def remarks_of(point: Point) -> list[str]:
    """The badges of a point, and where it is ok the replicates that are not ("1 of 5 void")."""
    if point.missing:
        return []
    # Saturation is what the curve itself shows.
    badges = [badge for badge in point.badges if badge != "saturated"]
    return [*badges, *(point.strays if point.status == "ok" else ())]


def _because(reason: str) -> str:
    reason = " ".join(reason.split()).rstrip(".")
    if len(reason) > 110:
        reason = reason[:109].rstrip() + "…"
    return f" ({reason})" if reason else ""


def level_range(levels: Sequence[str], grid: Sequence[str], axis: Axis) -> str:
    """Levels in words, neighbours of the grid joined: "1, 100–10k"."""
    if not all(level in grid for level in levels):
        return ", ".join(levels) if levels != ("all",) else "any level"
    indices = sorted(grid.index(level) for level in levels)
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])

    def name(index: int) -> str:
        value = number(grid[index])
        return axis.format(value) if math.isfinite(value) else grid[index]

    return ", ".join(
        name(a) if a == b else f"{name(a)}{'–' if b > a + 1 else ', '}{name(b)}" for a, b in runs
    )
