# SPDX-License-Identifier: MIT
"""What is left when a baseline is subtracted, and the best of several settings: claims on made-up
cells, whose truth is known."""
from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.design import experiment
from harness.design.experiment import Claim, Operand
from harness.errors import UsageError
from harness.judge import baseline, claims, summary, tuned
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED
from harness.store import CellRecord

CPU, RATE = "server_cpu_us_per_request", "throughput_rps"


def cells(metric: str, values: Mapping[str, Sequence[float]]) -> list[summary.Group]:
    """Each model's values, one per block, at 10 connections."""
    records = [
        CellRecord("x", model, {"connections": 10}, n, n, 0, "ok", metrics={metric: value})
        for model, some in values.items()
        for n, value in enumerate(some)
    ]
    return summary.group(records, list(values))


def drifting(beyond: Mapping[str, float], sd: float = 0.1, seed: int = 1) -> list[summary.Group]:
    """Eight blocks: a base that doubles from the first to the last, and what each model has beyond
    it, with noise."""
    rng = random.Random(seed)
    base = [20 + 20 * block / 7 for block in range(8)]
    some = {name: [b + more + rng.gauss(0, sd) for b in base] for name, more in beyond.items()}
    return cells(CPU, {"blocking": base, **some})


def beyond(
    a: str, b: str = "", relation: str = "above", factor: float = 1, value: float = 0.0
) -> Claim:
    one, other = (Operand(CPU, {"model": name, "connections": 10}) for name in (a, b))
    return Claim("a claim", one, other if b else None, relation, factor, value, baseline="blocking")


def outcome(claim: Claim, groups: Sequence[summary.Group]) -> str:
    return claims.judge_one(claim, groups).outcome


def test_a_cost_beyond_the_baseline_is_found_though_the_baseline_drifts() -> None:
    groups = drifting({"fork": 50.0})
    assert outcome(beyond("fork", value=49), groups) == SUPPORTED
    assert outcome(beyond("fork", value=51), groups) == REFUTED
    assert outcome(beyond("fork", relation="below", value=51), groups) == SUPPORTED


def test_what_costs_no_more_than_the_baseline_is_called_neither_more_nor_less() -> None:
    assert outcome(beyond("pool"), drifting({"pool": 0.0})) == UNDECIDED


def test_ten_times_the_cost_beyond_is_decided_where_the_lower_one_is_hardly_above_nought() -> None:
    ten = beyond("fork", "thread", factor=10)
    assert outcome(ten, drifting({"fork": 50.0, "thread": 4.0})) == SUPPORTED
    assert outcome(ten, drifting({"fork": 50.0, "thread": 6.0})) == REFUTED
    assert outcome(ten, drifting({"fork": 50.0, "thread": 5.0}, sd=1.0)) == UNDECIDED
    # A ratio of the two has no sign to go by here.
    assert outcome(ten, drifting({"fork": 50.0, "thread": -0.2})) == SUPPORTED


def test_the_interval_of_a_difference_covers_the_truth_about_as_often_as_it_says() -> None:
    refuted = [
        outcome(beyond("x", value=3), drifting({"x": 3.0}, 1.0, seed)) for seed in range(400)
    ]
    assert 0.91 <= refuted.count(UNDECIDED) / 400 <= 0.985


def test_without_the_baseline_nothing_is_said() -> None:
    found = claims.judge_one(beyond("fork"), cells(CPU, {"fork": [1.0, 2.0, 3.0]}))
    assert found.outcome == UNDECIDED and "blocking was not part of this run" in found.detail


def test_blocks_that_one_of_them_lacks_are_left_out() -> None:
    groups = cells(CPU, {"blocking": [1.0, 1.0], "fork": [5.0, 5.0, 900.0]})
    found = claims.judge_one(beyond("fork"), groups)
    assert found.outcome == UNDECIDED and "2 blocks" in found.detail


def document(**more: Any) -> dict[str, Any]:
    profile = {"levels": {"connections": [10]}, "replicates": 1, "seconds": 1, "warmup": 0}
    return {
        "name": "made_up",
        "title": "",
        "question": "",
        "source": "",
        "metric": CPU,
        "load": {},
        "factors": {"connections": {}},
        "profiles": {name: {**profile, "budget_s": 1} for name in experiment.PROFILES},
        **more,
    }


def test_what_is_beyond_the_baseline_has_rows_in_summary_tsv() -> None:
    one = experiment.parse(document(baseline="blocking"), "test")
    rows = baseline.to_tsv(one, drifting({"fork": 50.0})).splitlines()
    assert [row.split("\t")[:5] for row in rows] == [["fork", "10", f"beyond:{CPU}", "us", "8"]]
    assert float(rows[0].split("\t")[5]) == pytest.approx(50, abs=0.3)
    header = summary.to_tsv(one, []).splitlines()[0]
    assert len(rows[0].split("\t")) == len(header.split("\t"))
    assert baseline.to_tsv(experiment.parse(document(), "test"), drifting({"fork": 50.0})) == ""


@pytest.mark.parametrize(
    "claim, word",
    [
        (
            {"relation": "within", "b": {"model": "fork"}, "beyond_baseline": True},
            "beyond_baseline",
        ),
        ({"relation": "above", "value": 1, "a": {"best": "x", "model": "y"}}, "best"),
        (
            {"relation": "above", "value": 1, "a": {"best": "x", "metric": "events_per_wait"}},
            "best",
        ),
    ],
)
def test_a_claim_that_cannot_be_judged_so_is_refused(claim: dict[str, Any], word: str) -> None:
    whole = {"text": "t", "metric": CPU, "a": {"model": "thread"}, **claim}
    with pytest.raises(UsageError, match=word):
        experiment.parse(document(baseline="blocking", claims=[whole]), "test")


def test_beyond_a_baseline_that_the_experiment_does_not_name_is_refused() -> None:
    claim = {"text": "t", "metric": CPU, "a": {"model": "thread"}, "relation": "above", "value": 1}
    with pytest.raises(UsageError, match="needs the experiment's baseline"):
        experiment.parse(document(claims=[{**claim, "beyond_baseline": True}]), "test")


def best(a: str, b: str, relation: str, factor: float = 1.0) -> Claim:
    sides = [
        Operand(RATE, {"model": name, "connections": 10}, best=name if "*" in name else "")
        for name in (a, b)
    ]
    return Claim("a claim", *sides, relation, factor, 0.0)


def rates(
    means: Mapping[str, float], sd: float, seed: int, blocks: int = 12
) -> list[summary.Group]:
    rng = random.Random(seed)
    return cells(
        RATE, {k: [v * (1 + rng.gauss(0, sd)) for _ in range(blocks)] for k, v in means.items()}
    )


def test_the_best_setting_of_each_design_is_compared() -> None:
    groups = rates({"pool -w 1": 10, "pool -w 8": 30, "loop": 20, "loop -w 2": 25}, 0.01, 1)
    found = claims.judge_one(best("pool -w *", "loop", "above", 1.4), groups)
    assert found.outcome == SUPPORTED and "pool -w 8 chosen" in found.detail
    assert outcome(best("pool -w *", "loop*", "above", 1.4), groups) == REFUTED


def test_the_luckiest_of_twenty_equal_settings_is_not_called_better_than_one_of_them() -> None:
    """Chosen from the blocks that it is judged on, it is, more than twice as often."""
    equal = {**{f"pool -w {n}": 10.0 for n in range(20)}, "loop": 10.0}
    claim = best("pool -w *", "loop", "above")
    outcomes = [outcome(claim, rates(equal, 0.05, seed)) for seed in range(200)]
    honest = outcomes.count(SUPPORTED)
    assert honest <= 10
    cursed = 0
    for seed in range(200):
        groups = rates(equal, 0.05, seed)
        name = tuned.choose(claim.a, groups)
        assert name
        cursed += outcome(best(name, "loop", "above"), groups) == SUPPORTED
    assert cursed > 2 * max(5, honest)


def test_designs_are_compared_within_the_blocks_so_that_drift_does_not_hide_what_is_there() -> None:
    drift = [10 * 1.2**n for n in range(12)]
    groups = cells(
        RATE,
        {
            "pool -w 1": [0.5 * v for v in drift],
            "pool -w 8": [1.1 * v * (1 + 0.01 * (n % 3)) for n, v in enumerate(drift)],
            "loop": drift,
        },
    )
    assert outcome(best("pool -w *", "loop", "above", 1.05), groups) == SUPPORTED
    assert outcome(best("pool -w *", "loop", "within", 1.05), groups) == REFUTED
    without = [replace(g, cells=g.cells[:5]) if g.model == "loop" else g for g in groups]
    found = claims.judge_one(best("pool -w *", "loop", "above", 1.05), without)
    assert found.outcome == UNDECIDED and "2 blocks with both" in found.detail


def test_a_best_of_nothing_is_undecided() -> None:
    found = claims.judge_one(best("pool -w *", "loop", "above"), rates({"loop": 1.0}, 0.1, 1))
    assert found.outcome == UNDECIDED and found.absent
