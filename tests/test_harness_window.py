# SPDX-License-Identifier: MIT
"""The window of a cell: whose reading of the server's CPU time is used, and since when it is."""
from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import cli, errors, paths, store
from harness.design import experiment, plan
from harness.design.load import Load
from harness.design.plan import Setting
from harness.judge import summary
from harness.measure import cell, derive, meter, models, runner
from harness.measure.derive import CpuUse
from harness.store import Run
from harness_fakes import EXPERIMENT, add_loadgen, add_server

COST = "server_cpu_us_per_request"
BUILT = os.access(paths.ROOT / "build" / "loadgen" / "loadgen", os.X_OK)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with a fake and the tiny experiment; returns the directory for results."""
    build = tmp_path / "build"
    add_loadgen(build)
    add_server(build, "fast", rate=2000)
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "tiny.toml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.setenv("TENK_BUILD", str(build))
    monkeypatch.setattr(experiment.available, "__defaults__", (folder,))
    monkeypatch.setattr(experiment.load, "__defaults__", (folder,))
    return tmp_path / "results"


def run_tiny(results: Path, profile: str = "full") -> Run:
    words = ["run", "tiny", "--profile", profile, "--models", "fast", "--no-check", "--no-plot"]
    assert cli.main([*words, "--out", str(results)]) == errors.EXIT_OK
    found = store.all_runs(results)
    assert len(found) == 1
    return Run.open(found[0])


# --- the server's CPU time ------------------------------------------------------------------------


def reported(source: str, **server: Any) -> dict[str, Any]:
    return {"server": {"source": source, "cpu_ns": 2_000_000, "replies": 10, **server}}


def test_cpu_time_and_replies_are_those_of_the_same_edges() -> None:
    found = derive.edge_cpu(reported("cgroup:/g", user_ns=500_000, system_ns=1_500_000), None, True)
    assert found == (CpuUse(0.002, 0.0005, 0.0015), 10)


def test_without_parts_the_total_is_shared_as_the_harness_saw() -> None:
    beside = CpuUse(total=0.008, user=0.002, system=0.006)
    found = derive.edge_cpu(reported("pid:7", user_ns=None, system_ns=None), beside, False)
    assert found == (CpuUse(0.002, 0.0005, 0.0015), 10)
    found = derive.edge_cpu(reported("pid:7"), None, False)
    assert found == (CpuUse(0.002, 0.0, 0.002), 10)


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"server": None},
        reported("pid:7", cpu_ns=None),
        reported("pid:7", replies=0),
        {"server": {"source": "pid:7", "replies": 10}},
    ],
)
def test_without_edges_there_is_nothing_to_divide(report: dict[str, Any]) -> None:
    assert derive.edge_cpu(report, CpuUse(1.0, 0.5, 0.5), False) is None


def test_a_process_clock_says_nothing_of_a_server_with_children() -> None:
    assert derive.edge_cpu(reported("pid:7"), CpuUse(1.0, 0.5, 0.5), True) is None
    assert derive.edge_cpu(reported("cgroup:/g"), None, True) is not None


@pytest.mark.parametrize(
    ("fault", "reader"),
    [("edges", "load generator"), ("edges-lost", "harness"), ("", "harness")],
)
def test_a_cell_says_who_read_the_cpu_time_it_is_made_of(
    bench: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reader: str
) -> None:
    monkeypatch.setenv("FAKE_LOADGEN", fault)
    for record in run_tiny(bench).cells():
        cpu = record.server["cpu"]
        assert cpu["read_by"] == reader
        if fault == "edges":
            assert record.metrics[COST] == pytest.approx(300)
            assert (cpu["total_s"], cpu["replies"]) == (0.06, 200)
        else:
            # The fake server rests: its own CPU time is below what can be resolved.
            assert COST not in record.metrics and cpu["replies"] is None


def real(model: str, sources: meter.Sources | None, scratch: Path, seconds: float) -> cell.Outcome:
    """One cell of the real thing, 8 connections."""
    chosen = models.choose(models.discover(), model)
    made = runner.make_bench(chosen, paths.loadgen_path(), "shared", 1)
    if sources is not None:
        made = replace(made, sources=sources)
    load = Load(protocol="echo", connections=8)
    return cell.measure(Setting(model, {}, load, seconds, 0.1), made, 1, scratch)


@pytest.mark.skipif(not BUILT, reason="servers and load generator are not built")
@pytest.mark.parametrize(
    ("model", "reader", "source"),
    [("epoll_lt", "load generator", "process clock"), ("fork", "harness", "/proc/PID/stat")],
)
def test_without_groups_a_process_clock_is_used_unless_there_are_children(
    model: str, reader: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENK_BUILD", raising=False)
    outcome = real(model, meter.Sources(None, None), tmp_path / "cell", 0.5)
    assert outcome.status in ("ok", "client-limited", "suspect", "void"), outcome.reason
    cpu = outcome.server["cpu"]
    assert (cpu["read_by"], cpu["source"]) == (reader, source)
    assert cpu["total_s"] > 0


@pytest.mark.skipif(not BUILT, reason="servers and load generator are not built")
@pytest.mark.parametrize("model", ["epoll_lt", "fork"])
def test_a_group_s_time_is_read_at_the_edges_children_included(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENK_BUILD", raising=False)
    cpu_source = meter.probe().cpu
    if cpu_source is None or cpu_source.version != 2:
        pytest.skip("no control group of version 2 can be made here")
    outcome = real(model, None, tmp_path / "cell", 0.5)
    assert outcome.status in ("ok", "client-limited", "suspect", "void"), outcome.reason
    cpu = outcome.server["cpu"]
    assert (cpu["read_by"], cpu["source"]) == ("load generator", "cgroup v2")
    assert cpu["total_s"] == pytest.approx(cpu["user_s"] + cpu["system_s"], abs=1e-5)
    cost = 1e6 * cpu["total_s"] / cpu["replies"]
    # A machine that leaves it less than 10 ms of CPU time has no cost to tell.
    assert outcome.metrics.get(COST, cost) == pytest.approx(cost)


# --- the warm-up ----------------------------------------------------------------------------------


def passes_of(argv: list[str]) -> str | None:
    return argv[argv.index("--warmup-passes") + 1] if "--warmup-passes" in argv else None


@pytest.mark.parametrize(("loop", "passes"), [("closed", 5), ("open", 0)])
def test_a_closed_loop_warms_up_in_passes_and_an_open_one_at_its_own_pace(
    bench: Path, loop: str, passes: int
) -> None:
    one = experiment.load("tiny")
    base = replace(one.base, loop=loop, offered_rps=100.0 if loop == "open" else 0.0)
    catalogue = models.choose(models.discover(), "fast")
    made = plan.settings(replace(one, base=base), one.profiles["full"], catalogue, {})
    assert [s.warmup_passes for s in made] == [passes]
    argv = cell.client_argv(Path("loadgen"), made[0], 80, (0,), 1, bench / "x")
    assert passes_of(argv) == (str(passes) if passes else None)
    assert Setting.from_json(made[0].to_json()) == made[0]


def test_a_profile_may_say_how_many_passes(bench: Path) -> None:
    file = bench.parent / "experiments" / "tiny.toml"
    text = EXPERIMENT.replace("[profiles.full]\n", "[profiles.full]\nwarmup_passes = 9\n")
    file.write_text(text, encoding="utf-8")
    assert experiment.load("tiny").profiles["full"].warmup_passes == 9
    for wrong in ("-1", "10001", "2.5", "true", '"5"'):
        file.write_text(text.replace("= 9", f"= {wrong}"), encoding="utf-8")
        with pytest.raises((ValueError, errors.UsageError), match="warmup_passes"):
            experiment.load("tiny")


def test_a_plan_from_before_there_were_passes_is_still_read() -> None:
    old = Setting("m", {}, Load(), 1.0, 0.5).to_json()
    del old["warmup_passes"]
    assert Setting.from_json(old).warmup_passes == 0


@pytest.mark.parametrize(
    ("fault", "warmups", "moved", "badge"),
    [
        ("settled", [0.01, 0.01], None, False),
        # The first replicate is measured again, the second one begins where that did.
        ("settled-late", [0.01, 0.03, 0.03], 0.03, False),
        ("never-settled", [0.01, 0.03, 0.03], 0.03, True),
    ],
)
def test_a_window_that_began_too_early_is_moved_once(
    bench: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    warmups: list[float],
    moved: float | None,
    badge: bool,
) -> None:
    log = bench.parent / "log"
    monkeypatch.setenv("FAKE_LOADGEN", fault)
    monkeypatch.setenv("FAKE_LOG", str(log))
    cells = run_tiny(bench).cells()
    used = [line.split() for line in log.read_text().splitlines()]
    assert [float(w[w.index("--warmup") + 1].rstrip("s")) for w in used] == pytest.approx(warmups)
    assert [c.timing.get("moved_warmup_s") for c in cells] == [moved, moved]
    group = summary.Group("fast", {"connections": 1}, tuple(cells))
    assert (summary.UNSETTLED in group.badges) is badge


def test_a_window_is_not_moved_beyond_the_budget(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bench.parent / "experiments" / "tiny.toml"
    file.write_text(EXPERIMENT.replace("budget_s = 60", "budget_s = 0"), encoding="utf-8")
    log = bench.parent / "log"
    monkeypatch.setenv("FAKE_LOADGEN", "never-settled")
    monkeypatch.setenv("FAKE_LOG", str(log))
    cells = run_tiny(bench).cells()
    assert len(log.read_text().splitlines()) == len(cells)
    assert not [c for c in cells if "moved_warmup_s" in c.timing]


def test_a_resumed_run_knows_which_windows_were_moved(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = bench.parent / "log"
    monkeypatch.setenv("FAKE_LOADGEN", "settled-late")
    monkeypatch.setenv("FAKE_LOG", str(log))
    run = run_tiny(bench)
    last = run.cells()[-1]
    run.cell_path(last.id, ".json").unlink()
    run.update(complete=False)
    log.unlink()
    assert cli.main(["run", "--resume", str(run.path), "--no-check", "--no-plot"]) == errors.EXIT_OK
    (again,) = log.read_text().splitlines()
    assert "--warmup 0.03s" in again
