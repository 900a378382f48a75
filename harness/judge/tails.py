# SPDX-License-Identifier: MIT
"""Tails of many slices: never averaged.

The percentile of all requests comes from the sum of the histograms. One bad slice of fifty sets a
p99 of all, and none of fifty shows what a usual tenth of a second is like. So two numbers stand
beside it: the median of the slices' own percentiles, and the share of slices with a stall.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# A slice has a stall when its p99 is more than this many times that of the median slice. Chance
# does not do that: the p99 of 1000 replies has a standard deviation of sqrt(0.99 / (0.01 * 1000)) =
# 0.31 in the logarithm even for a Pareto tail of index 1, which is heavier than that of any queue
# without stalls; log 3 is 3.5 of these. (Variance of a sample quantile: F. Mosteller, Ann. Math.
# Stat. 17, 1946.)
STALL_FACTOR = 3.0
STALL_REPLIES = 1000


@dataclass(frozen=True)
class Tail:
    """pooled_ns: of all requests. median_ns: of the slices' own. slices: how many could show a
    stall (1000 replies or more); stalls: how many of them did; share: of them, nan if none
    could."""

    pooled_ns: float
    median_ns: float
    slices: int
    stalls: int

    @property
    def share(self) -> float:
        return self.stalls / self.slices if self.slices else math.nan


def tail(pooled_ns: float, slices: Sequence[tuple[float, int]]) -> Tail:
    """Of a percentile: pooled_ns from the summed histogram (inf is possible), slices as (percentile
    in ns, replies) of each that counts. No slice: the median is nan."""
    usual = median(value for value, _ in slices) if slices else math.nan
    able = [value for value, replies in slices if replies >= STALL_REPLIES]
    stalls = sum(value > STALL_FACTOR * usual for value in able)
    return Tail(pooled_ns, usual, len(able), stalls)
