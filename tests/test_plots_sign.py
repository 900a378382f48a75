# SPDX-License-Identifier: MIT
"""The heat map of signs, from made-up records: what is told, what cannot be, and what is void."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import COLUMNS, meta
from test_plots import assert_fits_column, assert_readable, gids, notes

from plots.data import load_run
from plots.draw import MOST_SLICES, draw_run
from plots.page import COLUMN, provenance

CPU = "server_cpu_us_per_request"
FACTORS: dict[str, Sequence[object]] = {
    "placement": ("split", "shared"),
    "size": (64, 16384),
    "connections": (1, 100),
    "pipeline": (1, 16),
}
CONTENDERS = ("io_uring", "io_uring_defer", "io_uring_multishot", "io_uring_poll")
Level = tuple[object, ...]


def ratio(value: float, width: float = 0.03) -> dict[str, float]:
    return {"estimate": value, "lo": value / (1 + width), "hi": value * (1 + width)}


def write(
    path: Path,
    value: Mapping[tuple[Level, str], tuple[float, float, str]],
    control: float = 1.03,
    factors: Mapping[str, Sequence[object]] = FACTORS,
    gone: Sequence[tuple[Level, str]] = (),
) -> Path:
    """A run in which all met together at every level: 1.0 within 3 %, but for `value`: estimate,
    width of the interval, status. gone: who was left out where."""
    titles = {name: {"title": f"the {name} of it"} for name in factors}
    document = meta("sign", ["epoll_lt", *CONTENDERS])
    document["experiment"] = {"name": "sign", "factors": titles}
    (path / "duels").mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(document), encoding="utf-8")
    rows = ["\t".join(["model", *factors, *COLUMNS])]
    for index, level in enumerate(itertools.product(*factors.values())):
        left_out = [name for at, name in gone if at == level]
        duel = {
            "reference": "epoll_lt",
            "factors": dict(zip(factors, level)),
            "arrangements": {
                "together": {
                    "contenders": [],
                    "twin": {CPU: ratio(1.0)},
                    "control": {"expected": {CPU: 1.03}, CPU: ratio(control)},
                    "offered_rps": 1000,
                }
            },
            "unsupported": [{"name": n, "status": "unsupported", "reason": "x"} for n in left_out],
        }
        (path / "duels" / f"{index}.json").write_text(json.dumps(duel), encoding="utf-8")
        for name in CONTENDERS:
            estimate, width, status = value.get((level, name), (1.0, 0.03, "ok"))
            numbers = ratio(estimate, width).values()
            fields = [name, *level, f"together:{CPU}", "ratio", 5, *numbers, status, "", "", "", ""]
            if name not in left_out:
                rows.append("\t".join(map(str, fields)))
    (path / "summary.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


FIRST: Level = ("split", 64, 1, 1)  # its row: after those of the other placement
ROW = 8


def sign_of(figure: Any, model: str, row: int) -> str:
    (found,) = [g for g in gids(figure) if g.startswith(f"cell:together:{model}:{row}:")]
    return found.rpartition(":")[2]


def written(figure: Any, model: str, row: int) -> str:
    (text,) = figure.findobj(lambda a: a.get_gid() == f"ratio:together:{model}:{row}")
    return str(text.get_text())


def test_a_sign_is_told_only_where_the_interval_excludes_1(tmp_path: Path) -> None:
    figure = draw_run(
        load_run(
            write(
                tmp_path / "run",
                {
                    (FIRST, "io_uring"): (0.80, 0.03, "ok"),
                    (FIRST, "io_uring_defer"): (1.30, 0.03, "ok"),
                    (FIRST, "io_uring_poll"): (1.30, 0.40, "ok"),
                    (FIRST, "io_uring_multishot"): (2.50, 0.03, "ok"),
                },
            )
        )
    )["sign"]
    assert_readable(figure)
    assert_fits_column(draw_run(load_run(tmp_path / "run"), COLUMN)["sign"])
    signs = {name: sign_of(figure, name, ROW) for name in CONTENDERS}
    assert signs == {
        "io_uring": "-1",
        "io_uring_defer": "1",
        "io_uring_poll": "0",
        "io_uring_multishot": "1",
    }
    assert written(figure, "io_uring", ROW) == "−20 %"
    assert written(figure, "io_uring_poll", ROW) == "+30 %"
    assert written(figure, "io_uring_multishot", ROW) == "×2.5"
    title = " ".join(t.get_text() for t in figure.texts if t.get_gid() == "title")
    assert "cheaper in 1 of 64" in title and "dearer in 2" in title and "in 61 it cannot" in title


def test_what_is_void_or_was_left_out_has_no_sign(tmp_path: Path) -> None:
    gone = [(FIRST, "io_uring_defer")]
    path = write(tmp_path / "run", {(FIRST, "io_uring"): (0.5, 0.03, "void")}, gone=gone)
    figure = draw_run(load_run(path))["sign"]
    assert (sign_of(figure, "io_uring", ROW), written(figure, "io_uring", ROW)) == ("0", "void")
    assert sign_of(figure, "io_uring_defer", ROW) == "none"
    assert written(figure, "io_uring_defer", ROW) == "n/a"
    assert "io_uring_defer" in notes(figure)


def test_a_control_that_was_missed_by_more_than_a_difference_hides_its_sign(tmp_path: Path) -> None:
    value = {
        (FIRST, "io_uring"): (0.90, 0.03, "suspect"),
        (FIRST, "io_uring_poll"): (0.70, 0.03, "suspect"),
    }
    figure = draw_run(load_run(write(tmp_path / "run", value, control=1.20)))["sign"]
    assert sign_of(figure, "io_uring", ROW) == "0"
    assert sign_of(figure, "io_uring_poll", ROW) == "-1"


def test_one_factor_alone_is_shown_with_its_intervals_and_not_as_a_map(tmp_path: Path) -> None:
    factors = {"connections": (1, 10, 100, 1000, 10000)}
    figures = draw_run(load_run(write(tmp_path / "run", {}, factors=factors)))
    assert "ratios" in figures and "sign" not in figures


def test_a_run_of_many_levels_is_drawn_whole_and_not_in_a_pile_of_slices(tmp_path: Path) -> None:
    path = write(tmp_path / "run", {})
    with (path / "summary.tsv").open("a", encoding="utf-8") as out:
        for level in itertools.product(*FACTORS.values()):
            fields = ["io_uring", *level, CPU, "us", 3, 5.0, 4.9, 5.1, "ok", "", "", "", ""]
            out.write("\t".join(map(str, fields)) + "\n")
    figures = draw_run(load_run(path))
    assert "sign" in figures and "ratios" not in figures
    assert 2 * 2 * 2 > MOST_SLICES and not [name for name in figures if name.startswith("cpu-")]


@pytest.mark.parametrize(
    ("placements", "said"),
    [(("shared",), "server and client share the CPUs"), (("split", "shared"), "")],
)
def test_the_placement_is_named_above_a_figure_only_where_it_is_one_for_all(
    tmp_path: Path, placements: tuple[str, ...], said: str
) -> None:
    run = load_run(write(tmp_path / "run", {}, factors={**FACTORS, "placement": placements}))
    told = provenance(run, [], "").replace("\N{NO-BREAK SPACE}", " ")
    assert said in told and ("CPUs ·" in told.split("Linux")[1]) == bool(said)
