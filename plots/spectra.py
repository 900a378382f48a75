# SPDX-License-Identifier: MIT
"""Percentile spectra, x = 1/(1-percentile) on a log scale, as HdrHistogram's plotter shows them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from matplotlib.figure import Figure

from plots.data import (
    Replicate,
    EmptySpectrum,
    Point,
    Results,
    Spectrum,
    level_text,
    number,
    parse_spectrum,
)
from plots import emphasis
from plots.emphasis import looks
from plots.page import Ending, Footnote, Note, Page
from plots.curves import draw_curves
from plots.notes import notes_of
from plots.scale import Axis, Panel, scale_of
from plots.style import format_level, format_inverse, format_ns

METRIC = "response_ns"
PANEL = Panel(METRIC, "response time", format_ns, "log")
STEPS_PER_DECADE = 12
BELIEVED = ("ok", "client-limited", "suspect")
KEYS = ("connections", "offered_rps")

Level = tuple[tuple[str, str], ...]


def _level(cell: Replicate, run: Results) -> Level:
    return tuple((name, cell.factors.get(name, "")) for name in run.factors)


def spectra_at(run: Results, level: Level) -> dict[str, list[Spectrum]]:
    """The spectra of each model's replicates; a cell that answered nothing has an empty table."""
    found: dict[str, list[Spectrum]] = {}
    for cell in run.only(**dict(level)).cells:
        if cell.hgrm:
            try:
                where = f"{run.path}: spectrum of {cell.model}, replicate {cell.replicate}"
                spectrum = parse_spectrum(cell.hgrm, where)
            except EmptySpectrum:
                continue
            found.setdefault(cell.model, []).append(spectrum)
    return found


def _keeps_up(cell: Replicate) -> bool:
    """False past capacity, where a spectrum shows how long the queue had grown, not the server."""
    offered = number(cell.factors.get("offered_rps"))
    return math.isnan(offered) or cell.metrics.get("throughput_rps", 0.0) >= 0.95 * offered


def key_level(run: Results) -> Level | None:
    """The level at which to compare spectra: the highest that is fair to most models.

    That is the highest at which at least three quarters of the models with any spectrum have one
    from a cell that is neither void nor past capacity; failing that, the level most models have one
    at.
    """
    fair: dict[Level, set[str]] = {}
    any_at_all: dict[Level, set[str]] = {}
    for cell in run.cells:
        if cell.hgrm:
            any_at_all.setdefault(_level(cell, run), set()).add(cell.model)
            if cell.status in BELIEVED and _keeps_up(cell):
                fair.setdefault(_level(cell, run), set()).add(cell.model)
    if not any_at_all:
        return None
    models = set().union(*any_at_all.values())

    def height(level: Level) -> tuple[float, ...]:
        numbers = [number(text) for _, text in level]
        return tuple(-math.inf if math.isnan(n) else n for n in numbers)

    enough = [level for level, have in fair.items() if 4 * len(have) >= 3 * len(models)]
    if enough:
        return max(enough, key=height)
    pool = fair or any_at_all
    return max(pool, key=lambda level: (len(pool[level]), height(level)))


def grid(counts: Sequence[int]) -> list[float]:
    """Places on the x axis from the median of all values to one request in the largest count."""
    steps = round(math.log10(max(max(counts), 10)) * STEPS_PER_DECADE)
    finer = (10 ** (i / STEPS_PER_DECADE) for i in range(steps + 1))
    return [2.0, *(place for place in finer if place > 2.1)]


def merge(
    model: str, spectra: Sequence[Spectrum], places: Sequence[float], status: str
) -> list[Point]:
    """The median replicate at each place with the range of all; up to the least replicate's count.

    Percentiles of different replicates are ranked against each other, never averaged.
    """
    least = min(spectrum.count for spectrum in spectra)
    points = []
    for place in places:
        if place > least:
            break
        values = [spectrum.at(place) for spectrum in spectra]
        points.append(
            Point(
                model=model,
                factors=(("inverse", level_text(place)),),
                metric=METRIC,
                unit="ns",
                n=len(values),
                estimate=statistics.median_high(values),
                lo=min(values) if len(values) > 1 else math.nan,
                hi=max(values) if len(values) > 1 else math.nan,
                status=status,
                reason="",
            )
        )
        if points[-1].estimate == math.inf:
            break
    return points


AXIS = Axis(
    "inverse",
    "percentile, on a scale of 1 / (1 − percentile)",
    format_inverse,
    "auto",
    places=(2.0, *(10.0**nines for nines in range(1, 10))),
    every=STEPS_PER_DECADE,
)


def draw_spectra(figure: Figure, run: Results) -> None:
    """All models at key_level(run)."""
    level = key_level(run) or ()
    at_level = run.only(**dict(level))
    spectra = spectra_at(run, level)
    places = grid([s.count for many in spectra.values() for s in many])
    statuses = {p.model: p.status for p in at_level.points}
    series = {
        model: merge(model, spectra[model], places, statuses.get(model, "ok")) for model in spectra
    }
    points = [p for line in series.values() for p in line]
    ends = [
        Ending(
            model, (0.0, 0.0) if series.get(model) else None, "" if model in series else "(none)"
        )
        for model in run.models
    ]
    ends.sort(key=lambda e: -series[e.model][-1].estimate if e.model in series else math.inf)
    look = looks(run)
    ends = [end for end in ends if not look[end.model].quiet]
    states = [p for p in at_level.points if p.model not in series or p.status != "ok"]
    key = next((name for name in KEYS if name in run.factors), run.factors[0])
    notes: list[Note] = [*notes_of(at_level, Axis(key, key), states)]
    infinite = [model for model, line in series.items() if line[-1].estimate == math.inf]
    if infinite:
        text = f"↑ from here on infinite (unanswered requests): {', '.join(infinite)}."
        notes.append(Footnote("↑ infinite", text))
    notes.append("Legend in the order in which the curves end, slowest tail first.")
    notes += emphasis.note(look)
    page = Page(
        figure,
        run,
        f"How are response times distributed at {level_words(level, run)}?",
        points=points,
        notes=notes,
        height=4.2,
        labels=[f"{look[e.model].label} {e.remark}".strip() for e in ends],
        look=look,
        interval="line: (upper) median replicate, band: range"
        if any(p.n > 1 for p in points)
        else "one replicate: no band",
    )
    draw_curves(page.axes, AXIS, [PANEL], [series], look, scale_of(PANEL, points))
    page.label(page.axes[0], ends, leaders=False)


def level_words(level: Level, run: Results | None = None) -> str:
    """ "10k idle connections"; of a factor that the run has words for, those."""
    units = {
        "connections": "connections",
        "offered_rps": "requests/s offered",
        "idle": "idle connections",
        "silent": "silent connections",
        "workers": "workers",
    }

    def told(name: str, text: str) -> str:
        known = run.words(name).get(text) if run is not None else None
        plain = text if math.isnan(number(text)) else format_level(number(text))
        return known or (f"{plain} {units[name]}" if name in units else f"{name} {text}")

    words = ", ".join(told(name, text) for name, text in level)
    return words.replace("1 connections", "1 connection") if words.startswith("1 c") else words
