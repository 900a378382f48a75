# SPDX-License-Identifier: MIT
"""How much replicates of one thing differ (A/A), and what that allows to be told apart."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.judge import stats

LEAST = 4  # replicates: with fewer there is no half to compare with the other


@dataclass(frozen=True)
class Noise:
    """Spread of replicates of the same thing, as the standard deviation of logarithms (0.03: 3 %),
    and whether its first and second half could be told apart (they should not)."""

    metric: str
    sd_log: float
    median: float
    drift: stats.Comparison


def noise(metric: str, values: Sequence[float]) -> Noise | None:
    """Of one metric, from its values in the order in which they were measured; each above 0.
    None where there are fewer than LEAST."""
    if len(values) < LEAST:
        return None
    logs = [math.log(v) for v in values]
    mean = math.fsum(logs) / len(logs)
    sd = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    half = len(values) // 2
    drift = stats.compare(values[half:], values[:half])
    return Noise(metric, sd, stats.estimate(values).value, drift)


def smallest_difference(sd_log: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest relative difference that two sets of n replicates show with that power.

    Two-sample t-test on logarithms with 2 (n - 1) degrees of freedom; the usual approximation
    (t of alpha / 2 + t of power) times the standard error. 0.1 means ten percent. One comparison: a
    table of ten models needs more, for its correction.
    """
    if n < 2:
        return math.inf
    freedom = 2 * (n - 1)
    t = stats.t_quantile(1 - alpha / 2, freedom) + stats.t_quantile(power, freedom)
    return math.expm1(t * sd_log * math.sqrt(2 / n))
