# SPDX-License-Identifier: MIT
"""The figure for any factor: what no other figure draws is drawn, whatever its levels are."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import COLUMNS, meta, write_run
from test_plots import assert_fits_column, assert_readable, drawn_levels, notes

from plots.data import load_run
from plots.draw import draw_figure, draw_run, kinds
from plots.gnuplot_driver import draw_pdf
from plots.page import COLUMN


def factor_run(
    folder: Path,
    name: str = "any",
    metric: str = "p99_ns",
    words: dict[str, dict[str, str]] | None = None,
    **factors: Any,
) -> Path:
    """A made-up run of two models over these factors: levels, or (levels, scale). words: what the
    experiment calls the levels of a factor."""
    path = folder / "m" / name / "r"
    path.mkdir(parents=True)
    told = {k: v if isinstance(v, tuple) else (v, "linear") for k, v in factors.items()}
    models = ["thread_pool -w 20", "epoll_lt"]
    experiment = {
        "name": name,
        "question": "What does it cost?",
        "metric": metric,
        "factors": {
            k: {"title": f"{k} of them", "scale": s, "words": (words or {}).get(k, {})}
            for k, (_, s) in told.items()
        },
        "profiles": {"quick": {"levels": {k: levels for k, (levels, _) in told.items()}}},
    }
    run = {**meta(name, models), "experiment": experiment}
    (path / "run.json").write_text(json.dumps(run))
    rows = ["\t".join(["model", *told, *COLUMNS])]
    for model in models:
        for index, at in enumerate(itertools.product(*(levels for levels, _ in told.values()))):
            value = "inf" if model != "epoll_lt" and index == 1 else f"{2e5 * (index + 1)}"
            cell = [model, *map(str, at), metric, "ns", "3", value, value, value, "ok"]
            rows.append("\t".join([*cell, "", "", "", ""]))
    (path / "summary.tsv").write_text("\n".join(rows) + "\n")
    return path


def factor_figure(path: Path) -> Any:
    run = load_run(path)
    figure = draw_run(run)["factor"]
    assert_readable(figure)
    assert_fits_column(draw_figure(kinds()["factor"], run, COLUMN))
    return figure


def tick_names(axes: Any) -> list[str]:
    return [t.get_text() for t in axes.get_xticklabels() if t.get_text()]


def test_a_factor_that_no_figure_knows_is_drawn_against_the_main_metric(tmp_path: Path) -> None:
    figure = factor_figure(factor_run(tmp_path, slow_readers=([1, 10, 100, 1000], "log")))
    assert drawn_levels(figure, "p99_ns", "epoll_lt") == {1, 10, 100, 1000}
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "slow_readers of them"
    assert "↑ infinite" in notes(figure)


def test_levels_that_are_texts_stand_in_the_order_of_the_experiment(tmp_path: Path) -> None:
    figure = factor_figure(factor_run(tmp_path, server=["--nodelay 1", "--nodelay 0", ""]))
    assert tick_names(figure.axes[0]) == ["--nodelay 1", "--nodelay 0", "–"]
    assert drawn_levels(figure, "p99_ns", "epoll_lt") == {0, 1, 2}
    assert "thread_pool -w 20 at --nodelay 0" in notes(figure)


def test_texts_too_long_for_the_axis_are_letters_with_a_key(tmp_path: Path) -> None:
    long = [f"/work/{n} 1, /bytes/100000 2, /sleep/100 7" for n in range(4)]
    figure = factor_figure(factor_run(tmp_path, mix=long))
    assert tick_names(figure.axes[0]) == ["A", "B", "C", "D"]
    assert f"D: {long[3]}" in notes(figure)


def test_two_requests_that_do_not_fit_into_a_line_have_one_each(tmp_path: Path) -> None:
    mix = ["/", "/work/100 1, / 99", "/work/2000 1, / 1999"]
    figure = factor_figure(factor_run(tmp_path, mix=mix, placement=["split", "shared"]))
    assert tick_names(figure.axes[0]) == ["/", "/work/100 1,\n/ 99", "/work/2000 1,\n/ 1999"]


def test_an_ordinal_factor_has_its_levels_side_by_side(tmp_path: Path) -> None:
    figure = factor_figure(factor_run(tmp_path, silent=([0, 19, 20, 25], "ordinal")))
    assert tick_names(figure.axes[0]) == ["0", "19", "20", "25"]
    assert drawn_levels(figure, "p99_ns", "epoll_lt") == {0, 1, 2, 3}


def test_levels_have_the_names_that_the_experiment_gives_them(tmp_path: Path) -> None:
    words = {"mix": {"/": "plain", "/a 1": "one of two"}, "idle": {"0": "no idle connection"}}
    figure = factor_figure(factor_run(tmp_path, words=words, mix=["/", "/a 1"], idle=[0, 7]))
    assert [t.replace("\n", " ") for t in tick_names(figure.axes[0])] == ["plain", "one of two"]
    headings = [a._left_title.get_text() for a in figure.axes]
    assert headings == ["no idle connection", "7 idle of them"]


def test_models_stand_side_by_side_at_a_level_that_is_no_number(tmp_path: Path) -> None:
    figure = factor_figure(factor_run(tmp_path, server=["a", "b", "c"]))
    (axes,) = figure.axes
    at = []
    for model in ("thread_pool -w 20", "epoll_lt"):
        (line,) = [one for one in axes.lines if one.get_gid() == f"solid:p99_ns:{model}"]
        at.append(float(line.get_transform().transform((0.0, 1.0))[0]))
    assert at[0] < at[1]
    assert axes.bbox.x0 < at[0]  # the first level has room for all of them
    assert at[1] - at[0] < 0.5 * (axes.transData.transform((1.0, 1.0))[0] - at[0])


def test_each_level_of_a_further_factor_has_a_panel_on_the_same_scale(tmp_path: Path) -> None:
    figure = factor_figure(factor_run(tmp_path, silent=[0, 10], server=["-w 9", "-w 2", "-w 10"]))
    assert [a._left_title.get_text() for a in figure.axes] == ["-w 9", "-w 2", "-w 10"]
    assert len({(a.get_xlim(), a.get_ylim()) for a in figure.axes}) == 1
    assert "Each panel: response time p99" in notes(figure)


def test_the_rare_requests_of_a_mix_have_panels_below_the_usual_ones(tmp_path: Path) -> None:
    factors = {"mix": ["/", "/work/9 1, / 99"], "placement": ["split", "shared"]}
    path = factor_run(tmp_path, metric="usual_p99_ns", **factors)
    header, *rows = (path / "summary.tsv").read_text().splitlines()
    rare = [row.replace("usual_p99_ns", "rare_p50_ns") for row in rows if "/work" in row]
    (path / "summary.tsv").write_text("\n".join([header, *rows, *rare]) + "\n")
    figure = factor_figure(path)
    assert tick_names(figure.axes[0]) == ["/", "/work/9 1, / 99"]
    usual, told = "p99 of usual requests", "p50 of rare requests"
    headings = [axes._left_title.get_text() for axes in figure.axes]
    assert headings == [f"{what}: {at}" for what in (usual, told) for at in factors["placement"]]
    assert drawn_levels(figure, "usual_p99_ns", "epoll_lt") == {0, 1}
    assert drawn_levels(figure, "rare_p50_ns", "epoll_lt") == {1}


def test_a_factor_with_one_level_leaves_the_axis_to_the_next(tmp_path: Path) -> None:
    figure = factor_figure(factor_run(tmp_path, silent=[5], slow_readers=[0, 10]))
    assert figure.axes[0].get_xlabel() == "slow_readers of them"


def test_many_combinations_are_cut_off_and_the_rest_is_told(tmp_path: Path) -> None:
    path = factor_run(tmp_path, silent=[0, 10], server=[f"-w {n}" for n in range(12)])
    figure = factor_figure(path)
    assert len(figure.axes) == 9 and all(axes.axison for axes in figure.axes)
    assert "3 more combinations" in notes(figure)


def test_what_another_figure_draws_is_not_drawn_again(tmp_path: Path) -> None:
    path = factor_run(tmp_path, connections=([1, 10, 100], "log"))
    assert "factor" not in draw_run(load_run(path))  # latency has it
    other = factor_run(tmp_path, "other", "max_ns", connections=([1, 10, 100], "log"))
    assert "factor" in draw_run(load_run(other))


@pytest.mark.parametrize("name", ["c10k", "idle", "load_latency", "coordinated_omission"])
def test_runs_that_do_not_say_their_metric_have_no_such_figure(name: str, tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / name / "r", experiment=name, models=["poll", "epoll_lt"])
    assert "factor" not in draw_run(load_run(path))


def test_gnuplot_takes_models_whose_names_have_options(tmp_path: Path) -> None:
    path = factor_run(tmp_path, "c10k", "throughput_rps", connections=[1, 10])
    (file,) = draw_pdf(load_run(path), tmp_path / "out")
    assert file.name == "throughput-print.pdf" and file.read_bytes().startswith(b"%PDF")
