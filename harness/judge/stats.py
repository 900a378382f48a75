# SPDX-License-Identifier: MIT
"""Statistics over replicates. Pure functions; a replicate is one run with a fresh server.

Everything here takes plain sequences of floats, in any unit, where `math.inf` is a legal value (a
percentile that falls among requests that were never answered) and `nan` is not.

Sources:
    [H15] T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
          69(4), 2015: the expanded percentile interval, and why the plain one is too narrow.
    [F35] R. A. Fisher, "The Logic of Inductive Inference", J. R. Stat. Soc. 98, 1935.
    [S08] Student, "The Probable Error of a Mean", Biometrika 6, 1908.
    [W47] B. L. Welch, "The generalization of 'Student's' problem", Biometrika 34, 1947.
    [H79] S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6,
    1979.
"""
from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median

import numpy as np
from numpy.typing import NDArray

from harness.judge import distributions

# Up to this many replicates every resample is enumerated (5**5 = 3125): no seed, no noise.
EXACT_LIMIT = 5
RESAMPLES = 4000


@dataclass(frozen=True)
class Estimate:
    """Median of `n` replicates with an interval [lo, hi] for it; nan throughout when n = 0.

    `confidence` is the probability that the interval covers the median of all runs there could be,
    as far as n allows: 0 for n < 2, see `interval_confidence`.
    """

    n: int
    value: float
    lo: float
    hi: float
    confidence: float

    @property
    def relative_half_width(self) -> float:
        """(hi - lo) / 2 as a fraction of the estimate; inf where that has no meaning."""
        if not math.isfinite(self.hi - self.lo) or not self.value:
            return math.inf
        return (self.hi - self.lo) / 2 / abs(self.value)


class Relation(Enum):
    """What the replicates allow to be said about two sets of values, as numbers (not as
    quality)."""

    LESS = "less"
    GREATER = "greater"
    SAME = "not distinguishable"


@dataclass(frozen=True)
class Comparison:
    """Ratio a / b of geometric means with an interval, and the p-value (two-sided, unadjusted)."""

    relation: Relation
    ratio: float
    lo: float
    hi: float
    p: float
    reason: str


def interval_confidence(n: int, level: float = 0.95) -> float:
    """Coverage that an interval from `n` replicates can have, at most `level`.

    No interval made of the observed values covers the median with more than 1 - 2**(1 - n): that is
    the chance that not all replicates fall on one side. 3 runs give 75 %, 4 give 88 %, 5 give 94 %.
    """
    return 0.0 if n < 2 else min(level, 1.0 - 2.0 ** (1 - n))


def expanded_tail(n: int, level: float = 0.95) -> float:
    """Tail probability of the expanded percentile interval [H15, section 5.2].

    The percentile bootstrap is too narrow for small n, by sqrt((n - 1) / n) and by using normal
    instead of t quantiles; taking quantiles further out undoes both. For n <= 4 this lies beyond
    the outermost resample, so the interval is simply the observed range.
    """
    if n < 2:
        return 0.0
    t = t_quantile((1 + level) / 2, n - 1)
    return distributions.normal_cdf(-math.sqrt(n / (n - 1)) * t)


def estimate(values: Sequence[float], level: float = 0.95, seed: int = 1) -> Estimate:
    """Median and expanded percentile bootstrap interval over replicates.

    The median because it stands a disturbed run and an infinite percentile, and because it means
    the same on a linear and on a log axis. n = 0 gives nan; n = 1 gives the value without interval
    (lo = hi = value, confidence 0).
    """
    data = checked(values)
    n = len(data)
    if n == 0:
        return Estimate(0, math.nan, math.nan, math.nan, 0.0)
    middle = median(data)
    if n == 1:
        return Estimate(1, middle, middle, middle, 0.0)
    resamples = np.sort(_resampled_medians(data, seed))
    tail = expanded_tail(n, level)
    last = len(resamples) - 1
    cut = min(last, int(tail * len(resamples)))
    lo, hi = float(resamples[cut]), float(resamples[last - cut])
    return Estimate(n, middle, lo, hi, interval_confidence(n, level))


def compare(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Comparison:
    """Whether the replicates `a` are less or greater than `b`: Welch's t-test on logarithms [W47].

    Logarithms, because run-to-run noise of rates and latencies is relative and skewed. Values must
    be positive. Needs two replicates on each side; fewer are never distinguishable.

    Infinite values cannot enter a mean. Where there are some, Fisher's exact test [F35] says
    whether one side has more of them; with three replicates a side it never can (its least p-value
    is 0.1), with four all finite against all infinite differ (0.03). A ratio is given then only (0
    or inf).
    """
    left, right = checked(a), checked(b)
    nothing = Comparison(Relation.SAME, math.nan, math.nan, math.nan, 1.0, "")
    if len(left) < 2 or len(right) < 2:
        return _because(nothing, "fewer than two replicates")
    if any(math.isinf(v) for v in [*left, *right]):
        return _by_infinite(left, right, level)
    if min(left) <= 0 or min(right) <= 0:
        return _because(nothing, "zero or negative values have no ratio")
    return _welch([math.log(v) for v in left], [math.log(v) for v in right], level)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment of a family of p-values [H79]; adjusted values, capped at 1."""
    adjusted: dict[str, float] = {}
    worst = 0.0
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    for rank, (key, p) in enumerate(ordered):
        worst = max(worst, min(1.0, (len(ordered) - rank) * p))
        adjusted[key] = worst
    return adjusted


def mean_interval(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean with Student's interval [S08], which has its level from two replicates on (wide as it
    may be); of the logarithms, and so the geometric mean, where all values are above 0.

    Where a value is infinite: as `estimate`, whose confidence says what it is worth.
    """
    data = checked(values)
    if len(data) < 2 or any(math.isinf(v) for v in data):
        return estimate(data, level)
    if min(data) <= 0:
        return student(data, level)
    e = student([math.log(v) for v in data], level)
    low, middle, high = (math.exp(v) for v in (e.lo, e.value, e.hi))
    return Estimate(len(data), middle, low, high, level)


def student(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Arithmetic mean with Student's interval [S08], of finite values of any sign: of differences,
    for instance. Fewer than two values have no interval: lo = hi = value, confidence 0."""
    n = len(values)
    if n == 0:
        return Estimate(0, math.nan, math.nan, math.nan, 0.0)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(1, mean, mean, mean, 0.0)
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    reach = t_quantile((1 + level) / 2, n - 1) * sd / math.sqrt(n)
    return Estimate(n, mean, mean - reach, mean + reach, level)


def exact_p(k: int, n: int, j: int, m: int) -> float:
    """Two-sided p-value of k of n against j of m: Fisher's exact test [F35]."""
    return distributions.fisher_p([[k, n - k], [j, m - j]])


def range_quantile(p: float, groups: int, freedom: float) -> float:
    """Quantile of the studentized range of that many means (Tukey's test) at whole degrees of
    freedom, from 1 to 1000; rounded down, which makes it wider."""
    return distributions.studentized_range_ppf(p, groups, max(1, min(1000, int(freedom))))


def t_quantile(p: float, freedom: float) -> float:
    """Quantile of Student's t distribution."""
    return distributions.t_ppf(p, freedom)


def checked(values: Iterable[float]) -> list[float]:
    """The values as a list; ValueError for nan."""
    data = [float(v) for v in values]
    if any(math.isnan(v) for v in data):
        raise ValueError("nan among replicates: leave out what was not measured")
    return data


def _by_infinite(left: list[float], right: list[float], level: float) -> Comparison:
    counts = [sum(map(math.isinf, side)) for side in (left, right)]
    p = exact_p(counts[0], len(left), counts[1], len(right))
    more = counts[0] / len(left) > counts[1] / len(right)
    if p >= 1 - level:
        reason = "too few replicates to tell infinite from finite ones"
        return Comparison(Relation.SAME, math.nan, math.nan, math.nan, p, reason)
    relation = Relation.GREATER if more else Relation.LESS
    whole = counts in ([len(left), 0], [0, len(right)])
    ratio = math.nan if not whole else math.inf if more else 0.0
    return Comparison(relation, ratio, ratio, ratio, p, "infinite")


def _because(comparison: Comparison, reason: str) -> Comparison:
    c = comparison
    return Comparison(c.relation, c.ratio, c.lo, c.hi, c.p, reason)


def _resampled_medians(data: list[float], seed: int) -> NDArray[np.float64]:
    picks = np.sort(np.array(data)[_picks(len(data), seed)], axis=1)
    upper = picks.shape[1] // 2
    middle: NDArray[np.float64] = picks[:, upper]
    if picks.shape[1] % 2 == 0:
        with np.errstate(over="ignore", invalid="ignore"):  # inf or nan then, as Python has it
            middle = (picks[:, upper - 1] + middle) / 2
    return middle


@functools.lru_cache(maxsize=64)
def _picks(n: int, seed: int) -> NDArray[np.intp]:
    """Which of n values each resample takes, a row for each: a table has hundreds of estimates, all
    of the same few numbers of replicates."""
    if n <= EXACT_LIMIT:
        return np.array(list(itertools.product(range(n), repeat=n)))
    rng = random.Random(seed)
    return np.array([rng.choices(range(n), k=n) for _ in range(RESAMPLES)])


def _welch(left: list[float], right: list[float], level: float) -> Comparison:
    def moments(x: list[float]) -> tuple[float, float]:
        mean = math.fsum(x) / len(x)
        return mean, math.fsum((v - mean) ** 2 for v in x) / (len(x) - 1) / len(x)

    (mean_a, var_a), (mean_b, var_b) = moments(left), moments(right)
    difference, variance = mean_a - mean_b, var_a + var_b
    if variance <= 1e-24:
        # Identical replicates on both sides: only counters do that, and then the difference is
        # exact.
        relation = _relation(difference, 0.0)
        p = 1.0 if relation is Relation.SAME else 0.0
        ratio = math.exp(difference)
        return Comparison(relation, ratio, ratio, ratio, p, "replicates do not vary")
    freedom = variance**2 / (var_a**2 / (len(left) - 1) + var_b**2 / (len(right) - 1))
    p = 2 * distributions.t_sf(abs(difference) / math.sqrt(variance), freedom)
    reach = t_quantile((1 + level) / 2, freedom) * math.sqrt(variance)
    return Comparison(
        _relation(difference, reach),
        math.exp(difference),
        math.exp(difference - reach),
        math.exp(difference + reach),
        p,
        "",
    )


def _relation(difference: float, reach: float) -> Relation:
    if difference - reach > 1e-12:
        return Relation.GREATER
    if difference + reach < -1e-12:
        return Relation.LESS
    return Relation.SAME
