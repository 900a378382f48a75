# SPDX-License-Identifier: MIT
"""Ratios of a duel, its controls, and what is left out, on made-up slices with known answers."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.design.duel import TOGETHER
from harness.design.pieces import Piece
from harness.judge import controls, disturbance, duel, schedule, standings, tails
from harness.judge.disturbance import Side, Surroundings
from harness.judge.duel import BLOCKS, NOTHING, RANGE, ROUNDS, Ratio, Slice


def turns(
    seed: int,
    effects: dict[str, float],
    blocks: int,
    rounds: int = 8,
    noise: float = 0.06,
    start: float = 0.01,
    outliers: float = 0.02,
) -> list[Slice]:
    """Slices in turns: effects are logs; the machine drifts; some slices are 50 % off."""
    rng = np.random.default_rng(seed)
    slices = []
    for block in range(blocks):
        own = {name: rng.normal(0, start) for name in effects}
        drift = np.cumsum(rng.normal(0, 0.05, rounds))
        for number in range(rounds):
            for name, effect in effects.items():
                log = drift[number] + own[name] + effect + rng.normal(0, noise)
                log += abs(rng.normal(0, 0.5)) if rng.random() < outliers else 0.0
                slices.append(Slice(block, number, name, 10 * math.exp(log)))
    return slices


def together(
    seed: int, effects: dict[str, float], runs: int, noise: dict[str, float] | None = None
) -> list[Slice]:
    """Runs of the reference "ref" with one other each."""
    rng = np.random.default_rng(seed)
    noise = noise or {}
    slices = []
    block = 0
    for name, effect in effects.items():
        for _ in range(runs):
            block += 1
            own = effect + rng.normal(0, noise.get(name, 0.007))
            for number in range(6):
                drift = rng.normal(0, 0.08)
                for who, log in (("ref", 0.0), (name, own)):
                    value = math.exp(drift + log + rng.normal(0, 0.005))
                    slices.append(Slice(block, number, who, value))
    return slices


def ratio(estimate: float, half: float, freedom: float = 20.0) -> Ratio:
    """A ratio whose 95 % interval is `half` (of the logarithm) to either side."""
    se = half / duel.stats.t_quantile(0.975, freedom)
    lo, hi = estimate * math.exp(-half), estimate * math.exp(half)
    return Ratio(estimate, lo, hi, se, freedom, 21, BLOCKS)


def test_without_noise_the_ratios_are_exact_in_both_arrangements() -> None:
    effects = {"ref": 0.0, "b": math.log(1.5), "c": math.log(0.5)}
    found = duel.compare(turns(1, effects, 3, noise=0, start=0, outliers=0), "ref")
    assert {n: r.estimate for n, r in found.ratios.items()} == pytest.approx({"b": 1.5, "c": 0.5})
    apart = [s for s in turns(1, effects, 6, noise=0, start=0, outliers=0)]
    paired = [s for s in apart if s.contender != ("c" if s.block % 2 else "b")]
    found = duel.compare(paired, "ref")
    assert {n: r.estimate for n, r in found.ratios.items()} == pytest.approx({"b": 1.5, "c": 0.5})


@pytest.mark.parametrize("blocks", [2, 3, 6])
def test_intervals_in_turns_cover_the_truth_about_as_often_as_they_say(blocks: int) -> None:
    effects = {"ref": 0.0, "twin": 0.0, "b": 0.03, "c": -0.2}
    hits = [
        ratio.lo <= math.exp(effects[name]) <= ratio.hi
        for seed in range(100)
        for name, ratio in duel.compare(turns(seed, effects, blocks), "ref").ratios.items()
    ]
    # 300 intervals, of which three at a time share a reference: a standard error of about 2 %.
    assert 0.89 <= sum(hits) / len(hits) <= 0.99


def test_intervals_together_cover_the_truth_also_where_one_model_is_much_noisier() -> None:
    effects = {"twin": 0.0, "b": 0.03, "c": -0.1, "d": 0.05, "thread": 0.3}
    hits = {name: 0 for name in effects}
    for seed in range(100):
        found = duel.compare(together(seed, effects, 8, {"thread": 0.06}), "ref")
        for name, one in found.ratios.items():
            hits[name] += one.lo <= math.exp(effects[name]) <= one.hi
    assert sum(hits.values()) >= 450 and min(hits.values()) >= 85


def test_one_bad_run_of_six_hardly_moves_a_ratio() -> None:
    slices = together(3, {"b": 0.03, "twin": 0.0}, 6)
    bad = min(s.block for s in slices if s.contender == "b")
    spoilt = [
        replace(s, value=2 * s.value) if (s.block, s.contender) == (bad, "b") else s for s in slices
    ]
    found = duel.compare(spoilt, "ref").ratios["b"]
    assert found.estimate == pytest.approx(math.exp(0.03), rel=0.01)


def test_more_blocks_give_a_finer_resolution() -> None:
    effects = {"ref": 0.0, "b": 0.0, "c": 0.0}
    few = duel.compare(turns(5, effects, 3), "ref").resolution
    many = duel.compare(turns(5, effects, 30), "ref").resolution
    assert many < few / 2


def test_one_block_has_an_interval_from_its_rounds_and_says_so() -> None:
    found = duel.compare(turns(6, {"ref": 0.0, "b": 0.5}, 1), "ref").ratios["b"]
    assert found.basis == ROUNDS and found.lo < math.exp(0.5) < found.hi


def test_who_never_met_the_reference_in_a_block_is_not_compared_in_it() -> None:
    met = [Slice(0, r, name, 2.0 if name == "b" else 1.0) for r in (0, 1) for name in ("ref", "b")]
    apart = [Slice(0, 2, name, 5.0) for name in ("c", "d")] + [Slice(0, 3, "ref", 9.0)]
    found = duel.compare([*met, *apart], "ref")
    assert set(found.ratios) == {"b"} and found.ratios["b"].estimate == pytest.approx(2.0)
    assert duel.compare(apart, "ref").blocks == 0


def test_one_slice_of_each_has_a_ratio_and_no_interval() -> None:
    found = duel.compare([Slice(0, 0, "ref", 2.0), Slice(0, 0, "b", 3.0)], "ref").ratios["b"]
    assert (found.estimate, found.basis) == (pytest.approx(1.5), NOTHING)
    assert math.isnan(found.lo) and math.isinf(found.half_width)


def test_an_infinite_slice_now_and_then_is_bounded_and_mostly_infinite_is_infinite() -> None:
    slices = turns(7, {"ref": 0.0, "b": 0.0, "c": 0.0}, 4, noise=0.02)
    now_and_then = [
        replace(s, value=math.inf) if (s.round, s.contender) == (3, "b") else s for s in slices
    ]
    assert duel.compare(now_and_then, "ref").ratios["b"].estimate < 1.1
    mostly = [replace(s, value=math.inf) if s.contender == "b" and s.round else s for s in slices]
    found = duel.compare(mostly, "ref").ratios
    assert math.isinf(found["b"].estimate) and found["b"].basis == RANGE
    assert found["c"].basis == BLOCKS


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_value_without_a_logarithm_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="b: a slice"):
        duel.compare([Slice(0, 0, "ref", 1.0), Slice(0, 0, "b", value)], "ref")


def test_equal_contenders_rarely_have_a_loser_and_different_ones_have() -> None:
    equal = {"ref": 0.0, **{f"m{i}": 0.0 for i in range(5)}}
    losers = sum(
        bool(duel.rank(duel.compare(turns(seed, equal, 5), "ref"), list(equal), False).worse)
        for seed in range(100)
    )
    # A chance of 5 % has a standard error of 2.2 % here.
    assert losers <= 11
    unequal = {**equal, "m4": 0.3}
    found = duel.rank(duel.compare(turns(1, unequal, 5), "ref"), list(unequal), False)
    assert found.worse == {"m4"} and found.order[-1] == "m4" and "m4" not in found.tied
    upwards = duel.rank(duel.compare(turns(1, unequal, 5), "ref"), list(unequal), True)
    assert upwards.best == "m4" and len(upwards.worse) == 5


def test_contenders_that_never_met_are_ranked_through_the_reference() -> None:
    found = duel.compare(together(8, {"b": 0.0, "c": 0.1, "d": 0.0}, 8), "ref")
    assert duel.rank(found, ["ref", "b", "c", "d"], False).worse == {"c"}
    losers = sum(
        bool(
            duel.rank(
                duel.compare(together(s, {"b": 0, "c": 0, "d": 0}, 6), "ref"),
                ["b", "c", "d"],
                False,
            ).worse
        )
        for s in range(100)
    )
    assert losers <= 11


def test_one_block_ranks_nobody() -> None:
    found = duel.rank(duel.compare(turns(9, {"ref": 0.0, "b": 2.0}, 1), "ref"), ["ref", "b"], False)
    assert found.best is None and found.untested == {"ref", "b"}


def test_arrangements_agree_where_their_difference_may_be_nothing() -> None:
    assert duel.agree(ratio(1.05, 0.01), ratio(1.055, 0.02)) is True
    assert duel.agree(ratio(1.05, 0.01), ratio(1.20, 0.02)) is False
    assert duel.agree(ratio(1.05, 0.01), None) is None
    assert duel.finer(ratio(1.05, 0.01), ratio(1.06, 0.02)).estimate == 1.05


def test_the_time_still_needed_shrinks_to_nothing_as_the_target_is_reached() -> None:
    one = ratio(1.0, 0.02)
    assert duel.seconds_left(one, 10, 0.03) == 0
    # Half the width takes four times the samples; a little less, for the t quantile shrinks too.
    assert 25 < duel.seconds_left(one, 10, 0.01) < 31
    assert math.isinf(
        duel.seconds_left(Ratio(1, math.nan, math.nan, math.nan, 0, 1, NOTHING), 10, 0.01)
    )


def test_the_twin_is_void_only_beyond_its_99_percent_interval() -> None:
    assert not controls.twin(ratio(1.011, 0.01)).void  # 95 % excludes 1, 99 % does not
    assert controls.twin(ratio(1.02, 0.01)).void and controls.twin(ratio(0.98, 0.01)).void


def test_a_sound_twin_is_void_about_once_in_a_hundred() -> None:
    effects = {"ref": 0.0, "twin": 0.0, "b": 0.1}
    void = sum(
        controls.twin(duel.compare(turns(s, effects, 4), "ref").ratios["twin"]).void
        for s in range(200)
    )
    assert void <= 8  # 2 expected


@pytest.mark.parametrize(
    ("estimate", "half", "outcome"),
    [
        (1.031, 0.01, controls.FOUND),
        (1.02, 0.03, controls.NOT_FOUND),
        (1.10, 0.02, controls.MISSED),
        (1.0, 0.01, controls.MISSED),
    ],
)
def test_the_control_is_found_not_found_or_missed(
    estimate: float, half: float, outcome: str
) -> None:
    assert controls.control(ratio(estimate, half), 1.03).outcome == outcome


def test_what_is_not_well_known_of_the_control_does_not_count_as_missed() -> None:
    assert controls.control(ratio(1.10, 0.02), 1.13).outcome == controls.MISSED
    assert controls.control(ratio(1.10, 0.02), 1.13, 0.1).outcome == controls.FOUND


def test_who_sets_the_rate_is_read_from_what_an_added_cost_does_to_it() -> None:
    assert controls.client_sets_rate(ratio(1.0, 0.005), 1.03) is True
    assert controls.client_sets_rate(ratio(1 / 1.03, 0.005), 1.03) is False
    assert controls.client_sets_rate(ratio(0.99, 0.05), 1.03) is None


def test_rounds_per_block_follow_kalibera_and_jones() -> None:
    # sqrt(cost ratio 4 * variance ratio 9) = 6
    assert schedule.rounds_per_block(9.0, 1.0, 1.0, 4.0) == 6
    assert schedule.rounds_per_block(9.0, 0.0, 1.0, 4.0, most=30) == 30
    assert schedule.rounds_per_block(0.01, 1.0, 1.0, 1.0) == schedule.LEAST_ROUNDS
    assert schedule.rounds_per_block(math.nan, math.nan, 0.5, 4.0) == 8
    with pytest.raises(ValueError, match="above 0"):
        schedule.rounds_per_block(1.0, 1.0, 0.0, 1.0)


def test_variances_within_and_between_blocks_are_told_apart() -> None:
    effects = {f"m{i}": 0.0 for i in range(6)}
    found = schedule.components(
        duel.compare(turns(11, effects, 40, noise=0.05, start=0.03, outliers=0), "m0")
    )
    assert math.sqrt(found.within) == pytest.approx(0.05, rel=0.1)
    assert math.sqrt(found.between) == pytest.approx(0.03, rel=0.25)
    calm = duel.compare(turns(12, effects, 40, noise=0.05, start=0.0, outliers=0), "m0")
    assert math.sqrt(schedule.components(calm).between) < 0.012


CALM = Surroundings("a", 100e6, steal_ns=0.0, foreign_ns=0.0, delay_ns=0.0, workers=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"steal_ns": 10e6}, ""),  # one tick is where the edges fell
        ({"steal_ns": 20e6}, disturbance.STEAL),
        ({"foreign_ns": 20e6}, disturbance.FOREIGN),
        ({"delay_ns": 4e6}, ""),
        ({"delay_ns": 6e6}, disturbance.DELAY),
        ({"delay_ns": 6e6, "workers": 2}, ""),
        ({"delay_ns": 50e6, "own_cpus": False}, ""),  # the server may have caused it
        ({"steal_ns": None, "foreign_ns": None, "delay_ns": None}, ""),
    ],
)
def test_a_slice_is_left_out_for_what_the_machine_did(
    change: dict[str, float], reason: str
) -> None:
    found = disturbance.disturbed([*[CALM] * 4, replace(CALM, **change)])  # type: ignore[arg-type]
    assert found == ["", "", "", "", reason]


def test_what_is_usual_for_a_contender_is_no_reason_to_leave_it_out() -> None:
    kernel_works_for_it = [replace(CALM, contender="b", foreign_ns=40e6)] * 5
    assert disturbance.disturbed([*[CALM] * 5, *kernel_works_for_it]) == [""] * 10


def test_what_was_left_out_is_counted_per_contender_and_reason() -> None:
    reasons = ["steal", "", "steal", "client delayed"]
    found = disturbance.counts(["a", "a", "b", "b"], reasons)
    assert found == {"a": {"steal": 1}, "b": {"steal": 1, "client delayed": 1}}


def test_a_side_starved_of_load_is_one_that_answered_less_than_was_due() -> None:
    assert not disturbance.starved_of_load(Side(9_950, 10_000, in_flight=100))
    assert not disturbance.starved_of_load(Side(9_801, 10_000, in_flight=100))
    assert disturbance.starved_of_load(Side(9_799, 10_000, in_flight=100))
    assert not disturbance.starved_of_load(Side(10, None, in_flight=100))


def test_a_starved_run_is_one_unlike_the_others_of_the_pair() -> None:
    assert disturbance.starved_runs({1: 0.5, 2: 0.52, 3: 0.5, 4: 1.2}) == {4}
    assert disturbance.starved_runs({1: 0.5, 2: 0.52, 3: 0.49}) == set()
    assert disturbance.starved_runs({1: 0.1, 2: 1.0}) == set()


def test_stalls_are_counted_and_tails_never_averaged() -> None:
    slices = [(100.0, 5000)] * 8 + [(1000.0, 5000)] * 2
    found = tails.tail(950.0, slices)
    assert (found.pooled_ns, found.median_ns, found.share) == (950.0, 100.0, 0.2)
    assert tails.tail(math.inf, [(math.inf, 2000), (1.0, 2000), (1.0, 2000)]).stalls == 1


def test_slices_of_few_replies_cannot_show_a_stall() -> None:
    found = tails.tail(1.0, [(100.0, 100)] * 4 + [(1e6, 100)])
    assert found.slices == 0 and math.isnan(found.share)
    assert math.isnan(tails.tail(1.0, []).median_ns)


def servers_that_say(*added_ns: float) -> list[Piece]:
    """Pieces in which the control says that it added so much, and the reference that it added
    nothing."""
    blank = Piece(TOGETHER, 0, ("ref", "control"), 0.5, 1e3, (), {}, {}, {}, 1.0, 1.0)
    return [replace(blank, number=n, extra_ns={"control": x}) for n, x in enumerate(added_ns)]


def test_the_added_cost_is_known_the_better_the_more_servers_agree_on_it() -> None:
    def known(*added_ns: float) -> float:
        return standings.known_within(servers_that_say(*added_ns), "ref", "control")

    four = (400.0, 410.0, 390.0, 404.0)
    assert known(400.0) == known(400.0, 401.0) == standings.KNOWN_WITHIN
    assert 0 < known(*four, *four, *four) < known(*four) < 0.05
    assert known(100.0, 900.0, 500.0) == standings.KNOWN_WITHIN
