# SPDX-License-Identifier: MIT
"""Runs that do not end as they should: nothing wrong is kept, nothing right is lost, one line says
why."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from harness_fakes import EXPERIMENT, add_loadgen, add_server

from harness import cli, errors, paths, store
from harness.design import experiment
from harness.measure import accounts, host, process, runner
from harness.store import Run

LAUNCH = (
    "import sys; from harness import cli; from harness.design import experiment, guest; from pathlib import Path;"
    "folder = (Path(sys.argv.pop(1)),); guest.GUESTS = folder[0] / 'guests';"
    "experiment.available.__defaults__ = experiment.load.__defaults__ = folder;"
    "experiment.textbook_claims.__defaults__ = folder;"
    "sys.exit(cli.main(sys.argv[1:]))"
)


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
    return tmp_path / "results"


def run_tiny(results: Path, *more: object) -> int:
    names = () if "--resume" in more else ("tiny", "--profile", "quick")
    arguments = ["run", *names, *more, "--out", results, "--no-check", "--no-plot"]
    return cli.main([str(a) for a in arguments])


def launch(results: Path, *arguments: object) -> list[str]:
    """The command line of a tenk of its own that knows the tiny experiment, and no guest: to ask
    them all starts a dozen runtimes."""
    folder = results.parent / "experiments"
    return [sys.executable, "-c", LAUNCH, str(folder), *map(str, arguments)]


def only_run(results: Path) -> Run:
    (found,) = store.all_runs(results)
    return Run.open(found, whole=True)


# --- standard output ------------------------------------------------------------------------------

COMMANDS: Sequence[Sequence[str]] = (
    ["list"],
    ["run", "--help"],
    ["run", "tiny"],
    ["check", "--cases"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_output_that_nobody_reads_is_no_success(bench: Path, command: Sequence[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    more = ["--out", str(bench), "--no-check"] if command == ["run", "tiny"] else []
    done = subprocess.run(
        launch(bench, *command, *more),
        cwd=paths.ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.returncode == errors.EXIT_NO_READER
    assert done.stderr.count("\n") == 1 and "the reader is gone" in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written_is_a_failure(bench: Path, command: Sequence[str]) -> None:
    more = ["--out", str(bench), "--no-check"] if command == ["run", "tiny"] else []
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            launch(bench, *command, *more),
            cwd=paths.ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == errors.EXIT_FAILURE
    assert done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


def test_results_of_a_check_that_cannot_be_written_name_the_file(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(bench.parent / "build", "mute", fault="garbled")
    assert cli.main(["check", "mute", "--json", "/dev/full"]) == errors.EXIT_FAILURE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "--json: '/dev/full'" in complaint and "No space left on device" in complaint
    assert Path("/dev/full").is_char_device()


def test_a_device_that_is_written_to_stays_a_device(tmp_path: Path) -> None:
    """Renaming a file over /dev/null is something that root can do."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    store.write_atomically(pipe, "text\n")
    assert pipe.is_fifo() and os.read(reading, 100) == b"text\n"
    os.close(reading)
    link = tmp_path / "link"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left.*link"):
        store.write_atomically(link, "text\n")
    assert link.is_char_device()
    assert sorted(tmp_path.iterdir()) == [link, pipe]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_standard_stream_is_never_another_file(bench: Path, number: int) -> None:
    done = subprocess.run(
        launch(bench, "list"),
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.close(number),
        timeout=60,
        check=False,
    )
    assert done.returncode == (errors.EXIT_FAILURE if number == 1 else errors.EXIT_OK)
    assert "Traceback" not in done.stderr
    assert number != 1 or done.stderr.count("\n") == 1


def test_a_locale_without_our_characters_shows_question_marks(bench: Path) -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = ["run", "tiny", "--profile", "quick", "--out", bench, "--no-check", "--no-plot"]
    done = subprocess.run(
        launch(bench, *arguments),
        cwd=paths.ROOT,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == errors.EXIT_OK, done.stderr
    assert done.stdout.isascii() and b"connections ?" in done.stdout


def test_a_run_whose_reader_leaves_stops_and_can_be_resumed(bench: Path) -> None:
    folder = bench.parent / "experiments"
    text = EXPERIMENT.replace("seconds = 0.02", "seconds = 0.3", 1)
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    arguments = ["run", "tiny", "--profile", "quick", "--out", bench, "--no-check", "--no-plot"]
    with subprocess.Popen(
        launch(bench, *arguments),
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert "measuring tiny" in child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()
        status = child.wait(60)
    assert status == errors.EXIT_NO_READER, said
    assert said.count("\n") == 1 and "Traceback" not in said
    for path in store.all_runs(bench):
        assert f"--resume {path}" in said or Run.open(path).meta["complete"]
        if not Run.open(path).meta["complete"]:
            assert run_tiny(bench, "--resume", path) == errors.EXIT_OK
        assert len(Run.open(path).cells()) == 12


# --- what the machine lacked is not the server's fault --------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("disk-full", "No space left on device"),
        ("killed", "load generator: killed (signal 9)"),
        ("lost-report", "its report was lost"),
    ],
)
def test_a_client_that_the_machine_fails_stops_the_run_and_its_cell_is_measured_again(
    bench: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    said: str,
) -> None:
    monkeypatch.setenv("FAKE_LOADGEN", fault)
    assert run_tiny(bench) == errors.EXIT_FAILURE
    complaint = capsys.readouterr().err
    run = only_run(bench)
    assert complaint.count("\n") == 1 and said in complaint and f"--resume {run.path}" in complaint
    assert not run.meta["complete"] and not run.cells()
    assert not list((run.path / "cells").iterdir())
    monkeypatch.delenv("FAKE_LOADGEN")
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_OK
    assert {c.status for c in only_run(bench).cells()} == {"ok"}


@pytest.mark.parametrize("fault", ["killed", "no-threads"])
def test_a_server_that_the_machine_ends_is_not_recorded_as_failed(
    bench: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    add_server(bench.parent / "build", "victim", fault=fault)
    assert run_tiny(bench, "--models", "victim") == errors.EXIT_FAILURE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "victim connections=" in complaint
    assert not only_run(bench).cells()


def test_a_server_that_cannot_run_here_says_so_and_is_unsupported(bench: Path) -> None:
    add_server(bench.parent / "build", "modern", fault="cannot-run")
    assert run_tiny(bench, "--models", "fast,modern") == errors.EXIT_OK
    found = {(c.status, c.reason) for c in only_run(bench).cells() if c.model == "modern"}
    assert found == {("unsupported", "io_uring is switched off here")}


def test_a_harness_without_descriptors_stops_in_one_line(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_left() -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(process.tempfile, "TemporaryFile", none_left)
    assert run_tiny(bench) == errors.EXIT_FAILURE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "Too many open files" in complaint
    assert not only_run(bench).cells()


def _may_mount() -> bool:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="a small file system needs the right to mount one")
def test_a_disk_that_fills_up_loses_no_cell_and_fails_none(bench: Path) -> None:
    bench.mkdir()
    arguments = ["--out", str(bench), "--no-check", "--no-plot"]
    first = launch(bench, "run", "tiny", "--profile", "quick", *arguments)
    # The record of a cell is a page or two: some fit, not all.
    script = """
mount -t tmpfs -o size=64k none "$0" || exit 9
"$@" 2> first.err; echo $? > first.status
ls "$0"/*/*/*/cells | grep -c json$ > first.cells
mount -o remount,size=16m "$0" || exit 9
"""
    again = launch(bench, "run", "--resume", "latest", *arguments)
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in again)
    script += f'{quoted} 2> second.err; echo $? > second.status; cp -r "$0" kept\n'
    work = bench.parent
    env = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
    subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(bench), *first],
        cwd=work,
        env=env,
        stdout=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
    complaint = (work / "first.err").read_text(encoding="utf-8")
    assert (work / "first.status").read_text().strip() == str(errors.EXIT_FAILURE), complaint
    assert complaint.count("\n") == 1 and "No space left on device" in complaint, complaint
    assert 0 < int((work / "first.cells").read_text()) < 12
    assert (work / "second.status").read_text().strip() == "0", (work / "second.err").read_text()
    cells = only_run(work / "kept").cells()
    assert len(cells) == 12 and {c.status for c in cells} == {"ok"}


# --- a load generator whose parts do not add up ---------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("stopped", "its window was 0 s"),
        ("cut-short", "it was cut short"),
        ("lost-requests", "100 requests were sent, but 60 ended"),
    ],
)
def test_a_report_that_cannot_be_true_is_a_failed_cell_and_never_ok(
    bench: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    monkeypatch.setenv("FAKE_LOADGEN", fault)
    assert run_tiny(bench) == errors.EXIT_DOUBTFUL
    cells = only_run(bench).cells()
    assert {c.status for c in cells} == {"failed"} and not any(c.metrics for c in cells)
    assert all(said in c.reason for c in cells)


def test_a_report_whose_parts_add_up_is_believed_and_an_idle_one_is_not() -> None:
    requests = {"sent": 9, "completed": 5, "unanswered": 3, "failed": 1, "unsent": 4}
    report = {
        "complete": True,
        "window_s": 0.5,
        "requests": requests,
        "rate_rps": {"achieved": 10.0},
        "verdict": {"status": "suspect"},
    }
    assert accounts.contradiction(report, 0.5) == ""
    assert "window" in accounts.contradiction(report, 0.6)
    idle = {"requests": dict.fromkeys(requests, 0), "verdict": {"status": "valid"}}
    assert "no request was completed" in accounts.contradiction(idle, 0.5)
    assert accounts.contradiction({**idle, "verdict": {"status": "void"}}, 0.5) == ""
    assert "at a rate of 0" in accounts.contradiction(
        {**report, "rate_rps": {"achieved": 0.0}}, 0.5
    )
    assert accounts.contradiction({}, 0.5) == ""


# --- one run, one process, one set of conditions --------------------------------------------------


def test_two_runs_of_one_second_have_a_directory_each(tmp_path: Path) -> None:
    meta = {"experiment": {"name": "tiny"}}
    runs = [Run.create(tmp_path / "20260101T000000Z-x", meta) for _ in range(3)]
    assert [run.path.name[18:] for run in runs] == ["", "-2", "-3"]
    assert all((run.path / "run.json").exists() for run in runs)


def test_a_run_that_is_being_measured_is_not_resumed_and_the_lock_ends_with_its_holder(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == errors.EXIT_OK
    run = only_run(bench)
    run.update(complete=False)
    run.cell_path(run.cells()[0].id).unlink()
    code = (
        "import sys, pathlib; from harness.store import Run\n"
        "run = Run.open(pathlib.Path(sys.argv[1])); run.lock(); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], cwd=paths.ROOT, **pipes
    ) as other:
        assert other.stdout is not None and other.stdout.readline()
        capsys.readouterr()
        assert run_tiny(bench, "--resume", run.path) == errors.EXIT_FAILURE
        assert f"process {other.pid} is measuring it" in capsys.readouterr().err
        other.kill()
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_OK
    assert not (run.path / store.LOCK).exists()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs to take one away")
def test_a_run_is_not_resumed_on_other_cpus(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(bench) == errors.EXIT_OK
    run = only_run(bench)
    run.update(complete=False)
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        assert run_tiny(bench, "--resume", run.path) == errors.EXIT_USAGE
    finally:
        os.sched_setaffinity(0, everywhere)
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "placement name: split then, shared now" in complaint
    after = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    assert {p: t for p, t in after.items() if p.is_file()} == {
        p: t for p, t in before.items() if p.is_file()
    }


@pytest.mark.parametrize(
    ("where", "key", "then"),
    [
        ("host", "kernel", "5.10"),
        ("host", "machine", "elsewhere"),
        ("host", "descriptor_limit", 1024),
        ("host", "netdev_max_backlog", "7"),
        ("host", "mitigations", {}),
        ("sources", "cpu", "/proc/PID/stat or so"),
        ("placement", "server_cpus", [99]),
        ("binaries", "loadgen", "0123456789abcdef"),
    ],
)
def test_a_run_is_not_resumed_under_other_conditions_and_the_difference_is_named(
    bench: Path, capsys: pytest.CaptureFixture[str], where: str, key: str, then: object
) -> None:
    assert run_tiny(bench, "--models", "fast") == errors.EXIT_OK
    run = only_run(bench)
    run.update(complete=False, **{where: {**run.meta[where], key: then}})
    assert run_tiny(bench, "--resume", run.path) == errors.EXIT_USAGE
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and key in complaint and "then" in complaint


def test_nothing_of_a_run_that_began_just_now_is_different(bench: Path) -> None:
    assert run_tiny(bench, "--models", "fast") == errors.EXIT_OK
    run = only_run(bench)
    made = runner.make_bench([], paths.loadgen_path(), "split", 1)
    now = {**runner.surroundings(made, "split"), "binaries": {}}
    assert runner.differences(run.meta, now) == []


# --- models that cannot run -----------------------------------------------------------------------


def test_a_run_of_no_model_that_can_run_here_is_a_failure_and_nothing_answers_correctly(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_server(bench.parent / "build", "absent", fault="absent")
    arguments = ["run", "tiny", "--models", "absent", "--out", str(bench)]
    assert cli.main(arguments) == errors.EXIT_FAILURE
    said = capsys.readouterr()
    assert "answers correctly" not in said.out
    assert "absent: liburing is not installed" in said.err and said.err.count("\n") == 1
    assert not bench.exists()


# --- what is read of the whole machine ------------------------------------------------------------


def test_packets_dropped_on_the_machine_are_summed_over_its_cpus(tmp_path: Path) -> None:
    table = tmp_path / "softnet_stat"
    table.write_text("0000ffff 0000000a 00000001\n00000001 00000010 00000000\n")
    assert host.softnet_dropped(table) == 26
    table.write_text("nothing of the kind\n")
    assert host.softnet_dropped(table) is None
    assert host.grown({"a": 1.0, "b": None, "c": 2.0}, {"a": 4.0, "b": 1.0}) == {
        "a": 3.0,
        "b": None,
        "c": None,
    }


def test_every_cell_says_what_happened_on_the_whole_machine_and_that_it_is_that(
    bench: Path,
) -> None:
    assert run_tiny(bench, "--models", "fast") == errors.EXIT_OK
    for cell in only_run(bench).cells():
        document = json.loads(only_run(bench).cell_path(cell.id).read_text(encoding="utf-8"))
        assert "whole machine" in document["machine"]["scope"]
        assert "softnet_dropped_packets" in document["machine"]
        assert "softnet" not in json.dumps(document["server"])


# --- processes ------------------------------------------------------------------------------------


def test_a_task_that_ends_while_the_tree_is_read_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.listdir

    def with_one_gone(path: str) -> list[str]:
        return ["999999999", *real(path)] if path.endswith("/task") else real(path)

    with subprocess.Popen(["sleep", "60"]) as child:
        monkeypatch.setattr(process.os, "listdir", with_one_gone)
        assert child.pid in process.tree(os.getpid())
        child.kill()


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("ready model=poll port=80 pid=7", True),
        ("ready model=poll port=80", False),
        ("ready model=poll port=٣ pid=7", False),
        ("ready model=poll port=65536 pid=7", False),
        ("already port=80 pid=7", False),
        ("", False),
    ],
)
def test_a_ready_line_is_read_in_one_way(line: str, right: bool) -> None:
    if right:
        assert process.parse_ready(line)["port"] == "80"
    else:
        with pytest.raises(ValueError, match="not a ready line"):
            process.parse_ready(line)
