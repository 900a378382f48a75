# SPDX-License-Identifier: MIT
"""The figure of ratios, from made-up records of what met together and in turns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import write_run
from test_plots import assert_fits_column, assert_readable, gids, notes

from harness import packed
from plots.data import DataError, load_run
from plots.draw import draw_figure, draw_run, kinds
from plots.page import COLUMN

CPU = "server_cpu_us_per_request"
COSTS = {"epoll_et": 1.05, "poll": 1.8, "thread": 1.4, "a_model_with_a_rather_long_name": 12.0}


def ratio(value: float, width: float = 0.03) -> dict[str, float]:
    return {"estimate": value, "lo": value / (1 + width), "hi": value * (1 + width)}


def arrangement(rate: float | None) -> dict[str, Any]:
    return {
        "contenders": [],
        "twin": {CPU: ratio(0.99)},
        "control": {"expected": {CPU: 1.03}, CPU: ratio(1.04)},
        "offered_rps": rate,
    }


def compared(
    path: Path,
    levels: Mapping[int, Mapping[str, float]],
    status: str = "ok",
    how: tuple[str, ...] = ("together", "turns"),
) -> Path:
    """A c10k run in which these models met at these levels."""
    names = list(dict.fromkeys(n for costs in levels.values() for n in costs))
    write_run(path, models=["epoll_lt", *names])
    (path / "duels").mkdir()
    with (path / "summary.tsv").open("a", encoding="utf-8") as out:
        for level, costs in levels.items():
            document = {
                "reference": "epoll_lt",
                "factors": {"connections": level},
                "arrangements": {a: arrangement(18e3 if a == "together" else None) for a in how},
                "unsupported": [{"name": "blocking", "status": "unsupported", "reason": "small"}],
            }
            file = path / "duels" / f"connections={level}.json"
            file.write_text(json.dumps(document), encoding="utf-8")
            for a in how:
                for name, cost in costs.items():
                    r = ratio(cost)
                    fields = [name, level, f"{a}:{CPU}", "ratio", 5, *r.values(), status]
                    row = "\t".join(map(str, [*fields, "", "", "", "it differs from itself"]))
                    out.write(row + "\n")
    return path


def drawn(path: Path) -> Any:
    run = load_run(path)
    assert_fits_column(draw_figure(kinds()["ratios"], run, COLUMN))
    return draw_run(run)["ratios"]


def test_each_model_has_an_interval_for_each_arrangement_and_level_that_it_met_in(
    tmp_path: Path,
) -> None:
    figure = drawn(compared(tmp_path / "run", {100: COSTS, 10000: {"poll": 1.1}}))
    assert_readable(figure)
    few, many = figure.axes
    for a in ("together", "turns"):
        for name, cost in COSTS.items():
            (dot,) = [line for line in few.lines if line.get_gid() == f"ratio:{a}:{name}"]
            assert list(dot.get_xdata()) == [cost]
        assert f"ratio:{a}:poll" in {line.get_gid() for line in many.lines}
        assert f"ratio:{a}:thread" not in {line.get_gid() for line in many.lines}


def test_the_controls_stand_below_all_models_with_what_they_should_be(tmp_path: Path) -> None:
    figure = drawn(compared(tmp_path / "run", {100: COSTS}))
    (axes,) = figure.axes
    at = {line.get_gid(): line for line in axes.lines}
    assert list(at["one"].get_xdata()) == [1.0, 1.0]
    assert list(at["expected:turns"].get_xdata()) == [1.03, 1.03]
    rows = {gid: line.get_ydata()[0] for gid, line in at.items() if str(gid).startswith("ratio:")}
    lowest_model = max(y for gid, y in rows.items() if gid.split(":")[2] in COSTS)
    assert rows["ratio:together:twin"] > lowest_model
    assert rows["ratio:together:control"] > rows["ratio:together:twin"]
    names = {t.get_gid(): t for t in figure.texts if str(t.get_gid()).startswith("label:")}
    order = sorted(COSTS, key=lambda name: COSTS[name])
    heights = [names[f"label:{name}"].get_position()[1] for name in [*order, "twin", "control"]]
    assert heights == sorted(heights, reverse=True)
    assert "18k/s each" in notes(figure) and "blocking" in notes(figure)


@pytest.mark.parametrize("status", ["void", "suspect"])
def test_what_is_not_to_be_believed_is_marked_and_the_note_says_why(
    tmp_path: Path, status: str
) -> None:
    told = notes(drawn(compared(tmp_path / "run", {100: COSTS}, status, ("turns",))))
    assert f"{status}: turns at 100 connections (it differs from itself)" in told
    assert "together" not in told


def test_a_run_that_compared_nothing_has_no_such_figure(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", models=["epoll_lt", "poll"])
    assert "ratios" not in draw_run(load_run(path))


def test_a_packed_run_gives_the_same_figure(tmp_path: Path) -> None:
    path = compared(tmp_path / "run", {100: COSTS})
    before = gids(drawn(path)), load_run(path).meetings
    packed.pack(path)
    assert not (path / "duels").exists()
    after = load_run(path)
    assert (gids(draw_run(after)["ratios"]), after.meetings) == before
    assert math.isclose(after.meetings[0].twin.estimate, 0.99)


def test_a_record_of_a_duel_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = compared(tmp_path / "run", {100: COSTS})
    next((path / "duels").iterdir()).write_text('{"arrangements": {"turns": 1}}', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        draw_run(load_run(path))
    assert "not as agreed" in str(caught.value) and "\n" not in str(caught.value)
