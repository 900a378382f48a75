# SPDX-License-Identifier: MIT
"""Comparisons together and in turns within tenk run: fake servers with costs that are known."""
from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import duel_fakes
import pytest
from harness_fakes import EXPERIMENT

from harness import cli, errors, packed, store
from harness.commands import levels
from harness.design import experiment
from harness.judge.levels import read_all
from harness.measure import duel
from harness.present import conclusion
from harness.store import Run

CPU = "server_cpu_us_per_request"

COMPARE = """
reference = "plain"

[compare]
arrangements = ["turns"]

[compare.quick]
levels.connections = [2]
seconds = 2
"""

CLAIMS = """
[[claims]]
text = "dear costs more than plain"
metric = "server_cpu_us_per_request"
a = { model = "dear", connections = 2 }
b = { model = "plain", connections = 2 }
relation = "above"
factor = 1.2
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with a reference and one that costs half as much again; the results' directory."""
    build = tmp_path / "build"
    duel_fakes.add_loadgen(build)
    duel_fakes.add_server(build, "plain", cost=10_000)
    duel_fakes.add_server(build, "dear", cost=15_000)
    monkeypatch.setenv("TENK_BUILD", str(build))
    write_experiment(tmp_path, monkeypatch)
    # As many blocks as give an interval, and no longer than that.
    monkeypatch.setattr(duel, "BLOCK_LEAST_S", 0.2)
    monkeypatch.setattr(duel, "INSIDE", 0.2)
    # On a machine with other work the fakes are slow to start.
    monkeypatch.setattr(levels, "STARTS", 0)
    return tmp_path / "results"


def write_experiment(folder: Path, monkeypatch: pytest.MonkeyPatch, compare: str = COMPARE) -> None:
    head, tail = EXPERIMENT.split("[load]")
    body, profiles = tail.split("[profiles.quick]", 1)
    text = f"{head}{compare}\n[load]{body}{CLAIMS}\n[profiles.quick]{profiles}"
    (folder / "experiments").mkdir(exist_ok=True)
    (folder / "experiments" / "tiny.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(experiment.available, "__defaults__", (folder / "experiments",))
    monkeypatch.setattr(experiment.load, "__defaults__", (folder / "experiments",))


def tenk(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def run_tiny(results: Path, *more: object) -> int:
    chosen = more if "--resume" in more else ("tiny", "--profile", "quick", *more)
    return tenk("run", *chosen, "--out", results, "--no-check", "--no-plot")


def only_run(results: Path) -> Run:
    found = store.all_runs(results)
    assert len(found) == 1
    return Run.open(found[0])


def rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "summary.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_run_keeps_one_record_for_each_level_that_it_compares(bench: Path) -> None:
    assert run_tiny(bench) == 0
    run = only_run(bench)
    assert [p.name for p in (run.path / "duels").iterdir()] == ["connections=2.json"]
    (document,) = run.duels()
    assert document["schema"] == store.DUEL_SCHEMA
    assert document["factors"] == {"connections": 2}
    assert document["reference"] == "plain"
    assert list(document["arrangements"]) == ["turns"]
    assert len(run.cells()) == 2 * 2 * 3


def test_the_ratio_is_that_of_the_costs(bench: Path) -> None:
    assert run_tiny(bench) == 0
    (met,) = read_all(only_run(bench).duels())
    found = met.arrangements[0].ratio("dear", CPU)
    assert found is not None and found.interval(0.999)[0] < 1.5 < found.interval(0.999)[1]


def test_tables_claims_and_summary_have_the_ratios(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == 0
    run = only_run(bench)
    said = capsys.readouterr().out
    assert "throughput against plain" in said and "2 in turns: twin" in said
    of_dear = [r for r in rows(run) if r["model"] == "dear" and r["unit"] == "ratio"]
    assert {r["metric"] for r in of_dear} >= {f"turns:{CPU}", "turns:throughput_rps"}
    assert {r["connections"] for r in of_dear} == {"2"}
    verdict = conclusion.of_run(run).verdicts[1]
    assert verdict.outcome == "supported" and "measured in turns" in verdict.detail


def test_a_run_that_was_interrupted_goes_on_at_the_level(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = duel.measure

    def interrupted(*args: Any, **more: Any) -> None:
        whole(*args, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(duel, "measure", interrupted)
    assert run_tiny(bench) == errors.EXIT_INTERRUPTED
    run = only_run(bench)
    assert not run.duels() and not run.meta["complete"]
    before = {c.id for c in run.cells()}
    assert before
    monkeypatch.setattr(duel, "measure", whole)
    assert run_tiny(bench, "--resume", run.path) == 0
    assert len(only_run(bench).duels()) == 1
    # What is there is not measured again.
    monkeypatch.setattr(duel, "measure", interrupted)
    meta = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**meta, "complete": False}))
    assert run_tiny(bench, "--resume", run.path) == 0


def test_a_model_that_cannot_serve_the_level_is_named_with_its_reason(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    duel_fakes.add_server(tmp_path / "build", "small", limit=1)
    assert run_tiny(bench) == 0
    (met,) = read_all(only_run(bench).duels())
    assert "serves at most 1 connection" in met.left_out["small"]
    said = " ".join(capsys.readouterr().out.split())
    assert "small was not compared at 2: unsupported: serves at most 1 connection" in said


def test_a_model_that_takes_too_long_to_be_started_often_is_left_out(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "STARTS", 10**6)
    assert run_tiny(bench) == 0
    (document,) = only_run(bench).duels()
    (left_out,) = document["unsupported"]
    assert left_out["name"] == "dear" and "too slow to start again" in left_out["reason"]


def test_a_level_at_which_nothing_can_be_compared_says_why_and_is_not_tried_again(
    bench: Path,
) -> None:
    assert run_tiny(bench, "--models", "plain") == 0
    (document,) = only_run(bench).duels()
    assert not document["arrangements"]
    assert "fewer than two models" in document["verdict"]["reasons"][0]["text"]


def test_a_packed_run_says_the_same_of_its_levels(bench: Path) -> None:
    assert run_tiny(bench) == 0
    run = only_run(bench)
    before = run.duels()
    assert tenk("pack", run.path) == 0
    assert not (run.path / "duels").exists() and (run.path / packed.DUELS_NAME).exists()
    assert Run.open(run.path).duels() == before
    assert tenk("pack", "--unpack", run.path) == 0
    assert Run.open(run.path).duels() == before and not packed.has_duels(run.path)


def test_a_level_may_say_on_which_cpus_its_models_meet(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = COMPARE.replace("seconds", 'levels.placement = ["shared"]\nseconds')
    write_experiment(tmp_path, monkeypatch, compare)
    path = tmp_path / "experiments" / "tiny.toml"
    text = path.read_text(encoding="utf-8").replace("[load]", "[factors.placement]\n[load]")
    for levels_of in ("[1, 2]", "[1]"):
        old = f"levels.connections = {levels_of}"
        text = text.replace(old, f'{old}\nlevels.placement = ["split", "shared"]')
    path.write_text(text, encoding="utf-8")
    seen: list[str] = []

    def only_looks(plan: Any, record: Any, where: Any, *_: Any, **__: Any) -> None:
        seen.append(f"{plan.load.placement} {where.placement.name}")
        raise errors.SetupError("seen enough")

    monkeypatch.setattr(duel, "measure", only_looks)
    assert run_tiny(bench, "--placement", "split") == 0
    assert seen == ["shared shared"]


def test_two_runs_are_shown_with_the_ratios_that_each_of_them_found(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == 0
    path = only_run(bench).path
    capsys.readouterr()
    assert tenk("compare", path, path) == 0
    said = capsys.readouterr().out
    table = said.split("server CPU per request against plain, in turns")[1]
    assert "dear connections=2" in table


def test_a_damaged_record_is_one_line_with_its_name(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == 0
    run = only_run(bench)
    path = next((run.path / "duels").iterdir())
    path.write_text(path.read_text().replace('"reference": "plain"', '"reference": 7'))
    capsys.readouterr()
    assert tenk("report", run.path, "--format", "md") == errors.EXIT_FAILURE
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "connections=2.json" in said and "reference" in said


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("levels.connections = [3]\nseconds = 1", "connections = 3 is no level"),
        ("levels.idle = [3]\nseconds = 1", "must be of connections"),
        ("levels.connections = [2]\nseconds = 0", "seconds must be from 1"),
        ("levels.connections = [2]\nseconds = 1\nhow = 2", "unknown name compare.quick.how"),
    ],
)
def test_a_compare_table_that_is_not_right_is_refused_by_name(
    bench: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    table: str,
    complaint: str,
) -> None:
    write_experiment(tmp_path, monkeypatch, f"[compare.quick]\n{table}\n")
    assert run_tiny(bench) == errors.EXIT_USAGE
    assert complaint in capsys.readouterr().err
    assert not bench.exists()


def test_a_model_that_keeps_a_cpu_busy_is_measured_alone_and_everything_says_so(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    duel_fakes.add_server(tmp_path / "build", "polls", fault="busy")
    assert run_tiny(bench) == 0
    run = only_run(bench)
    (document,) = run.duels()
    assert "polls" not in [c["name"] for c in document["arrangements"]["turns"]["contenders"]]
    (left_out,) = document["unsupported"]
    assert left_out["name"] == "polls" and "keeps a CPU busy" in left_out["reason"]
    own = [cell for cell in run.cells() if cell.model == "polls"]
    assert len(own) == 6 and all("measured alone" in " ".join(cell.badges) for cell in own)
    said = " ".join(capsys.readouterr().out.split())
    assert "polls keeps a CPU busy while nobody asks: it was measured alone" in said
    assert "polls was not compared at 2: unsupported: it keeps a CPU busy" in said
    assert "polls keeps a CPU busy" in (run.path / "answer.md").read_text(encoding="utf-8")
    assert all("alone" in r["badges"] for r in rows(run) if r["model"] == "polls")
