# SPDX-License-Identifier: MIT
"""The slope of a cost over a factor, on made-up data whose slope is known."""
from __future__ import annotations

import math
import random
import re

import pytest

from harness.design.experiment import Claim, Operand
from harness.judge import claims, slope, summary
from harness.store import CellRecord

LEVELS = (0.0, 1000.0, 10000.0)


def noisy(rng: random.Random, per_unit: float, sd: float, n: int = 3) -> dict[float, list[float]]:
    """Costs that begin at 8 and grow by `per_unit`, with relative noise."""
    return {x: [(8 + per_unit * x) * math.exp(rng.gauss(0, sd)) for _ in range(n)] for x in LEVELS}


def found(samples: dict[float, list[float]]) -> slope.Line:
    result = slope.line(samples)
    assert isinstance(result, slope.Line)
    return result


def test_a_line_without_noise_is_found_exactly() -> None:
    line = found({x: [8 + 0.007 * x] * 3 for x in LEVELS})
    assert line.value == pytest.approx(0.007)
    assert (line.lo, line.hi) == (pytest.approx(0.007), pytest.approx(0.007))
    assert not line.bent


@pytest.mark.parametrize("per_unit", [0.0, 0.0003, 0.007])
def test_the_interval_covers_the_true_slope_about_as_often_as_it_says(per_unit: float) -> None:
    rng = random.Random(7)
    runs = [found(noisy(rng, per_unit, 0.1)) for _ in range(600)]
    covered = sum(line.lo <= per_unit <= line.hi for line in runs) / len(runs)
    assert 0.92 <= covered <= 0.99


def test_one_disturbed_replicate_of_three_does_not_move_the_line() -> None:
    samples = {x: [8.0, 8.1, 8.2] for x in LEVELS}
    samples[10000.0][1] = 80.0
    assert abs(found(samples).value) < 1e-4


def test_a_straight_line_is_seldom_called_bent_and_a_bent_one_often() -> None:
    rng = random.Random(8)
    straight = sum(found(noisy(rng, 0.007, 0.05)).bent for _ in range(400))
    assert straight <= 20
    bent = 0
    for _ in range(100):
        samples = noisy(rng, 0.007, 0.05)
        samples[1000.0] = [2 * v for v in samples[1000.0]]
        bent += found(samples).bent
    assert bent >= 80


def test_without_a_level_measured_twice_there_is_a_slope_and_no_interval() -> None:
    line = found({0.0: [8.0], 1000.0: [15.0]})
    assert line.value == pytest.approx(0.007) and math.isnan(line.lo) and math.isnan(line.hi)


@pytest.mark.parametrize(
    ("samples", "said"),
    [({0.0: [8.0, 9.0]}, "two levels"), ({0.0: [8.0], 1.0: [math.inf]}, "infinite")],
)
def test_what_has_no_slope_says_why(samples: dict[float, list[float]], said: str) -> None:
    assert said in str(slope.line(samples))


# --- as claims ------------------------------------------------------------------------------------


def groups(**models: float) -> list[summary.Group]:
    rng = random.Random(9)
    cells = [
        CellRecord(
            experiment="idle",
            model=model,
            factors={"idle": int(x)},
            replicate=replicate,
            block=replicate,
            order=0,
            status="ok",
            metrics={"server_cpu_us_per_request": value},
        )
        for model, per_unit in models.items()
        for x, values in noisy(rng, per_unit, 0.02, 4).items()
        for replicate, value in enumerate(values)
    ]
    cells.append(CellRecord("idle", "select", {"idle": 1000}, 0, 0, 0, "unsupported", "too many"))
    return summary.group(cells, list(models))


def claim(model: str, relation: str, **more: object) -> claims.Verdict:
    slope_over = "" if relation == "unsupported" else "idle"
    where = {"model": model, **({"idle": 1000} if relation == "unsupported" else {})}
    operand = Operand("server_cpu_us_per_request", where, slope_over)
    whole = {"factor": 1.0, "value": 0.0, **more}
    one = Claim("said", operand, None, relation, **whole)  # type: ignore[arg-type]
    return claims.judge_one(one, groups(poll=0.007, epoll_lt=0.0))


def test_a_claim_on_a_slope_is_judged_by_its_interval_in_nanoseconds() -> None:
    assert claim("poll", "above", value=5.0).outcome == claims.SUPPORTED
    assert claim("poll", "below", value=5.0).outcome == claims.REFUTED
    assert claim("epoll_lt", "between", range=(-0.2, 0.2)).outcome == claims.SUPPORTED
    assert claim("poll", "between", range=(-0.2, 0.2)).outcome == claims.REFUTED
    assert claim("poll", "between", range=(-7.0, 7.0)).outcome == claims.UNDECIDED
    assert "ns per idle" in claim("poll", "above", value=5.0).detail


def test_a_claim_that_a_model_cannot_is_refuted_by_one_that_can() -> None:
    assert claim("select", "unsupported").outcome == claims.SUPPORTED
    assert claim("poll", "unsupported").outcome == claims.REFUTED
    assert re.search(r"was measured: [0-9.]+ us$", claim("poll", "unsupported").detail)
    assert claim("fork", "unsupported").absent
