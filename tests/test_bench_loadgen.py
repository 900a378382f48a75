# SPDX-License-Identifier: MIT
"""The judgement of `make bench-loadgen`, on made-up runs: nothing is timed here."""
from __future__ import annotations

import math
import os
from dataclasses import replace

import pytest

from harness import bench_loadgen as bench
from harness.bench_loadgen import BARE, CONTROL, EPOLL, URING, WRK, Goal, Run
from harness.process import ProcessError
from harness.stats import Estimate

NEAR_BARE = Goal(EPOLL, BARE, 100, 0.97)
ABOVE_WRK = Goal(EPOLL, WRK, 100, 1.35)
FASTER = Goal(URING, EPOLL, 100, 1.0, True)


def run(client: str, block: int, rate: float, queued: float = 0.0, connections: int = 100) -> Run:
    return Run(client, connections, block, 0, rate, 0.99, queued, 0.9, 0.0, 0.0)


def estimate(lo: float, hi: float, n: int = 10) -> Estimate:
    return Estimate(n, (lo + hi) / 2, lo, hi, 0.95)


def blocks(rates: dict[str, float], n: int = 8) -> list[Run]:
    """n blocks whose machine speed wanders, the same for every client of a block."""
    return [run(name, i, rate * (1 + i / 20)) for i in range(n) for name, rate in rates.items()]


def test_ratios_are_formed_within_blocks_so_drift_cancels() -> None:
    ratios = bench.paired_ratios(blocks({BARE: 200e3, EPOLL: 196e3}), EPOLL, BARE, 100)
    assert ratios == pytest.approx([0.98] * 8)


def test_a_disturbed_run_takes_its_pair_out_and_no_other() -> None:
    runs = blocks({BARE: 200e3, EPOLL: 196e3}, n=3) + [
        run(BARE, 3, 9e3, queued=0.3),
        run(EPOLL, 3, 1),
    ]
    assert len(bench.paired_ratios(runs, EPOLL, BARE, 100)) == 3


def test_runs_of_another_connection_count_are_not_mixed_in() -> None:
    runs = [run(BARE, 0, 1.0, connections=1000), run(EPOLL, 0, 2.0, connections=1000)]
    assert not bench.paired_ratios(runs, EPOLL, BARE, 100)
    assert bench.paired_ratios(runs, EPOLL, BARE, 1000) == [2.0]


@pytest.mark.parametrize(
    ("goal", "lo", "hi", "outcome"),
    [
        (NEAR_BARE, 0.97, 0.99, "met"),
        (NEAR_BARE, 0.96, 0.99, "cannot decide"),
        (NEAR_BARE, 0.90, 0.969, "not met"),
        (ABOVE_WRK, 1.36, 1.40, "met"),
        (ABOVE_WRK, 1.20, 1.34, "not met"),
        (FASTER, 1.001, 1.10, "met"),
        (FASTER, 1.0, 1.10, "cannot decide"),
        (FASTER, 0.90, 1.0, "not met"),
    ],
)
def test_a_goal_is_judged_by_the_interval(goal: Goal, lo: float, hi: float, outcome: str) -> None:
    assert bench.decide(goal, estimate(lo, hi), True)[0] == outcome


def test_four_blocks_decide_nothing() -> None:
    assert bench.decide(NEAR_BARE, estimate(0.99, 1.0, n=4), True)[0] == "cannot decide"


@pytest.mark.parametrize(
    ("goal", "lo", "hi", "outcome"),
    [
        (NEAR_BARE, 0.98, 1.00, "cannot decide"),
        (NEAR_BARE, 0.90, 0.95, "not met"),
        (ABOVE_WRK, 1.10, 1.20, "cannot decide"),
        (ABOVE_WRK, 1.40, 1.50, "met"),
        (FASTER, 0.98, 1.00, "cannot decide"),
    ],
)
def test_what_a_limiting_server_would_favour_is_not_concluded(
    goal: Goal, lo: float, hi: float, outcome: str
) -> None:
    """A server that sets the rate draws every ratio towards 1."""
    assert bench.decide(goal, estimate(lo, hi), False)[0] == outcome


def test_control_shows_only_if_half_of_the_added_time_is_seen() -> None:
    expected = bench.expected_control(200e3)
    assert expected == pytest.approx(1 / 1.05)
    assert bench.control_shows(estimate(0.94, 0.97), expected)
    assert not bench.control_shows(estimate(0.94, 0.99), expected)
    assert not bench.control_shows(Estimate(1, 0.94, 0.94, 0.94, 0.0), expected)
    assert not bench.control_shows(Estimate(0, math.nan, math.nan, math.nan, 0.0), expected)


def test_cost_per_request_counts_cpu_not_time_and_keeps_disturbed_runs() -> None:
    """Half of a CPU, half of the rate: the same cost."""
    runs = [
        replace(run(BARE, 0, 200e3), client_cpu=1.0),
        replace(run(EPOLL, 0, 98e3, queued=0.5), client_cpu=0.5),
    ]
    assert bench.paired_costs(runs, EPOLL, BARE, 100) == pytest.approx([0.98])
    unknown = [runs[0], replace(runs[1], client_cpu=math.nan)]
    assert not bench.paired_costs(unknown, EPOLL, BARE, 100)


def test_steady_cpu_leaves_out_set_up_and_end() -> None:
    cpu = [(0.0, 0.0), (0.2, 0.01), (0.4, 0.1), (0.8, 0.5), (1.2, 0.9), (1.6, 0.9)]
    samples = [(at, bench._Times(used, 0.0)) for at, used in cpu]
    assert bench._steady_cpu(samples, 0.3, 1.3) == pytest.approx(1.0)
    assert math.isnan(bench._steady_cpu(samples, 0.3, 0.5))


def test_answers_use_the_control_of_the_same_connection_count() -> None:
    rates = {BARE: 200e3, CONTROL: 200e3 / 1.05, EPOLL: 198e3, URING: 210e3, WRK: 140e3}
    outcomes = [answer.outcome for answer in bench.answers(blocks(rates), 100, {})]
    assert outcomes == ["met", "met", "met"]
    blunt = {**rates, CONTROL: 200e3}
    outcomes = [answer.outcome for answer in bench.answers(blocks(blunt), 100, {})]
    assert outcomes == ["cannot decide", "met", "met"]


def test_an_absent_client_is_skipped_with_its_reason() -> None:
    runs = blocks({BARE: 200e3, CONTROL: 190e3, EPOLL: 198e3})
    answer = bench.answers(runs, 100, {URING: "io_uring_disabled is 2"})[1]
    assert (answer.outcome, answer.reason) == (
        "skipped",
        "loadgen io_uring: io_uring_disabled is 2",
    )


def test_ratio_to_wrk_is_judged_only_where_a_goal_is_stated() -> None:
    assert [goal.under for goal in bench.goals_for(100)] == [BARE, EPOLL, WRK]
    assert [goal.under for goal in bench.goals_for(500)] == [BARE, EPOLL]


def test_wrk_with_errors_is_a_failure_not_a_rate() -> None:
    good = "Requests/sec: 1234.50\n"
    assert bench._wrk_like(good, 0) == 1234.5
    for text, status in ((good, 1), ("nothing", 0), ("  Socket errors: connect 3\n" + good, 0)):
        with pytest.raises(ProcessError):
            bench._wrk_like(text, status)


@pytest.mark.parametrize(("code", "fails"), [("client-limited", False), ("verification", True)])
def test_a_verdict_that_spoils_the_rate_is_a_failure(code: str, fails: bool) -> None:
    text = (
        '{"verdict": {"status": "suspect", "reasons": [{"code": "%s", "text": ""}]},'
        ' "rate_rps": {"achieved": 5.0}}' % code
    )
    if fails:
        with pytest.raises(ProcessError, match=code):
            bench._loadgen_json(text, 3)
    else:
        assert bench._loadgen_json(text, 3) == 5.0


def test_report_states_ratio_interval_outcome_and_what_was_skipped() -> None:
    plan = bench.Plan(8, 1, (100,), 1, 60, (0, 1))
    runs = blocks({BARE: 200e3, CONTROL: 190e3, EPOLL: 198e3, WRK: 140e3})
    text = bench.report(runs, plan, {URING: "no io_uring here"})
    assert "loadgen / bare >= 0.97: 0.990 [0.990, 0.990], n=8: met" in text
    assert "loadgen / wrk >= 1.35: 1.414 [1.414, 1.414], n=8: met" in text
    assert "skipped: loadgen io_uring: no io_uring here" in text


@pytest.mark.parametrize("option", ["--rounds=0", "--seconds=x", "--connections=100,", "--what"])
def test_a_bad_option_is_refused(option: str) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs to get as far as the options")
    with pytest.raises(SystemExit) as ended:
        bench.parse([option])
    assert ended.value.code == 2
