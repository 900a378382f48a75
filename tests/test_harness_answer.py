# SPDX-License-Identifier: MIT
"""The answer of a run on made-up data: what is found, and how it is said."""
from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.design import experiment
from harness.judge import claims, findings, ratios, summary
from harness.judge.ratios import ALIKE, LESS, MORE, OPEN, LevelRatio
from harness.present import answer
from harness.store import CellRecord

CPU = "server_cpu_us_per_request"
TOP = {"connections": 10000}


def ratio(
    model: str, connections: int, verdict: str, estimate: float, width: float = 0.02
) -> LevelRatio:
    return LevelRatio(
        {"connections": connections},
        model,
        "epoll_lt",
        CPU,
        estimate,
        estimate / (1 + width),
        estimate * (1 + width),
        verdict,
    )


def finding(*found: LevelRatio) -> findings.Finding:
    result = findings.of_ratios(found, TOP)
    assert result is not None
    return result


def said(*found: LevelRatio) -> list[str]:
    one = findings.Answer((finding(*found),), (), (), ())
    return answer.sentences(experiment.load("c10k"), one)


def title(*found: LevelRatio) -> str:
    one = findings.Answer((finding(*found),), (), (), ())
    return answer.titles(experiment.load("c10k"), one)[CPU]


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "sure", "expected"),
    [
        ((1.2, 1.4), (1.1, 1.5), MORE),
        ((0.7, 0.8), (0.6, 0.9), LESS),
        ((1.01, 1.05), (0.99, 1.07), ALIKE),
        ((0.95, 1.05), (0.9, 1.1), ALIKE),
        ((1.01, 1.3), (0.95, 1.4), OPEN),
        ((0.8, 1.2), (0.7, 1.3), OPEN),
        ((math.nan, math.nan), (math.nan, math.nan), OPEN),
    ],
)
def test_a_difference_needs_the_adjusted_interval_and_likeness_the_plain_one(
    interval: tuple[float, float], sure: tuple[float, float], expected: str
) -> None:
    assert ratios.verdict(*interval, *sure) == expected


# --- from cells -----------------------------------------------------------------------------------


def cells(costs: Mapping[str, float], noise: float = 0.03, seed: int = 5) -> list[CellRecord]:
    rng = random.Random(seed)
    return [
        CellRecord(
            experiment="c10k",
            model=model,
            factors={"connections": connections},
            replicate=block,
            block=block,
            order=0,
            status="ok",
            metrics={CPU: cost * math.exp(rng.gauss(0, noise))},
        )
        for connections in (100, 10000)
        for model, cost in costs.items()
        for block in range(4)
    ]


def of(records: list[CellRecord], metric: str = CPU) -> dict[tuple[str, int], LevelRatio]:
    groups = summary.group(records, sorted({c.model for c in records}))
    found = ratios.from_cells(experiment.load("c10k"), groups, metric)
    return {(r.model, r.factors["connections"]): r for r in found}


def test_ratios_are_to_the_reference_at_each_level() -> None:
    found = of(cells({"epoll_lt": 5.0, "thread": 10.0, "select": 5.1, "fork": 2.5}))
    assert {key[0] for key in found} == {"thread", "select", "fork"}
    assert found["thread", 10000].verdict == MORE and found["fork", 100].verdict == LESS
    assert found["thread", 100].estimate == pytest.approx(2.0, rel=0.1)
    assert found["select", 100].verdict in (ALIKE, OPEN)


def test_equal_models_are_seldom_called_different() -> None:
    names = ["epoll_lt", "a", "b", "c", "d", "e"]
    tables = false = 0
    for seed in range(100):
        found = of(cells(dict.fromkeys(names, 5.0), 0.08, seed))
        for level in (100, 10000):
            tables += 1
            false += any(r.verdict in (MORE, LESS) for (_, at), r in found.items() if at == level)
    assert false / tables <= 0.1


def test_the_inverse_metric_says_the_same_the_other_way_round() -> None:
    records = cells({"epoll_lt": 5.0, "thread": 10.0})
    cost, rate = of(records), of(records, "requests_per_cpu_second")
    assert rate["thread", 100].verdict == LESS
    assert rate["thread", 100].estimate == pytest.approx(1 / cost["thread", 100].estimate)


def test_without_the_reference_the_first_model_that_was_measured_takes_its_place() -> None:
    records = cells({"poll": 5.0, "thread": 10.0})
    groups = summary.group(records, ["poll", "thread"])
    assert ratios.reference_of(experiment.load("c10k"), groups) == "poll"
    assert ratios.reference_of(experiment.load("c10k"), []) == ""


# --- findings -------------------------------------------------------------------------------------


def test_a_difference_begins_at_the_lowest_level_from_which_on_it_lasts() -> None:
    found = finding(
        ratio("poll", 1, MORE, 1.3),
        ratio("poll", 10, OPEN, 1.0),
        ratio("poll", 100, MORE, 1.2),
        ratio("poll", 1000, MORE, 1.5),
        ratio("poll", 10000, MORE, 2.0),
    )
    assert found.more[0].since == {"connections": 100}
    assert found.more[0].at.estimate == 2.0


def test_a_difference_that_turns_round_does_not_begin_before_the_turn() -> None:
    found = finding(ratio("poll", 100, LESS, 0.8), ratio("poll", 10000, MORE, 2.0))
    assert found.less == () and found.more[0].since is None


def test_a_model_that_stops_short_is_quoted_where_it_was_last_compared() -> None:
    found = finding(ratio("select", 1000, MORE, 1.5), ratio("poll", 10000, MORE, 2.0))
    assert [d.model for d in found.more] == ["poll", "select"]
    assert found.more[1].at.factors == {"connections": 1000}


def test_where_nothing_differs_at_the_highest_level_the_one_that_tells_most_is_quoted() -> None:
    found = finding(
        ratio("fork", 1000, MORE, 3.0),
        ratio("thread", 100, MORE, 2.0),
        ratio("thread", 1000, MORE, 2.0),
        ratio("poll", 10000, OPEN, 1.0),
    )
    assert found.factors == {"connections": 1000}


# --- sentences ------------------------------------------------------------------------------------


def test_what_costs_more_and_less_is_said_with_intervals_dearest_first() -> None:
    lines = said(
        ratio("thread", 10000, MORE, 1.9),
        ratio("fork", 10000, MORE, 2.2),
        ratio("io_uring", 10000, LESS, 0.8),
    )
    assert lines[0] == (
        "At 10k connections a request costs fork 2.20 [2.16, 2.24] and thread 1.90 [1.86, 1.94]"
        " times the server CPU of epoll_lt."
    )
    assert lines[1].startswith(
        "At 10k connections a request costs io_uring 0.80 [0.78, 0.82] times"
    )


def test_what_cannot_be_told_is_said_with_what_would_tell_it() -> None:
    (line,) = said(ratio("epoll_et", 10000, OPEN, 1.02, 0.1), ratio("poll", 10000, OPEN, 1.0, 0.1))
    assert line == (
        "epoll_et and poll cannot be told from epoll_lt in server CPU per request"
        " (the intervals are ± 10 %); `harness/tenk duel epoll_lt epoll_et poll -c 10000`"
        " would tell more."
    )


def test_likeness_is_said_as_such() -> None:
    (line,) = said(ratio("epoll_et", 10000, ALIKE, 1.02))
    assert line == "epoll_et is within 10 % of epoll_lt in server CPU per request."


def test_where_a_difference_begins_is_said_for_each_model() -> None:
    lines = said(
        *(ratio("thread", 1, MORE, 1.5), ratio("fork", 1, OPEN, 1.0), ratio("poll", 1, OPEN, 1.0)),
        *(ratio("thread", 100, MORE, 1.8), ratio("fork", 100, MORE, 2.0)),
        *(ratio(model, 10000, MORE, 2.0) for model in ("thread", "fork", "poll")),
    )
    assert lines[1] == (
        "The difference is there at every lower level for thread, and begins at 100 connections"
        " for fork."
    )


def test_of_many_models_that_differ_the_rest_is_counted_apart_from_the_numbers() -> None:
    many = [ratio(f"m{i}", 10000, LESS, 0.9 - i / 100) for i in range(7)]
    sentence = said(*many)[0]
    assert sentence.startswith("At 10k connections a request costs m6 0.84 [0.82, 0.86], m5 ")
    assert sentence.endswith(
        " and m2 0.88 [0.86, 0.90] times the server CPU of epoll_lt; 2 others have less, too."
    )
    assert said(*many[:6])[0].endswith("; 1 other has less, too.")


def test_levels_of_two_factors_are_in_no_order_in_which_a_difference_could_begin() -> None:
    levels = [{"connections": c, "idle": i} for c in (1, 100) for i in (0, 1000)]
    found = [replace(ratio("thread", 1, MORE, 2.0), factors=level) for level in levels]
    assert not any("difference" in line for line in said(*found))


def test_what_was_compared_at_other_levels_only_is_not_said_of_this_one() -> None:
    (line,) = said(ratio("select", 100, OPEN, 1.0, 0.1), ratio("poll", 10000, OPEN, 1.0, 0.1))
    assert line == (
        "poll cannot be told from epoll_lt in server CPU per request (the intervals are ± 10 %),"
        " nor select where only other levels were compared;"
        " `harness/tenk duel epoll_lt poll -c 10000` would tell more."
    )


def test_nothing_measured_is_said_too() -> None:
    nothing = findings.Answer((), (), (), ())
    (line,) = answer.sentences(experiment.load("c10k"), nothing)
    assert line.startswith("Nothing can be said of server CPU per request: at no level")
    assert "--profile full" in line


def test_what_a_claim_has_settled_is_not_called_unknown_for_want_of_replicates() -> None:
    sign, nothing = experiment.load("io_uring_sign"), findings.Answer((), (), (), ())
    outcomes = [claims.REFUTED, *[claims.UNDECIDED] * (len(sign.claims) - 1)]
    verdicts = [claims.Verdict(c.text, o, "") for c, o in zip(sign.claims, outcomes)]
    unknown = [claims.Verdict(c.text, claims.UNDECIDED, "") for c in sign.claims]
    assert not any("Nothing" in line for line in answer.sentences(sign, nothing, verdicts))
    assert any("Nothing" in line for line in answer.sentences(sign, nothing, unknown))


def test_ten_sentences_are_shared_by_turns() -> None:
    parts = [[f"{n}{i}" for i in range(size)] for n, size in (("a", 2), ("b", 9), ("c", 9))]
    assert [len(part) for part in answer.shortened(parts)] == [2, 4, 4]
    assert answer.shortened([["x"]]) == [["x"]]


# --- titles ---------------------------------------------------------------------------------------


def test_a_title_names_the_largest_differences() -> None:
    found = [ratio(f"m{i}", 10000, MORE, 2.0 + i) for i in range(5)]
    said_in_title = title(*found, ratio("io_uring", 10000, LESS, 0.8))
    assert said_in_title == (
        "At 10k connections a request costs m4 6.00, m3 5.00, m2 4.00 and io_uring 0.80 times"
        " the server CPU of epoll_lt"
    )


def test_a_title_leaves_out_small_differences_beside_large_ones() -> None:
    small = [ratio("fork", 10000, LESS, 0.99, 0.001), ratio("poll", 10000, MORE, 1.07)]
    told = title(ratio("posix_aio", 10000, MORE, 7.64), *small)
    assert (
        told == "At 10k connections a request costs posix_aio 7.64 times the server CPU of epoll_lt"
    )
    assert "poll 1.07" in title(*small) and "fork 0.99" in title(*small)


def test_a_title_says_where_no_difference_that_can_be_told_is_worth_a_name() -> None:
    told = title(ratio("fork", 10000, LESS, 0.99, 0.001), ratio("poll", 10000, MORE, 1.01, 0.001))
    assert told == (
        "At 10k connections no difference from epoll_lt in server CPU per request that can be told"
        " is over 2 %"
    )


def test_where_nothing_can_be_told_apart_the_title_says_that() -> None:
    found = title(ratio("epoll_et", 10000, OPEN, 1.02, 0.1))
    assert found == "No model can be told from epoll_lt in server CPU per request (± 10 %)"


# --- slopes, load, omission -----------------------------------------------------------------------


def idle(costs: Mapping[str, float]) -> findings.Answer:
    records = [
        CellRecord("idle", m, {"idle": x}, r, r, 0, "ok", metrics={CPU: (8 + c * x) * (1 + r / 50)})
        for m, c in costs.items()
        for x in (0, 1000, 10000)
        for r in range(4)
    ]
    return findings.of_run(experiment.load("idle"), summary.group(records, list(costs)), [CPU])


def test_who_pays_for_idle_connections_is_said_and_who_does_not() -> None:
    found = idle({"poll": 0.007, "epoll_lt": 0.0})
    lines = answer.sentences(experiment.load("idle"), found)
    assert lines[0].startswith("Each idle connection costs every request of poll 7.")
    assert lines[1].startswith(
        "Each idle connection costs epoll_lt nothing that was seen: at most 0.0"
    )
    told = answer.titles(experiment.load("idle"), found)[f"slope:{CPU}"]
    assert told.startswith("Each idle connection costs a request of poll 7.")
    assert told.endswith("of epoll_lt nothing that was seen")


def test_an_offered_load_is_kept_up_with_until_most_replicates_fall_short() -> None:
    records = [
        CellRecord(
            *("load_latency", m, {"offered_rps": rate}, r, r, 0, "ok"),
            badges=("saturated",) if rate > limit else (),
            metrics={CPU: 8.0},
        )
        for m, limit in (("epoll_lt", 9e9), ("fork", 8000.0))
        for rate in (8000.0, 16000.0)
        for r in range(3)
    ]
    one = experiment.load("load_latency")
    found = findings.of_run(one, summary.group(records, ["epoll_lt", "fork"]), [])
    line = answer.sentences(one, found)[-1]
    assert (
        line
        == "The highest offered load that was served: at least 16k/s by epoll_lt, 8k/s by fork."
    )


def test_the_json_of_an_answer_holds_sentences_titles_and_slopes() -> None:
    one = experiment.load("idle")
    found = idle({"poll": 0.007, "epoll_lt": 0.0})
    document = answer.document(one, found)
    assert document["schema"] == "tenk.answer/1"
    assert document["sentences"] == answer.sentences(one, found)
    assert {s["model"] for s in document["slopes"]} == {"poll", "epoll_lt"}
    told = answer.markdown(one, document["sentences"])
    assert all(line in told for line in document["sentences"])
