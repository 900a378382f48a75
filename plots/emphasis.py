# SPDX-License-Identifier: MIT
"""Which models of a run stand out. A few dozen curves in colour cannot be told apart: some are
drawn as always, the others thin and grey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from plots.data import Point, Results
from plots.page import Footnote
from plots.style import ModelStyle, styles

# Up to so many models are all drawn in colour.
MOST = 14
REFERENCE = "epoll_lt"
# What the best and the worst are best and worst in, the first that the run has; lower is better
# in the one, higher in the other.
COST, RATE = "server_cpu_us_per_request", "throughput_rps"
QUIET = "#C9C9C9"


def emphasised(run: Results) -> frozenset[str]:
    """The models that are drawn in colour: all of a few; of many the reference, the best and the
    worst, and those that were asked for. Where some were asked for, all others are quiet."""
    drawn = [m for m in run.models if any(p.model == m and not p.missing for p in run.points)]
    if len(drawn) <= MOST and not run.highlight:
        return frozenset(run.models)
    found = {reference_of(run), *run.highlight}
    if len(drawn) > MOST:
        found |= set(_ends(run))
    return frozenset(found & set(run.models))


def reference_of(run: Results) -> str:
    """The model that the others of the run are compared with."""
    told = run.meta.get("experiment")
    return str(told.get("reference") or REFERENCE) if isinstance(told, dict) else REFERENCE


def _ends(run: Results) -> list[str]:
    """The best and the worst: at the highest level that at least half of the models have a value
    at."""
    for metric in (COST, RATE):
        levels: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        for p in run.points:
            if p.metric == metric and math.isfinite(p.estimate) and p.status != "void":
                levels.setdefault(p.factors, []).append(p)
        most = max((len(points) for points in levels.values()), default=0)
        wide = [points for points in levels.values() if 2 * len(points) >= most]
        if wide:
            ranked = sorted(wide[-1], key=lambda p: p.estimate)
            return [ranked[0].model, ranked[-1].model]
    return []


def looks(run: Results) -> dict[str, ModelStyle]:
    """How each model of the run is drawn."""
    return quieten(styles(run.models), emphasised(run))


def quieten(look: dict[str, ModelStyle], loud: frozenset[str]) -> dict[str, ModelStyle]:
    """The same with everyone else thin and grey."""
    return {
        name: one if name in loud else replace(one, colour=QUIET, dash="solid", quiet=True)
        for name, one in look.items()
    }


def note(look: dict[str, ModelStyle]) -> list[Footnote]:
    """What the grey curves are; nothing where there is none."""
    quiet = [name for name, one in look.items() if one.quiet]
    if not quiet:
        return []
    text = (
        f"Grey: {', '.join(quiet)}. Family by family they are in the figure families;"
        " --highlight A,B of `tenk plot` draws those of your choice in colour."
    )
    return [Footnote(f"grey: {_names(quiet)}", text)]


def told_of(look: dict[str, ModelStyle], points: Sequence[Point]) -> list[Point]:
    """The points that the notes are about: of a grey curve only where it has no value."""
    return [p for p in points if p.missing or not look[p.model].quiet]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"the {len(names)} other models"
