# SPDX-License-Identifier: MIT
"""The numbers of docs/models.md and the figure of the ladder, from runs that are made up; and that
the page shows the committed run."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic_run import meta
from test_plots import assert_fits_column

from harness import cli, errors, store
from harness.design import experiment, selection
from harness.judge import levels, summary
from harness.paths import ROOT
from harness.present import numbers
from harness.store import CellRecord
from plots.data import load_run
from plots.draw import draw_figure, kinds
from plots.mpl import ladder
from plots.page import COLUMN

ONE = experiment.load("models")
CPU = "server_cpu_us_per_request"
COMMITTED = sorted((ROOT / "results" / "reference" / "models").glob("*/run.json"))


def cell(model: str, idle: int, status: str = "ok", **metrics: float) -> CellRecord:
    reason = "serves one connection" if status == "unsupported" else ""
    return CellRecord(
        "models", model, {"idle": idle}, 0, 0, 0, status, metrics=metrics, reason=reason
    )


def duel(**ratios: tuple[float, float, float]) -> dict[str, Any]:
    """A tenk.duel/1 document with these estimates and ends of intervals."""

    def ratio(e: float, lo: float, hi: float) -> dict[str, Any]:
        known = {"se": (hi - lo) / 4, "freedom": 30.0, "samples": 5, "basis": "blocks"}
        return {"estimate": e, "lo": lo, "hi": hi, **known}

    return {
        "schema": store.DUEL_SCHEMA,
        "factors": {"idle": 0},
        "reference": "epoll_lt",
        "arrangements": {
            "together": {
                "contenders": [
                    {"name": name, "ratio": {CPU: ratio(*v)}, "value": {}, "samples": 5}
                    for name, v in {"epoll_lt": (1.0, 1.0, 1.0), **ratios}.items()
                ],
                "twin": {CPU: ratio(1.0, 0.99, 1.01)},
                "control": {CPU: ratio(1.03, 1.02, 1.04), "expected": {CPU: 1.03}},
                "resolution": {CPU: 0.004},
            }
        },
        "agree": {},
        "unsupported": [{"name": "blocking", "status": "unsupported", "reason": "one only"}],
        "verdict": {"status": "valid", "reasons": []},
        "seconds": 10.0,
    }


CELLS = [
    cell("blocking", 0, "unsupported"),
    cell("epoll_lt", 0, server_cpu_us_per_request=10.0),
    cell("epoll_lt", 900, user_bytes_per_connection=150.0),
    cell("epoll_lt", 9900, user_bytes_per_connection=110.0, kernel_bytes_per_connection=6144.0),
    cell("select", 0, server_cpu_us_per_request=12.0),
    cell("select", 900, user_bytes_per_connection=100.0),
    cell("select", 9900, "unsupported"),
]
FAMILIES = {"blocking": "blocking", "epoll_lt": "readiness", "select": "readiness"}


def rows() -> dict[str, list[str]]:
    groups = summary.group(CELLS, list(FAMILIES))
    met = levels.read_all([duel(select=(1.2, 1.19, 1.21))])
    lines = numbers.table(ONE, groups, met, FAMILIES)
    split = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in split}


def test_a_row_has_the_cost_the_ratio_with_its_interval_and_the_memory() -> None:
    assert rows()["epoll_lt"] == ["readiness", "10.0 µs", "1", "110 B", "6.00 KiB"]
    family, cost, ratio, *_ = rows()["select"]
    assert (family, cost) == ("readiness", "12.0 µs")
    assert ratio.startswith("+20.0 ±")


def test_memory_is_of_the_most_connections_that_a_model_serves_and_says_which_these_are() -> None:
    assert rows()["select"][3:] == ["100 B (900 idle)", "–"]


def test_a_model_that_was_not_measured_has_its_reason() -> None:
    assert rows()["blocking"][1:] == ["serves one connection", "", "", ""]


def test_the_notes_tell_of_machine_load_controls_and_who_is_missing() -> None:
    told = {**meta("models", list(FAMILIES)), "profile": "default"}
    told["host"] = {**told["host"], "virtual": True}
    met = levels.read_all([duel(select=(1.2, 1.19, 1.21))])
    said = " ".join(numbers.notes(ONE, told, met, summary.group(CELLS, list(FAMILIES))))
    assert "Synthetic CPU" in said and "15000 requests/s over 100 connections" in said
    assert "epoll_lt against itself" in said and "a known cost of 3.0 % found as" in said
    assert "`blocking` (unsupported: one only)" in said


def test_who_is_in_doubt_is_told_by_status_with_the_reasons() -> None:
    def doubtful(model: str, status: str, *codes: str) -> CellRecord:
        reasons = [{"code": code, "text": ""} for code in codes]
        one = cell(model, 900, status, user_bytes_per_connection=1.0)
        return replace(one, client={"verdict": {"reasons": reasons}})

    cells = [
        *CELLS,
        doubtful("fork", "suspect", "steal", "littles-law"),
        doubtful("poll", "suspect", "steal"),
        doubtful("thread", "client-limited", "client-limited"),
    ]
    told = {**meta("models", list(FAMILIES)), "profile": "default"}
    names = list(dict.fromkeys(one.model for one in cells))
    said = numbers.notes(ONE, told, [], summary.group(cells, names))
    assert said[-2:] == [
        "At some level client-limited: `thread`.",
        "At some level suspect (littles-law, steal): `fork`, `poll`.",
    ]


def test_only_a_run_of_models_has_these_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    document = {
        **meta("c10k", ["poll"]),
        "experiment": experiment.load("c10k").raw,
        "plan": [],
        "binaries": {},
        "session": "s",
    }
    (run / "run.json").write_text(json.dumps(document), encoding="utf-8")
    assert cli.main(["list", "--numbers", str(run)]) != errors.EXIT_OK
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not COMMITTED, reason="no run of the experiment models is committed")
def test_the_page_shows_the_committed_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--numbers", str(COMMITTED[-1].parent)]) == errors.EXIT_OK
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out in text, "docs/models.md is behind the run: make models-table"


def test_the_page_has_room_for_the_numbers() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    begin, end = text.index("<!-- numbers:"), text.index("<!-- end of numbers -->")
    assert begin < end


# --- the ladder -----------------------------------------------------------------------------------


def ladder_run(folder: Path, ratios: dict[str, tuple[float, float, float]]) -> Path:
    run = folder / "m" / "models" / "run"
    run.mkdir(parents=True)
    names = ["epoll_lt", *ratios]
    told = {**meta("models", names), "sets": {k: list(v) for k, v in selection.sets().items()}}
    (run / "run.json").write_text(json.dumps(told), encoding="utf-8")
    cells = [cell(name, 0, server_cpu_us_per_request=10.0) for name in names]
    met = duel(**ratios)
    (run / "duels").mkdir()
    (run / "duels" / "idle=0.json").write_text(json.dumps(met), encoding="utf-8")
    text = summary.to_tsv(ONE, summary.group(cells, names), levels.read_all([met]))
    (run / "summary.tsv").write_text(text, encoding="utf-8")
    return run


def test_the_ladder_shows_its_rungs_in_their_order_and_one_far_away_as_an_arrow(
    tmp_path: Path,
) -> None:
    ratios = {
        "io_uring_sqpoll": (6.0, 5.9, 6.1),
        "io_uring_defer": (1.02, 1.01, 1.03),
        "io_uring": (1.05, 1.04, 1.06),
        "libev": (1.1, 1.09, 1.11),
    }
    run = load_run(ladder_run(tmp_path, ratios))
    kind = kinds()["ladder"]
    assert kind.applies(run)
    figure = draw_figure(kind, run)
    assert_fits_column(draw_figure(kind, run, COLUMN))
    (axes,) = figure.axes
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == ["epoll_lt", "io_uring", "io_uring_defer", "io_uring_sqpoll"]
    title = " ".join(figure.texts[0].get_text().split())
    assert title == "A request costs 3 of 3 rungs more than epoll_lt"
    texts = [text.get_text() for text in axes.texts]
    assert "6 times →" in texts and any(text.startswith("+5.0 ±") for text in texts)


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        ("--+", "costs 2 of 3 rungs less than io_uring, 1 more"),
        ("-?", "costs 1 of 2 rungs less than io_uring; of 1 it cannot be told"),
        ("+", "costs 1 of 1 rungs more than io_uring"),
        ("??", "costs no rung less or more than io_uring that can be told"),
    ],
)
def test_the_title_of_the_ladder_counts_what_there_is(signs: str, said: str) -> None:
    ends = {"-": (0.8, 0.9), "+": (1.1, 1.2), "?": (0.9, 1.1)}
    points = [SimpleNamespace(lo=ends[sign][0], hi=ends[sign][1]) for sign in signs]
    panels: Any = {("together", (("connections", "100"),)): points}
    assert ladder.title("io_uring", panels) == f"At 100 connections a request {said}"


def test_two_rungs_make_no_ladder(tmp_path: Path) -> None:
    ratios = {"io_uring": (1.05, 1.04, 1.06), "libev": (1.1, 1.09, 1.11), "poll": (2.0, 1.9, 2.1)}
    assert not kinds()["ladder"].applies(load_run(ladder_run(tmp_path, ratios)))
