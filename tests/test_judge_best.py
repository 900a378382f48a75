# SPDX-License-Identifier: MIT
"""Who is best in a table, on made-up tables and on the residuals of the committed reference run."""
from __future__ import annotations

import math
import random

import pytest
import reference_residuals

from harness.judge import stats
from harness.judge.best import best_group

INF = math.inf


def blocks(**samples: list[float]) -> dict[str, dict[int, float]]:
    return {name: dict(enumerate(values)) for name, values in samples.items()}


def test_what_all_models_share_in_a_block_does_not_hide_a_difference() -> None:
    drift = [1.0, 2.0, 0.5, 1.5]
    a = [10.0 * d for d in drift]
    b = [v * w for v, w in zip(a, (1.10, 1.11, 1.09, 1.10))]
    c = [v * w for v, w in zip(a, (1.0, 1.01, 0.99, 1.005))]
    found = best_group(blocks(a=a, b=b, c=c), higher_is_better=False)
    assert found.best in ("a", "c") and found.worse["b"]
    assert not found.worse["c" if found.best == "a" else "a"]


def test_a_model_with_one_replicate_is_neither_best_nor_worse() -> None:
    rest = blocks(a=[10.0, 10.1, 9.9], b=[20.0, 20.2, 19.9])
    for lucky in (1.0, 100.0):
        found = best_group({**rest, "once": {0: lucky}}, higher_is_better=False)
        assert found.best == "a" and found.worse == {"b": True} and found.untested == {"once"}


def test_one_noisy_model_does_not_make_the_others_losers() -> None:
    rng = random.Random(3)
    wrong = 0
    for _ in range(100):
        noise = {**{f"calm{i}": 0.01 for i in range(5)}, "wild": 0.2}
        samples = {n: [math.exp(rng.gauss(0, sd)) for _ in range(5)] for n, sd in noise.items()}
        found = best_group(blocks(**samples), higher_is_better=False)
        wrong += any(found.worse.values())
    assert wrong <= 12


def test_equal_models_near_the_knee_rarely_have_a_loser() -> None:
    rng = random.Random(4)
    for n in (3, 5):
        wrong = 0
        for _ in range(100):
            samples = {
                str(m): [
                    INF if rng.random() < 0.5 else math.exp(rng.gauss(0, 0.1)) for _ in range(n)
                ]
                for m in range(8)
            }
            wrong += any(best_group(blocks(**samples), False).worse.values())
        assert wrong <= 11


def test_a_saturated_model_is_worse_where_the_replicates_can_show_it() -> None:
    few = blocks(a=[1.0, 1.1, 1.0], b=[INF] * 3)
    assert best_group(few, False).worse == {"b": False}
    enough = blocks(a=[1.0, 1.1, 1.0, 1.1, 1.0], b=[INF] * 5, c=[1.0, 1.1, 1.1, INF, 1.0])
    assert best_group(enough, False).worse == {"b": True, "c": False}


def test_a_pair_that_can_never_differ_does_not_keep_others_from_differing() -> None:
    # Ten models with two replicates each could not be told from anything: they are no family.
    samples = blocks(a=[1.0] * 5, b=[INF] * 5, **{f"m{i}": [INF, INF] for i in range(10)})
    found = best_group(samples, False)
    assert found.best == "a" and found.worse["b"] and not found.worse["m0"]


def test_nobody_is_best_where_all_are_infinite() -> None:
    assert best_group(blocks(a=[INF] * 3, b=[INF] * 3), False).best is None


def test_values_without_a_logarithm_have_a_best_and_nobody_worse() -> None:
    found = best_group(blocks(a=[-1.0, 0.5, 0.1], b=[5.0, 6.0, 5.5]), False)
    assert found.best == "a" and found.worse == {"b": False}


def test_models_that_share_no_block_are_not_called_worse() -> None:
    apart = {"a": {0: 1.0, 1: 1.1}, "b": {2: 9.0, 3: 9.1}}
    assert best_group(apart, False).worse == {"b": False}


def test_a_mean_interval_covers_as_often_as_it_says_with_three_values() -> None:
    rng = random.Random(5)
    hits = 0
    for _ in range(1000):
        found = stats.mean_interval([math.exp(rng.gauss(0, 0.2)) for _ in range(3)])
        hits += found.lo <= 1.0 <= found.hi
    assert 930 <= hits <= 970 and found.confidence == 0.95


def test_a_mean_interval_of_values_that_may_be_negative_is_that_of_the_mean() -> None:
    found = stats.mean_interval([-1.0, 0.0, 1.0])
    assert found.value == 0.0 and found.hi == pytest.approx(2.4841, abs=1e-3)


@pytest.mark.parametrize("replicates", [3, 5])
def test_with_the_noise_of_the_reference_run_few_tables_have_a_false_loser(replicates: int) -> None:
    found = reference_residuals.simulate(replicates, 4)
    assert found.tables >= 80
    # 5 %, and three standard errors of a share of so many.
    assert found.false_losers <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / found.tables)


@pytest.mark.parametrize(("replicates", "least"), [(3, 0.25), (5, 0.5)])
def test_with_noise_of_five_per_cent_models_ten_per_cent_worse_are_found(
    replicates: int, least: float
) -> None:
    found = reference_residuals.simulate(replicates, 4, spread=0.05)
    assert set(found.power) == set(reference_residuals.METRICS)
    assert min(found.power.values()) >= least
