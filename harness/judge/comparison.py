# SPDX-License-Identifier: MIT
"""Two runs of one experiment side by side: a description, and no verdict.

The replicates of a run know nothing of what differs between sessions:
of two runs of the same sources a quarter of an hour apart, 16 of 84 intervals excluded 1. What was
measured in one duel can be judged.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.design import experiment
from harness.judge import levels, stats, summary
from harness.judge.duel import Ratio
from harness.store import Run, level_text


@dataclass(frozen=True)
class Row:
    """One model at one level of every factor. ratio: of the medians, B / A; None if there is
    none."""

    name: str
    metric: str
    a: stats.Estimate
    b: stats.Estimate
    ratio: float | None


@dataclass(frozen=True)
class RatioRow:
    """One model against the reference at one level, as two runs found it together or in turns."""

    name: str
    metric: str
    arrangement: str
    reference: str
    a: Ratio
    b: Ratio


def ratios(a: Run, b: Run, metric: str | None) -> list[RatioRow]:
    """Every ratio to the same reference that both runs measured, and neither is void in."""
    found = []
    for left in levels.read_all(a.duels()):
        right = next((d for d in levels.read_all(b.duels()) if d.at(left.factors)), None)
        if right is None or right.reference != left.reference:
            continue
        others = {one.name: one for one in right.arrangements}
        for one in left.arrangements:
            for model, own in one.ratios.items():
                for name in own if metric is None else [metric]:
                    x = one.ratio(model, name)
                    y = others[one.name].ratio(model, name) if one.name in others else None
                    if x is not None and y is not None:
                        at = _at(model, left.factors)
                        found.append(RatioRow(at, name, one.name, left.reference, x, y))
    return found


def compare(a: Run, b: Run, metric: str | None) -> list[Row]:
    """Every model and level that both runs measured."""
    one = experiment.of(a)
    metrics = [metric] if metric else list(dict.fromkeys(h.metric for h in one.highlights))
    groups = [
        {_name(g): g for g in summary.group(r.cells(), list(r.meta["models"]))} for r in (a, b)
    ]
    return [
        Row(name, each, ea, eb, _ratio(ea.value, eb.value))
        for name, left in groups[0].items()
        for each in metrics
        if (right := groups[1].get(name)) is not None
        and (ea := left.estimate(each)).n
        and (eb := right.estimate(each)).n
    ]


def _ratio(a: float, b: float) -> float | None:
    return b / a if a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b) else None


def mismatches(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What makes two runs hard to compare, one line each."""
    found = []
    for what in ("profile", "seed"):
        if a[what] != b[what]:
            found.append(f"{what}: {a[what]} against {b[what]}")
    if a["placement"]["name"] != b["placement"]["name"]:
        found.append(f"placement: {a['placement']['name']} against {b['placement']['name']}")
    for what in ("machine", "cpu", "kernel", "cpus_online"):
        left, right = a["host"].get(what), b["host"].get(what)
        if left != right:
            found.append(f"{what}: {left} against {right}")
    if a["binaries"].get("loadgen") != b["binaries"].get("loadgen"):
        found.append("the load generator is another binary")
    return found


def _name(group: summary.Group) -> str:
    return _at(group.model, group.factors)


def _at(model: str, factors: Mapping[str, Any]) -> str:
    return " ".join([model, *(f"{k}={level_text(v)}" for k, v in factors.items())])
