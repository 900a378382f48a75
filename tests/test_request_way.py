# SPDX-License-Identifier: MIT
"""One request's way: from the client's times and the server's context switches to parts, metrics and
figure."""
from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import meta
from test_plots import assert_fits_column

from harness import errors
from harness.design import experiment
from harness.design.load import Load
from harness.design.metrics import METRICS, WAY_PARTS, WAY_SUM
from harness.judge import summary
from harness.measure import way
from harness.paths import ROOT
from harness.store import CellRecord
from plots.data import load_run
from plots.draw import draw_figure, kinds
from plots.page import COLUMN

ONE = experiment.load("request_way")
AWAY, BACK = True, False
HEAD = "connection,number,intended_ns,sent_ns,departed_ns,arrived_ns,received_ns\n"


def requests(*rows: Sequence[int]) -> way.Requests:
    table = np.array(rows, np.int64)
    return way.Requests(*(table[:, n] for n in range(5)))


def times(found: way.OnCpu) -> list[tuple[int, int]]:
    return list(zip(found.begins.tolist(), found.ends.tolist()))


def test_a_server_has_a_cpu_from_a_switch_to_it_until_one_away() -> None:
    found = way.on_cpu([([10, 20, 50, 60], [BACK, AWAY, BACK, AWAY])])
    assert times(found) == [(10, 20), (50, 60)]


def test_tasks_on_two_cpus_are_one_server() -> None:
    found = way.on_cpu(
        [([10, 30], [BACK, AWAY]), ([20, 40], [BACK, AWAY]), ([40, 45], [BACK, AWAY])]
    )
    assert times(found) == [(10, 45)]


def test_a_server_may_run_before_the_first_record_and_after_the_last() -> None:
    (before, after) = times(way.on_cpu([([20, 50], [AWAY, BACK])]))
    assert before == (0, 20) and after[0] == 50 and after[1] > 10**18


def test_a_server_that_is_never_switched_to_has_no_cpu() -> None:
    assert times(way.on_cpu([([], []), ([], [])])) == []


def test_the_parts_of_a_request_lie_between_its_moments() -> None:
    server = way.on_cpu([([30, 70], [BACK, AWAY])])
    found = way.parts(requests((1, 3, 10, 60, 100)), server)
    assert [found[name].tolist() for name in WAY_PARTS] == [[2], [7], [20], [30], [40]]
    assert found[WAY_SUM].tolist() == [99]


def test_a_server_that_runs_already_is_not_woken() -> None:
    found = way.parts(requests((0, 3, 10, 60, 100)), way.on_cpu([([5, 70], [BACK, AWAY])]))
    assert found["way_wake_ns"].tolist() == [0] and found["way_work_ns"].tolist() == [50]


@pytest.mark.parametrize(
    "row", [(0, 3, 0, 60, 100), (0, 3, 10, 0, 100)], ids=["no departure", "no arrival"]
)
def test_a_request_without_a_stamp_is_not_split(row: tuple[int, ...]) -> None:
    server = way.on_cpu([([30, 70], [BACK, AWAY])])
    assert len(way.parts(requests(row), server)[WAY_SUM]) == 0


def test_a_reply_that_came_before_any_switch_is_not_explained() -> None:
    server = way.on_cpu([([65, 70], [BACK, AWAY])])
    assert len(way.parts(requests((0, 3, 10, 60, 100)), server)[WAY_SUM]) == 0


def run_of(count: int, slow: int = 0) -> tuple[way.Requests, way.OnCpu, dict[str, Any]]:
    """Requests of 100 ns each, `slow` of them of 10,100, woken after 20 ns of departure; and a load
    generator's report that agrees."""
    rows, switches = [], []
    for n in range(count):
        at, more = 100_000 * (n + 1), 10_000 if n < slow else 0
        rows.append((at, at + 5, at + 15, at + 65, at + 100 + more))
        switches += [at + 35, at + 80]
    mean = 100 + 10_000 * slow / count
    report = {"latency_ns": {"response": {"mean_finite": mean}}}
    return requests(*rows), way.on_cpu([(switches, [BACK, AWAY] * count)]), report


def test_the_metrics_are_of_the_middle_half_and_add_up() -> None:
    found = way.metrics(*run_of(400, slow=90))
    assert found == {
        "way_late_ns": 5,
        "way_send_ns": 10,
        "way_wake_ns": 20,
        "way_work_ns": 30,
        "way_client_ns": 35,
        "way_ns": 100,
    }
    assert sum(found[name] for name in WAY_PARTS) == pytest.approx(found[WAY_SUM])
    assert set(found) <= set(METRICS)


def test_rows_that_are_not_what_the_load_generator_counted_say_nothing() -> None:
    rows, server, report = run_of(400)
    report["latency_ns"]["response"]["mean_finite"] = 102.0
    with pytest.raises(way.Unknown, match="mean of 100 ns, the load generator says 102"):
        way.metrics(rows, server, report)


def test_too_few_requests_or_too_few_explained_ones_say_nothing() -> None:
    with pytest.raises(way.Unknown, match="99 requests; 100 needed"):
        way.metrics(*run_of(99))
    rows, server, report = run_of(400)
    with pytest.raises(way.Unknown, match="of 75% of the requests is known"):
        way.metrics(rows, way.OnCpu(server.begins[100:], server.ends[100:]), report)


def test_what_the_load_generator_left_empty_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "way.csv"
    path.write_text(f"{HEAD}0,7,1,2,,4,5\n", encoding="ascii")
    found = way.read(path)
    assert (found.departed.tolist(), found.received.tolist()) == ([0], [5])


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", f"{HEAD}0,7,x,2,,4,5\n"])
def test_a_file_that_is_no_such_table_is_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "way.csv"
    path.write_text(text, encoding="ascii")
    with pytest.raises(way.Unknown, match="the load generator's file"):
        way.read(path)


def test_the_kernel_says_when_a_process_had_a_cpu() -> None:
    """A child that waits for us, and is woken: it has a CPU after that, and not before."""
    try:
        recorder = way.Recorder()
    except way.Unknown as why:
        pytest.skip(str(why))
    program = "import sys\nfor _ in sys.stdin:\n    print('x', flush=True)\n"
    argv = ["/usr/bin/python3", "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None and child.stdout is not None

        def ask() -> tuple[int, int]:
            assert child.stdin is not None and child.stdout is not None
            before = time.monotonic_ns()
            child.stdin.write(b"\n")
            assert child.stdout.readline() == b"x\n"
            return before, time.monotonic_ns()

        ask()  # it is there
        recorder.start()
        asked = [ask() for _ in range(20)]
        recorder.pause()
        server, nobody = recorder.of({child.pid}), recorder.of({2**31 - 1})
        recorder.close()
        child.stdin.close()
    assert times(nobody) == []
    for before, after in asked:
        assert any(begin < after and end > before for begin, end in times(server)), "it had a CPU"


@pytest.mark.parametrize(
    ("load", "complaint"),
    [
        (Load(stamps="way", pipeline=2), "stamps = 'way'; it needs pipeline = 1, not 2"),
        (Load(stamps="hardware"), "stamps = 'hardware'; allowed: none, kernel, way"),
    ],
)
def test_a_load_whose_way_cannot_be_told_is_refused(load: Load, complaint: str) -> None:
    assert load.problem() == complaint


def test_the_figure_shows_each_part_of_each_model_and_says_what_was_found(tmp_path: Path) -> None:
    names = ["epoll_lt", "poll"]
    cells = [
        CellRecord(
            "request_way",
            name,
            factors={"offered_rps": rate, "stamps": stamps},
            replicate=0,
            block=0,
            order=0,
            status="suspect" if name == "poll" and rate == 8000 else "ok",
            reason="lag: late" if name == "poll" and rate == 8000 else "",
            metrics=(
                {**dict.fromkeys(WAY_PARTS, 10_000.0), "way_work_ns": work, WAY_SUM: 40_000 + work}
                if stamps == "way"
                else {"p50_ns": 65_000.0}
            ),
        )
        for name, work in zip(names, (25_000.0, 50_000.0))
        for rate in (500.0, 2000.0, 8000.0)
        for stamps in ("way", "none")
    ]
    folder = tmp_path / "m" / "request_way" / "run"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(meta("request_way", names)), encoding="utf-8")
    text = summary.to_tsv(ONE, summary.group(cells, names))
    (folder / "summary.tsv").write_text(text, encoding="utf-8")
    run, kind = load_run(folder), kinds()["request_way"]
    assert kind.applies(run)
    figure = draw_figure(kind, run)
    assert_fits_column(draw_figure(kind, run, COLUMN))
    totals = [t for axes in figure.axes for t in axes.texts if str(t.get_gid())[:6] == "total:"]
    # A column for each rate; without a record of it there is no bar.
    assert [t.get_text() for t in totals] == ["65", "90"] * 3
    said = " ".join(t.get_text() for t in figure.texts)
    assert "At 2k/s a request takes epoll_lt 65 µs, of which it works 25 µs" in said
    assert "In doubt, suspect: poll at 8k." in [note.text for note in figure.footnotes]


def test_a_run_that_split_no_request_has_no_such_figure(tmp_path: Path) -> None:
    cells = [
        CellRecord(
            "request_way",
            "poll",
            factors={"offered_rps": 500.0, "stamps": "none"},
            replicate=0,
            block=0,
            order=0,
            status="ok",
            metrics={"p50_ns": 65_000.0},
        )
    ]
    (tmp_path / "run.json").write_text(json.dumps(meta("request_way", ["poll"])), encoding="utf-8")
    text = summary.to_tsv(ONE, summary.group(cells, ["poll"]))
    (tmp_path / "summary.tsv").write_text(text, encoding="utf-8")
    assert not kinds()["request_way"].applies(load_run(tmp_path))


def test_the_cells_of_a_real_model_have_a_way_that_adds_up(tmp_path: Path) -> None:
    try:
        way.Recorder().close()
    except way.Unknown as why:
        pytest.skip(str(why))
    # Beside other programs a cell may rightly be in doubt, and one that hardly got a CPU has too few
    # requests to say anything: then once more.
    for attempt in range(3):
        out = tmp_path / str(attempt)
        told = subprocess.run(
            ["harness/tenk", "run", "request_way", "--profile", "quick", "--models", "epoll_lt"]
            + ["--out", str(out)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert told.returncode in (errors.EXIT_OK, errors.EXIT_DOUBTFUL), told.stderr
        cells = [json.loads(path.read_text()) for path in out.glob("*/*/*/cells/*.json")]
        found = {cell["factors"]["stamps"]: cell for cell in cells}
        unknown = found["way"]["server"]["way"]["unknown"]
        if not unknown.endswith(f"requests; {way.LEAST_REQUESTS} needed"):
            break
    assert unknown == ""
    metrics = found["way"]["metrics"]
    assert metrics[WAY_SUM] == pytest.approx(sum(metrics[name] for name in WAY_PARTS))
    assert min(metrics[name] for name in ("way_send_ns", "way_work_ns", "way_client_ns")) > 0
    assert metrics["arrival_p50_ns"] <= metrics["service_p50_ns"]
    # What nobody asked for is not there, and nothing is left of the rows.
    assert not {*WAY_PARTS, WAY_SUM, "arrival_p50_ns"} & found["none"]["metrics"].keys()
    assert not list(tmp_path.rglob("*.tmp"))
