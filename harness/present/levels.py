# SPDX-License-Identifier: MIT
"""How the models of a run stand to the reference at each level: the table beside a table of values,
with what may be believed of it. Pure functions to plain text."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design.duel import TOGETHER, TURNS
from harness.design.experiment import Experiment
from harness.design.metrics import METRICS
from harness.judge.levels import Arrangement, LevelDuel, turned_round
from harness.judge.standings import CPU
from harness.present import wording

LEFT_OUT = "not compared"
HOW = {TOGETHER: "together", TURNS: "in turns"}
VOID = "void"


@dataclass(frozen=True)
class RatioTable:
    """columns: levels, each with how the models met there. rows: a model and its entry in each."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    notes: Sequence[str]


def tables(
    experiment: Experiment, duels: Sequence[LevelDuel], models: Sequence[str] = ()
) -> dict[str, RatioTable]:
    """The ratio tables of a run, by the metric of the table that each stands beside. models: their
    order."""
    metrics = list(dict.fromkeys(h.metric for h in experiment.highlights))
    found = {metric: _table(duels, metric, models) for metric in metrics}
    return {metric: table for metric, table in found.items() if table is not None}


def _table(duels: Sequence[LevelDuel], metric: str, order: Sequence[str]) -> RatioTable | None:
    columns = [(d, a) for d in duels for a in d.arrangements if _speaks(a, metric)]
    if not columns:
        return None
    references = list(dict.fromkeys(d.reference for d, _ in columns))
    met = dict.fromkeys(name for d, a in columns for name in a.ratios if name != d.reference)
    models = [*(name for name in order if name in met), *(n for n in met if n not in order)]
    rows = [(name, [_entry(d, a, name, metric) for d, a in columns]) for name in models]
    notes = [note(d, a, metric) for d, a in columns]
    heading = f"{METRICS[metric].label} against {' or '.join(references)}"
    return RatioTable(heading, [_column(d, a) for d, a in columns], rows, notes)


def apart(found: Mapping[str, RatioTable], metric: str) -> str:
    """What a table of a metric has to say for itself where other tables of the run have ratios
    beside them: '' if it has them, too, or none of them has."""
    if not found or metric in found:
        return ""
    return "; from single runs only: neither pairs nor turns tell this"


def _speaks(one: Arrangement, metric: str) -> bool:
    direct = METRICS[metric].inverse_of or metric
    return any(direct in ratios for ratios in one.ratios.values())


def _column(level: LevelDuel, one: Arrangement) -> str:
    """ "1k in turns", "100 together, 14k/s each"."""
    at = _levels(level.factors)
    own = not one.offered_rps or one.own_load
    rate = "" if own else f", {wording.quantity(one.offered_rps, '')}/s each"
    return f"{at} {HOW[one.name]}{rate}"


def _levels(factors: Mapping[str, Any]) -> str:
    return " ".join(wording.level(v) for v in factors.values())


def _entry(level: LevelDuel, one: Arrangement, name: str, metric: str) -> str:
    if name not in one.ratios:
        return LEFT_OUT if name in level.left_out else "–"
    if one.void(metric):
        return VOID
    ratio = one.ratio(name, metric)
    if ratio is None:
        return "–"
    return wording.change(ratio) + (" (alone)" if name in one.alone else "")


def note(level: LevelDuel, one: Arrangement, metric: str) -> str:
    """ "100 in turns: twin +0.1 ± 0.4 %, control of 3.1 % found as +2.9 ± 0.5 %, …"."""
    inverse = METRICS[metric].inverse_of
    direct = inverse or metric
    parts = []
    twin = one.twin.get(direct)
    if twin is not None:
        twin = turned_round(twin) if inverse else twin
        parts.append(f"twin {wording.change(twin)}")
    control = one.control.get(direct)
    if control is not None and math.isfinite(one.expected):
        cost = f"{100 * (one.expected - 1):.1f} %"
        control = turned_round(control) if inverse else control
        if direct == CPU:
            expected = 1 / one.expected if inverse else one.expected
            missed = ", outside of its 99 % interval" if one.slack else ""
            known = f"{100 * (expected - 1):.1f} %"
            parts.append(f"control of {known} found as {wording.change(control)}{missed}")
        else:
            parts.append(f"control (a cost of {cost} more) {wording.change(control)}")
    resolution = one.resolution.get(direct, math.inf)
    if math.isfinite(resolution):
        parts.append(f"resolution {wording.resolution(resolution)}")
    if direct == "throughput_rps" and one.client_set_rate:
        parts.append("the client set the rate: it says nothing of the servers")
    text = f"{_column(level, one)}: {', '.join(parts)}"
    if one.void(metric):
        text += "; VOID: the reference differs from itself (99 % interval of the twin)"
    return text


def left_out(duels: Sequence[LevelDuel]) -> list[str]:
    """Who was not compared at some level, and why; levels at which nothing was. A line each."""
    found: dict[tuple[str, str], list[str]] = {}
    for level in duels:
        at = _levels(level.factors)
        for name, why in level.left_out.items():
            found.setdefault((name, why), []).append(at)
    lines = [
        f"{name} was not compared at {', '.join(at)}: {why}" for (name, why), at in found.items()
    ]
    for level in duels:
        if not level.arrangements:
            lines.append(f"{_levels(level.factors)}: nothing was compared: {level.reasons[0]}")
    return lines
