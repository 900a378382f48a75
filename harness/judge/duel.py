# SPDX-License-Identifier: MIT
"""Ratios to a reference, from slices that were measured together or in turns.

One metric at a time. A slice is a short piece of load on one contender. What is close in time is
compared: slices of one round. A block is one start of fresh servers (together: a run), and what is
peculiar to one start is peculiar to its block. So there are two steps:

1. In each block: log value = round + contender + noise, fitted robustly (`robust.two_way`). It
   gives each contender's log ratio to the reference in that block.
2. Over blocks: the robust middle of these log ratios, and an interval from how they vary between
   blocks (Student's t), with the noise pooled over contenders as far as they are alike (`pooling`).

Both arrangements are read alike. In turns every block has every contender. Together a run has the
reference and one other, and its slices of one round are simultaneous.

Sources:
    [T49] J. W. Tukey, "Comparing Individual Means in the Analysis of Variance", Biometrics 5, 1949;
    [K56] C. Y. Kramer, Biometrics 12, 1956: the same for unequal numbers; the studentized range.
    [W47] B. L. Welch, Biometrika 34, 1947: degrees of freedom of a sum of variances.
    [B20] L. Bulej et al., "Duet Benchmarking", ICPE 2020: why what runs together is compared.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from harness.judge import robust, stats
from harness.judge.pooling import Variance, pool

LEVEL = 0.95

# What an interval rests on.
BLOCKS = "blocks"  # how the ratio varies between fresh servers
ROUNDS = "rounds of one block"  # one start only: what differs between starts is not in it
RANGE = "range of blocks"  # some blocks were infinite
NOTHING = "nothing"  # one slice of each: there is no interval


@dataclass(frozen=True)
class Slice:
    """One metric of one contender in one slice. value: above 0, may be inf; in any unit.

    block: which start of fresh servers (together: which run). round: slices of the same round of
    the same block are close in time (together: simultaneous).
    """

    block: int
    round: int
    contender: str
    value: float


@dataclass(frozen=True)
class Ratio:
    """A contender's value over the reference's: 1.03 is three percent more.

    lo, hi: the interval of level `LEVEL`; nan where there is none. se: standard error of the
    logarithm; freedom: its degrees of freedom. samples: blocks (or, of one block, rounds) behind
    it.
    basis: what the interval rests on: BLOCKS, ROUNDS, RANGE or NOTHING.
    """

    estimate: float
    lo: float
    hi: float
    se: float
    freedom: float
    samples: int
    basis: str

    def interval(self, level: float) -> tuple[float, float]:
        """The interval of another level; of RANGE the same at each level, for want of a model."""
        if self.basis not in (BLOCKS, ROUNDS):
            return self.lo, self.hi
        reach = stats.t_quantile((1 + level) / 2, self.freedom) * self.se
        return self.estimate * math.exp(-reach), self.estimate * math.exp(reach)

    @property
    def half_width(self) -> float:
        """Half of the interval as a fraction of the estimate: 0.01 is "± 1 %"; inf if unknown."""
        if self.basis not in (BLOCKS, ROUNDS):
            return math.inf
        return math.expm1(stats.t_quantile((1 + LEVEL) / 2, self.freedom) * self.se)


@dataclass(frozen=True)
class Comparison:
    """Every contender against the reference, for one metric.

    ratios: by contender, without the reference. series: the log ratios by contender and block, that
    of the reference 0. within: variance of a slice's log value about the fit of its block;
    rounds: per block, on average. Both are 0 or nan where there is no slice or one round only.
    """

    reference: str
    ratios: Mapping[str, Ratio]
    series: Mapping[str, Mapping[int, float]]
    within: float
    rounds: float

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self.series[self.reference])

    @property
    def resolution(self) -> float:
        """Half of a typical contender's interval, as a fraction: the median over all; inf if
        none."""
        widths = [ratio.half_width for ratio in self.ratios.values()]
        return median(widths) if widths else math.inf


@dataclass(frozen=True)
class Ranking:
    """order: best first. best: its first. worse: distinguishably worse than the best; a contender
    that is not is as good as the best, for all that is known. untested: too little was measured."""

    order: Sequence[str]
    best: str | None
    worse: frozenset[str]
    untested: frozenset[str]

    @property
    def tied(self) -> list[str]:
        """The best and what cannot be told from it."""
        return [n for n in self.order if n not in self.worse and n not in self.untested]


def compare(slices: Iterable[Slice], reference: str) -> Comparison:
    """Ratios to the reference from all slices that count (disturbed ones are left out before).

    Blocks without the reference say nothing of a ratio and are passed over. With one block only,
    the interval comes from its rounds: it is that of these very servers, and a fresh start may
    differ by more (basis ROUNDS). Raises ValueError for a value that is nan, zero or negative.
    """
    series: dict[str, dict[int, float]] = {reference: {}}
    fits: list[tuple[int, Sequence[str], robust.TwoWay]] = []
    rounds = 0
    for block, values in sorted(_by_block(slices).items()):
        names, table = _table(values, reference)
        if not table.size:
            continue
        fit = robust.two_way(table)
        fits.append((block, names, fit))
        rounds += table.shape[0]
        effects = _effects(names, table, fit)
        series[reference][block] = 0.0
        for name in names:
            if name != reference:
                series.setdefault(name, {})[block] = _minus(effects[name], effects[reference])
    within = [(fit.variance, fit.freedom) for _, _, fit in fits if fit.freedom > 0]
    freedom = sum(f for _, f in within)
    return Comparison(
        reference,
        _ratios(series, reference, fits),
        series,
        math.fsum(v * f for v, f in within) / freedom if freedom else math.nan,
        rounds / len(fits) if fits else 0.0,
    )


def rank(found: Comparison, among: Sequence[str], higher_is_better: bool) -> Ranking:
    """Who is best, and who is distinguishably worse: all pairs of `among`, by Tukey [T49, K56].

    The chance that any of several equal contenders is called worse is at most 5 %. The noise of
    each pair's difference is pooled as for ratios. A contender in fewer than two blocks is
    untested.
    """
    sign = -1.0 if higher_is_better else 1.0
    middles = {
        name: _middle([found.series[name][b] for b in found.series[name]])
        for name in among
        if name in found.series
    }
    if found.blocks < 2:
        middles = {}
    order = sorted(middles, key=lambda n: (sign * middles[n], n))
    tested = [n for n in order if len(found.series[n]) >= 2]
    untested = frozenset(n for n in among if n not in tested)
    if not tested:
        return Ranking(order, None, frozenset(), untested)
    differences = {pair: _difference(found, *pair) for pair in itertools.combinations(tested, 2)}
    finite = {pair: d for pair, d in differences.items() if d is not None}
    settled = [n for n in tested if all(map(math.isfinite, found.series[n].values()))]
    names = list(dict.fromkeys([found.reference, *settled]))
    common = _common(found.series, found.reference, names)
    noises = pool({f"{a}/{b}": d.spread for (a, b), d in finite.items()}, common)
    best = tested[0]
    worse = set()
    for name in tested[1:]:
        one = finite.get((best, name))
        noise = noises.get(f"{best}/{name}")
        if one is None or noise is None or not noise.freedom > 0:
            continue
        se = math.sqrt(noise.value / one.n)
        # The range of k means of standard error e has sqrt(2) e as that of a difference.
        reach = stats.range_quantile(LEVEL, len(tested), noise.freedom) * se / math.sqrt(2)
        if sign * one.center > reach:
            worse.add(name)
    return Ranking(order, best, frozenset(worse), untested)


def agree(a: Ratio | None, b: Ratio | None) -> bool | None:
    """Whether two arrangements say the same of a contender: the interval of the difference of their
    log ratios covers 0 (Welch [W47]). None where one has no interval."""
    if a is None or b is None or {a.basis, b.basis} - {BLOCKS, ROUNDS}:
        return None
    variance = a.se**2 + b.se**2
    difference = abs(math.log(a.estimate) - math.log(b.estimate))
    if variance == 0:
        return difference == 0
    freedom = variance**2 / (a.se**4 / a.freedom + b.se**4 / b.freedom)
    return difference <= stats.t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(variance)


def finer(a: Ratio, b: Ratio) -> Ratio:
    """Of two that agree the one with the narrower interval. (Not their mean: they are two
    questions, a shared and an own CPU, which happened to have one answer.)"""
    return a if a.half_width <= b.half_width else b


def seconds_left(ratio: Ratio, seconds: float, target: float) -> float:
    """How much longer until the interval is +- `target` (0.01 is 1 %), if the noise stays as it is.

    seconds: what the samples so far have taken. The interval shrinks with the root of the number of
    samples, and with the t quantile of the growing degrees of freedom. 0: reached; inf: unknown.
    """
    if ratio.half_width <= target:
        return 0.0
    if not math.isfinite(ratio.half_width) or target <= 0:
        return math.inf
    times = 1.0
    for _ in range(50):
        t = stats.t_quantile((1 + LEVEL) / 2, ratio.freedom * times)
        wanted = (t * ratio.se / math.log1p(target)) ** 2
        if abs(wanted - times) < 1e-6 * times:
            break
        times = max(1.0, (wanted + times) / 2)
    return seconds * (times - 1)


@dataclass(frozen=True)
class _Difference:
    """spread: of one log ratio, as if there were n of them."""

    n: float
    center: float
    spread: Variance


def _by_block(slices: Iterable[Slice]) -> dict[int, dict[tuple[int, str], float]]:
    blocks: dict[int, dict[tuple[int, str], float]] = {}
    for one in slices:
        if math.isnan(one.value) or one.value <= 0:
            raise ValueError(f"{one.contender}: a slice of value {one.value}; it must be above 0")
        blocks.setdefault(one.block, {})[(one.round, one.contender)] = math.log(one.value)
    return blocks


def _table(
    values: Mapping[tuple[int, str], float], reference: str
) -> tuple[list[str], robust.Floats]:
    """Rounds x contenders of logs, of those that can be compared with the reference: who shared a
    round with it, or with one who did. Rounds of one contender alone compare nothing."""
    rounds: dict[int, set[str]] = {}
    for number, name in values:
        rounds.setdefault(number, set()).add(name)
    names, grown = {reference}, True
    while grown:
        met = set().union(names, *(r for r in rounds.values() if r & names))
        grown, names = met != names, met
    numbers = [n for n in sorted(rounds) if len(rounds[n]) > 1 and rounds[n] & names]
    order = sorted(names)
    table = np.array([[values.get((n, name), np.nan) for name in order] for n in numbers])
    return order, table


def _effects(names: Sequence[str], table: robust.Floats, fit: robust.TwoWay) -> dict[str, float]:
    """Each contender's effect; inf where half of its slices or more are infinite."""
    infinite = np.isposinf(table).sum(axis=0) * 2 >= (~np.isnan(table)).sum(axis=0)
    return {
        name: math.inf if infinite[i] else float(fit.columns[i]) for i, name in enumerate(names)
    }


def _minus(a: float, b: float) -> float:
    """a - b; infinite less infinite is 0: neither can be told from the other."""
    return 0.0 if math.isinf(a) and math.isinf(b) else a - b


def _middle(logs: Sequence[float]) -> float:
    if all(math.isfinite(x) for x in logs):
        return robust.location(logs).center
    return median(logs)


def _ratios(
    series: Mapping[str, Mapping[int, float]],
    reference: str,
    fits: Sequence[tuple[int, Sequence[str], robust.TwoWay]],
) -> dict[str, Ratio]:
    others = {name: list(logs.values()) for name, logs in series.items() if name != reference}
    if len(fits) == 1:
        return {
            name: _of_one_block(logs[0], name, reference, fits[0]) for name, logs in others.items()
        }
    finite = {n: logs for n, logs in others.items() if all(math.isfinite(x) for x in logs)}
    scales = [
        robust.scale(np.asarray(logs) - median(logs), 1)
        for logs in finite.values()
        if len(logs) > 1
    ]
    usual = median(scales) if scales else 0.0
    found = {name: robust.location(logs, usual) for name, logs in finite.items()}
    own = {name: Variance(f.variance, f.freedom) for name, f in found.items()}
    noises = pool(own, _common(series, reference, [reference, *finite]))
    ratios = {}
    for name, logs in others.items():
        if name not in found:
            ratios[name] = _of_infinite(logs)
            continue
        noise = noises[name]
        ratios[name] = _ratio(
            found[name].center,
            math.sqrt(noise.value / found[name].n) if noise.freedom > 0 else math.nan,
            noise.freedom,
            found[name].n,
            BLOCKS,
        )
    return ratios


def _of_one_block(
    log: float, name: str, reference: str, fitted: tuple[int, Sequence[str], robust.TwoWay]
) -> Ratio:
    _, names, fit = fitted
    if not math.isfinite(log):
        return _of_infinite([log])
    unit = fit.difference(names.index(name), names.index(reference))
    se = math.sqrt(fit.variance * unit) if fit.freedom > 0 else math.nan
    return _ratio(log, se, fit.freedom, fit.residuals.shape[0], ROUNDS)


def _of_infinite(logs: Sequence[float]) -> Ratio:
    values = [math.exp(x) if x < 700 else math.inf for x in logs]
    lo, hi = (min(values), max(values)) if len(values) > 1 else (math.nan, math.nan)
    return Ratio(median(values), lo, hi, math.nan, 0.0, len(values), RANGE)


def _ratio(log: float, se: float, freedom: float, samples: int, basis: str) -> Ratio:
    value = math.exp(log)
    if math.isnan(se) or not freedom > 0:
        return Ratio(value, math.nan, math.nan, math.nan, 0.0, samples, NOTHING)
    reach = stats.t_quantile((1 + LEVEL) / 2, freedom) * se
    return Ratio(
        value, value * math.exp(-reach), value * math.exp(reach), se, freedom, samples, basis
    )


def _common(
    series: Mapping[str, Mapping[int, float]], reference: str, names: Sequence[str]
) -> Variance:
    """Variance of a log ratio in one block if all contenders were equally noisy: twice the residual
    variance of the table of blocks x contenders, with its degrees of freedom."""
    blocks = sorted(series[reference])
    table = np.array([[series[n].get(b, np.nan) for n in names] for b in blocks])
    table = table[(~np.isnan(table)).sum(axis=1) > 1] if table.size else table
    if not table.size or not np.isfinite(table[~np.isnan(table)]).all():
        return Variance(math.nan, 0.0)
    fit = robust.two_way(table)
    return Variance(2 * fit.variance, fit.freedom) if fit.freedom > 0 else Variance(math.nan, 0.0)


def _difference(found: Comparison, a: str, b: str) -> _Difference | None:
    """log b - log a over blocks: of the blocks they share, else of two independent series."""
    x, y = found.series[a], found.series[b]
    shared = [block for block in x if block in y]
    if not all(math.isfinite(v) for v in [*x.values(), *y.values()]):
        return None
    if len(shared) >= 2:
        one = robust.location([y[block] - x[block] for block in shared])
        return _Difference(one.n, one.center, Variance(one.variance, one.freedom))
    left, right = robust.location(list(x.values())), robust.location(list(y.values()))
    # Each side has references of its own. On the scale of one log ratio, so that it can be pooled:
    # equal noise v and n runs each give variance v and n / 2, hence v (1/n + 1/n) for the
    # difference.
    n = 1 / (1 / left.n + 1 / right.n)
    variance = n * (left.variance / left.n + right.variance / right.n)
    return _Difference(
        n, right.center - left.center, Variance(variance, left.freedom + right.freedom)
    )
