# SPDX-License-Identifier: MIT
"""A claim of the textbooks: each part with its estimate, interval and bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plots.data import Part, PartNumber, Results
from plots.page import (
    EDGE,
    GREY,
    INK,
    NUMBER_SIZE,
    SMALL_SIZE,
    TEXT_SIZE,
    Form,
    Page,
    form_of,
    text_width,
    wrap,
)
from plots.verdicts import COLOURS, HOLDS, WORDS, amount

X = None
LINE = 0.155  # of text, in inches
LEFT = 3.9  # inches for the texts of the parts
STRIP = 0.5  # of the rest is for the interval, then come the numbers
COLUMN_STRIP = 0.4  # where it stands below the text, with a column's width to share
GAP = 0.14
HOW = {"together": "together", "turns": "in turns", "cells": "cells", "slope": "slope"}


@dataclass(frozen=True)
class Row:
    """One number of a part; text only at the first of a part. All in inches from the top."""

    part: Part
    number: PartNumber | None
    lines: tuple[str, ...]
    top: float
    height: float
    middle: float  # of the interval, and of what is said of it


def applies(run: Results) -> bool:
    """The run was made to settle a claim, and says something of a part of it."""
    return not run.fixed and run.settled is not None and bool(run.parts)


def draw(run: Results, figure: Figure) -> None:
    """A row for each part, each on a scale of its own; shaded where the claim would be right."""
    form = form_of(figure)
    rows = _rows(run.parts, form)
    height = rows[-1].top + rows[-1].height
    assert run.settled is not None
    page = Page(
        figure,
        run,
        run.title("claim", f"{run.settled.claim} {WORDS[run.settled.outcome]}"),
        points=[],
        notes=[
            "Each row has its own scale. Shaded: where the claim would be right."
            " Bar: 95 % interval."
        ],
        height=height,
        exact=True,
        headings=False,
        labels=[],
        interval="estimates with 95 % intervals",
        left=EDGE if form.stacked else LEFT,
    )
    (axes,) = page.axes
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(height, 0)
    left = 0.0 if form.stacked else -(LEFT - EDGE) / (form.width - LEFT - EDGE)
    strip = COLUMN_STRIP if form.stacked else STRIP
    for row in rows:
        _texts(axes, row, left, strip)
        if row.number is not None:
            _strip(axes, row, row.number, strip, form.number_size())


def _rows(parts: tuple[Part, ...], form: Form) -> list[Row]:
    rows: list[Row] = []
    top = 0.0
    room = form.width - 2 * EDGE if form.stacked else LEFT - 0.35
    for part in parts:
        text = f"Control: {part.text}" if part.control else part.text
        lines = tuple(wrap(text, TEXT_SIZE, room))
        numbers = part.numbers or (None,)
        for index, number in enumerate(numbers):
            own = lines if index == 0 else ()
            least = 2 if number is not None else 1
            above = len(own) * LINE + 0.04 if form.stacked else 0.0
            beside = least if form.stacked else max(len(own) / len(numbers), least)
            height = above + beside * LINE + GAP
            rows.append(Row(part, number, own, top, height, top + (above + height - GAP) / 2))
            top += height
    return rows


def _texts(axes: Axes, row: Row, left: float, strip: float) -> None:
    colour = COLOURS[row.part.outcome]
    for index, line in enumerate(row.lines):
        y = row.top + (index + 0.5) * LINE
        said = axes.text(left, y, line, size=TEXT_SIZE, color=INK, va="center_baseline")
        said.set_gid("part")
    shift = LINE / 2 if row.number is not None else 0.0
    verdict = row.part.outcome if row.lines else ""
    if row.number is not None:
        how = HOW.get(row.number.basis, row.number.basis)
        verdict = f"{verdict} ({how}, n = {row.number.n})".strip()
    axes.text(
        strip + 0.03,
        row.middle - shift,
        verdict,
        size=TEXT_SIZE,
        color=colour,
        va="center_baseline",
    ).set_gid("verdict")
    if row.number is not None:
        text = _number(row.number)
        axes.text(
            strip + 0.03,
            row.middle + shift,
            text,
            size=SMALL_SIZE,
            color=GREY,
            va="center_baseline",
        ).set_gid("number")


def _number(one: PartNumber) -> str:
    if one.unit == "ratio":
        ends = "" if math.isnan(one.lo) else f" [{amount(one.lo)}, {amount(one.hi)}]"
        return f"{amount(one.estimate)}{ends} times"
    ends = "" if math.isnan(one.lo) else f" [{amount(one.lo)}, {amount(one.hi)}]"
    return f"{amount(one.estimate)}{ends} {one.unit}"


def _too_close(axes: Axes, share: float, words: list[str], size: float) -> bool:
    """Whether two numbers, each in the middle of its place, would touch. share: of the width of
    the axes that lies between the places."""
    room = share * float(axes.get_position().width * axes.figure.get_figwidth())
    return sum(text_width(word, size) for word in words) / 2 + 0.04 > room


def _strip(axes: Axes, row: Row, one: PartNumber, strip: float, size: float) -> None:
    """The interval against its bound, on the row's own scale."""
    known = [v for v in (one.estimate, one.lo, one.hi, one.low, one.high) if math.isfinite(v)]
    if not known or not math.isfinite(one.estimate):
        return
    low, high = min(known), max(known)
    room = 0.35 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - room, high + room

    def at(value: float) -> float:
        return strip * min(1.0, max(0.0, (value - low) / (high - low)))

    colour = COLOURS[row.part.outcome]
    y, tall = row.middle, 0.1
    begin = at(one.low) if math.isfinite(one.low) else 0.0
    end = at(one.high) if math.isfinite(one.high) else strip
    axes.add_patch(Rectangle((begin, y - tall), end - begin, 2 * tall, color=HOLDS, zorder=0))
    both = math.isfinite(one.low) and math.isfinite(one.high)
    words = [amount(one.low), amount(one.high)]
    close = both and _too_close(axes, at(one.high) - at(one.low), words, size)
    for bound, side in ((one.low, "right"), (one.high, "left")):
        if math.isfinite(bound):
            axes.plot([at(bound)] * 2, [y - tall, y + tall], color=GREY, linewidth=0.8, zorder=1)
            axes.text(
                at(bound), y + tall + 0.06 * size / NUMBER_SIZE, amount(bound), size=size,
                color=GREY, ha=side if close else "center", va="center",
            )  # fmt: skip
    if math.isfinite(one.lo) and math.isfinite(one.hi):
        axes.plot([at(one.lo), at(one.hi)], [y, y], color=colour, linewidth=2.0, zorder=2)
    (dot,) = axes.plot([at(one.estimate)], [y], marker="o", markersize=5, linestyle="none")
    dot.set(color=colour, zorder=3)
    dot.set_gid("estimate")
