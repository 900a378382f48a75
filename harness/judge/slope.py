# SPDX-License-Identifier: MIT
"""How a metric grows with a factor: the slope of a straight line through the levels of one model.

Assumptions, all of them the caller's to judge:
- The replicates of a level vary by a factor, not by an amount, and by the same one at each level
  of the model: run-to-run noise of costs is relative. Cells at different levels are independent.
- The line is what one wants to know. `bent` says when the levels do not lie along one by more than
  their noise; the slope is then an average over the range that was measured, and no law.

The line goes through the medians of the levels by least squares, each level counting once, so that
one disturbed replicate of three does not move it. Its slope is a sum of these medians with known
coefficients, so its variance follows from theirs, and theirs from the spread within the levels.

Sources:
    N. Draper, H. Smith, "Applied Regression Analysis", 3rd ed. 1998, sections 1.3 (the slope as a
    sum), 2.1 (lack of fit against pure error).
    G. Tietjen, D. Kahaner, R. Beckman, "Variances and covariances of the normal order statistics
    for sample sizes 2 to 50", Selected Tables in Mathematical Statistics 5, 1977: that of a median.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, variance


from harness.design.metrics import METRICS
from harness.judge import distributions, stats
from harness.judge.summary import Group

# Variance of the median of n normal values, as a fraction of the variance of one; pi / 2n beyond.
_MEDIAN_VARIANCE = (math.nan, 1.0, 0.5, 0.4487, 0.2982, 0.2868, 0.2147, 0.2104, 0.1682, 0.1661)
# Chance of calling a straight line bent.
BENT_BELOW = 0.01


@dataclass(frozen=True)
class Slope:
    """`value` per unit of the factor, with its 95 % interval [lo, hi], in `unit`.

    start, end: the medians at the lowest and the highest level, in the metric's own unit.
    replicates: in all. lo and hi are nan where no level has two replicates.
    """

    model: str
    metric: str
    factor: str
    unit: str
    value: float
    lo: float
    hi: float
    start: float
    end: float
    levels: tuple[float, ...]
    replicates: int
    bent: bool


def unit_of(metric: str) -> tuple[str, float]:
    """The unit of a slope of this metric, and by what its own numbers are multiplied for it."""
    unit = METRICS[metric].unit
    return ("ns", 1e3) if unit == "us" else (unit, 1.0)


def of_model(groups: Sequence[Group], model: str, metric: str, factor: str) -> Slope | str:
    """The slope of one model's metric over a factor, or why there is none. The groups must differ
    in no other factor."""
    mine = [g for g in groups if g.model == model]
    if not mine:
        return f"{model} was not part of this run"
    if len({tuple((k, v) for k, v in g.factors.items() if k != factor) for g in mine}) > 1:
        return f"a slope over {factor} leaves the level of another factor open"
    samples = {float(g.factors[factor]): g.values(metric) for g in mine if factor in g.factors}
    found = line({x: values for x, values in samples.items() if values})
    if isinstance(found, str):
        return f"{model}: {found}"
    unit, times = unit_of(metric)
    levels = sorted(x for x, values in samples.items() if values)
    return Slope(
        model=model,
        metric=metric,
        factor=factor,
        unit=unit,
        value=times * found.value,
        lo=times * found.lo,
        hi=times * found.hi,
        start=median(samples[levels[0]]),
        end=median(samples[levels[-1]]),
        levels=tuple(levels),
        replicates=sum(len(samples[x]) for x in levels),
        bent=found.bent,
    )


@dataclass(frozen=True)
class Line:
    """Slope with its interval, in units of y per unit of x; see Slope."""

    value: float
    lo: float
    hi: float
    bent: bool


def line(samples: Mapping[float, Sequence[float]], level: float = 0.95) -> Line | str:
    """The line through the replicates at each x; every value positive and finite.

    Needs two levels, and an interval needs a level with two replicates. Returns why, where it
    cannot.
    """
    if len(samples) < 2:
        return "fewer than two levels with a value"
    if any(not (v > 0 and math.isfinite(v)) for values in samples.values() for v in values):
        return "a value that is infinite or not above nought has no relative noise"
    xs = sorted(samples)
    logs = {x: [math.log(v) for v in samples[x]] for x in xs}
    middle = {x: math.exp(median(logs[x])) for x in xs}
    mean_x = math.fsum(xs) / len(xs)
    square = math.fsum((x - mean_x) ** 2 for x in xs)
    slope = math.fsum((x - mean_x) / square * middle[x] for x in xs)
    freedom = sum(len(samples[x]) - 1 for x in xs)
    if freedom == 0:
        return Line(slope, math.nan, math.nan, False)
    within = [(len(logs[x]) - 1) * variance(logs[x]) for x in xs if len(logs[x]) > 1]
    noise = math.fsum(within) / freedom
    errors = {x: middle[x] ** 2 * noise * _median_variance(len(logs[x])) for x in xs}
    standard = math.sqrt(math.fsum(((x - mean_x) / square) ** 2 * errors[x] for x in xs))
    reach = stats.t_quantile((1 + level) / 2, freedom) * standard
    return Line(slope, slope - reach, slope + reach, _bent(xs, middle, errors, freedom))


def _bent(
    xs: Sequence[float], middle: Mapping[float, float], errors: Mapping[float, float], freedom: int
) -> bool:
    """Lack of fit: the line that fits best, each level weighed by its noise, against that noise."""
    if len(xs) < 3 or any(e <= 0 for e in errors.values()):
        return False
    weights = {x: 1 / errors[x] for x in xs}
    total = math.fsum(weights.values())
    mean_x = math.fsum(weights[x] * x for x in xs) / total
    mean_y = math.fsum(weights[x] * middle[x] for x in xs) / total
    square = math.fsum(weights[x] * (x - mean_x) ** 2 for x in xs)
    slope = math.fsum(weights[x] * (x - mean_x) * middle[x] for x in xs) / square
    misfit = math.fsum(
        weights[x] * (middle[x] - mean_y - slope * (x - mean_x)) ** 2 for x in xs
    ) / (len(xs) - 2)
    return distributions.f_sf(misfit, len(xs) - 2, freedom) < BENT_BELOW


def _median_variance(n: int) -> float:
    return _MEDIAN_VARIANCE[n] if n < len(_MEDIAN_VARIANCE) else math.pi / 2 / n
