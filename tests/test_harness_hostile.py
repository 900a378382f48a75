# SPDX-License-Identifier: MIT
"""Whatever bytes lie in a run directory and whatever words stand on the command line: a command ends
with a documented status and at most one line of complaint.

Seeded and bounded: each case is a number, and a number that failed fails again.
"""
from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import EXPERIMENT, add_loadgen, add_server
from test_harness_reading import RATES, write_run

from harness import cli, errors, paths, store
from harness.design import experiment, guest
from harness.measure import runner

CASES = 120  # per kind of thing that is damaged
DRAWN = 12  # of those that draw figures, which takes a second each

DOCUMENTED = {
    errors.EXIT_OK,
    errors.EXIT_FAILURE,
    errors.EXIT_USAGE,
    errors.EXIT_DOUBTFUL,
}

SPECTRUM = """       Value     Percentile TotalCount 1/(1-Percentile)

       0.100 0.000000000000          1           1.00
       0.200 0.500000000000         50           2.00
       0.900 1.000000000000        100
#[Mean    =        0.200, StdDeviation   =        0.100]
#[Max     =        0.900, Total count    =          100]
#[Buckets =           26, SubBuckets     =         2048]
"""

DEEP: Any = 0
for _ in range(400):
    DEEP = [DEEP]

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    7,
    0.5,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    10**30,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "inf",
    "nan",
    "x",
    "split",
    "failed",
    "[/b]",
    "[bold",
    "$\\frac{^$",
    "a|b\n# c",
    "../../etc",
    "\x00\x1b[31m",
    "\udcff",
    "長" * 50,
    "x" * 5000,
    [],
    [1],
    [None],
    {},
    {"a": 1},
    {"": {"": []}},
    DEEP,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    found: list[tuple[Any, Any]] = []
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


def damaged_document(rng: random.Random, document: Any) -> Any:
    """The document with one to three values replaced, removed or named otherwise."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice(places(document))
        action = rng.random()
        if action < 0.75:
            container[key] = copy.deepcopy(rng.choice(VALUES))
        elif action < 0.9:
            del container[key]
        elif isinstance(container, dict):
            container[rng.choice(("", "x", "model", "[/b]"))] = container.pop(key)
        if not places(document):
            break
    return document


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return rng.choice(
        (
            data[:at],
            data[at:],
            data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:],
            data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
            b"",
            b"[" * 100_000,
            rng.randbytes(200),
            data + data,
        )
    )


def damage(rng: random.Random, path: Path) -> None:
    """Change a file: any bytes, or a JSON document that is not quite what it was."""
    data = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.8:
        changed = json.dumps(damaged_document(rng, json.loads(data)))
        path.write_text(changed, encoding="utf-8", errors="surrogateescape")
    else:
        path.write_bytes(damaged_bytes(rng, data))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A build of fakes, the tiny experiment, and two runs of it: a complete one, and an interrupted
    one that could be resumed."""
    folder = tmp_path_factory.mktemp("hostile")
    build = folder / "build"
    add_loadgen(build)
    add_server(build, "fast", rate=2000)
    add_server(build, "slow", rate=1000)
    experiments = folder / "experiments"
    experiments.mkdir()
    (experiments / "tiny.toml").write_text(EXPERIMENT, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENK_BUILD", str(build))
        patch.setattr(experiment.available, "__defaults__", (experiments,))
        patch.setattr(experiment.load, "__defaults__", (experiments,))
        run = write_run(folder / "complete", RATES)
        for cell in run.cells():
            run.cell_path(cell.id, ".hgrm").write_text(SPECTRUM, encoding="utf-8")
        status, said = tenk("run", "tiny", "--profile", "quick", "--out", folder / "r", *QUICK)
        assert status == 0, said
        (made,) = store.all_runs(folder / "r")
        made.rename(folder / "interrupted")
        store.Run.open(folder / "interrupted").update(complete=False)
        yield folder


QUICK = ("--no-check", "--no-plot")


def tenk(*arguments: object) -> tuple[int, str]:
    """A command's status, and what it said on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = cli.main([str(a) for a in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, said.getvalue()


def check(what: str, status: int, said: str) -> None:
    assert status in DOCUMENTED, f"{what}: status {status}: {said}"
    assert "Traceback" not in said and "internal error" not in said, f"{what}: {said}"
    lines = said.count("\n")
    assert lines == (status in (errors.EXIT_FAILURE, errors.EXIT_USAGE)), f"{what}: {said}"


def readers(copied: Path, intact: Path) -> list[tuple[object, ...]]:
    """Every command that reads a run."""
    return [
        ("report", copied, "--out", copied.parent / "report.html"),
        ("report", copied, "--format", "md"),
        ("compare", copied, intact),
        ("compare", intact, copied),
        ("pack", copied),
    ]


@pytest.mark.parametrize("kind", ["run.json", "cells/*.json"])
def test_a_damaged_run_is_read_or_refused_in_one_line(
    ground: Path, tmp_path: Path, kind: str
) -> None:
    for case in range(CASES):
        rng = random.Random(f"{kind} {case}")
        copied = tmp_path / f"{case}"
        shutil.copytree(ground / "complete", copied)
        (copied / "figures").mkdir()
        (copied / "figures" / "overview.png").write_bytes(b"drawn before")
        damage(rng, rng.choice(sorted(copied.glob(kind))))
        command = rng.choice(readers(copied, ground / "complete"))
        check(f"case {case} {command[0]}", *tenk(*command))


@pytest.mark.parametrize("kind", ["run.json", "cells/*.json"])
def test_a_damaged_run_is_resumed_or_refused_in_one_line(
    ground: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is to be measured: every cell is there, or the plan asks for what cannot be.
    def never(*_: object) -> None:
        raise errors.HostFault("measuring is not what is tried here")

    monkeypatch.setattr(runner, "measure", never)
    for case in range(CASES):
        rng = random.Random(f"resume {kind} {case}")
        copied = tmp_path / f"{case}"
        shutil.copytree(ground / "interrupted", copied)
        damage(rng, rng.choice(sorted(copied.glob(kind))))
        check(f"case {case}", *tenk("run", "--resume", copied, *QUICK))


def test_figures_of_a_damaged_run_are_drawn_or_refused_in_one_line(
    ground: Path, tmp_path: Path
) -> None:
    kinds = ("run.json", "cells/*.json", "cells/*.hgrm", "cells/*.json")
    for case in range(DRAWN):
        rng = random.Random(f"draw {case}")
        copied = tmp_path / f"{case}"
        shutil.copytree(ground / "complete", copied)
        damage(rng, rng.choice(sorted(copied.glob(kinds[case % len(kinds)]))))
        check(f"case {case}", *tenk("plot", copied))


@pytest.mark.parametrize("name", ["$x^$", "[/b]", "a|b", "<i>", "back\\"])
def test_a_name_is_shown_as_it_is_and_means_nothing(tmp_path: Path, name: str) -> None:
    raw = tomllib.loads(EXPERIMENT)
    raw["title"] = raw["question"] = f"{name} of $\\frac{{^$"
    raw["factors"]["connections"]["title"] = name
    run = write_run(tmp_path / name.replace("<", "["), {name: [1.0, 2.0, 3.0]}, experiment=raw)
    assert tenk("plot", run.path) == (0, "")
    assert list((run.path / "figures").glob("*.png"))
    for kind in ("html", "md"):
        assert tenk("report", run.path, "--format", kind) == (0, "")
    row = (run.path / "report.md").read_text(encoding="utf-8")
    assert "| a\\|b |" in row or name != "a|b"
    assert "\\<i\\>" in row and "<i>" not in row or name != "<i>"
    assert "<i>" not in (run.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: text.index("#[")], "cut short"),
        (lambda text: text[: len(text) // 2], "not a percentile line"),
        (lambda text: text.replace("0.500", "0.5.0"), "not a percentile line"),
        (lambda text: "", ""),
    ],
)
def test_a_spectrum_that_was_cut_short_is_not_drawn_as_a_whole_one(
    ground: Path, tmp_path: Path, change: Callable[[str], str], said: str
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(ground / "complete", copied)
    for path in copied.glob("cells/*.hgrm"):
        path.write_text(change(SPECTRUM), encoding="utf-8")
    status, complaint = tenk("plot", copied)
    assert status == (errors.EXIT_FAILURE if said else errors.EXIT_OK)
    assert said in complaint


def test_a_stray_copy_of_a_cell_is_named_and_not_counted(ground: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(ground / "complete", copied)
    one = sorted(copied.glob("cells/*.json"))[0]
    shutil.copy(one, one.with_name("copy of " + one.name))
    for command in (("report", copied), ("plot", copied), ("compare", copied, copied)):
        status, complaint = tenk(*command)
        assert status == errors.EXIT_FAILURE and "stray copy" in complaint
        assert "copy of " in complaint


def as_other_user(*argv: object) -> list[str]:
    """The command line without root's right to write where permissions forbid it."""
    drop = "-dac_override,-dac_read_search"
    words = [str(word) for word in argv]
    if os.geteuid():
        return words
    return ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *words]


def test_a_run_that_can_only_be_read_is_reported_elsewhere(ground: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(ground / "complete", copied)
    for folder in (copied, copied / "cells"):
        folder.chmod(0o555)
    launch = as_other_user(sys.executable, paths.ROOT / "harness" / "tenk")
    try:
        for kind in ("html", "md"):
            out = tmp_path / f"elsewhere.{kind}"
            words = [*launch, "report", str(copied), "--format", kind, "--out", str(out)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            text = out.read_text(encoding="utf-8")
            assert "data:image/png;base64," in text if kind == "html" else "-figures/" in text
        for words in (["report", str(copied)], ["plot", str(copied)]):
            done = subprocess.run(
                [*launch, *words], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == errors.EXIT_FAILURE
            assert done.stderr.count("\n") == 1 and "Permission denied" in done.stderr
        (tmp_path / "closed").mkdir(mode=0o000)
        words = ["run", "c10k", "--out", str(tmp_path / "closed" / "results")]
        done = subprocess.run(
            [*launch, *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == errors.EXIT_FAILURE
        assert done.stderr.count("\n") == 1 and "Permission denied" in done.stderr
    finally:
        for folder in (copied, copied / "cells", tmp_path / "closed"):
            if folder.exists():
                folder.chmod(0o755)


def test_a_damaged_experiment_is_read_or_refused_in_one_line(
    ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise errors.HostFault("measuring is not what is tried here")

    monkeypatch.setattr(runner, "measure", never)
    raw = tomllib.loads(EXPERIMENT)
    path = ground / "experiments" / "odd.toml"
    for case in range(CASES):
        rng = random.Random(f"experiment {case}")
        try:
            if rng.random() < 0.3:
                path.write_bytes(damaged_bytes(rng, EXPERIMENT.encode()))
                status, said = tenk("run", "odd", "--out", tmp_path / f"{case}", *QUICK)
            else:
                # TOML has no writer here; a record's copy of an experiment is read by the same code.
                one = damaged_document(rng, raw)
                path.write_text(EXPERIMENT, encoding="utf-8")
                with monkeypatch.context() as patch:
                    patch.setattr(tomllib, "loads", lambda _, found=one: found)
                    status, said = tenk("run", "odd", "--out", tmp_path / f"{case}", *QUICK)
        finally:
            path.unlink()
        check(f"case {case}", status, said)


WORDS = (
    "", "-", "--", "x", "\x00", "a\nb", "[/b]", "[bold", "$^", "../..", "/", "/dev/null", "/dev/full",
    "/proc/self/mem", "latest", "tiny", "-1", "0", "99999999999999999999", "nan", "1e400", "é", "\udcff",
    "長", "x" * 300, "x" * 5000, "tiny,slow", ",", "fast", "=", "%s", "{}", "--no-such", "--out=", "*",
)  # fmt: skip
OPTIONS = {
    "list": ["--names"],
    "run": ["--profile", "--models", "--seed", "--placement", "--resume", "--out", "--no-plot"],
    "plot": [],
    "report": ["--format", "--out"],
    "compare": ["--metric"],
    "pack": ["--unpack"],
    "duel": [
        *("--connections", "--rate", "--load", "--closed", "--arrival", "--protocol", "--path"),
        *("--placement", "--arrangement", "--seconds", "--until", "--seed", "--json", "--out"),
    ],
    "doctor": [],
    "calibrate": ["--model", "--placement"],
    "check": ["--protocol", "--case", "--build", "--jobs", "--json", "--cases"],
    "nosuch": [],
}


def test_any_words_on_the_command_line_end_in_one_line(
    ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> Any:
        raise errors.HostFault("measuring is not what is tried here")

    monkeypatch.setattr(runner, "measure", never)
    monkeypatch.setattr(guest, "GUESTS", tmp_path / "guests")  # `list` asks a dozen runtimes
    monkeypatch.setattr("harness.commands.check.run_all", never)
    monkeypatch.setattr("harness.measure.calibrate.measure", never)
    monkeypatch.setattr("harness.measure.duel.measure", never)
    monkeypatch.setattr("harness.commands.run.conformance.gate", lambda *_: [])
    monkeypatch.setattr(store, "results_dir", lambda: tmp_path / "results")
    monkeypatch.setattr("harness.commands.run.results_dir", lambda: tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    for case in range(3 * CASES):
        rng = random.Random(f"words {case}")
        command = rng.choice(sorted(OPTIONS))
        words: list[str] = []
        for _ in range(rng.randint(0, 4)):
            if OPTIONS[command] and rng.random() < 0.5:
                words.append(rng.choice(OPTIONS[command]))
            words.append(rng.choice(WORDS))
        check(f"case {case}: {command} {words}", *tenk(command, *words))
