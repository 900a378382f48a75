# SPDX-License-Identifier: MIT
"""Who is best in a table, and who is distinguishably worse.

All models of one level at once. Log value = block + model + noise, fitted robustly; the noise comes
from the residuals of all models together, so that three blocks of ten models have some twenty
degrees of freedom where two models alone have four. Then every model against every other by Tukey:
whoever is best is chosen after looking, and comparing all pairs allows for that.

Infinite values cannot enter a fit. They are counted, and tested exactly, twice: whether the models
differ at all in how many of their replicates are infinite (a permutation test of all, which allows
for choosing the best after looking), and whether a model has more of them than the best.

Sources:
    [T49] J. W. Tukey, "Comparing Individual Means in the Analysis of Variance", Biometrics 5, 1949;
    [K56] C. Y. Kramer, Biometrics 12, 1956, for unequal numbers of replicates.
    [F35] R. A. Fisher, "The Logic of Inductive Inference", J. R. Stat. Soc. 98, 1935: the exact
    test.
    [T90] R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46, 1990: a
          pair of which no outcome could be significant does not enlarge the family.
    [P10] B. Phipson, G. K. Smyth, "Permutation P-values Should Never Be Zero", Stat. Appl. Genet.
          Mol. Biol. 9, 2010: (b + 1) / (m + 1) of m random permutations is an exact test.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from harness.judge import robust, stats
from harness.judge.pooling import Variance, pool

PERMUTATIONS = 1999
LEAST = 2  # replicates: fewer have no noise of their own, and can be best by luck alone


@dataclass(frozen=True)
class Best:
    """best: the best model; None where none has two replicates, or all of them are infinite.
    worse: for every other model with two replicates whether it is distinguishably worse.
    untested: models with one replicate: neither best nor worse."""

    best: str | None
    worse: Mapping[str, bool]
    untested: frozenset[str]


def best_group(
    samples: Mapping[str, Mapping[int, float]], higher_is_better: bool, level: float = 0.95
) -> Best:
    """Judge one table column. samples: by model and block, inf allowed, nan not.

    The chance that any of several equal models is called worse is at most 1 - level. Where some
    models are infinite and others are not there are two families of tests, and each gets half of
    it. Values that are zero or negative have no ratio: then nobody is worse.
    """
    data = {name: stats.checked(values.values()) for name, values in samples.items() if values}
    tested = {name: values for name, values in data.items() if len(values) >= LEAST}
    untested = frozenset(data) - frozenset(tested)
    if not tested:
        return Best(None, {}, untested)
    sign = -1.0 if higher_is_better else 1.0
    by_median = min(tested, key=lambda name: (sign * median(tested[name]), name))
    if min(v for values in tested.values() for v in values) <= 0 or (
        higher_is_better and _any_infinite(tested)
    ):
        return Best(by_median, {n: False for n in tested if n != by_median}, untested)
    finite = {n: samples[n] for n, values in tested.items() if all(map(math.isfinite, values))}
    infinite = {n: values for n, values in tested.items() if n not in finite}
    alpha = (1 - level) / 2 if len(finite) > 1 and infinite else 1 - level
    if finite:
        best, worse = _by_tukey(finite, sign, alpha)
    else:
        best, worse = min(infinite, key=lambda n: (_share(infinite[n]), median(infinite[n]), n)), {}
        if _share(infinite[best]) == 1:
            return Best(None, {}, untested)
    others = {n: values for n, values in infinite.items() if n != best}
    if _counts_differ(list(tested.values())) <= alpha:
        more = _by_count(others, tested[best], alpha)
    else:
        more = {n: False for n in others}
    return Best(best, {**worse, **more}, untested)


def _any_infinite(data: Mapping[str, list[float]]) -> bool:
    return any(math.isinf(v) for values in data.values() for v in values)


def _share(values: list[float]) -> float:
    return sum(map(math.isinf, values)) / len(values)


def _by_tukey(
    samples: Mapping[str, Mapping[int, float]], sign: float, alpha: float
) -> tuple[str, dict[str, bool]]:
    names = list(samples)
    blocks = sorted({block for values in samples.values() for block in values})
    table = np.array([[math.log(samples[n].get(b, math.nan)) for n in names] for b in blocks])
    connected = _connected(samples)
    fit = robust.two_way(table) if connected else None
    effects = (
        [float(x) for x in fit.columns]
        if fit
        else [robust.location([math.log(v) for v in samples[n].values()]).center for n in names]
    )
    first = min(range(len(names)), key=lambda i: (sign * effects[i], names[i]))
    worse = {name: False for i, name in enumerate(names) if i != first}
    if fit is None or not fit.freedom > 0:
        return names[first], worse
    noise = _noise(names, fit)
    for i, name in enumerate(names):
        if i == first:
            continue
        one, other = noise[names[first]], noise[name]
        n = 2 / fit.difference(first, i)  # blocks, as many as complete ones would be
        total = one.value + other.value
        if total <= 1e-24:
            # Counters that do not vary differ exactly, or not at all.
            worse[name] = sign * (effects[i] - effects[first]) > 1e-12
            continue
        freedom = total**2 / (one.value**2 / one.freedom + other.value**2 / other.freedom)
        # The range of k means of standard error e has sqrt(2) e as that of a difference.
        reach = stats.range_quantile(1 - alpha, len(names), min(freedom, fit.freedom))
        worse[name] = sign * (effects[i] - effects[first]) > reach * math.sqrt(total / n / 2)
    return names[first], worse


def _noise(names: Sequence[str], fit: robust.TwoWay) -> dict[str, Variance]:
    """Each model's variance about the fit: its own residuals', drawn towards that of all models."""
    full = ~np.isnan(fit.residuals)
    squares = np.nansum(fit.residuals**2, axis=0)
    # Rows and columns take their parameters out of all entries alike.
    left = fit.residuals[full].size - fit.residuals.shape[0] - len(names) + 1
    own = {}
    for i, name in enumerate(names):
        freedom = left * float(full[:, i].sum() / full.sum())
        own[name] = Variance(float(squares[i]) / freedom, freedom)
    return pool(own, Variance(fit.variance, fit.freedom))


def _connected(samples: Mapping[str, Mapping[int, float]]) -> bool:
    """Whether all models can be compared through shared blocks."""
    left = [set(values) for values in samples.values()]
    met = left.pop()
    while joined := [blocks for blocks in left if blocks & met]:
        met = met.union(*joined)
        left = [blocks for blocks in left if not blocks & met]
    return not left


def _counts_differ(data: Sequence[Sequence[float]], seed: int = 1) -> float:
    """p-value of the hypothesis that all models are infinite equally often: of chi-square, given
    how many are infinite in all, over random permutations [P10]. The same for the same data."""
    sizes = np.array([len(values) for values in data])
    counts = np.array([sum(map(math.isinf, values)) for values in data])
    total = int(counts.sum())
    if total in (0, int(sizes.sum())):
        return 1.0
    expected = sizes * total / sizes.sum()
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(sizes, total, PERMUTATIONS)
    chi_squares = ((drawn - expected) ** 2 / expected).sum(axis=1)
    seen = float(((counts - expected) ** 2 / expected).sum())
    return float((1 + (chi_squares >= seen * (1 - 1e-9)).sum()) / (PERMUTATIONS + 1))


def _by_count(
    others: Mapping[str, list[float]], best: list[float], alpha: float
) -> dict[str, bool]:
    """Whether more replicates are infinite than of the best, by [F35] and Holm over those pairs
    that could be significant at all [T90]."""
    counts = {name: sum(map(math.isinf, values)) for name, values in others.items()}
    of_best = sum(map(math.isinf, best))
    p_values, attainable = {}, {}
    for name, values in others.items():
        p_values[name] = stats.exact_p(counts[name], len(values), of_best, len(best))
        total = counts[name] + of_best
        most = min(total, len(values))
        attainable[name] = stats.exact_p(most, len(values), total - most, len(best))
    size = 1
    while sum(p <= alpha / size for p in attainable.values()) > size:
        size += 1
    family = {n: p for n, p in p_values.items() if attainable[n] <= alpha / size}
    adjusted = stats.holm(family)
    return {
        name: adjusted.get(name, 1.0) <= alpha and counts[name] / len(values) > of_best / len(best)
        for name, values in others.items()
    }
