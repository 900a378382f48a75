# SPDX-License-Identifier: MIT
"""The anatomy of a request: system calls told by name, from the kernel's records to table, sentence
and figure."""
from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import meta
from test_plots import assert_fits_column

from harness.design import experiment
from harness.design.model import Model
from harness.design.plan import settings
from harness.judge import summary
from harness.measure import callnames, derive, meter
from harness.measure.syscalls import Unavailable
from harness.present import calls, conclusion
from harness.store import CellRecord
from plots.data import load_run
from plots.draw import draw_figure, kinds
from plots.page import COLUMN

ONE = experiment.load("anatomy")
AT_100 = {"connections": 100, "idle": 0}
# Writes so many single bytes, then sleeps so often, then waits to be told to end.
PROGRAM = """
import os, time
out = os.open("/dev/null", os.O_WRONLY)
os.write(1, b"ready\\n")
input()
for _ in range({writes}):
    os.write(out, b"x")
for _ in range({sleeps}):
    time.sleep(0.001)
os.write(1, b"done\\n")
input()
"""


def cell(model: str, by_name: dict[str, float], replicate: int = 0, **more: Any) -> CellRecord:
    metrics = {"syscalls_per_request": sum(by_name.values()), "wakeups_per_request": 0.5}
    fields: dict[str, Any] = {
        "factors": AT_100,
        "status": "ok",
        "metrics": metrics,
        "server": {"syscalls": {"by_name": by_name}},
        **more,
    }
    return CellRecord("anatomy", model, replicate=replicate, block=0, order=0, **fields)


@pytest.fixture
def points() -> callnames.Points:
    try:
        return callnames.probe()
    except Unavailable as error:
        pytest.skip(f"the kernel's tracepoints cannot be had here: {error}")


@pytest.fixture
def group() -> Iterator[meter.Meter]:
    one = meter.Meter(meter.probe())
    try:
        if one.group is None:
            pytest.skip("no control group of version 2 can be made here")
        yield one
    finally:
        one.close()


# --- what the kernel says -------------------------------------------------------------------------


def test_every_call_of_the_group_is_recorded_by_its_name_and_every_sleep(
    points: callnames.Points, group: meter.Meter
) -> None:
    assert group.group is not None
    child = subprocess.Popen(
        ["/usr/bin/python3", "-c", PROGRAM.format(writes=1234, sleeps=56)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    recorder = None
    try:
        assert child.stdout.readline() == b"ready\n"
        for join in group.join:
            join.write_text(str(child.pid), encoding="ascii")
        recorder = callnames.Recorder(points, group.group)
        recorder.start()
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n"
        recorder.pause()
        found = recorder.read()
        # Nothing after the pause.
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.wait()
        assert recorder.read() == found
    finally:
        child.kill()
        child.communicate()
        if recorder is not None:
            recorder.close()
    assert not found.full
    assert found.calls["write"] == 1234 + 1  # and the line that says it is done
    assert found.calls["clock_nanosleep"] == 56
    assert found.switches >= found.sleeps >= 56


def test_the_numbers_of_system_calls_have_names() -> None:
    names = callnames.names()
    if not names:
        pytest.skip("no C compiler")
    assert {"read", "sendto", "recvfrom", "io_uring_enter"} <= set(names.values())
    assert len(set(names.values())) == len(names)


def test_a_full_ring_says_so(
    points: callnames.Points, group: meter.Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert group.group is not None
    monkeypatch.setattr(callnames, "RING_BYTES", 4 * 4096)
    recorder = callnames.Recorder(points, group.group)
    child = os.fork()
    if child == 0:
        for join in group.join:
            join.write_text("0", encoding="ascii")
        while True:
            os.getppid()
    try:
        recorder.start()
        os.kill(child, 0)
        while not recorder.read().full:
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        recorder.close()


# --- what is made of it ---------------------------------------------------------------------------


def test_the_counted_total_is_shared_out_as_the_recorded_calls_are() -> None:
    assert derive.calls_by_name(3.0, {"recvfrom": 50, "sendto": 50, "epoll_wait": 50}) == {
        "recvfrom": 1.0,
        "sendto": 1.0,
        "epoll_wait": 1.0,
    }
    assert not derive.calls_by_name(None, {"recvfrom": 50})
    assert not derive.calls_by_name(3.0, {})


def test_switches_and_sleeps_are_per_reply_of_the_same_time() -> None:
    begin, end = derive.CallSample(0, 0, 100, 0), derive.CallSample(0, 10**8, 1100, 10**8)
    found = derive.switch_metrics(begin, end, 500, 250)
    assert found == {"switches_per_request": 0.5, "wakeups_per_request": 0.25}
    few = derive.CallSample(0, 10**8, 110, 10**8)
    assert not derive.switch_metrics(begin, few, 500, 250)


def test_a_call_that_a_replicate_did_not_make_counts_as_nought_and_rare_ones_are_left_out() -> None:
    cells = [
        cell("m", {"recvfrom": 1.0, "futex": 3.0}, 0),
        cell("m", {"recvfrom": 1.0}, 1),
        cell("m", {"recvfrom": 1.0, "mmap": 0.0001}, 2),
    ]
    (group,) = summary.group(cells, ["m"])
    assert {name: e.value for name, e in group.calls().items()} == {"recvfrom": 1.0}


def test_a_void_cell_says_nothing_of_calls() -> None:
    (group,) = summary.group([cell("m", {"recvfrom": 1.0}, status="void")], ["m"])
    assert not group.calls()


def test_the_table_names_the_calls_most_frequent_first_and_sums_up_the_rest() -> None:
    many = {f"call{i}": 2.0 - i / 10 for i in range(8)}
    groups = summary.group([cell("m", many)], ["m"])
    (table,) = calls.tables(ONE, groups)
    assert table.heading.endswith("100 connections")
    ((name, row),) = table.rows
    assert name == "m"
    assert row[table.columns.index(calls.BY_NAME)].startswith("call0 2.00, call1 1.90")
    assert row[table.columns.index(calls.BY_NAME)].endswith("others 2.70")


def test_the_answer_names_the_reference_the_fewest_and_the_most() -> None:
    found = conclusion.conclude(
        ONE,
        [
            cell("epoll_lt", {"recvfrom": 1.0, "sendto": 1.0}),
            cell("io_uring", {"io_uring_enter": 0.03}),
            cell("posix_aio", {"futex": 18.0}),
        ],
        ["epoll_lt", "io_uring", "posix_aio"],
    )
    (said,) = found.sentences
    assert "At 100 connections a request takes epoll_lt 2.00 system calls" in said
    assert "io_uring 0.03, the fewest" in said and "posix_aio 18.0, the most" in said


def test_models_that_make_as_many_calls_share_the_fewest_and_the_rest_is_counted() -> None:
    names = ["epoll_lt", *"abcde"]
    cells = [cell(name, {"recvfrom": 2.0 if name != "e" else 2.01}) for name in names]
    (said,) = conclusion.conclude(ONE, cells, names).sentences
    assert "a, b, c and 2 more 2.00, the fewest of the others." in said


def test_the_levels_are_one_a_hundred_and_a_hundred_of_ten_thousand() -> None:
    model = Model("m", Path("m"), protocols=("http",))
    for name in ("default", "full"):
        planned = settings(ONE, ONE.profiles[name], [model], {}, max_descriptors=20_000)
        levels = [(s.load.connections, s.load.connections + s.load.idle) for s in planned]
        assert sorted(levels) == [(1, 1), (100, 100), (100, 10_000)]


def test_a_combination_that_is_left_out_must_be_one_of_levels() -> None:
    raw = dict(ONE.raw)
    profiles = {k: dict(v) for k, v in raw["profiles"].items()}
    profiles["full"]["leave_out"] = [{"connections": 7}]
    with pytest.raises(Exception, match="leave_out: connections = 7 is no level"):
        experiment.parse({**raw, "profiles": profiles}, "here")


def test_a_combination_that_is_left_out_is_not_compared_either() -> None:
    levels = {"connections": [1, 100], "idle": [0, 9900]}
    compare = {"default": {"levels": levels, "seconds": 1}}
    found = experiment.parse({**ONE.raw, "compare": compare}, "here").compare.levels["default"]
    met = [(one.factors["connections"], one.factors["idle"]) for one in found]
    assert met == [(1, 0), (100, 0), (100, 9900)]


def test_the_figure_has_a_bar_for_each_model_and_level_and_names_the_families(
    tmp_path: Path,
) -> None:
    cells = [
        cell("epoll_lt", {"recvfrom": 1.0, "sendto": 1.0}),
        cell("fork", {"recvfrom": 1.0, "sendto": 1.0, "futex": 0.2}),
        cell("mine", {"recvfrom": 1.0}),
    ]
    run = tmp_path / "m" / "anatomy" / "run"
    run.mkdir(parents=True)
    names = ["epoll_lt", "fork", "mine"]
    told = meta("anatomy", names)
    told["models"] = {
        "epoll_lt": {"family": "readiness"},
        "fork": {"family": "blocking"},
        "mine": {"family": "own"},
    }
    (run / "run.json").write_text(json.dumps(told), encoding="utf-8")
    text = summary.to_tsv(ONE, summary.group(cells, names))
    assert "syscall:futex" in text
    (run / "summary.tsv").write_text(text, encoding="utf-8")
    results = load_run(run)
    kind = kinds()["anatomy"]
    assert kind.applies(results)
    figure = draw_figure(kind, results)
    told_first = " ".join(figure.texts[0].get_text().split())
    assert told_first.endswith("connections: epoll_lt makes 2, mine 1, fork 2.2")
    column = draw_figure(kind, results, COLUMN)
    assert_fits_column(column)
    assert [len([t for t in axes.get_yticklabels() if t.get_text()]) for axes in column.axes] == [
        3,
        0,
    ]
    found = {text.get_gid() for axes in figure.axes for text in axes.texts}
    assert {"total:epoll_lt", "total:fork", "total:mine"} <= found
    assert {"family:blocking", "family:readiness", "family:own"} <= found
