# SPDX-License-Identifier: MIT
"""Statistics over replicates, against known answers."""
from __future__ import annotations

import math
import random

import pytest

from harness.judge import stats
from harness.judge import noise
from harness.judge.best import Best, best_group
from harness.judge.stats import Relation


def test_estimate_is_the_median_and_for_three_runs_the_observed_range() -> None:
    found = stats.estimate([30.0, 10.0, 20.0])
    assert (found.n, found.value, found.lo, found.hi) == (3, 20.0, 10.0, 30.0)
    assert found.confidence == pytest.approx(0.75)


def test_no_runs_give_nan_and_one_run_no_interval() -> None:
    assert math.isnan(stats.estimate([]).value)
    one = stats.estimate([7.0])
    assert (one.n, one.value, one.lo, one.hi, one.confidence) == (1, 7.0, 7.0, 7.0, 0.0)


def test_an_infinite_percentile_counts_as_larger_than_any_other() -> None:
    found = stats.estimate([1.0, math.inf, 2.0])
    assert found.value == 2.0 and found.hi == math.inf
    assert stats.estimate([math.inf, 5.0, math.inf]).value == math.inf


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        stats.estimate([1.0, math.nan])


def test_confidence_of_small_samples_is_that_of_the_range() -> None:
    assert [stats.interval_confidence(n) for n in (1, 2, 3, 4, 5)] == [0, 0.5, 0.75, 0.875, 0.9375]
    assert stats.interval_confidence(10) == 0.95


def test_expanded_tail_agrees_with_hesterbergs_table() -> None:
    # [H15] table 5: alpha/2 = 0.025 adjusted for n = 5, 10, 20, 40: 0.0010, 0.0086, 0.0159, 0.0203.
    for n, tail in ((5, 0.0010), (10, 0.0086), (20, 0.0159), (40, 0.0203)):
        assert stats.expanded_tail(n) == pytest.approx(tail, abs=5e-4)


def test_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = random.Random(5)
    for n in (3, 5, 10):
        hits = sum(
            e.lo <= 1.0 <= e.hi
            for e in (
                stats.estimate([math.exp(rng.gauss(0, 0.1)) for _ in range(n)]) for _ in range(300)
            )
        )
        said = stats.interval_confidence(n)
        # Three standard errors of a proportion of 300.
        assert hits / 300 >= said - 3 * math.sqrt(said * (1 - said) / 300)


def test_the_range_of_two_means_agrees_with_scipys() -> None:
    from scipy.stats import studentized_range

    for p, freedom in ((0.95, 3), (0.975, 40)):
        expected = studentized_range.ppf(p, 2, freedom)
        assert stats.range_quantile(p, 2, freedom) == pytest.approx(expected, rel=1e-5)


def test_compare_agrees_with_scipys_welch_test_on_logarithms() -> None:
    from scipy.stats import ttest_ind

    a, b = [100.0, 103.0, 98.0, 101.0], [90.0, 95.0, 92.0]
    expected = ttest_ind([math.log(x) for x in a], [math.log(x) for x in b], equal_var=False)
    found = stats.compare(a, b)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.relation is Relation.GREATER
    assert found.lo < found.ratio < found.hi and found.lo > 1


def test_compare_does_not_tell_equal_things_apart() -> None:
    assert stats.compare([10.0, 11.0, 12.0], [10.5, 11.5, 11.0]).relation is Relation.SAME
    assert stats.compare([5.0, 5.0], [5.0, 5.0]).relation is Relation.SAME


def test_compare_needs_two_runs_on_each_side() -> None:
    assert stats.compare([1.0], [100.0, 100.0]).relation is Relation.SAME


def test_compare_of_counters_without_variation_is_exact() -> None:
    found = stats.compare([2.0, 2.0], [1.0, 1.0])
    assert found.relation is Relation.GREATER and found.ratio == pytest.approx(2.0)


def test_all_finite_against_all_infinite_differs_but_a_mixture_does_not() -> None:
    inf = math.inf
    assert stats.compare([1.0, 2.0, 3.0, 4.0], [inf] * 4).relation is Relation.LESS
    assert stats.compare([inf] * 4, [1.0, 2.0, 3.0, 4.0]).relation is Relation.GREATER
    # Fisher's exact test: of six values three infinite ones fall on one side in 1 of 20 ways.
    few = stats.compare([1.0, 2.0, 3.0], [inf, inf, inf])
    assert few.relation is Relation.SAME and few.p == pytest.approx(0.1) and math.isnan(few.ratio)
    assert stats.compare([1.0, 2.0, inf], [inf, inf, inf]).relation is Relation.SAME
    assert stats.compare([inf, inf, inf], [inf, inf, inf]).relation is Relation.SAME
    assert stats.compare([1.0, 2.0], [inf, inf]).relation is Relation.SAME


def test_holm_steps_down_and_stays_monotone() -> None:
    found = stats.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_best_group_marks_only_what_is_distinguishably_worse() -> None:
    samples = {
        "fast": [100.0, 101.0, 99.0, 100.5],
        "alike": [99.0, 101.5, 98.5, 100.0],
        "slow": [50.0, 51.0, 49.0, 50.5],
    }
    blocks = {name: dict(enumerate(values)) for name, values in samples.items()}
    found = best_group(blocks, higher_is_better=True)
    assert found.best == "fast" and found.worse == {"alike": False, "slow": True}
    found = best_group(blocks, higher_is_better=False)
    assert found.best == "slow" and found.worse == {"fast": True, "alike": True}


def test_best_group_of_identical_models_rarely_finds_a_loser() -> None:
    rng = random.Random(11)
    wrong = 0
    for _ in range(200):
        samples = {str(m): {b: math.exp(rng.gauss(0, 0.05)) for b in range(4)} for m in range(10)}
        wrong += any(best_group(samples, higher_is_better=True).worse.values())
    # 5 % allowed, and three standard errors of 200; without adjustment it would be about 40 %.
    assert wrong / 200 <= 0.10


def test_best_group_without_values_has_no_best() -> None:
    assert best_group({"a": {}}, True) == Best(None, {}, frozenset())


def test_smallest_difference_shrinks_with_replicates_and_grows_with_noise() -> None:
    assert noise.smallest_difference(0.03, 10) < noise.smallest_difference(0.03, 5) < 0.1
    assert noise.smallest_difference(0.1, 5) > noise.smallest_difference(0.03, 5)
    assert noise.smallest_difference(0.03, 1) == math.inf
