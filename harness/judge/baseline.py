# SPDX-License-Identifier: MIT
"""What a model costs beyond another one, the baseline: W. R. Stevens's subtraction (UNIX Network
Programming, 3rd ed., 2004, sections 30.2 and 30.4), with an interval.

The two are subtracted block by block: replicates of one block were measured near each other in
time, so that what drifts slowly is in both and goes. Over the blocks stands the mean with Student's
interval. A difference can come out at nought or below: then nothing was found beyond the baseline.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.design.experiment import Experiment
from harness.design.metrics import METRICS
from harness.judge import stats
from harness.judge.summary import Group
from harness.store import level_text

BEYOND = "beyond:"  # before the name of a metric, in summary.tsv


def differences(group: Group, base: Group, metric: str) -> dict[int, float]:
    """The metric of the one less that of the other, by block; blocks that both have."""
    mine, theirs = group.by_block(metric), base.by_block(metric)
    return {block: mine[block] - theirs[block] for block in mine if block in theirs}


def of_level(groups: Sequence[Group], like: Group, baseline: str) -> Group | None:
    """The baseline at the level of that group."""
    same = (g for g in groups if g.model == baseline and _levels(g) == _levels(like))
    return next(same, None)


def to_tsv(experiment: Experiment, groups: Sequence[Group]) -> str:
    """Further rows of summary.tsv, with the main metric's name after "beyond:"; none where the
    experiment has no baseline. The estimate is the mean, n the number of blocks."""
    rows = []
    name = experiment.metric
    for group in groups:
        base = of_level(groups, group, experiment.baseline)
        if base is None or base is group:
            continue
        found = stats.student(list(differences(group, base, name).values()))
        if found.n:
            row = [group.model, *(level_text(group.factors[f.name]) for f in experiment.factors)]
            row += [BEYOND + name, METRICS[name].unit, str(found.n)]
            row += [f"{value:.6g}" for value in (found.value, found.lo, found.hi)]
            row += [group.status, "; ".join(group.codes), "; ".join(group.badges), "", ""]
            rows.append("\t".join(row) + "\n")
    return "".join(rows)


def _levels(group: Group) -> Mapping[str, str]:
    return {name: level_text(value) for name, value in group.factors.items()}
