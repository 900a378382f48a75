# SPDX-License-Identifier: MIT
"""Figures of many models: a few in colour, the others grey, and a panel for each family."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import write_run
from test_plots import assert_fits_column, assert_readable

from plots import DataError, draw_all
from plots.data import Point, Results, load_run
from plots.draw import draw_figure, highlighted, kinds
from plots.page import COLUMN
from plots.emphasis import COST, MOST, QUIET, emphasised, looks
from plots.mpl.families import LEAST_RATIO

FAMILIES = ("blocking", "readiness", "completion")
MANY = ["epoll_lt", "poll", *(f"model_{n}" for n in range(MOST + 6))]


def run_of(folder: Path, models: list[str], **options: Any) -> Path:
    path = write_run(folder / "m" / "c10k" / "run", models=models, replicates=3, **options)
    meta = json.loads((path / "run.json").read_text(encoding="utf-8"))
    meta["models"] = {m: {"family": FAMILIES[i % 3]} for i, m in enumerate(models)}
    (path / "run.json").write_text(json.dumps(meta), encoding="utf-8")
    return path


@pytest.fixture
def many(tmp_path: Path) -> Results:
    return load_run(run_of(tmp_path, MANY, cells=False))


def curves(figure: Any, colour: str) -> set[str]:
    """The models with a curve of that colour."""
    return {
        str(line.get_gid()).split(":")[2]
        for axes in figure.axes
        for line in axes.lines
        if str(line.get_gid()).startswith("curve:") and line.get_color() == colour
    }


def words(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_few_models_all_stand_out(tmp_path: Path) -> None:
    run = load_run(run_of(tmp_path, MANY[:MOST], cells=False))
    assert emphasised(run) == set(run.models)
    assert not any(look.quiet for look in looks(run).values())


def test_of_many_the_reference_the_best_and_the_worst_stand_out(many: Results) -> None:
    loud = emphasised(many)
    at_most = [p for p in many.points if p.metric == "server_cpu_us_per_request"]
    last = [p for p in at_most if p.x("connections") == 10000]
    ranked = sorted(last, key=lambda p: p.estimate)
    assert loud == {"epoll_lt", ranked[0].model, ranked[-1].model}


def test_those_that_were_asked_for_stand_out_too(many: Results) -> None:
    assert "model_3" not in emphasised(many)
    asked = highlighted(many, ["model_3"])
    assert emphasised(asked) == emphasised(many) | {"model_3"}


def test_of_few_only_the_reference_and_those_that_were_asked_for(tmp_path: Path) -> None:
    run = load_run(run_of(tmp_path, MANY[:6], cells=False))
    assert emphasised(highlighted(run, ["poll"])) == {"epoll_lt", "poll"}


def test_a_model_to_highlight_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    path = run_of(tmp_path, MANY[:3], cells=False)
    with pytest.raises(DataError, match="--highlight nobody: must be from epoll_lt, poll"):
        draw_all(path, highlight=["nobody"])


@pytest.mark.parametrize("name", ["cpu", "throughput", "latency", "overview"])
def test_the_others_are_thin_and_grey_without_a_label_and_a_note_says_so(
    many: Results, name: str
) -> None:
    figure = draw_figure(kinds()[name], many)
    assert curves(figure, QUIET) == set(many.models) - emphasised(many)
    labels = {text.get_text() for text in figure.texts if str(text.get_gid()).startswith("label")}
    assert labels == emphasised(many)
    quiet = len(many.models) - len(emphasised(many))
    assert f"the {quiet} other models" in words(figure)


def test_each_family_has_a_panel_in_which_it_and_the_reference_alone_have_colour(
    many: Results,
) -> None:
    kind = kinds()["families"]
    assert kind.applies(many)
    figure = draw_figure(kind, many)
    assert_fits_column(draw_figure(kind, many, COLUMN))
    assert len(figure.axes) == len(FAMILIES)
    for axes, family in zip(figure.axes, FAMILIES):
        loud = {
            str(line.get_gid()).split(":")[2]
            for line in axes.lines
            if str(line.get_gid()).startswith("curve:") and line.get_color() != QUIET
        }
        assert loud == {"epoll_lt", *(m for m in many.models if many.families[m] == family)}
        assert axes.get_xlim() == figure.axes[0].get_xlim()


def test_the_panel_of_a_family_is_on_its_own_scale_which_holds_all_of_it(many: Results) -> None:
    dear = replace(many, points=tuple(_dearer(p, "poll") for p in many.points))
    figure = draw_figure(kinds()["families"], dear)
    assert_readable(figure)
    panels = dict(zip(FAMILIES, figure.axes))
    assert panels["readiness"].get_ylim()[1] > 100 * panels["blocking"].get_ylim()[1]
    for family, axes in panels.items():
        low, high = axes.get_ylim()
        own = [
            p.estimate
            for p in dear.points
            if p.metric == COST and p.n and dear.families[p.model] == family
        ]
        assert low <= min(own) and max(own) <= high
        assert high >= LEAST_RATIO * low  # a few per cent look like a few per cent


def _dearer(point: Point, model: str) -> Point:
    """The same point, of that model a thousand times dearer."""
    if point.model != model or point.metric != COST:
        return point
    return replace(point, estimate=1e3 * point.estimate, lo=1e3 * point.lo, hi=1e3 * point.hi)


def test_few_models_need_no_panel_for_each_family(tmp_path: Path) -> None:
    assert not kinds()["families"].applies(load_run(run_of(tmp_path, MANY[:9], cells=False)))
