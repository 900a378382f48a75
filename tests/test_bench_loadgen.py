# SPDX-License-Identifier: MIT
"""The judgement of `make bench-loadgen`, on made-up runs: nothing is timed here."""
from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import pytest

from harness import cli
from harness.commands import bench_loadgen as bench
from harness.commands.bench_loadgen import (
    BARE,
    BEFORE,
    CONTROL,
    EPOLL,
    PAIRS_LEAST,
    URING,
    WRK,
    Goal,
)
from harness.measure.process import ProcessError
from harness.paths import build_dir, loadgen_path
from harness.measure.slices import Contender, CountingServer, Slice, times
from harness.judge.stats import Estimate

NEAR_BARE = Goal(EPOLL, BARE, 100, 0.97)
ABOVE_WRK = Goal(EPOLL, WRK, 100, 1.35)
FASTER = Goal(URING, EPOLL, 100, 1.0, True)


def one(
    client: str,
    block: int,
    rate: float,
    queued: float = 0.0,
    connections: int = 100,
    number: int = 1,
) -> Slice:
    return Slice(client, connections, block, number, 0, rate, 0.99, queued, 0.9, 0.0, 0.0)


def estimate(lo: float, hi: float, n: int = 10) -> Estimate:
    return Estimate(n, (lo + hi) / 2, lo, hi, 0.95)


def blocks(rates: dict[str, float], n: int = 8) -> list[Slice]:
    """n blocks of the fewest rounds; the machine's speed wanders from round to round, the same for
    every client of a round."""
    return [
        one(name, block, rate * (1 + block / 20 + number / 10), number=number)
        for block in range(n)
        for number in range(PAIRS_LEAST)
        for name, rate in rates.items()
    ]


def test_ratios_are_formed_within_rounds_so_drift_cancels() -> None:
    ratios = bench.paired_ratios(blocks({BARE: 200e3, EPOLL: 196e3}), EPOLL, BARE, 100)
    assert ratios == pytest.approx([0.98] * 8)


def test_a_slice_without_any_cpu_has_no_cost_and_spoils_no_other() -> None:
    slices = blocks({BARE: 200e3, EPOLL: 200e3})
    starved = [replace(slices[0], client_cpu=0.0), *slices[1:]]
    assert bench.paired_costs(starved, EPOLL, BARE, 100) == pytest.approx([1.0] * 7)
    assert bench.paired_costs(starved, BARE, EPOLL, 100) == pytest.approx([1.0] * 7)


def test_the_ratio_of_a_block_is_the_median_of_its_rounds() -> None:
    """Rounds of one block share a start of the programs: they are one observation, not many."""
    slices = [one(BARE, 0, 100.0, number=i) for i in range(5)]
    slices += [
        one(EPOLL, 0, rate, number=i) for i, rate in enumerate((98.0, 99.0, 97.0, 1.0, 98.5))
    ]
    assert bench.paired_ratios(slices, EPOLL, BARE, 100) == pytest.approx([0.98])


def test_a_disturbed_slice_takes_its_pair_out_and_no_other() -> None:
    slices = blocks({BARE: 200e3, EPOLL: 196e3}, n=1)
    slices += [one(BARE, 0, 9e3, queued=0.3, number=90), one(EPOLL, 0, 1.0, number=90)]
    assert bench.paired_ratios(slices, EPOLL, BARE, 100) == pytest.approx([0.98])


def test_a_block_with_too_few_undisturbed_rounds_does_not_count() -> None:
    slices = blocks({BARE: 200e3, EPOLL: 196e3}, n=2)
    spoilt = [replace(s, steal=0.5) if s.block == 1 and s.round == 1 else s for s in slices]
    assert len(bench.paired_ratios(spoilt, EPOLL, BARE, 100)) == 1


def test_slices_of_another_connection_count_are_not_mixed_in() -> None:
    slices = [
        one(name, 0, rate, connections=1000, number=i)
        for i in range(PAIRS_LEAST)
        for name, rate in ((BARE, 1.0), (EPOLL, 2.0))
    ]
    assert not bench.paired_ratios(slices, EPOLL, BARE, 100)
    assert bench.paired_ratios(slices, EPOLL, BARE, 1000) == [2.0]


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


def test_cost_per_request_counts_cpu_not_time_and_keeps_disturbed_slices() -> None:
    """Half of a CPU, half of the rate: the same cost."""
    slices = [
        slice
        for i in range(PAIRS_LEAST)
        for slice in (
            replace(one(BARE, 0, 200e3, number=i), client_cpu=1.0),
            replace(one(EPOLL, 0, 98e3, queued=0.5, number=i), client_cpu=0.5),
        )
    ]
    assert bench.paired_costs(slices, EPOLL, BARE, 100) == pytest.approx([0.98])
    assert not bench.paired_ratios(slices, EPOLL, BARE, 100)


def test_answers_use_the_control_of_the_same_connection_count() -> None:
    rates = {BARE: 200e3, CONTROL: 200e3 / 1.05, EPOLL: 198e3, URING: 210e3, WRK: 140e3}
    outcomes = [answer.outcome for answer in bench.answers(blocks(rates), 100, {})]
    assert outcomes == ["met", "met", "met"]
    blunt = {**rates, CONTROL: 200e3}
    outcomes = [answer.outcome for answer in bench.answers(blocks(blunt), 100, {})]
    assert outcomes == ["cannot decide", "met", "met"]


def test_an_absent_client_is_skipped_with_its_reason() -> None:
    slices = blocks({BARE: 200e3, CONTROL: 190e3, EPOLL: 198e3})
    answer = bench.answers(slices, 100, {URING: "io_uring_disabled is 2"})[1]
    assert (answer.outcome, answer.reason) == (
        "skipped",
        "loadgen io_uring: io_uring_disabled is 2",
    )


def test_ratio_to_wrk_is_judged_only_where_a_goal_is_stated() -> None:
    assert [goal.under for goal in bench.goals_for(100)] == [BARE, EPOLL, WRK]
    assert [goal.under for goal in bench.goals_for(500)] == [BARE, EPOLL]


def test_a_build_of_before_is_a_contender_and_a_goal_where_it_is_named() -> None:
    plan = bench.Plan(8, 3, 0.1, (100,), 1, 60, (0, 1), "/elsewhere/loadgen")
    before = {client.name: client for client in plan.clients}[BEFORE]
    assert before.argv(80, 5)[0] == "/elsewhere/loadgen"
    assert BEFORE not in [client.name for client in replace(plan, before="").clients]
    slices = blocks({BARE: 200e3, CONTROL: 190e3, EPOLL: 196e3, BEFORE: 200e3})
    text = bench.report(slices, plan, {})
    assert "loadgen / loadgen before >= 0.99: 0.980 [0.980, 0.980], n=8: not met" in text
    assert f"  {BEFORE:18} " in text
    assert "the change costs 2.0 % of the rate; 95 % interval of the cost +2.0 to +2.0 %" in text


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (
            Estimate(12, 0.992, 0.985, 1.003, 0.95),
            "the change costs 0.8 % of the rate; 95 % interval of the cost -0.3 to +1.5 %, so it may"
            " be nothing",
        ),
        (
            Estimate(12, 1.02, 1.01, 1.03, 0.95),
            "the change gains 2.0 % of the rate; 95 % interval of the cost -3.0 to -1.0 %",
        ),
        (
            Estimate(1, 0.98, 0.98, 0.98, 0.0),
            "the change costs 2.0 % of the rate; too few blocks (1) for a 95 % interval",
        ),
        (
            Estimate(0, math.nan, math.nan, math.nan, 0.0),
            "what the change costs is not known: no block counts",
        ),
    ],
)
def test_what_a_change_cost_is_said_in_percent_with_its_interval(
    ratio: Estimate, words: str
) -> None:
    assert bench.change_words(ratio) == words


def test_no_block_is_the_second_of_one() -> None:
    """Blocks of which too little counts are repeated: then there are more than were planned."""
    names = [bench.block_name(number, 2) for number in (1, 2, 3, 4)]
    assert names[:2] == ["block 1 of 2", "block 2 of 2"]
    assert names[2:] == ["block 3 (2 planned, 1 more)", "block 4 (2 planned, 2 more)"]


def test_wrk_with_errors_is_a_failure_not_a_rate() -> None:
    good = "Requests/sec: 1234.50\n"
    bench._wrk_like(good, 0)
    for text, status in ((good, 1), ("nothing", 0), ("  Socket errors: connect 3\n" + good, 0)):
        with pytest.raises(ProcessError):
            bench._wrk_like(text, status)


@pytest.mark.parametrize(
    ("code", "errors", "status", "complaint"),
    [
        ("client-limited", 0, 130, None),
        ("interrupted", 0, 130, None),
        ("verification", 0, 130, "verification"),
        ("interrupted", 7, 130, "timeout"),
        ("interrupted", 0, 1, "exit 1"),
    ],
)
def test_a_loadgen_that_failed_is_told_from_one_that_was_interrupted(
    code: str, errors: int, status: int, complaint: str | None
) -> None:
    text = json.dumps(
        {
            "verdict": {"status": "void", "reasons": [{"code": code, "text": ""}]},
            "requests": {"errors": {"timeout": errors}},
        }
    )
    if complaint is None:
        bench._loadgen_json(text, status)
    else:
        with pytest.raises(ProcessError, match=complaint):
            bench._loadgen_json(text, status)


def test_report_states_ratio_interval_outcome_and_what_was_skipped() -> None:
    plan = bench.Plan(8, 3, 0.1, (100,), 1, 60, (0, 1))
    slices = blocks({BARE: 200e3, CONTROL: 190e3, EPOLL: 198e3, WRK: 140e3})
    text = bench.report(slices, plan, {URING: "no io_uring here"})
    assert "loadgen / bare >= 0.97: 0.990 [0.990, 0.990], n=8: met" in text
    assert "loadgen / wrk >= 1.35: 1.414 [1.414, 1.414], n=8: met" in text
    assert "skipped: loadgen io_uring: no io_uring here" in text


@pytest.mark.parametrize(
    "option",
    [
        "--rounds=2",
        "--slice-ms=x",
        "--blocks=0",
        "--connections=100,",
        "--before=/dev/null",
        "--what",
    ],
)
def test_a_bad_option_is_refused(option: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.build_parser().parse_args(["bench-loadgen", option])
    assert ended.value.code == 2


def test_contenders_take_turns_and_stand_still_meanwhile() -> None:
    """On real programs: what is answered in a slice is the work of the one whose turn it is."""
    cpus = sorted(os.sched_getaffinity(0))
    binaries = build_dir() / "loadgen" / "bench"
    with CountingServer(binaries / "null", cpus[:1]) as server:
        argv = [str(binaries / "bare"), "-p", str(server.port), "-c", "5", "-d", "60"]
        with Contender("a", argv, 5, server, cpus[-1]) as a:
            with Contender("b", argv, 5, server, cpus[-1]) as b:
                for turn, other in ((a, b), (b, a), (a, b)):
                    idle = times(other.pids)
                    rate, own, _ = turn.measure(0.1)
                    assert rate > 0 and own.cpu > 0
                    assert (times(other.pids) - idle).cpu == 0
                assert a.child is not None and a.child.wait(0.05) is None
                # What they had sent before they stopped is answered yet, and then nothing: a
                # contender that still ran would go on for as long as anybody looks.
                before, after = -1, server.served().requests
                for _ in range(200):
                    if before == after:
                        break
                    assert a.child.wait(0.05) is None
                    before, after = after, server.served().requests
                assert before == after
                for contender in (a, b):
                    text, status = contender.finish()
                    assert status == 0 and "Requests/sec:" in text
        assert server.stop()["connections"] == 10


def test_a_contender_that_does_not_start_is_named_with_its_reason() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with CountingServer(build_dir() / "loadgen" / "bench" / "null", cpus[:1]) as server:
        with pytest.raises(ProcessError, match="broken: exit 2"):
            Contender("broken", [str(loadgen_path()), "-c", "none"], 1, server, cpus[-1])
        server.stop()
