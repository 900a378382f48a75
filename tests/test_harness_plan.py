# SPDX-License-Identifier: MIT
"""Experiments, grids, plans, metrics, claims: everything pure that stands before and after
cells."""
from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.design import experiment, plan
from harness.design.duel import TOGETHER
from harness.judge import claims, summary
from harness.measure import derive, placement, runner
from harness.present import console, wording
from harness.measure.cell import verdict
from harness.design.experiment import Claim, Operand
from harness.errors import UsageError
from harness.design.grid import Grid
from harness.design.load import Load
from harness.design.metrics import METRICS
from harness.design.model import Model
from harness.judge.standings import CPU
from harness.store import CellRecord, level_text
from harness_fakes import EXPERIMENT


def tiny(**changes: Any) -> experiment.Experiment:
    return experiment.parse({**tomllib.loads(EXPERIMENT), **changes}, "tiny.toml")


def model(name: str = "m", limit: int | None = None, unavailable: str = "") -> Model:
    return Model(name, Path(name), "", "", ("http",), limit, "it is small", unavailable)


def cell(
    name: str, connections: int, replicate: int, value: float, status: str = "ok", **more: Any
) -> CellRecord:
    return CellRecord(
        experiment="tiny",
        model=name,
        factors={"connections": connections},
        replicate=replicate,
        block=replicate,
        order=0,
        status=status,
        metrics={"throughput_rps": value} if math.isfinite(value) else {},
        **more,
    )


# --- experiments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", experiment.available())
def test_every_shipped_experiment_is_well_formed_and_its_claims_name_its_factors(name: str) -> None:
    one = experiment.load(name)
    factors = {factor.name for factor in one.factors}
    assert one.question and one.source and one.claims
    for claim in one.claims:
        for operand in (claim.a, claim.b):
            if operand:
                assert set(operand.where) <= factors | {"model"}


@pytest.mark.parametrize("name", [*experiment.available(), *experiment.textbook_claims()])
def test_a_comparison_that_is_only_together_is_heard_by_the_claims_at_its_level(name: str) -> None:
    # Together a closed loop is measured at equal offered load: a claim must say that it means that.
    one = experiment.load(name)
    compared = [
        {key: level_text(value) for key, value in level.factors.items()}
        for level in one.compare.levels.get("default", ())
        if level.arrangements == (TOGETHER,) and one.base.loop == "closed"
    ]
    for claim in one.claims:
        if claim.b and claim.a.metric == CPU and not claim.baseline:
            for operand in (claim.a, claim.b):
                at = {k: level_text(v) for k, v in operand.where.items() if k != "model"}
                assert claim.arrangement or at not in compared, claim.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extra": 1}, "extra"),
        ({"metric": "speed"}, "unknown metric 'speed'"),
        ({"load": {"loop": "closed", "colour": 1}}, "unknown name 'colour'"),
        ({"load": {"loop": "closed", "pipeline": "two"}}, "pipeline = 'two'"),
        ({"profiles": {}}, "profile quick"),
        ({"claims": [{"text": "x", "relation": "above", "a": {}}]}, "either b or value"),
    ],
)
def test_a_wrong_experiment_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tiny(**change)


def test_a_factor_needs_levels_or_a_grid() -> None:
    profiles = tomllib.loads(EXPERIMENT)["profiles"]
    del profiles["quick"]["levels"]
    with pytest.raises(UsageError, match="either levels or a grid"):
        tiny(profiles=profiles)


def test_loads_refuse_contradictions() -> None:
    assert "offered_rps" in Load(loop="open").problem()
    assert "no offered_rps" in Load(loop="closed", offered_rps=5).problem()
    assert Load(loop="open", offered_rps=5).problem() == ""


# --- grid -----------------------------------------------------------------------------------------


def test_grid_is_shared_dense_near_capacity_and_ends_past_it() -> None:
    grid = Grid(start=1000, stop=512000, per_octave=2, stride=4, pilot_s=0.1)
    points = grid.points()
    slow, fast = grid.levels(20_000), grid.levels(150_000)
    assert set(slow) <= set(points) and set(fast) <= set(points)
    for levels, capacity in ((slow, 20_000), (fast, 150_000)):
        past = [rate for rate in levels if rate > 1.1 * capacity]
        assert len(past) == 1
        knee = [p for p in points if 0.45 * capacity <= p <= past[0]]
        assert [rate for rate in levels if rate >= 0.45 * capacity] == knee
    assert len([rate for rate in fast if rate < 0.4 * 150_000]) <= 4


def test_grid_rates_are_round_and_double_every_octave() -> None:
    assert Grid(1000, 8000, 1, 1, 0.1).points() == [1000, 2000, 4000, 8000]
    assert Grid(1000, 2000, 2, 1, 0.1).points() == [1000, 1400, 2000]


# --- plans ----------------------------------------------------------------------------------------


def test_levels_beyond_a_model_are_unsupported_with_its_reason() -> None:
    one = tiny()
    settings = plan.settings(one, one.profiles["quick"], [model(limit=1)], {})
    assert [s.unsupported for s in settings] == [
        "",
        "serves at most 1 connection at a time: it is small",
    ]


def test_a_model_that_cannot_run_here_is_unsupported_everywhere() -> None:
    one = tiny()
    settings = plan.settings(one, one.profiles["quick"], [model(unavailable="no liburing")], {})
    assert {s.unsupported for s in settings} == {"no liburing"}


def test_more_connections_than_descriptors_are_unsupported() -> None:
    one = tiny()
    settings = plan.settings(one, one.profiles["quick"], [model()], {}, max_descriptors=65)
    assert "descriptors" in settings[1].unsupported and not settings[0].unsupported


def test_a_clamped_load_says_so() -> None:
    load, badges = plan.clamp(Load(connections=64), model(limit=1))
    assert load.connections == 1 and badges == ("1 connection",)
    assert plan.clamp(Load(connections=64), model(limit=64)) == (Load(connections=64), ())


def test_blocks_hold_every_setting_once_in_an_order_that_only_the_seed_decides() -> None:
    one = tiny()
    settings = plan.settings(one, one.profiles["quick"], [model(n) for n in "abcdef"], {})
    first = plan.block_order(settings, 1, 0)
    assert sorted(map(repr, first)) == sorted(map(repr, settings))
    assert first == plan.block_order(settings, 1, 0)
    assert first != plan.block_order(settings, 1, 1)
    assert first != plan.block_order(settings, 2, 0)


def test_the_models_of_a_level_are_neighbours_in_a_block() -> None:
    one = tiny()
    settings = plan.settings(one, one.profiles["quick"], [model(n) for n in "abcdef"], {})
    settings = [replace(s, factors={"level": i}) for s in settings for i in (1, 2, 3)]
    for block in range(5):
        levels = [s.factors["level"] for s in plan.block_order(settings, 1, block)]
        assert sum(a != b for a, b in zip(levels, levels[1:])) == 2


def test_blocks_stop_before_the_budget_but_never_before_the_minimum() -> None:
    profile = tiny().profiles["default"]  # 2 to 5 blocks, 60 s
    assert plan.another_block(0, 0.0, 100.0, profile)
    assert plan.another_block(1, 100.0, 100.0, profile)
    assert not plan.another_block(2, 45.0, 20.0, profile)
    assert plan.another_block(2, 40.0, 20.0, profile)
    assert not plan.another_block(5, 0.0, 0.0, profile)


def test_a_setting_survives_run_json() -> None:
    one = tiny()
    setting = plan.settings(one, one.profiles["quick"], [model()], {})[0]
    assert plan.Setting.from_json(setting.to_json()) == setting


@pytest.mark.parametrize(("profile", "most_s"), [("default", 600), ("quick", 120)])
def test_a_bench_of_ten_models_is_planned_within_its_time(profile: str, most_s: float) -> None:
    """Limits as those of the shipped models: one that serves one at a time, a pool, and select."""
    ten = [model("blocking", 1), model("thread_pool", 64), model("select", 1008)]
    ten += [model(f"m{i}") for i in range(7)]
    planned = 0.0
    for name in ("c10k", "idle", "load_latency"):
        one = experiment.load(name)
        assert runner.levels(one, one.profiles[profile])  # each compares somewhere
        chosen = one.profiles[profile]
        planned += runner.estimate_s(
            runner.Request(one, chosen, ten, 1, "split", Path("unused"), "s")
        )
    assert 0.5 * most_s < planned <= most_s


def test_the_last_matching_exception_decides_a_cells_time() -> None:
    profile = experiment.load("c10k").profiles["default"]
    assert profile.timing({"connections": 100}) == (profile.seconds, profile.warmup)
    assert profile.timing({"connections": 10000}) != (profile.seconds, profile.warmup)


# --- placement ------------------------------------------------------------------------------------


def test_split_needs_two_cores_and_says_so() -> None:
    alone = placement.place("split", [0])
    assert alone.name == "shared" and "two cores" in alone.note
    assert placement.place("shared", [0, 1]).server == (0, 1)


def test_split_keeps_hyperthreads_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(placement, "CPU_SYSFS", tmp_path)
    for cpu, siblings in {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}.items():
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    found = placement.place("split", [0, 1, 2, 3])
    assert (found.server, found.client) == ((0, 2), (1, 3))


def test_cpu_lists_are_read_as_the_kernel_writes_them() -> None:
    assert placement.parse_cpu_list("0-2,5\n") == [0, 1, 2, 5]


# --- metrics --------------------------------------------------------------------------------------


def test_client_metrics_keep_infinite_percentiles_and_leave_out_what_is_missing() -> None:
    found = derive.client_metrics(
        {
            "rate_rps": {"achieved": 10.0},
            "latency_ns": {"response": {"p50": 5, "p99": "inf"}},
            "cpu_s": {"busiest_fraction": 0.5},
        }
    )
    assert found == {
        "throughput_rps": 10.0,
        "p50_ns": 5.0,
        "p99_ns": math.inf,
        "client_cpu_fraction": 0.5,
    }


def test_cost_is_per_request_of_the_window_and_per_connection_where_pages_allow() -> None:
    cpu = derive.CpuUse(total=0.2, user=0.05, system=0.15)
    memory = derive.MemoryUse(user=102400.0, kernel=204800.0)
    found = derive.cost_metrics(1000, 100, cpu, memory)
    assert found["server_cpu_us_per_request"] == pytest.approx(200)
    assert found["server_user_us_per_request"] == pytest.approx(50)
    assert found["user_bytes_per_connection"] == 1024
    assert found["kernel_bytes_per_connection"] == 2048
    assert "user_bytes_per_connection" not in derive.cost_metrics(1000, 99, cpu, memory)
    assert derive.cost_metrics(1000, 1, derive.CpuUse(0.009, 0, 0.009), None) == {}


@pytest.mark.parametrize(
    ("load", "room"),
    [
        (Load(connections=1000), 1000),
        (Load(connections=1000, requests_per_connection=5), 1),
        (Load(connections=1000, requests_per_connection=5, idle=10), 11),
        (Load(connections=9, requests_per_connection=5, loop="open", offered_rps=1), 9),
    ],
)
def test_a_server_needs_no_room_for_connections_that_take_turns(load: Load, room: int) -> None:
    assert load.room == room


def test_system_calls_are_divided_by_the_replies_of_the_same_time() -> None:
    begin = derive.CallSample(1000, 10**9, 300, 10**9)
    end = derive.CallSample(1500, 10**9 + 10**8, 500, 10**9 + 10**8)
    assert derive.syscall_metrics(begin, end, 40) == {"syscalls_per_request": pytest.approx(2.5)}
    # Read a little later than it was told, so many more calls have been made.
    late = replace(end, calls=1525, calls_ns=end.calls_ns + 5 * 10**6)
    assert derive.syscall_metrics(begin, late, 40) == {"syscalls_per_request": pytest.approx(2.5)}
    assert derive.syscall_metrics(begin, replace(end, replies=399), 1) == {}
    assert derive.syscall_metrics(begin, end, 41) == {}
    assert derive.syscall_metrics(begin, replace(end, calls_ns=end.calls_ns + 6 * 10**6), 1) == {}
    assert derive.syscall_metrics(begin, replace(end, calls_ns=begin.calls_ns + 10**7), 1) == {}


def test_counters_are_divided_by_the_requests_of_the_same_life() -> None:
    found = derive.counter_metrics({"requests": 200, "waits": 50, "events": 100}, switches=20)
    assert found == {
        "context_switches_per_request": 0.1,
        "waits_per_request": 0.25,
        "events_per_wait": 2.0,
    }
    assert derive.counter_metrics({}, 5) == {}


def test_workers_that_share_evenly_have_an_index_of_1_and_one_that_has_all_leaves_1_of_n() -> None:
    even = derive.worker_metrics({"requests_by_worker": [50, 50, 50, 50]})
    assert even == {"busiest_worker_share": 0.25, "worker_jain": pytest.approx(1.0)}
    one = derive.worker_metrics({"requests_by_worker": [80, 0, 0, 0]})
    assert one == {"busiest_worker_share": 1.0, "worker_jain": pytest.approx(0.25)}
    uneven = derive.worker_metrics({"requests_by_worker": [3, 1]})
    assert uneven == {"busiest_worker_share": 0.75, "worker_jain": pytest.approx(0.8)}


@pytest.mark.parametrize("told", [{}, {"requests_by_worker": [7]}, {"requests_by_worker": [0, 0]}])
def test_of_one_worker_or_of_no_requests_nothing_is_said(told: dict[str, list[int]]) -> None:
    assert derive.worker_metrics(told) == {}


def test_frozen_percentiles_follow_the_uniform_wait() -> None:
    service = {"service_p50_ns": 1e5, "service_p90_ns": 2e5, "service_p99_ns": 3e5}
    found = derive.frozen_percentiles(service, freeze_s=0.4, window_s=2.0)
    assert found["predicted_p99_ns"] == pytest.approx(0.38e9)
    assert found["predicted_p90_ns"] == pytest.approx(0.2e9)
    assert found["predicted_p50_ns"] == 1e5


def test_frozen_percentiles_agree_with_a_simulation() -> None:
    freeze, window, n = 0.3, 2.0, 100_000
    waits = sorted(
        max(0.0, 0.5 + freeze - t) if t >= 0.5 else 0.0
        for t in (window * (i + 0.5) / n for i in range(n))
    )
    found = derive.frozen_percentiles({}, freeze, window)
    for name, q in (("p90", 0.90), ("p99", 0.99), ("p99_9", 0.999)):
        assert found[f"predicted_{name}_ns"] == pytest.approx(1e9 * waits[int(q * n)], rel=1e-3)


# --- verdicts -------------------------------------------------------------------------------------


def report(*codes: str, grave: str = "") -> dict[str, Any]:
    reasons = [
        {"code": c, "status": "void" if c == grave else "suspect", "text": "t"} for c in codes
    ]
    return {"verdict": {"reasons": reasons}}


@pytest.mark.parametrize(
    ("status", "said", "open_loop", "expected"),
    [
        (0, report(), False, "ok"),
        (3, report("client-limited"), False, "client-limited"),
        (3, report("client-limited", "steal"), False, "suspect"),
        (3, report("unanswered"), False, "suspect"),
        (3, report("schedule", "unanswered"), True, "ok"),
        (3, report("schedule", "littles-law", "client-limited"), True, "client-limited"),
        (3, report("littles-law"), True, "suspect"),
        (4, report("schedule", "too-few", grave="too-few"), True, "ok"),
        (4, report("schedule", "verification", grave="verification"), True, "void"),
        (4, report("server-gone", grave="server-gone"), False, "void"),
        (1, report(), False, "failed"),
    ],
)
def test_the_clients_verdict_becomes_the_cells_status(
    status: int, said: dict[str, Any], open_loop: bool, expected: str
) -> None:
    assert verdict(status, said, open_loop)[0] == expected


# --- summary --------------------------------------------------------------------------------------


def test_a_group_is_as_good_as_the_worst_half_of_its_replicates() -> None:
    def status(*statuses: str) -> str:
        cells = [cell("m", 1, i, 1.0, s) for i, s in enumerate(statuses)]
        return summary.group(cells, ["m"])[0].status

    assert status("ok", "ok", "suspect") == "ok"
    assert status("ok", "suspect", "suspect") == "suspect"
    assert status("client-limited", "suspect", "ok", "ok") == "client-limited"
    assert status("failed", "ok", "ok") == "ok"
    assert status("failed", "void", "failed") == "failed"


def test_only_usable_replicates_enter_the_estimate_and_the_others_are_mentioned() -> None:
    cells = [cell("m", 1, 0, 10.0), cell("m", 1, 1, 99.0, "void", reason="server gone")]
    found = summary.group(cells, ["m"])[0]
    assert found.estimate("throughput_rps").n == 1
    assert found.reason == "1 of 2 void: server gone"


def test_summary_tsv_has_the_agreed_columns_and_a_row_for_what_could_not_be_measured() -> None:
    cells = [cell("a", 1, r, 10.0 + r) for r in range(3)]
    cells.append(cell("b", 1, 0, math.nan, "unsupported", reason="too\tsmall"))
    lines = summary.to_tsv(tiny(), summary.group(cells, ["a", "b"])).splitlines()
    head = "model connections metric unit n estimate lo hi status codes badges strays reason"
    assert lines[0].split("\t") == head.split()
    assert lines[1].split("\t") == "a 1 throughput_rps requests/s 3 11 10 12 ok".split() + [""] * 4
    assert lines[2].split("\t")[4:] == [
        *("0", "nan", "nan", "nan", "unsupported"),
        *("", "", "", "too small"),
    ]


def test_codes_badges_and_strays_have_columns_of_their_own() -> None:
    verdict = {"verdict": {"reasons": [{"code": "steal"}, {"code": "lag"}]}}
    cells = [cell("a", 1, r, 10.0, "suspect", reason="steal: 3 %") for r in range(3)]
    cells = [replace(c, client=verdict, badges=("1 connection", "saturated")) for c in cells]
    cells.append(cell("a", 1, 3, math.nan, "failed", reason="server gone"))
    head, row = (
        line.split("\t")
        for line in summary.to_tsv(tiny(), summary.group(cells, ["a"])).splitlines()
    )
    told = dict(zip(head, row))
    assert (told["status"], told["codes"]) == ("suspect", "lag; steal")
    assert (told["badges"], told["strays"]) == ("1 connection; saturated", "1 of 4 failed")
    assert told["reason"] == "steal: 3 %"


def test_contests_are_held_at_each_level_among_those_with_values() -> None:
    cells = [cell("a", 1, r, 10.0 + r / 100) for r in range(4)]
    cells += [cell("b", 1, r, 5.0 + r / 100) for r in range(4)]
    cells += [cell("a", 2, 0, math.nan, "failed")]
    found = summary.contests(tiny(), summary.group(cells, ["a", "b"]), "throughput_rps")
    assert [c.best for c in found] == ["a", None]
    assert found[0].worse == {"b": True}
    assert wording.best_marks(found[0]) == {"a": "best", "b": "worse"}
    assert wording.best_marks(found[1]) == {}


@pytest.mark.parametrize(
    ("status", "shown"), [("unsupported", "unsupported"), ("void", "void"), ("client-limited", "–")]
)
def test_a_metric_that_was_not_to_be_had_is_a_dash_where_the_cell_was_measured(
    status: str, shown: str
) -> None:
    group = summary.group([cell("a", 1, 0, 10.0, status)], ["a"])[0]
    text = console._entry(group, METRICS["syscalls_per_request"], "")
    assert text == f"[dim]{shown}[/]"


# --- claims ---------------------------------------------------------------------------------------


def claim_on(values_a: list[float], values_b: list[float]) -> str:
    cells = [cell("fast", 2, i, v) for i, v in enumerate(values_a)]
    cells += [cell("slow", 2, i, v) for i, v in enumerate(values_b)]
    return claims.judge(tiny().claims, summary.group(cells, ["fast", "slow"]))[0].outcome


def rates(a: list[float], b: list[float], relation: str, limited: str, factor: float = 1.0) -> str:
    """The outcome of a claim on two rates, of which those of the models in `limited` are the
    client's."""
    one = Claim(
        text="x",
        a=Operand("throughput_rps", {"model": "a", "connections": 1}),
        b=Operand("throughput_rps", {"model": "b", "connections": 1}),
        relation=relation,
        factor=factor,
        value=0.0,
    )
    cells = [
        cell(name, 1, r, value, "client-limited" if name in limited else "ok")
        for name, values in (("a", a), ("b", b))
        for r, value in enumerate(values)
    ]
    return claims.judge([one], summary.group(cells, ["a", "b"]))[0].outcome


def test_a_rate_that_the_client_set_supports_only_what_it_can() -> None:
    high, low = [100.0, 101.0, 102.0], [50.0, 51.0, 52.0]
    assert rates(high, high, "within", "", 1.2) == claims.SUPPORTED
    assert rates(high, high, "within", "ab", 1.2) == claims.UNDECIDED
    assert rates(high, high, "within", "a", 1.2) == claims.UNDECIDED
    # A lower bound is enough to be above, and not to be below.
    assert rates(high, low, "above", "a") == claims.SUPPORTED
    assert rates(high, low, "above", "b") == claims.UNDECIDED
    assert rates(low, high, "above", "b") == claims.REFUTED
    assert rates(low, high, "above", "a") == claims.UNDECIDED
    assert rates(low, high, "below", "b") == claims.SUPPORTED
    assert rates(low, high, "below", "a") == claims.UNDECIDED


def test_a_claim_on_a_value_needs_a_95_percent_interval() -> None:
    one = Claim(
        text="x",
        a=Operand("throughput_rps", {"model": "a", "connections": 1}),
        b=None,
        relation="above",
        factor=1.0,
        value=90.0,
    )

    def outcome(values: list[float]) -> str:
        cells = [cell("a", 1, r, value) for r, value in enumerate(values)]
        return claims.judge([one], summary.group(cells, ["a"]))[0].outcome

    assert outcome([100.0, 100.5, 101.0]) == claims.SUPPORTED
    assert outcome([91.0, 100.0, 109.0]) == claims.UNDECIDED  # all above, which is 75 % only


def test_one_of_many_models_refutes_only_with_an_interval_adjusted_for_their_number() -> None:
    one = Claim(
        text="x",
        a=Operand("throughput_rps", {"model": "*", "connections": 1}),
        b=None,
        relation="above",
        factor=1.0,
        value=90.0,
    )

    def outcome(models: int) -> str:
        # 95 % of the odd one is below 90, 99.5 % is not.
        values = {
            "odd": [81.0, 83.0, 85.0],
            **{f"m{i}": [100.0, 100.1, 100.2] for i in range(models)},
        }
        cells = [cell(n, 1, r, v) for n, vs in values.items() for r, v in enumerate(vs)]
        return claims.judge([one], summary.group(cells, list(values)))[0].outcome

    assert outcome(0) == claims.REFUTED
    assert outcome(9) == claims.UNDECIDED


def test_a_claim_ends_as_supported_refuted_or_undecided() -> None:
    assert claim_on([100, 101, 102], [50, 51, 52]) == claims.SUPPORTED
    assert claim_on([50, 51, 52], [100, 101, 102]) == claims.REFUTED
    assert claim_on([50, 100, 150], [51, 99, 151]) == claims.UNDECIDED
    assert claim_on([100, 101, 102], []) == claims.UNDECIDED
    assert claim_on([100], [50]) == claims.UNDECIDED


def test_an_interval_that_holds_the_border_decides_nothing() -> None:
    assert claims.decide("above", 1.0, 0.9, 1.1) == claims.UNDECIDED
    assert claims.decide("below", 0.5, 0.1, 0.4) == claims.SUPPORTED
    assert claims.decide("within", 1.1, 0.95, 1.05) == claims.SUPPORTED
    assert claims.decide("within", 1.1, 1.2, 1.3) == claims.REFUTED
    assert claims.decide("within", 1.1, 1.05, 1.3) == claims.UNDECIDED
    assert claims.decide("above", 1.0, math.nan, math.nan) == claims.UNDECIDED


# --- what people read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234.0, "ns", "1.23 µs"),
        (999_900.0, "ns", "1.00 ms"),
        (2.5e9, "ns", "2.50 s"),
        (math.inf, "ns", "inf"),
        (math.nan, "ns", "–"),
        (0.0, "bytes", "0 B"),
        (45_000.0, "bytes", "43.9 KiB"),
        (159_600.0, "requests/s", "160k"),
        (999.6, "requests/s", "1.00k"),
        (0.0123, "switches", "0.0123"),
    ],
)
def test_quantities_have_three_digits_and_a_prefix(value: float, unit: str, text: str) -> None:
    assert wording.quantity(value, unit) == text


def test_durations_are_words() -> None:
    assert [wording.duration(s) for s in (45, 245, 5400)] == ["45 s", "4 min 05 s", "1 h 30 min"]
