# SPDX-License-Identifier: MIT
"""The best of several settings of one design, chosen on other blocks than it is compared on.

Whoever takes the best of many measured values takes the luckiest, too: its value is too good by
what luck gave it (the winner's curse). So the blocks of a run are dealt into two halves: every
second one chooses, the others compare, and neither sees the other's values. What was chosen may
then not be the best there is; it is one that a user would have taken who measured as long.
"""
from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from harness.design.experiment import Operand
from harness.design.metrics import METRICS
from harness.judge.summary import Group
from harness.store import level_text


def halves(groups: Sequence[Group]) -> tuple[list[Group], list[Group]]:
    """Those that choose (even blocks) and those that compare (odd ones). A group without a cell in
    a half is not in it."""
    out: tuple[list[Group], list[Group]] = ([], [])
    for group in groups:
        for parity, half in enumerate(out):
            cells = tuple(cell for cell in group.cells if cell.block % 2 == parity)
            if cells:
                half.append(replace(group, cells=cells))
    return out


def choose(operand: Operand, choosing: Sequence[Group]) -> str | None:
    """The model with the best median among those that operand.best stands for, at the operand's
    levels; None where none has a value. Of equals the first."""
    wanted = {k: level_text(v) for k, v in operand.where.items() if k != "model"}
    medians = {
        group.model: median(values)
        for group in choosing
        if fnmatch.fnmatchcase(group.model, operand.best)
        and all(level_text(group.factors.get(k)) == v for k, v in wanted.items())
        and (values := group.values(operand.metric))
    }
    if not medians:
        return None
    pick = max if METRICS[operand.metric].better == "higher" else min
    return pick(medians, key=lambda name: medians[name])


def ratios(a: Group, b: Group, metric: str) -> list[float] | None:
    """The metric of the one over that of the other, block by block, so that what drifts slowly is
    in both and goes; None where a value has no ratio (nought, or infinite)."""
    mine, theirs = a.by_block(metric), b.by_block(metric)
    values = [v for side in (mine, theirs) for v in side.values()]
    if any(not 0 < v < math.inf for v in values):
        return None
    return [mine[block] / theirs[block] for block in sorted(mine) if block in theirs]


def chosen(operand: Operand, model: str) -> Operand:
    """The operand with that model, as any other one."""
    return replace(operand, where={**operand.where, "model": model}, best="")
