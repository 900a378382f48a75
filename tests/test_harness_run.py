# SPDX-License-Identifier: MIT
"""tenk run from the outside: fake servers for what may go wrong, the real ones once at the end."""
from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import EXPERIMENT, add_loadgen, add_server

from harness import cli, errors, paths, store
from harness.design import experiment
from harness.measure import meter, models, process, runner, syscalls
from harness.store import CellRecord, Run

BUILT = (paths.ROOT / "build" / "loadgen" / "loadgen").exists() and (
    paths.ROOT / "build" / "servers" / "epoll_lt"
).exists()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with two fakes and the tiny experiment; returns the directory for results."""
    build = tmp_path / "build"
    add_loadgen(build)
    add_server(build, "fast", rate=2000)
    add_server(build, "slow", rate=1000)
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "tiny.toml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.setenv("TENK_BUILD", str(build))
    monkeypatch.setattr(experiment.available, "__defaults__", (folder,))
    monkeypatch.setattr(experiment.load, "__defaults__", (folder,))
    monkeypatch.setattr(experiment.textbook_claims, "__defaults__", (folder,))
    return tmp_path / "results"


def tenk(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def run_tiny(results: Path, *more: object) -> int:
    chosen = more if "--profile" in more or "--resume" in more else ("--profile", "quick", *more)
    names = () if "--resume" in more else ("tiny",)
    return tenk("run", *names, *chosen, "--out", results, "--no-check", "--no-plot")


def only_run(results: Path) -> Run:
    found = store.all_runs(results)
    assert len(found) == 1
    return Run.open(found[0])


def rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "summary.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def children() -> set[int]:
    return set(process.tree(os.getpid())) - {os.getpid()}


# --- a whole run ----------------------------------------------------------------------------------


def test_a_run_ends_with_a_record_per_cell_and_a_summary(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == errors.EXIT_OK
    run = only_run(bench)
    cells = run.cells()
    assert run.meta["complete"] and run.meta["blocks"] == 3
    assert len(cells) == 2 * 2 * 3
    assert {c.status for c in cells} == {"ok"}
    assert all(c.server["counters"]["requests"] == 10 for c in cells)
    assert all(c.metrics["waits_per_request"] == 0.5 for c in cells)
    assert all(run.cell_path(c.id, ".hgrm").exists() for c in cells)
    fast = [r for r in rows(run) if r["model"] == "fast" and r["metric"] == "throughput_rps"]
    assert [r["connections"] for r in fast] == ["1", "2"]
    assert float(fast[0]["lo"]) <= float(fast[0]["estimate"]) <= float(fast[0]["hi"])
    said = capsys.readouterr().out
    assert "supported" in said and "throughput" in said and "*" in said
    assert not children()
    assert not list((run.path / "cells").glob(".*"))


def test_the_answer_comes_first_then_the_tables_and_last_the_paths(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == errors.EXIT_OK
    said = capsys.readouterr().out
    run = only_run(bench)
    lines = (run.path / "answer.md").read_text(encoding="utf-8").splitlines()
    answer = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    assert answer and f"• {answer[0][:40]}" in said
    assert said.index("•") < said.index("median of") < said.index(str(run.path))
    document = json.loads((run.path / "answer.json").read_text(encoding="utf-8"))
    assert document["sentences"] == answer


def test_a_cell_that_takes_too_long_is_measured_once_and_says_so(
    bench: Path, tmp_path: Path
) -> None:
    path = tmp_path / "experiments" / "tiny.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("[profiles.quick]", "[profiles.quick]\nonce_above_s = 0.001"), encoding="utf-8"
    )
    assert run_tiny(bench) == errors.EXIT_OK
    cells = only_run(bench).cells()
    assert len(cells) == 2 * 2
    assert all("measured once, because it takes over 0.001 s" in c.badges for c in cells)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="split needs two CPUs")
def test_the_second_experiment_of_a_run_is_placed_as_the_first(bench: Path, tmp_path: Path) -> None:
    second = EXPERIMENT.replace('name = "tiny"', 'name = "tiny2"')
    (tmp_path / "experiments" / "tiny2.toml").write_text(second, encoding="utf-8")
    before = os.sched_getaffinity(0)
    assert tenk("run", "tiny", "tiny2", "--profile", "quick", "--out", bench, "--no-check") == 0
    runs = [Run.open(path) for path in store.all_runs(bench)]
    assert {run.meta["experiment"]["name"] for run in runs} == {"tiny", "tiny2"}
    assert runs[0].meta["placement"] == runs[1].meta["placement"]
    assert all(run.meta["host"]["cpus_allowed"] == sorted(before) for run in runs)
    assert os.sched_getaffinity(0) == before


def test_the_order_of_cells_is_the_seeds(bench: Path) -> None:
    for seed in (5, 5, 6):
        assert run_tiny(bench, "--seed", seed) == 0
    orders = [
        [(c.model, c.factors["connections"]) for c in Run.open(path).cells()]
        for path in store.all_runs(bench)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_blocks_beyond_the_minimum_fit_into_the_budget(bench: Path) -> None:
    folder = experiment.load.__defaults__[0]  # type: ignore[index]
    text = EXPERIMENT.replace("budget_s = 60", "budget_s = 0.1")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    assert run_tiny(bench, "--profile", "default") == 0
    assert only_run(bench).meta["blocks"] == 2


def test_unsupported_cells_are_recorded_without_being_run(bench: Path, tmp_path: Path) -> None:
    add_server(tmp_path / "build", "small", limit=1)
    add_server(tmp_path / "build", "absent", fault="absent")
    assert run_tiny(bench) == 0
    run = only_run(bench)
    found = {
        (c.model, c.factors["connections"]): c.reason
        for c in run.cells()
        if c.status == "unsupported"
    }
    assert found == {
        ("small", 2): "serves at most 1 connection at a time: it is small",
        ("absent", 1): "liburing is not installed",
        ("absent", 2): "liburing is not installed",
    }
    row = [r for r in rows(run) if r["model"] == "absent"][0]
    assert (row["status"], row["estimate"], row["n"]) == ("unsupported", "nan", "0")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("dies", "server died during the run"),
        ("unready", "server did not start: exit 1: cannot listen: no luck"),
        ("bad-exit", "server ended with status 9: lost my way"),
        ("silent", "server printed no counters"),
    ],
)
def test_a_faulty_server_fails_its_own_cells_only(
    bench: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    add_server(tmp_path / "build", "broken", fault=fault)
    assert run_tiny(bench) == errors.EXIT_DOUBTFUL
    cells = only_run(bench).cells()
    assert {c.status for c in cells if c.model == "broken"} == {"failed"}
    assert {c.status for c in cells if c.model != "broken"} == {"ok"}
    assert all(reason in c.reason for c in cells if c.model == "broken")
    assert not children()


def test_a_process_that_a_server_leaves_behind_is_killed_and_noted(
    bench: Path, tmp_path: Path
) -> None:
    add_server(tmp_path / "build", "orphan", fault="orphan")
    assert run_tiny(bench, "--models", "orphan") == 0
    assert {b for c in only_run(bench).cells() for b in c.badges} == {"left processes behind"}
    deadline = time.monotonic() + 5
    while (left := _running(tmp_path / "build" / "servers" / "orphan")) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.02)
    assert not left


def _running(program: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(program).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


# --- interruption and resumption ------------------------------------------------------------------


def start_and_interrupt(results: Path, folder: Path, number: int) -> subprocess.Popen[str]:
    """A run of slow cells in a process of its own, signalled after its third cell."""
    text = EXPERIMENT.replace("seconds = 0.02", "seconds = 0.5", 1)
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    code = (
        "import sys; from harness import cli; from harness.design import experiment; from pathlib import Path;"
        f"experiment.available.__defaults__ = experiment.load.__defaults__ = (Path({str(folder)!r}),);"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    argv = [sys.executable, "-c", code, "run", "tiny", "--profile", "quick"]
    argv += ["--out", str(results), "--no-check", "--no-plot"]
    child = subprocess.Popen(
        argv, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while len(list(results.glob("*/*/*/cells/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(number)
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_cells_leaves_no_process_and_resumes(
    bench: Path, tmp_path: Path, number: int
) -> None:
    child = start_and_interrupt(bench, tmp_path / "experiments", number)
    _, complaint = child.communicate(timeout=30)
    assert child.returncode == errors.EXIT_INTERRUPTED, complaint
    assert "--resume" in complaint and "Traceback" not in complaint
    assert not _running(tmp_path / "build" / "servers" / "fast")
    assert not _running(tmp_path / "build" / "loadgen" / "loadgen")
    before = only_run(bench)
    kept = {c.id: (before.cell_path(c.id)).stat().st_mtime_ns for c in before.cells()}
    assert not before.meta["complete"] and 3 <= len(kept) < 12
    assert (before.path / "summary.tsv").exists()

    assert run_tiny(bench, "--resume", before.path) == 0
    after = only_run(bench)
    assert after.meta["complete"] and len(after.cells()) == 12
    assert all(after.cell_path(stem).stat().st_mtime_ns == time for stem, time in kept.items())


def test_servers_die_with_a_harness_that_is_killed_outright(bench: Path, tmp_path: Path) -> None:
    child = start_and_interrupt(bench, tmp_path / "experiments", signal.SIGKILL)
    child.communicate(timeout=30)
    deadline = time.monotonic() + 5
    programs = [tmp_path / "build" / "servers" / "fast", tmp_path / "build" / "loadgen" / "loadgen"]
    while any(_running(p) for p in programs) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_running(p) for p in programs)


def test_a_complete_run_or_one_of_other_binaries_is_not_resumed(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == 0
    run = only_run(bench)
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_USAGE
    assert "complete already" in capsys.readouterr().err
    run.update(complete=False)
    add_server(tmp_path / "build", "fast", rate=3000)
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_USAGE
    assert "rebuilt" in capsys.readouterr().err


@pytest.fixture(name="mine")
def _mine(tmp_path: Path) -> Iterator[tuple[str, process.Server]]:
    """A server that runs already: its URL, and it."""
    program = add_server(tmp_path, "mine", rate=500)
    with process.Server([str(program)], sorted(os.sched_getaffinity(0))) as running:
        yield f"http://127.0.0.1:{running.port}/", running


def interrupted_with(bench: Path, also: str) -> Run:
    """A run beside a server that runs already, of which a cell is missing."""
    assert run_tiny(bench, "--models", "fast", "--also", also) == 0
    run = only_run(bench)
    run.update(complete=False)
    lost = [cell for cell in run.cells() if cell.model == "mine"]
    assert lost and all(cell.status == "ok" for cell in lost)
    run.cell_path(lost[-1].id).unlink()
    return run


def test_a_run_with_a_server_that_runs_already_is_resumed_while_it_answers(
    bench: Path, mine: tuple[str, process.Server], capsys: pytest.CaptureFixture[str]
) -> None:
    url, server = mine
    run = interrupted_with(bench, f"mine={url},pid={server.pid}")
    lost = [c.id for c in run.cells() if c.model == "mine"]
    assert run_tiny(bench, "--resume", run.path) == 0
    run = only_run(bench)
    assert run.meta["complete"] and len(run.cells()) == 12 and len(lost) == 5
    # Its process is another one now, of the same program: who listens there is asked.
    told = {**run.meta["models"]["mine"], "called": f"url={url},pid={2**22 + 1}"}
    run.update(complete=False, models={**run.meta["models"], "mine": told})
    run.cell_path(lost[0]).unlink()
    assert run_tiny(bench, "--resume", run.path) == 0
    assert len(only_run(bench).cells()) == 12
    # Another program, and then nobody.
    run.update(complete=False, binaries={**run.meta["binaries"], "mine": f"{url} another one"})
    capsys.readouterr()
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_USAGE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and f"server mine: {url} another one then" in complaint
    server.close()
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_FAILURE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and f"mine: nobody answers at {url}" in complaint
    assert "Connection refused" in complaint and "start the server" in complaint


def test_what_also_names_must_run_already(
    bench: Path, mine: tuple[str, process.Server], capsys: pytest.CaptureFixture[str]
) -> None:
    url, server = mine
    server.close()
    assert run_tiny(bench, "--models", "fast", "--also", f"mine={url}") == errors.EXIT_FAILURE
    assert "mine: nobody answers" in capsys.readouterr().err
    assert not store.all_runs(bench)


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run"], ["EXPERIMENT", "tiny"]),
        (["run", "nosuch"], ["EXPERIMENT", "nosuch", "tiny"]),
        (["run", "tiny", "--profile", "fast"], ["--profile", "fast", "quick, default, full"]),
        (["run", "tiny", "--models", "fast,nosuch"], ["--models", "nosuch", "fast, slow"]),
        (["run", "tiny", "--models", ","], ["--models", "fast, slow"]),
        (["run", "tiny", "--placement", "near"], ["--placement", "near", "split, shared"]),
        (["run", "tiny", "--resume", "latest"], ["EXPERIMENT", "tiny", "--resume"]),
        (["plot", "/nosuch"], ["RUN", "/nosuch"]),
        (["report", "nosuch"], ["RUN", "nosuch"]),
        (["report", "latest", "--format", "doc"], ["--format", "doc", "html, md"]),
        (["compare", "a", "b", "--metric", "speed"], ["--metric", "speed", "throughput_rps"]),
    ],
)
def test_bad_input_is_one_line_naming_option_value_and_what_is_allowed(
    bench: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    more = ["--out", str(bench)] if arguments[0] == "run" else []
    assert tenk(*arguments, *more) == errors.EXIT_USAGE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert all(part in complaint for part in parts), complaint
    assert not bench.exists()


@pytest.mark.parametrize("seed", ["-1", "x", "99999999999", "1.5", ""])
def test_a_wrong_seed_is_a_usage_error(bench: Path, seed: str) -> None:
    with pytest.raises(SystemExit) as ended:
        tenk("run", "tiny", f"--seed={seed}", "--out", bench)
    assert ended.value.code == errors.EXIT_USAGE
    assert not bench.exists()


def test_missing_binaries_say_run_make(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build" / "loadgen" / "loadgen").unlink()
    assert run_tiny(bench) == errors.EXIT_FAILURE
    assert "run `make`" in capsys.readouterr().err
    os.environ["TENK_BUILD"] = str(tmp_path / "nothing")
    assert run_tiny(bench) == errors.EXIT_FAILURE
    assert "run `make`" in capsys.readouterr().err
    assert not bench.exists()


def test_a_server_that_answers_wrongly_is_not_timed(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(tmp_path / "build", "wrong", fault="wrong")
    status = tenk("run", "tiny", "--models", "wrong", "--out", bench, "--no-plot")
    assert status == errors.EXIT_FAILURE
    assert "nothing was timed" in capsys.readouterr().err
    assert not bench.exists()


def test_list_shows_models_and_experiments(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(tmp_path / "build", "absent", fault="absent")
    assert tenk("list") == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("fast", "slow", "tiny", "liburing is not installed"))


# --- store ----------------------------------------------------------------------------------------


def record(**changes: Any) -> CellRecord:
    plain: dict[str, Any] = {
        "experiment": "tiny",
        "model": "m",
        "factors": {"connections": 1},
        "replicate": 0,
        "block": 0,
        "order": 0,
        "status": "ok",
        "metrics": {"p99_ns": math.inf},
        "badges": ("saturated",),
    }
    return CellRecord(**{**plain, **changes})


def test_a_cell_survives_the_disk_infinities_included(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"experiment": {"name": "tiny"}})
    run.write(record())
    assert json.loads(run.cell_path(record().id).read_text())["metrics"]["p99_ns"] == "inf"
    assert Run.open(run.path).cells() == [record()]


def test_levels_have_one_spelling_in_file_names() -> None:
    assert store.cell_id("m", {"r": 1000.0}, 1) == store.cell_id("m", {"r": 1000}, 1)
    assert "/" not in store.cell_id("m", {"path": "/bytes/9"}, 0)


def test_a_record_tells_paths_from_the_checkout_only() -> None:
    assert paths.from_root(f"{paths.ROOT}/build/servers/poll") == "build/servers/poll"
    for other in ("-p", "/usr/sbin/nginx", "http://127.0.0.1:80/", str(paths.ROOT)):
        assert paths.from_root(other) == other


def test_leftovers_of_an_interrupted_cell_are_swept(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"experiment": {"name": "tiny"}})
    run.write(record())
    kept = run.cell_path(record().id, ".hgrm")
    for path in (kept, run.cell_path("half", ".hgrm"), run.cell_path(".x.json.tmp", "")):
        path.write_text("x")
    run.sweep()
    assert sorted(p.name for p in (run.path / "cells").iterdir()) == sorted(
        [kept.name, record().id + ".json"]
    )


def test_latest_means_all_runs_of_the_newest_session(tmp_path: Path) -> None:
    for name, session in (("a/20260101T000000Z-x", "1"), ("a/20260102T000000Z-x", "2")):
        Run.create(tmp_path / "vm" / name, {"experiment": {"name": "a"}, "session": session})
    Run.create(
        tmp_path / "vm" / "b" / "20260102T000100Z-x",
        {"experiment": {"name": "b"}, "session": "2"},
    )
    assert [p.parent.name for p in store.find("latest", tmp_path)] == ["a", "b"]
    assert [p.name for p in store.find("a", tmp_path)] == ["20260102T000000Z-x"]


def test_the_reference_run_is_meant_only_where_nothing_else_was_measured(tmp_path: Path) -> None:
    meta = {"experiment": {"name": "a"}, "session": "1"}
    Run.create(tmp_path / "reference" / "a" / "20260103T000000Z-x", meta)
    assert [p.name for p in store.find("latest", tmp_path)] == ["20260103T000000Z-x"]
    Run.create(tmp_path / "vm" / "a" / "20260101T000000Z-x", meta)
    assert [p.name for p in store.find("latest", tmp_path)] == ["20260101T000000Z-x"]
    assert [p.name for p in store.find("a", tmp_path)] == ["20260101T000000Z-x"]


# --- processes and meters -------------------------------------------------------------------------


def test_a_meter_counts_the_cpu_time_of_children_live_and_reaped() -> None:
    found = meter.probe()
    for sources in (found, meter.Sources(None, None)):
        one = meter.Meter(sources)
        burn = "import os,time\nfor i in range(2):\n if os.fork()==0:\n  t=time.process_time()\n"
        burn += (
            "  while time.process_time()-t<0.15: pass\n  os._exit(0) if i==0 else time.sleep(60)\n"
        )
        burn += "os.wait(); time.sleep(0.4); print('x', flush=True); time.sleep(60)"
        with process.Child(
            [sys.executable, "-c", burn], stdout=subprocess.PIPE, join=one.join
        ) as child:
            one.pid = child.pid
            out = child._popen.stdout
            assert out is not None and select.select([out], [], [], 30)[0]
            deadline = time.monotonic() + 30  # the one that lives may still wait for a CPU
            while (used := one.cpu()) and used.total < 0.28 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert used is not None and used.total >= 0.28
            assert used.user + used.system == pytest.approx(used.total, abs=0.03)
            memory = one.user_bytes()
            assert memory is not None and memory > 1 << 20
        one.close()


def test_memory_read_without_a_group_is_the_same_when_a_stranger_runs_the_same_program(
    tmp_path: Path,
) -> None:
    program = str(shutil.copy("/bin/cat", tmp_path / "cat"))
    one = meter.Meter(meter.Sources(None, None))
    with cat(program) as server:
        one.pid = server.pid
        alone, whole = one.user_bytes(), meter.tree_pss(server.pid)
        with cat(program):
            beside, shared = one.user_bytes(), meter.tree_pss(server.pid)
    assert alone and alone == beside
    assert whole and shared and shared < whole  # what is shared of the program did shrink


@contextlib.contextmanager
def cat(program: str) -> Iterator["subprocess.Popen[bytes]"]:
    """It has answered once and waits again: everything it maps is mapped."""
    pipe = subprocess.PIPE
    with subprocess.Popen([program], stdin=pipe, stdout=pipe, bufsize=0) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(b"x\n")
        assert child.stdout.readline() == b"x\n"
        yield child


def test_meters_leave_no_control_group_behind() -> None:
    sources = meter.probe()
    one = meter.Meter(sources)
    groups = [path.parent for path in one.join]
    assert all(group.is_dir() for group in groups)
    one.close()
    assert not any(group.exists() for group in groups)


def test_cpu_stat_and_ticks_are_read() -> None:
    found = meter.parse_cpu_stat("usage_usec 3000000\nuser_usec 1000000\nsystem_usec 2000000\n")
    assert (found.total, found.user, found.system) == (3.0, 1.0, 2.0)
    with pytest.raises(ValueError):
        meter.parse_cpu_stat("nr_periods 0\n")
    assert meter.split_total(2.0, 1, 3).user == 0.5
    assert meter.split_total(2.0, 0, 0).system == 2.0


@pytest.mark.parametrize("source", [syscalls.GROUP, syscalls.TASKS])
def test_system_calls_are_counted_of_the_servers_own_tasks_and_not_of_a_namesake(
    source: str, tmp_path: Path
) -> None:
    try:
        tracepoint = syscalls.probe()
    except syscalls.Unavailable as error:
        pytest.skip(f"system calls cannot be counted here: {error}")
    one = meter.Meter(meter.probe())
    if source == syscalls.GROUP and one.group is None:
        one.close()
        pytest.skip("no control group of version 2 can be made here")
    threads = threading.active_count()
    # Two calls per byte, half of them by a child; it waits until it is told to begin.
    work = "dd if=/dev/zero of=/dev/null bs=1 count=2000 2>/dev/null"
    script = f"echo; read go; {work} & {work}; wait; echo; read end"
    # The namesake does far more of the same, all the time.
    namesake = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    group = one.group

    def join() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text("0")

    with subprocess.Popen(
        namesake, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as busy, subprocess.Popen(["sh", "-c", script], preexec_fn=join, **pipes) as own:
        assert own.stdin is not None and own.stdout is not None
        try:
            own.stdout.readline()
            counter = syscalls.Counter.of(
                tracepoint, group if source == syscalls.GROUP else None, own.pid
            )
            assert counter.source == source
            before = counter.read()
            own.stdin.write(b"\n")
            own.stdin.flush()
            own.stdout.readline()
            assert 8000 <= counter.read() - before < 8000 + 1000
            assert busy.poll() is None
            counter.end()
            counter.close()
        finally:
            busy.kill()
            own.kill()
    one.close()
    assert threading.active_count() == threads


def test_a_server_without_a_ready_line_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "READY_TIMEOUT_S", 0.3)
    path = add_server(tmp_path, "mute", fault="mute")
    with pytest.raises(process.ProcessError, match="no ready line"):
        process.Server([str(path)])
    assert not _running(path)


# --- the real thing -------------------------------------------------------------------------------


@pytest.mark.skipif(not BUILT, reason="servers and load generator are not built")
def test_two_real_models_run_end_to_end_and_draw_their_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    text = EXPERIMENT.replace("seconds = 0.02", "seconds = 0.2").replace("[1, 2]", "[1, 100]")
    text = text.replace("warmup = 0.01", "warmup = 0.5")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(experiment.available, "__defaults__", (folder,))
    monkeypatch.setattr(experiment.load, "__defaults__", (folder,))
    monkeypatch.delenv("TENK_BUILD", raising=False)
    results = tmp_path / "results"
    pair = "blocking,epoll_lt"
    status = tenk("run", "tiny", "--profile", "quick", "--models", pair, "--out", results)
    run = only_run(results)
    cells = run.cells()
    # On a machine that is busy otherwise a cell may rightly be void; none may fail.
    assert status in (errors.EXIT_OK, errors.EXIT_DOUBTFUL)
    assert not [(c.id, c.reason) for c in cells if c.status == "failed"]
    measured = [c for c in cells if c.model == "epoll_lt" and c.usable]
    assert {c.factors["connections"] for c in measured} == {1, 100}
    for c in measured:
        assert c.client["schema"] == "tenk.loadgen/2"
        assert c.metrics["throughput_rps"] > 100
        assert c.metrics["p50_ns"] <= c.metrics["p99_ns"]
        assert c.server["counters"]["requests"] >= c.client["requests"]["completed"]
        assert c.server["cpu"]["total_s"] > 0
        assert c.server["argv"][0] == "build/servers/epoll_lt"
    assert any("user_bytes_per_connection" in c.metrics for c in measured)
    if run.meta["sources"]["syscalls"]:
        # One recv and one send, and a share of an epoll_wait.
        name = "syscalls_per_request"
        calls = [c.metrics[name] for c in measured if name in c.metrics]
        assert calls and all(1.9 < n < 3.2 for n in calls), calls
    assert [
        c.status for c in cells if c.model == "blocking" and c.factors["connections"] == 100
    ] == ["unsupported"]
    assert list((run.path / "figures").glob("*.png"))
    assert tenk("report", run.path) == 0
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page and "epoll_lt" in page
    assert "http://" not in page and "https://" not in page
    assert not children()


@pytest.mark.skipif(not BUILT, reason="servers and load generator are not built")
def test_pilots_give_each_model_rates_past_its_own_capacity(tmp_path: Path) -> None:
    one = experiment.load("load_latency")
    catalogue = models.choose(models.discover(), "blocking")
    request = runner.Request(
        one, one.profiles["quick"], catalogue, 1, "split", tmp_path / "results", "s"
    )
    bench = runner.make_bench(catalogue, paths.loadgen_path(), "split", 1)

    class Quiet:
        def begin(self, title: str, cells: int, seconds: float) -> None:
            ...

        def cell(self, what: str) -> None:
            ...

        def advance(self, record: CellRecord, cells: int, seconds_left: float) -> None:
            ...

        def end(self) -> None:
            ...

    run = runner.start(request, bench, Quiet())
    capacity = run.meta["capacities_rps"]["blocking"]
    rates = [s["factors"]["offered_rps"] for s in run.meta["plan"]]
    assert max(rates) > 1.1 * capacity > 0
    assert {s["load"]["connections"] for s in run.meta["plan"]} == {1}
    assert all(s["badges"] == ("1 connection",) for s in run.meta["plan"])
