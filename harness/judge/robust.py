# SPDX-License-Identifier: MIT
"""Robust fits: the middle of a few numbers, and a two-way table of rows and columns.

Both are Huber's M-estimate [H64]: like a mean, but a value far out counts only as far as a bound.
Why Huber and not a redescending estimate (Tukey's biweight), which forgets such values altogether:
Huber's has one solution, wherever the search begins, and what a contender did badly in some slices
still counts against it. An infinite value counts as "very far out".

Sources:
    [H64] P. J. Huber, "Robust Estimation of a Location Parameter", Ann. Math. Stat. 35, 1964:
          the bound 1.345 keeps 95 % of the mean's efficiency where the noise is normal.
    [H81] P. J. Huber, "Robust Statistics", 1981, section 7.6: the variance of the estimate, and its
          correction for few observations.
    [M19] R. Maronna et al., "Robust Statistics", 2nd ed. 2019, section 4.4: a scale from residuals
          of which as many are zero as there are parameters.
    [T77] J. W. Tukey, "Exploratory Data Analysis", 1977, chapter 11: median polish.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOUND = 1.345
# The median of |x| for a standard normal x: makes the median of |residuals| a standard deviation.
NORMAL_MEDIAN = 0.6745
# The variance of Huber's estimate is itself known a little worse than that of a mean: as if there
# were a fifth fewer degrees of freedom (normal noise, simulated; tests/test_judge_robust.py).
WORTH = 0.8
LEAST_ROWS = 4
# How far beyond the largest finite value an infinite one is put, in units of the logarithm.
BEYOND = 20.0
_STEPS = 50
_CLOSE = 1e-4  # of a standard deviation of the noise: far below what the data can show
_POLISHES = 3


@dataclass(frozen=True)
class Location:
    """The middle of n values; variance: of one value about it, such that variance / n is that of
    the middle. nan for fewer than two values. freedom: the variance's degrees of freedom."""

    n: int
    center: float
    variance: float

    @property
    def freedom(self) -> float:
        """n - 1, less what robustness costs; up to three values the estimate is all but a mean."""
        return float(max(0, self.n - 1)) if self.n <= 3 else WORTH * (self.n - 1)


@dataclass(frozen=True)
class TwoWay:
    """A table fitted as row + column + noise.

    columns: the effect of each column, of mean 0. residuals: as the table, nan where it is empty.
    variance: of one entry; that of a difference of two effects is variance * difference(i, j).
    freedom: degrees of freedom of the variance: entries - rows - columns + 1, less what robustness
    costs; nothing is known of the noise where it is 0 (the variance is nan then).
    """

    columns: Floats
    residuals: Floats
    variance: float
    freedom: float
    _inverse: Floats

    def difference(self, i: int, j: int) -> float:
        """Variance of the difference of two columns' effects, for entries of variance 1."""
        inverse = self._inverse
        return float(inverse[i, i] + inverse[j, j] - 2 * inverse[i, j])


def scale(residuals: Floats, parameters: int) -> float:
    """Standard deviation from the median of absolute residuals; the fit has made about as many of
    them zero as it has parameters, so the smallest ones are left out [M19]. 0 if none is left."""
    free = residuals.size - parameters
    if free <= 0:
        return 0.0
    return float(np.median(np.sort(np.abs(residuals))[-free:])) / NORMAL_MEDIAN


def location(values: Sequence[float], least_scale: float = 0.0) -> Location:
    """Huber's estimate of the middle of finite values, and its variance [H64, H81].

    The scale is that of the values, but at least `least_scale`: the scale of three values can be
    small by chance. One bad value among three cannot be told from noise; among four it can.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        return Location(0, math.nan, math.nan)
    center = float(np.median(x))
    if x.size == 1:
        return Location(1, center, math.nan)
    spread = max(scale(x - center, 1), least_scale)
    if spread == 0:
        return Location(x.size, center, float(np.var(x, ddof=1)))
    for _ in range(_STEPS):
        weights = _weights(x - center, spread)
        moved = float(np.sum(weights * x) / np.sum(weights))
        done = abs(moved - center) < _CLOSE * spread
        center = moved
        if done:
            break
    return Location(int(x.size), center, _variance((x - center) / spread, spread, 1))


def two_way(table: Floats) -> TwoWay:
    """Huber's estimate of a two-way table; nan is an empty entry, inf counts as very far out.

    With fewer than four rows it is the plain least-squares fit: of three values none is an outlier.

    table: rows (rounds or blocks) x columns (contenders), both with at least one entry each, and
    connected: raises numpy.linalg.LinAlgError where a column shares no row with the others.
    """
    y = _bounded(np.array(table, dtype=np.float64))
    full = ~np.isnan(y)
    parameters = y.shape[0] + y.shape[1] - 1
    freedom = int(full.sum()) - parameters
    residuals = _polish(y)
    spread = scale(residuals[full], parameters) if len(y) >= LEAST_ROWS else 0.0
    columns, residuals, _ = _weighted(y, full.astype(np.float64))
    if spread > 0:
        for _ in range(_STEPS):
            weights = np.where(full, _weights(residuals, spread), 0.0)
            moved, residuals, _ = _weighted(y, weights)
            done = float(np.max(np.abs(moved - columns))) < _CLOSE * spread
            columns = moved
            if done:
                break
    _, _, inverse = _weighted(y, full.astype(np.float64))
    if freedom <= 0:
        variance = math.nan
    elif spread > 0:
        variance = _variance(residuals[full] / spread, spread, parameters)
    else:
        variance = float(np.sum(residuals[full] ** 2)) / freedom
    worth = WORTH if spread > 0 else 1.0
    return TwoWay(columns - columns.mean(), residuals, variance, max(0.0, worth * freedom), inverse)


def _weights(residuals: Floats, spread: float) -> Floats:
    far = np.maximum(np.abs(residuals) / spread, BOUND)
    weights: Floats = BOUND / far
    return weights


def _variance(r: Floats, spread: float, parameters: int) -> float:
    """[H81, (6.11)]: r are residuals in units of `spread`."""
    n = r.size
    inside = np.abs(r) <= BOUND
    share = max(float(inside.mean()), 1 / n)
    correction = 1 + parameters / n * (1 - share) / share
    bounded = np.clip(r, -BOUND, BOUND)
    return float((correction * spread / share) ** 2 * np.sum(bounded**2) / max(1, n - parameters))


def _bounded(y: Floats) -> Floats:
    """The same with infinities as very large finite values."""
    finite = y[np.isfinite(y)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    y[np.isposinf(y)] = high + BEYOND
    y[np.isneginf(y)] = low - BEYOND
    return y


def _polish(y: Floats) -> Floats:
    """Residuals of the median polish [T77], from which the scale is taken."""
    left = y.copy()
    middle = np.nanmedian if np.isnan(y).any() else np.median
    for _ in range(_POLISHES):
        left -= middle(left, axis=1, keepdims=True)
        left -= middle(left, axis=0, keepdims=True)
    return left


def _weighted(y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted least squares: effects of the columns (up to a constant), residuals, and the inverse
    (up to a constant) of the columns' normal equations, out of which the rows are eliminated."""
    z = np.where(np.isnan(y), 0.0, y)
    by_row = weights.sum(axis=1, keepdims=True)
    mean = (weights * z).sum(axis=1, keepdims=True) / by_row
    matrix = np.diag(weights.sum(axis=0)) - weights.T @ (weights / by_row)
    # The equations leave a constant open; any will do, so it is made definite.
    inverse: Floats = np.linalg.inv(matrix + 1 / len(matrix))
    columns: Floats = inverse @ (weights * (z - mean)).sum(axis=0)
    rows = (weights * (z - columns)).sum(axis=1, keepdims=True) / by_row
    return columns, y - columns - rows, inverse
