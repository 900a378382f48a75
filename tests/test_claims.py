# SPDX-License-Identifier: MIT
"""Every claim of every experiment, judged on made-up data that supports it, refutes it, and leaves
it open: a claim that no data can refute says nothing, and one about what is never measured neither.
"""
from __future__ import annotations

import fnmatch
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.design import experiment
from harness.design.experiment import Claim, Experiment, Operand
from harness.design.metrics import METRICS
from harness.judge import claims, slope, summary
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Verdict
from harness.judge.duel import BLOCKS, Ratio
from harness.judge.levels import Arrangement, LevelDuel, turned_round
from harness.measure import models
from harness.store import CellRecord, level_text

OUTCOMES = (SUPPORTED, REFUTED, UNDECIDED)
BLOCKS_MADE = 8
BASE = 10.0  # of the baseline, and of what a is compared with

# (model, factors) -> its value in each block, or a status in place of values.
World = dict[tuple[str, tuple[tuple[str, Any], ...]], Sequence[float] | str]


def every_claim() -> list[Any]:
    names = [*experiment.available(), *experiment.textbook_claims()]
    loaded = [experiment.load(name) for name in names]
    return [
        pytest.param(one, claim, id=f"{one.name}-{number}")
        for one in loaded
        for number, claim in enumerate(one.claims, 1)
    ]


@functools.lru_cache(maxsize=None)
def names_of(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The models that an experiment is about, as `tenk run` chooses them."""
    found = models.choose(models.discover(), ",".join(wanted) if wanted else None)
    return tuple(model.name for model in found)


def measured(one: Experiment) -> dict[str, Sequence[Any]]:
    """The levels of each factor in the default profile."""
    profile = one.profiles["default"]
    grid = {profile.grid_factor: profile.grid.points()} if profile.grid else {}
    return {**profile.levels, **grid}


def level_of(one: Experiment, operand: Operand) -> dict[str, Any]:
    """The level of every factor that an operand means, but for that of its slope; fails where the
    default profile does not measure it, or has several."""
    found: dict[str, Any] = {}
    for name, levels in measured(one).items():
        if name == operand.slope:
            assert len(levels) > 1, f"a slope over {name}, which has one level"
            continue
        wanted = operand.where.get(name)
        if wanted is None:
            assert len(levels) == 1, f"it leaves the level of {name} open"
            wanted = levels[0]
        assert level_text(wanted) in [level_text(v) for v in levels], f"{name} = {wanted}"
        found[name] = wanted
    assert not one.profiles["default"].leaves_out(found), f"{found} is left out"
    return found


def models_of(one: Experiment, operand: Operand) -> list[str]:
    """The models that an operand means; fails where the experiment has none of them."""
    there, wanted = names_of(one.models), str(operand.where["model"])
    found = fnmatch.filter(there, wanted) if operand.best or wanted == "*" else [wanted]
    assert found and set(found) <= set(there), f"{wanted} is not measured"
    return found


def key(model: str, factors: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    return model, tuple(sorted(factors.items()))


def amounts(claim: Claim) -> dict[str, list[float]]:
    """What `a` must come to in each block, for each outcome: a ratio to b, or a number."""

    def steady(value: float) -> list[float]:
        return [value] * BLOCKS_MADE

    def shaken(low: float, high: float) -> list[float]:
        return [low, low, high, high] * (BLOCKS_MADE // 4)

    if claim.relation == "between":
        low, high = claim.range
        assert math.isfinite(low) and math.isfinite(high), "no number can refute it"
        room = high - low or 1.0
        return {
            SUPPORTED: steady((low + high) / 2),
            REFUTED: steady(high + room),
            UNDECIDED: shaken(low - room, high + room),
        }
    border = claim.factor if claim.b is not None else claim.value
    if claim.relation == "within":
        wide = shaken(1 / (3 * border), 3 * border)
        return {SUPPORTED: steady(1.0), REFUTED: steady(1.5 * border), UNDECIDED: wide}
    if border == 0:
        low, high, between = 0.0, 1.0, [1.0, *steady(0.0)[1:]]
    else:
        low, high = sorted((border / 1.5, border * 1.5))
        between = shaken(low, high)
    more, less = (SUPPORTED, REFUTED) if claim.relation == "above" else (REFUTED, SUPPORTED)
    return {more: steady(high), less: steady(low), UNDECIDED: between}


def add_cells(one: Experiment, claim: Claim, told: Sequence[float], world: World) -> None:
    """Cells in which `a` is as `told`, and b and the baseline are BASE (above the baseline)."""
    level = level_of(one, claim.a)
    below = BASE if claim.baseline else 0.0
    if claim.baseline:
        for operand in filter(None, (claim.a, claim.b)):
            world[key(claim.baseline, level_of(one, operand))] = [BASE] * BLOCKS_MADE
    times = 1.0
    if claim.b is not None:
        for model in models_of(one, claim.b):
            world[key(model, level_of(one, claim.b))] = [below + BASE] * BLOCKS_MADE
        times = BASE
    taken = set(world) if claim.a.best else set()  # b may be one of those that a is the best of
    for model in models_of(one, claim.a):
        if key(model, level) in taken:
            continue
        world[key(model, level)] = [below + times * value for value in told]


def add_slope(one: Experiment, claim: Claim, told: Sequence[float], world: World) -> None:
    """Cells along a line of that slope; a shaken one is the border, with noise."""
    operand = claim.a
    _, times = slope.unit_of(operand.metric)
    levels = [float(level) for level in measured(one)[operand.slope]]
    noisy = len(set(told)) > 1
    border = claim.range[1] if claim.relation == "between" else claim.value
    per_unit = (border if noisy else told[0]) / times
    base = 1 + 2 * max(abs(per_unit * level) for level in levels)
    for level in measured(one)[operand.slope]:
        values = [base + per_unit * float(level)] * BLOCKS_MADE
        if noisy:
            values = [v * (5.0 if n % 2 else 0.2) for n, v in enumerate(values)]
        for model in models_of(one, operand):
            world[key(model, {**level_of(one, operand), operand.slope: level})] = values


def records(one: Experiment, world: World, metrics: Mapping[Any, str]) -> list[CellRecord]:
    found = []
    for (model, factors), told in world.items():
        for block in range(1 if isinstance(told, str) else BLOCKS_MADE):
            values = {} if isinstance(told, str) else stored(metrics[model, factors], told[block])
            status = told if isinstance(told, str) else "ok"
            found.append(
                CellRecord(
                    *(one.name, model, dict(factors), block, block, 0, status),
                    metrics=values,
                )
            )
    return found


def stored(metric: str, value: float) -> dict[str, float]:
    """As a cell has it: the inverse of a metric is in none."""
    of = METRICS[metric]
    return {of.inverse_of: of.per / value} if of.inverse_of else {metric: value}


def judged(one: Experiment, claim: Claim, outcome: str) -> Verdict:
    """The verdict on cells that were made for that outcome."""
    world: World = {}
    if claim.relation == "unsupported":
        status = {SUPPORTED: "unsupported", UNDECIDED: "failed"}.get(outcome)
        for model in models_of(one, claim.a):
            at = key(model, level_of(one, claim.a))
            world[at] = status if status is not None else [BASE] * BLOCKS_MADE
    else:
        add: Callable[..., None] = add_slope if claim.a.slope else add_cells
        add(one, claim, amounts(claim)[outcome], world)
    metrics = dict.fromkeys(world, claim.a.metric)
    if claim.b is not None:
        for model in models_of(one, claim.b):
            metrics[key(model, level_of(one, claim.b))] = claim.b.metric
    made = records(one, world, metrics)
    if claim.b is not None and claim.a.metric != claim.b.metric:
        made = both_metrics(made, one, claim, amounts(claim)[outcome])
    groups = summary.group(made, list(dict.fromkeys(cell.model for cell in made)))
    return claims.judge_one(claim, groups)


def both_metrics(
    made: Sequence[CellRecord], one: Experiment, claim: Claim, told: Sequence[float]
) -> list[CellRecord]:
    """Where two metrics of the same cells are compared, each cell has both."""
    assert claim.b is not None
    return [
        replace(
            c,
            metrics={
                **stored(claim.a.metric, BASE * told[c.block]),
                **stored(claim.b.metric, BASE),
            },
        )
        for c in made
    ]


def duel_of(claim: Claim, factors: Mapping[str, Any], told: Sequence[float]) -> LevelDuel:
    """Both met, b being the reference, and a came out as `told`."""
    assert claim.b is not None
    logs = [math.log(value) for value in told]
    mean = sum(logs) / len(logs)
    error = math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) * (len(logs) - 1)))
    reach = 3 * error
    ratio = Ratio(
        math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), error, 7.0, 8, BLOCKS
    )
    a, b = str(claim.a.where["model"]), str(claim.b.where["model"])
    direct = METRICS[claim.a.metric].inverse_of
    ratios = {a: {direct: turned_round(ratio)} if direct else {claim.a.metric: ratio}}
    met = Arrangement(claim.arrangement or "turns", ratios, {}, {}, math.nan, {})
    return LevelDuel(factors, b, (met,), {})


def compared(one: Experiment, claim: Claim) -> tuple[str, ...]:
    """The arrangements in which the two models of a claim meet in the default profile."""
    alone = claim.b is None or claim.a.where.get("model") == "*" or claim.a.best or claim.baseline
    if claim.b is None or alone or claim.a.where["model"] == claim.b.where["model"]:
        return ()
    factors = level_of(one, claim.a)
    if factors != level_of(one, claim.b) or claim.a.metric != claim.b.metric:
        return ()
    wanted = {name: level_text(value) for name, value in factors.items()}
    levels = one.compare.levels.get("default", ())
    found = [at for at in levels if {k: level_text(v) for k, v in at.factors.items()} == wanted]
    return found[0].arrangements if found else ()


@pytest.mark.parametrize(("one", "claim"), every_claim())
def test_a_claim_can_be_supported_refuted_and_left_open_by_what_is_measured(
    one: Experiment, claim: Claim
) -> None:
    met = compared(one, claim)
    if claim.arrangement:
        assert claim.arrangement in met, "the default profile does not compare them in this way"
    else:
        assert met or one.profiles["default"].replicates >= claims.MIN_REPLICATES, "too few cells"
        found = {outcome: judged(one, claim, outcome) for outcome in OUTCOMES}
        assert {k: v.outcome for k, v in found.items()} == {k: k for k in OUTCOMES}, found
        for verdict in found.values():
            assert all(math.isfinite(number.estimate) for number in verdict.numbers)
    for outcome, told in amounts(claim).items() if met else ():
        factors = level_of(one, claim.a)
        verdict = claims.judge_one(claim, [], [duel_of(claim, factors, told)])
        assert verdict.outcome == outcome, verdict
        (number,) = verdict.numbers
        assert number.basis == (claim.arrangement or "turns") and number.unit == "ratio"


def test_a_claim_about_what_is_not_measured_is_found_out() -> None:
    one = experiment.load("idle")
    poll = next(claim for claim in one.claims if claim.a.where.get("idle") == 10000)
    for changed in ({"idle": 777}, {"model": "nobody"}):
        wrong = replace(poll, a=replace(poll.a, where={**poll.a.where, **changed}))
        with pytest.raises(AssertionError):
            judged(one, wrong, SUPPORTED)


def test_a_claim_that_nothing_can_refute_is_found_out() -> None:
    one = experiment.load("idle")
    always = next(claim for claim in one.claims if claim.relation == "between")
    with pytest.raises(AssertionError, match="no number can"):
        judged(one, replace(always, range=(-math.inf, math.inf)), REFUTED)
