# SPDX-License-Identifier: MIT
"""What reads finished runs and machines: report, compare, doctor."""
from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import EXPERIMENT

from rich.console import Console

from harness import cli, errors, store
from harness.commands import doctor as doctor_command
from harness.design.load import Load
from harness.design.metrics import METRICS
from harness.judge import comparison
from harness.judge.duel import Ratio
from harness.judge.stats import Estimate
from harness.measure import doctor, host
from harness.measure.calibrate import spread_out
from harness.measure.doctor import BAD, GOOD, NOTE, Facts
from harness.measure.meter import Sources
from harness.present import wording
from harness.store import CellRecord, Run


def write_run(path: Path, rates: dict[str, list[float]], **meta: Any) -> Run:
    """A finished run of the tiny experiment with these throughputs at one connection."""
    run = Run.create(
        path,
        {
            "experiment": tomllib.loads(EXPERIMENT),
            "profile": "quick",
            "seed": 1,
            "session": "s",
            "host": {"machine": "vm", "cpu": "a <b> CPU", "kernel": "6.1", "cpus_online": 2},
            "git": {"commit": "abc", "dirty": False},
            "placement": {"wanted": "split", "name": "split", "note": ""},
            "sources": {"cpu": "cgroup v2", "memory": "cgroup v2"},
            "models": {name: {} for name in rates},
            "binaries": {"loadgen": "1"},
            "started": "2026-01-01T00:00:00+00:00",
            **meta,
        },
    )
    for name, values in rates.items():
        for replicate, value in enumerate(values):
            run.write(
                CellRecord(
                    experiment="tiny",
                    model=name,
                    factors={"connections": 1},
                    replicate=replicate,
                    block=replicate,
                    order=0,
                    status="ok" if math.isfinite(value) else "unsupported",
                    reason="" if math.isfinite(value) else "no <luck>",
                    metrics={"throughput_rps": value} if math.isfinite(value) else {},
                )
            )
    run.update(complete=True)
    return run


RATES = {"fast": [200.0, 201.0, 202.0], "slow": [100.0, 101.0, 102.0], "absent": [math.nan]}


def test_compare_sets_the_same_models_side_by_side_and_judges_none(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", RATES)
    b = write_run(tmp_path / "b", {**RATES, "slow": [80.0, 81.0, 82.0]})
    rows = {row.name.split()[0]: row for row in comparison.compare(a, b, None)}
    assert set(rows) == {"fast", "slow"}
    assert rows["fast"].ratio == 1.0
    assert rows["slow"].ratio == pytest.approx(0.802, abs=0.01)
    assert (rows["slow"].a.value, rows["slow"].b.value) == (101.0, 81.0)
    assert comparison.mismatches(a.meta, b.meta) == []


def test_compare_says_that_it_describes_and_what_would_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        write_run(tmp_path / name, RATES)
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = capsys.readouterr().out
    assert "does not judge" in said and "tenk duel" in said
    assert not any(word in said for word in ("worse", "B is", "distinguishable"))


def test_a_heading_names_the_unit_only_where_the_numbers_do_not() -> None:
    assert wording.heading(METRICS["p99_ns"]) == "response time p99, lower is better"
    assert wording.quantity(250e3, METRICS["p99_ns"].unit) == "250 µs"
    assert wording.heading(METRICS["throughput_rps"]).startswith("throughput (requests/s), higher")


def test_a_spread_beyond_the_value_itself_is_said_in_percent() -> None:
    assert wording.spread(Estimate(3, 1.0, 0.5, 5.0, 0.75)) == "±>100%"
    assert wording.spread(Estimate(3, 1.0, 0.97, 1.03, 0.75)) == "±3%"


def test_a_calibration_spreads_its_replicates_of_one_thing_over_the_whole_time() -> None:
    load = Load()
    order = spread_out([("same", load)] * 4, [(str(i), load) for i in range(6)])
    at = [i for i, (name, _) in enumerate(order) if name == "same"]
    assert at[0] == 0 and at[-1] == 9 and min(b - a for a, b in zip(at, at[1:])) >= 2
    assert [name for name, _ in order if name != "same"] == [str(i) for i in range(6)]


def test_compare_warns_of_runs_that_are_hard_to_compare(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", RATES)
    b = write_run(tmp_path / "b", RATES, profile="full", binaries={"loadgen": "2"})
    found = comparison.mismatches(a.meta, b.meta)
    assert found == ["profile: quick against full", "the load generator is another binary"]


def test_compare_of_two_experiments_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", RATES)
    write_run(tmp_path / "b", RATES, experiment={**tomllib.loads(EXPERIMENT), "name": "other"})
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == errors.EXIT_USAGE
    assert "one experiment" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["html", "md"])
def test_a_report_has_every_table_verdict_and_reason_and_needs_no_network(
    tmp_path: Path, kind: str
) -> None:
    run = write_run(tmp_path / "a", RATES)
    (run.path / "figures").mkdir()
    for suffix in ("png", "svg"):
        (run.path / "figures" / f"overview.{suffix}").write_bytes(b"picture")
    assert cli.main(["report", str(run.path), "--format", kind]) == 0
    text = (run.path / f"report.{kind}").read_text(encoding="utf-8")
    assert "201" in text and "101" in text and "unsupported" in text and "★" in text
    if kind == "html":
        assert "data:image/png;base64,cGljdHVyZQ==" in text
        assert "a &lt;b&gt; CPU" in text and "<luck>" not in text
        assert 'src="http' not in text and 'href="http' not in text
    else:
        assert "figures/overview.svg" in text


def test_a_run_without_cells_cannot_be_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "a", {})
    assert cli.main(["report", str(run.path)]) == errors.EXIT_FAILURE
    assert "nothing was measured" in capsys.readouterr().err


def test_a_damaged_cell_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a", RATES)
    broken = next((run.path / "cells").glob("*.json"))
    broken.write_text("{", encoding="utf-8")
    assert cli.main(["report", str(run.path)]) == errors.EXIT_FAILURE
    assert broken.name in capsys.readouterr().err
    assert store.CELL_SCHEMA == "tenk.cell/1"


HEALTHY = Facts(
    descriptors_hard=20000,
    ports=(32768, 60999),
    somaxconn=4096,
    conntrack=None,
    governor="performance",
    io_uring_disabled=0,
    pids_max=32768,
    threads_max=190000,
    max_map_count=65530,
    cores=2,
    memory_bytes=1 << 33,
    steal_fraction=0.0,
    load=0.1,
    virtual=True,
    sources=Sources(None, None),
    no_syscalls="",
    missing_programs=(),
)


def level(subject: str, facts: Facts) -> str:
    return {f.subject: f.level for f in doctor.findings(facts)}[subject]


@pytest.mark.parametrize(
    ("subject", "change", "expected"),
    [
        ("descriptors", {"descriptors_hard": 1024}, BAD),
        ("local ports", {"ports": (50000, 60000)}, NOTE),
        ("listen backlog", {"somaxconn": 128}, NOTE),
        ("packet backlog", {"netdev_max_backlog": 1000, "softnet_dropped": 30000}, NOTE),
        ("packet backlog", {"netdev_max_backlog": 30000}, GOOD),
        ("connection tracking", {"conntrack": (500, 8192)}, BAD),
        ("connection tracking", {"conntrack": (0, 8192)}, GOOD),
        ("processes", {"pids_max": 4096}, BAD),
        ("memory mappings", {"max_map_count": 10000}, BAD),
        ("io_uring", {"io_uring_disabled": 2}, BAD),
        ("CPUs", {"cores": 1}, NOTE),
        ("CPU frequency", {"governor": "powersave"}, NOTE),
        ("steal", {"steal_fraction": 0.05}, NOTE),
        ("system calls", {"no_syscalls": "perf_event_open: Permission denied"}, NOTE),
        ("other work", {"load": 3.0}, NOTE),
        ("programs", {"missing_programs": ("gcc",)}, BAD),
    ],
)
def test_doctor_finds_each_limit_and_has_a_remedy(
    subject: str, change: dict[str, Any], expected: str
) -> None:
    sick = replace(HEALTHY, **change)
    assert level(subject, sick) == expected
    found = next(f for f in doctor.findings(sick) if f.subject == subject)
    assert expected == GOOD or found.remedy


def test_a_remedy_of_doctor_is_whole_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    remedy = "sysctl -w net.core.netdev_max_backlog=30000"
    table = doctor_command.table([doctor.Finding("packet backlog", NOTE, "1000", remedy)])
    Console(width=48, legacy_windows=False).print(table)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 48
    assert "".join(remedy.split()) in "".join(said.split())


def test_doctor_finds_nothing_that_stops_a_healthy_machine() -> None:
    assert all(f.level != BAD for f in doctor.findings(HEALTHY))
    assert level("descriptors", HEALTHY) == GOOD


def test_a_wide_ratio_is_told_by_both_ends_and_never_falls_below_nothing() -> None:
    narrow = Ratio(1.033, 1.029, 1.037, 0.002, 9.0, 10, "blocks")
    assert wording.change(narrow) == "+3.3 ± 0.4 %"
    assert wording.change(replace(narrow, estimate=1.79, lo=0.85, hi=3.77)) == (
        "1.79 times [0.85, 3.77]"
    )
    assert wording.change(replace(narrow, estimate=3.25, lo=3.14, hi=3.36)) == "3.25 times ± 3.4 %"
    assert wording.resolution(0.0123) == "± 1.2 %"
    assert wording.resolution(1.02) == "± 102 %"


def test_an_interval_that_says_nothing_is_not_told_in_twelve_digits() -> None:
    nothing = Ratio(0.29, 1e-7, 1206185.59, 3.0, 1.0, 2, "blocks")
    assert wording.change(nothing) == "0.29 times [<0.03, >2.90]"
    assert wording.change(replace(nothing, lo=0.2)) == "0.29 times [0.20, >2.90]"
    assert wording.change(replace(nothing, estimate=5.0, hi=49.0)).endswith(" [<0.50, 49.00]")
    assert wording.resolution(2345618637.77) == "worse than ± 1000 %"


def test_the_commit_is_known_to_root_in_the_checkout_of_a_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = host.git_state()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for its tests
    assert host.git_state() == ours


def test_results_that_cannot_be_written_can_go_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(errors.SetupError, match="cannot write .*--out DIR writes elsewhere"):
        Run.create(tmp_path / "file" / "run", {})
