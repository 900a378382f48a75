# SPDX-License-Identifier: MIT
"""How to spend the time of a comparison: rounds in a block, or more blocks.

Source:
    [KJ13] T. Kalibera, R. Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013: where noise
           comes from several levels (here: slices in a block, fresh servers), repeat at each level
           as often as its variance and its cost are worth.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.judge import robust
from harness.judge.duel import Comparison

LEAST_ROUNDS = 2  # one round says nothing of the variance within a block


@dataclass(frozen=True)
class Components:
    """Variances of a log value: within a block, from slice to slice, and between blocks, of what
    one start of a server has of its own (0 where the first explains all there is); nan if
    unknown."""

    within: float
    between: float


def components(found: Comparison) -> Components:
    """Both variances, from a comparison of two blocks or more.

    [KJ13, section 6.1]: the variance of the block's estimates is that between blocks plus the one
    within by the number of rounds; so the former is what remains. Never below 0.
    """
    names = [n for n, logs in found.series.items() if all(map(math.isfinite, logs.values()))]
    between = _variance({n: found.series[n] for n in names}, found.reference)
    if math.isnan(between) or not found.rounds:
        return Components(found.within, math.nan)
    within = 0.0 if math.isnan(found.within) else found.within
    return Components(found.within, max(0.0, between - within / found.rounds))


def rounds_per_block(
    var_within: float, var_between: float, cost_round_s: float, cost_block_s: float, most: int = 50
) -> int:
    """Rounds in a block for the narrowest interval in a given time [KJ13, section 6.2]:

        n = sqrt(cost_block / cost_round * var_within / var_between), rounded up,

    in [2, most]. cost_round_s: one slice of every contender, settling included. cost_block_s: what
    a block costs beside its rounds: starting, connecting, warming up. Nothing between blocks (0):
    as many rounds as allowed. Unknown (nan): as many as make the rounds take as long as the rest.
    Raises ValueError for a cost that is not above 0.
    """
    if not (cost_round_s > 0 and cost_block_s > 0):
        raise ValueError(f"costs of {cost_round_s} s and {cost_block_s} s; both must be above 0")
    if math.isnan(var_within) or math.isnan(var_between):
        wanted = cost_block_s / cost_round_s
    elif var_between <= 0:
        wanted = float(most)
    else:
        wanted = math.sqrt(cost_block_s / cost_round_s * var_within / var_between)
    return max(LEAST_ROUNDS, min(most, math.ceil(wanted)))


def _variance(series: Mapping[str, Mapping[int, float]], reference: str) -> float:
    """Residual variance of a contender's log value in the table of blocks x contenders."""
    blocks = sorted(series.get(reference, {}))
    table = np.array([[logs.get(b, np.nan) for logs in series.values()] for b in blocks])
    table = table[(~np.isnan(table)).sum(axis=1) > 1] if table.size else table
    if not table.size:
        return math.nan
    return robust.two_way(table).variance
