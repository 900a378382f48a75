# SPDX-License-Identifier: MIT
"""Two runs of one experiment against each other: before and after, here and there, A and A."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.design import experiment
from harness.judge import stats, summary
from harness.design.metrics import METRICS
from harness.store import Run, level_text


@dataclass(frozen=True)
class Row:
    """One model at one level of every factor. verdict: better, worse, differs (the metric has no
    better side) or "not distinguishable"; of B against A. ratio: B / A, None if there is none."""

    name: str
    metric: str
    a: stats.Estimate
    b: stats.Estimate
    ratio: float | None
    lo: float
    hi: float
    verdict: str


def compare(a: Run, b: Run, metric: str | None) -> list[Row]:
    """Every model and level that both runs measured; p-values adjusted by Holm over all rows."""
    one = experiment.of(a)
    metrics = [metric] if metric else list(dict.fromkeys(h.metric for h in one.highlights))
    groups = [
        {_name(g): g for g in summary.group(r.cells(), list(r.meta["models"]))} for r in (a, b)
    ]
    pairs: dict[str, tuple[str, str, list[float], list[float], stats.Comparison]] = {}
    for name, left in groups[0].items():
        right = groups[1].get(name)
        for each in metrics:
            if right is None or not left.values(each) or not right.values(each):
                continue
            va, vb = left.values(each), right.values(each)
            pairs[f"{name} {each}"] = (name, each, va, vb, stats.compare(vb, va))
    adjusted = stats.holm({key: pair[4].p for key, pair in pairs.items()})
    rows = []
    for key, (name, each, va, vb, found) in pairs.items():
        ratio = None if math.isnan(found.ratio) else found.ratio
        verdict = _verdict(each, found.relation, adjusted[key])
        rows.append(
            Row(
                name,
                each,
                stats.estimate(va),
                stats.estimate(vb),
                ratio,
                found.lo,
                found.hi,
                verdict,
            )
        )
    return rows


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


def _verdict(metric: str, relation: stats.Relation, p: float) -> str:
    if relation is stats.Relation.SAME or p >= 0.05:
        return stats.Relation.SAME.value
    better = METRICS[metric].better
    if not better:
        return "differs"
    higher = relation is stats.Relation.GREATER
    return "better" if higher == (better == "higher") else "worse"


def _name(group: summary.Group) -> str:
    levels = " ".join(f"{k}={level_text(v)}" for k, v in group.factors.items())
    return f"{group.model} {levels}"
