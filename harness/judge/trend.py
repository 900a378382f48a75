# SPDX-License-Identifier: MIT
"""Whether a window began too early: the rate still went one way while it was measured.

Sources:
    H. B. Mann, "Nonparametric Tests Against Trend", Econometrica 13, 1945: Kendall's tau of the
    values against time; exact for so few of them.
    P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", J. Am. Stat. Assoc.
    63, 1968: the slope as the median of all slopes between two values.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.judge import distributions

LEAST = 6  # intervals: with five even a perfect trend has p = 0.017
# Chance of finding a trend where there is none, and the least that matters.
SURE = 0.01
MATTERS = 0.05


@dataclass(frozen=True)
class Trend:
    """change: of the rate from the first to the last interval, as a fraction of the median (0.2: it
    rose by a fifth). p: of so clear a trend by chance. found: clear, and 5 % or more."""

    change: float
    p: float

    @property
    def found(self) -> bool:
        return self.p < SURE and abs(self.change) >= MATTERS


def trend(rates: Sequence[float]) -> Trend:
    """Of the rates of equal intervals of one window, in order. Fewer than six say nothing (p = 1).

    A machine that changes its speed for another reason within the window is found as well; that is
    no reason to trust the window more.
    """
    if len(rates) < LEAST or not median(rates) > 0:
        return Trend(math.nan, 1.0)
    pairs = itertools.combinations(enumerate(rates), 2)
    slope = median((y - x) / (j - i) for (i, x), (j, y) in pairs)
    p = distributions.kendall_p(range(len(rates)), rates)
    return Trend(slope * (len(rates) - 1) / median(rates), 1.0 if math.isnan(p) else p)
