# SPDX-License-Identifier: MIT
"""Robust fits and pooled noise, on made-up data with known answers."""
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.judge import robust
from harness.judge.pooling import Variance, pool


def test_the_middle_of_normal_values_is_nearly_their_mean_with_nearly_its_variance() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 2000)
    found = robust.location(list(values))
    assert found.center == pytest.approx(values.mean(), abs=0.05)
    # Huber's estimate at 1.345 needs 1 / 0.95 of the values that a mean needs.
    assert found.variance == pytest.approx(4.0 / 0.95, rel=0.1)


def test_one_value_far_out_moves_the_middle_no_further_than_one_a_little_out() -> None:
    calm = [0.99, 1.0, 1.01, 1.02, 0.98, 1.0]
    near = robust.location([*calm, 1.2]).center
    far = robust.location([*calm, 1e6]).center
    assert far == pytest.approx(near, abs=1e-6) and abs(far - 1.0) < 0.02


def test_a_small_scale_by_chance_does_not_make_an_outlier() -> None:
    values = [1.0, 1.0001, 1.0, 1.1]
    assert robust.location(values, least_scale=1.0).center == pytest.approx(np.mean(values))


def test_intervals_of_the_middle_cover_it_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    for n in (3, 4, 6, 10):
        hits = 0
        for _ in range(600):
            found = robust.location(list(rng.normal(0, 1, n)))
            t = float(scipy_stats.t.ppf(0.975, found.freedom))
            hits += abs(found.center) <= t * math.sqrt(found.variance / n)
        # 600 times a chance of 0.95 have a standard error of 0.9 %.
        assert 0.92 <= hits / 600 <= 0.98, n


def test_a_two_way_table_without_noise_gives_its_effects_exactly() -> None:
    rows, columns = np.array([[3.0], [1.0], [7.0]]), np.array([-1.0, 0.0, 1.0])
    found = robust.two_way(rows + columns)
    assert found.columns == pytest.approx(columns, abs=1e-9)
    assert found.variance == pytest.approx(0.0, abs=1e-12)


def test_empty_entries_of_a_two_way_table_do_not_shift_the_others() -> None:
    table = np.array([[0.0], [10.0], [20.0], [30.0]]) + np.array([0.0, 1.0, 2.0])
    table[0, 0] = table[3, 2] = math.nan
    assert np.diff(robust.two_way(table).columns) == pytest.approx([1.0, 1.0])


def test_drift_between_rounds_does_not_enter_the_noise_of_a_two_way_table() -> None:
    rng = np.random.default_rng(3)
    drift = np.cumsum(rng.normal(0, 1.0, (40, 1)), axis=0)
    found = robust.two_way(drift + rng.normal(0, 0.01, (40, 5)))
    assert math.sqrt(found.variance) == pytest.approx(0.01, rel=0.25)


def test_bad_entries_hardly_move_a_two_way_table_nor_do_infinite_ones() -> None:
    rng = np.random.default_rng(4)
    table = rng.normal(0, 0.01, (12, 4)) + np.array([0.0, 0.1, 0.2, 0.3])
    clean = robust.two_way(table).columns
    table[2, 1], table[7, 3] = 5.0, math.inf
    assert robust.two_way(table).columns == pytest.approx(clean, abs=0.012)


def test_the_noise_of_a_two_way_table_is_right_on_average_when_rows_are_few() -> None:
    rng = np.random.default_rng(5)
    found = [robust.two_way(rng.normal(0, 1, (3, 6))).variance for _ in range(300)]
    # The mean of 300 has a standard error of some 3 %.
    assert float(np.mean(found)) == pytest.approx(1.0, abs=0.12)


def test_one_round_says_nothing_of_the_noise() -> None:
    found = robust.two_way(np.array([[1.0, 2.0, 4.0]]))
    assert found.freedom == 0 and math.isnan(found.variance)
    assert np.diff(found.columns) == pytest.approx([1.0, 2.0])


def chi_squares(rng: np.random.Generator, sds: list[float], freedom: int) -> dict[str, Variance]:
    return {
        str(i): Variance(sd**2 * float(rng.chisquare(freedom)) / freedom, freedom)
        for i, sd in enumerate(sds)
    }


def test_equal_noise_is_pooled_so_that_each_gets_more_freedom_than_its_own() -> None:
    rng = np.random.default_rng(6)
    own = chi_squares(rng, [1.0] * 8, 3)
    common = Variance(float(np.mean([v.value for v in own.values()])), 24.0)
    pooled = pool(own, common)
    assert all(v.freedom > 10 for v in pooled.values())
    spread = [math.log(v.value) for v in pooled.values()]
    assert (
        max(spread) - min(spread)
        < 1.0
        < max(math.log(v.value) for v in own.values())
        - min(math.log(v.value) for v in own.values())
    )


def test_a_much_noisier_contender_keeps_its_own_noise() -> None:
    own = chi_squares(np.random.default_rng(7), [0.005, 0.007, 0.006, 0.005, 0.2], 9)
    pooled = pool(own, Variance(float(np.mean([v.value for v in own.values()])), 45.0))
    assert math.sqrt(pooled["4"].value) > 0.1
    assert all(math.sqrt(pooled[name].value) < 0.02 for name in "0123")


def test_no_contender_gets_more_freedom_than_all_have_together() -> None:
    own = {name: Variance(1.0, 2.0) for name in "abc"}
    assert all(v.freedom == 6.0 for v in pool(own, Variance(1.0, 6.0)).values())


def test_one_run_borrows_the_common_noise() -> None:
    own = {"a": Variance(1.0, 4.0), "b": Variance(1.2, 4.0), "once": Variance(math.nan, 0.0)}
    assert pool(own, Variance(1.1, 8.0))["once"] == Variance(1.1, 8.0)
    assert math.isnan(pool(own, Variance(math.nan, 0.0))["once"].value)
