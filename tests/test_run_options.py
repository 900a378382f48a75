# SPDX-License-Identifier: MIT
"""Models with options of their own in a run: `--models 'thread_pool -w 32,epoll_lt'`."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_fakes import EXPERIMENT

from harness import cli, errors
from harness.design import experiment
from harness.errors import UsageError
from harness.measure import models
from harness.measure.placement import Placement, crowded

WORDS = "multi_reactor -w cpus,thread_pool -w 3,epoll_lt"
NAMES = ["epoll_lt", "multi_reactor -w cpus", "thread_pool -w 3"]


def test_a_model_with_options_is_another_one_and_says_what_they_change() -> None:
    found = {m.name: m for m in models.choose(models.discover(), "thread_pool," + WORDS)}
    assert sorted(found) == sorted([*NAMES, "thread_pool"])
    plain, small = found["thread_pool"], found["thread_pool -w 3"]
    assert small.argv == [*plain.argv, "-w", "3"]
    assert small.max_connections == 3 and small.workers == 3
    assert plain.max_connections != 3


@pytest.mark.parametrize(
    "text",
    [
        "epoll_lt -w 3",  # it has no workers
        "thread_pool -w none",
        "thread_pool --nonsense",
        "thread_pool -p 80",
        "thread_pool -P echo",
        "thread_pool 'x",
        "epoll_* --nodelay",
        "nobody -w 3",
        "thread_pool -w 3,thread_pool -w 3",
    ],
)
def test_an_option_that_the_model_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        models.choose(models.discover(), text)


def test_a_run_names_each_with_its_options_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments = tmp_path / "experiments"
    experiments.mkdir()
    (experiments / "tiny.toml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.setattr(experiment.available, "__defaults__", (experiments,))
    monkeypatch.setattr(experiment.load, "__defaults__", (experiments,))
    monkeypatch.setenv("COLUMNS", "200")
    words = ["run", "tiny", "--profile", "quick", "--models", WORDS, "--out", str(tmp_path / "out")]
    assert cli.main(words) in (errors.EXIT_OK, errors.EXIT_DOUBTFUL)
    said = capsys.readouterr().out
    (folder,) = tmp_path.glob("out/*/tiny/*")
    cells = [json.loads(path.read_text()) for path in folder.glob("cells/*.json")]
    for name in NAMES:
        own = [c for c in cells if c["model"] == name and c["status"] != "unsupported"]
        assert own and all(c["server"]["argv"][1:].count("-w") == ("-w" in name) for c in own)
        assert name in said
    meta = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert list(meta["models"]) == NAMES
    assert all(meta["binaries"][name].endswith(name.partition(" ")[2]) for name in NAMES)


def test_models_of_several_workers_on_one_cpu_are_named() -> None:
    workers = {"epoll_lt": 0, "thread_pool -w 3": 3, "one": 1}
    said = crowded(Placement("split", (4,), (5, 6)), workers)
    assert "thread_pool -w 3" in said and "CPU 4" in said and "--placement shared" in said
    assert "epoll_lt" not in said and "one" not in said.split("of ")[1].split(" ")[0]
    assert crowded(Placement("split", (3, 4), (5, 6)), workers) == ""
    assert crowded(Placement("shared", (4,), (4,)), workers) == ""
    assert crowded(Placement("split", (4,), (5,)), {"epoll_lt": 0}) == ""
