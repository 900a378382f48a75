# SPDX-License-Identifier: MIT
"""Figures of made-up runs: everything measured is drawn or told of, and nothing is drawn over."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from synthetic_run import CONNECTIONS, TEN, write_run  # noqa: E402

from plots import draw_all  # noqa: E402
from plots.data import DataError, find_runs, load_run, read_spectrum  # noqa: E402
from plots.draw import draw_figure, draw_run, kinds  # noqa: E402
from plots.emphasis import QUIET, emphasised, looks  # noqa: E402
from plots.gnuplot_driver import COLUMNS, SCRIPTS, draw_pdf, draw_text  # noqa: E402
from plots.page import COLUMN, spread, wrap, text_width  # noqa: E402
from plots.paper import save  # noqa: E402
from plots.scale import ticks  # noqa: E402
from plots.style import (  # noqa: E402
    MARKERS,
    SPARE_COLOURS,
    derived_style,
    format_bytes,
    format_count,
    format_inverse,
    format_ns,
    listed_styles,
    styles,
)

MANY = TEN + [f"model_{i:02d}" for i in range(15)]
DOUBTS = {
    ("epoll_et", 1000): {
        "status": "client-limited",
        "codes": "client-limited",
        "reason": "client-limited: busiest worker used 97 % of its CPU",
    },
    ("poll", 10000): {
        "status": "suspect",
        "codes": "steal",
        "reason": "steal: 3 % of the CPU time was stolen",
    },
    ("fork", 10000): {"status": "failed", "reason": "fork: Resource temporarily unavailable"},
}
C10K_FIGURES = {"throughput", "latency", "cpu", "memory", "overview", "spectrum"}


def gids(figure: Any) -> set[str]:
    """The names of everything that names itself in a figure."""
    return {
        str(a.get_gid()) for a in figure.findobj() if getattr(a, "get_gid", None) and a.get_gid()
    }


def curve_levels(figure: Any, metric: str, model: str) -> set[float]:
    """Where the line of a model without markers goes through."""
    return {
        x
        for line in figure.findobj(lambda a: a.get_gid() == f"curve:{metric}:{model}")
        for x, y in zip(line.get_xdata(), line.get_ydata())
        if math.isfinite(y)
    }


def drawn_levels(figure: Any, metric: str, model: str) -> set[float]:
    """The x of every marker of a model's curve, filled or hollow."""
    found: set[float] = set()
    for line in figure.findobj(
        lambda a: a.get_gid() in (f"solid:{metric}:{model}", f"hollow:{metric}:{model}")
    ):
        found.update(float(x) for x in line.get_xdata())
    return found


def notes(figure: Any) -> str:
    """All that is said of a figure: what stands below it, and what stands beside it."""
    below = [t.get_text().strip() for t in figure.texts if t.get_gid() == "note"]
    return " ".join([*below, *(note.text for note in figure.footnotes)])


def shown_texts(figure: Any) -> list[Any]:
    """Every visible text, once the figure was drawn."""
    found = [t for t in figure.texts if t.get_text()]
    for axes in figure.axes:
        if not axes.axison:
            continue
        found += [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes._left_title]
        found += [t.label1 for a in (axes.xaxis, axes.yaxis) for t in a.get_major_ticks()]
    return [t for t in found if t.get_visible() and t.get_text()]


def texts(figure: Any) -> list[tuple[str, Any]]:
    """Every visible text with its box on the page, in pixels."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in shown_texts(figure)]


def assert_readable(figure: Any) -> None:
    """No text over another, none cut off by the edge of the page."""
    page = figure.bbox
    boxes = texts(figure)
    for text, box in boxes:
        assert box.x0 >= 0 and box.x1 <= page.x1, f"{text!r} leaves the page sideways"
        assert box.y0 >= 0 and box.y1 <= page.y1, f"{text!r} leaves the page"
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 1 or along < 1, f"{one!r} overlaps {two!r}"


def assert_fits_column(figure: Any) -> None:
    """85 mm wide when it is written, no text under 6 points, none cut off or on another one."""
    scale = figure.form.scale
    assert figure.get_figwidth() * scale * 25.4 == pytest.approx(85)
    figure.canvas.draw()
    found = [t for axes in figure.axes if not axes.axison for t in axes.texts]
    found += shown_texts(figure)
    page, renderer = figure.bbox, figure.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in found]
    for artist, (text, box) in zip(found, boxes):
        assert artist.get_size() * scale >= 5.999, f"{text!r} is too small"
        inside = box.x0 >= 0 and box.x1 <= page.x1 and box.y0 >= 0 and box.y1 <= page.y1
        assert inside, f"{text!r} leaves the page"
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        # Lines of one text may touch: a descender takes room that the next line does not need.
        assert across < 1 or along < 2, f"{one!r} overlaps {two!r}"


RUNS: dict[str, dict[str, Any]] = {
    "ten": {"states": DOUBTS},
    "many": {"models": MANY, "replicates": 3},
    "single": {"models": ["epoll_lt"], "replicates": 1},
    "cut": {"until": 27},
    "no_summary": {"summary": False},
    "idle": {"experiment": "idle", "states": {("posix_aio", 10000): {"status": "suspect"}}},
    "idle_many": {"experiment": "idle", "models": MANY, "replicates": 2},
    "load": {"experiment": "load_latency"},
    "load_many": {"experiment": "load_latency", "models": MANY, "replicates": 2},
    "freeze": {"experiment": "coordinated_omission", "models": ["epoll_lt"]},
    "freeze_many": {"experiment": "coordinated_omission", "models": TEN},
    "nothing_works": {"models": ["blocking", "select"], "levels": [10000]},
}


class Drawn(dict[str, tuple[Path, dict[str, Any]]]):
    """The runs of RUNS with their figures, each drawn once, when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, name: str) -> tuple[Path, dict[str, Any]]:
        options = RUNS[name]
        experiment = str(options.get("experiment", "c10k"))
        path = write_run(self._folder / "m" / experiment / name, **options)
        self[name] = (path, draw_run(load_run(path)))
        return self[name]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("name", RUNS)
def test_no_text_overlaps_or_leaves_the_page(name: str, drawn: Any) -> None:
    for figure in drawn[name][1].values():
        assert_readable(figure)
        assert figure.get_figwidth() == 9.0  # the width of a README at 100 px per inch


@pytest.mark.parametrize("name", ["ten", "idle_many", "load", "freeze"])
def test_a_figure_for_a_column_of_print_can_be_read_at_85_mm(name: str, drawn: Any) -> None:
    figures = draw_run(load_run(drawn[name][0]), COLUMN)
    assert set(figures) == set(drawn[name][1])
    for figure in figures.values():
        assert_fits_column(figure)


def test_a_column_is_written_85_mm_wide_in_every_format(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", models=["poll"], levels=[1, 10])
    figure = draw_figure(kinds()["cpu"], load_run(path), COLUMN)
    for suffix in ("png", "svg", "pdf"):
        save(figure, tmp_path / f"cpu.{suffix}")
    points = 85 / 25.4 * 72
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+)", (tmp_path / "cpu.pdf").read_bytes())
    assert float(box) == pytest.approx(points, abs=0.1)
    (width,) = re.findall(r'<svg[^>]* width="([0-9.]+)pt"', (tmp_path / "cpu.svg").read_text())
    assert float(width) == pytest.approx(points, abs=0.1)
    with Image.open(tmp_path / "cpu.png") as image:
        assert image.width / image.info["dpi"][0] * 25.4 == pytest.approx(85, abs=0.1)


def test_each_experiment_gets_its_figures(drawn: Any) -> None:
    assert set(drawn["ten"][1]) == C10K_FIGURES
    assert set(drawn["load"][1]) == {"load_latency", "load_cost", "achieved", "spectrum"}
    assert set(drawn["idle"][1]) == {"idle", "spectrum"}
    assert set(drawn["freeze"][1]) == {"coordinated_omission"}
    assert set(drawn["nothing_works"][1]) == set()


def titled(figure: Any) -> str:
    return " ".join(t.get_text().strip() for t in figure.texts if t.get_gid() == "title")


def test_a_title_says_what_was_found_and_asks_where_that_is_not_known(
    drawn: Any, tmp_path: Path
) -> None:
    found = "At 10k connections a request costs poll 2.30 times the server CPU of epoll_lt"
    path = write_run(tmp_path / "m" / "c10k" / "run", titles={"server_cpu_us_per_request": found})
    figures = draw_run(load_run(path))
    assert titled(figures["cpu"]) == found
    assert titled(figures["memory"]).endswith("?")
    assert titled(drawn["ten"][1]["cpu"]).endswith("?")


def glance(folder: Path, *experiments: str, session: str = "one") -> Any:
    """The overview of a c10k run that was measured together with these."""
    title = {"slope:server_cpu_us_per_request": "Each idle connection costs poll 7.0 ns"}
    for name in experiments:
        write_run(folder / "m" / name / "b", experiment=name, session=session, titles=title)
    path = write_run(folder / "m" / "c10k" / "a", states=DOUBTS, session="one")
    return draw_run(load_run(path))["overview"]


def test_the_overview_has_a_panel_for_each_experiment_of_the_same_session(tmp_path: Path) -> None:
    figure = glance(tmp_path, "idle", "load_latency")
    assert_readable(figure)
    assert [axes.get_title("left").split(":")[0] for axes in figure.axes] == [
        "busy",
        "idle",
        "load",
    ]
    assert "Idle: Each idle connection costs poll 7.0 ns" in titled(figure)


def test_the_overview_leaves_out_what_was_measured_another_time(tmp_path: Path) -> None:
    figure = glance(tmp_path, "idle", session="another")
    assert_readable(figure)
    assert [axes.get_title("left").split(":")[0] for axes in figure.axes] == ["busy"]


def test_every_model_and_level_is_drawn_or_listed(drawn: Any) -> None:
    for name in ("ten", "many", "single", "cut", "no_summary"):
        path, figures = drawn[name]
        run = load_run(path)
        figure, told = figures["throughput"], notes(figures["throughput"])
        marks = gids(figure)
        look = looks(run)
        for model, level in itertools.product(run.models, CONNECTIONS):
            shown = level in (curve_levels if look[model].quiet else drawn_levels)(
                figure, "throughput_rps", model
            )
            crossed = marks & {
                f"{kind}:throughput_rps:{model}:{level}"
                for kind in ("unsupported", "failed", "void")
            }
            listed = re.search(rf"Not measured[^.]*\b{model}\b", told)
            if look[model].quiet:  # the note says it
                crossed = crossed or set(re.findall(rf"not supported[^.]*\b({model}) at\b", told))
            assert shown or crossed or listed, f"{name}: {model} at {level} is lost"
            assert (f"label:{model}" in marks) != look[model].quiet


def test_unsupported_is_crossed_at_the_axis_edge_with_its_reason(drawn: Any) -> None:
    figure = drawn["ten"][1]["throughput"]
    (cross,) = figure.findobj(lambda a: a.get_gid() == "unsupported:throughput_rps:select:10000")
    assert cross.get_marker() == "x"
    assert cross.get_xdata()[0] == 10000
    height = cross.get_transform().transform((10000, 0.0))[1]
    assert 0 <= height - figure.axes[0].bbox.y0 < 20
    assert "select at 10k (FD_SETSIZE is 1024)" in notes(figure)
    assert "blocking at 10–10k (serves one connection at a time)" in notes(figure)


def test_doubtful_points_are_hollow_and_told_of(drawn: Any) -> None:
    figure = drawn["ten"][1]["throughput"]
    for model, level in (("epoll_et", 1000), ("poll", 10000)):
        (line,) = figure.findobj(lambda a: a.get_gid() == f"hollow:throughput_rps:{model}")
        assert list(line.get_xdata()) == [level]
        assert line.get_markerfacecolor() == "white"
        (solid,) = figure.findobj(lambda a: a.get_gid() == f"solid:throughput_rps:{model}")
        assert level not in list(solid.get_xdata())
    told = notes(figure)
    assert (
        "client-limited (the load generator set the limit, not the server): epoll_et at 1k." in told
    )
    assert "suspect: poll at 10k (steal)." in told
    assert "! failed: fork at 10k (fork: Resource temporarily unavailable)." in told


def test_infinite_values_are_arrows_at_the_top_edge(drawn: Any) -> None:
    path, figures = drawn["load"]
    infinite = [p for p in load_run(path).points if p.metric == "p99_ns" and p.estimate == math.inf]
    assert infinite
    figure = figures["load_latency"]
    for p in infinite:
        (arrow,) = figure.findobj(
            lambda a: a.get_gid() == f"infinite:p99_ns:{p.model}:{p.level('offered_rps')}"
        )
        y = arrow.get_transform().transform((p.x("offered_rps"), 0.0))[1]
        panel = figure.axes[1].bbox
        assert panel.y0 + 0.8 * panel.height < y <= panel.y1
    assert "infinite" in notes(figure)


def test_an_infinite_percentile_of_a_frozen_server_is_told_of(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", experiment="coordinated_omission", models=["epoll_lt"])
    summary = path / "summary.tsv"
    rows = [line.split("\t") for line in summary.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if row[1] == "200" and row[2] == "p99_99_ns":
            row[5:8] = ["inf", "nan", "nan"]
    summary.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    figure = draw_run(load_run(path))["coordinated_omission"]
    assert "infinite:latency_ns::10000" in gids(figure)
    assert "↑ infinite" in notes(figure)
    assert_readable(figure)


def test_panels_that_share_an_axis_have_the_same_limits(drawn: Any) -> None:
    for name, kind in (("load", "load_latency"), ("ten", "latency"), ("ten", "memory")):
        limits = {axes.get_ylim() for axes in drawn[name][1][kind].axes}
        assert len(limits) == 1


def test_capacity_is_marked_at_the_highest_achieved_rate(drawn: Any) -> None:
    path, figures = drawn["load"]
    best = max(
        p.estimate
        for p in load_run(path).points
        if p.metric == "throughput_rps" and p.model == "epoll_lt"
    )
    (mark,) = figures["load_latency"].findobj(lambda a: a.get_gid() == "capacity:p99_ns:epoll_lt")
    assert mark.get_xdata()[0] == best


def test_bands_are_drawn_only_where_there_are_intervals(drawn: Any) -> None:
    def vertices(figure: Any, model: str) -> int:
        (band,) = figure.findobj(lambda a: a.get_gid() == f"band:throughput_rps:{model}")
        return sum(len(path.vertices) for path in band.get_paths())

    assert vertices(drawn["ten"][1]["throughput"], "epoll_lt") > 0
    assert vertices(drawn["single"][1]["throughput"], "epoll_lt") == 0
    origin = [
        t.get_text() for t in drawn["single"][1]["throughput"].texts if t.get_gid() == "origin"
    ]
    assert "no interval" in " ".join(origin).replace("\N{NO-BREAK SPACE}", " ")


def test_two_replicates_are_a_bar_and_three_a_band(tmp_path: Path) -> None:
    for replicates, kind in ((2, "bar"), (3, "band")):
        path = write_run(tmp_path / str(replicates), models=["poll"], replicates=replicates)
        figure = draw_run(load_run(path))["throughput"]
        bars = figure.findobj(lambda a: a.get_gid() == "bar:throughput_rps:poll")
        (band,) = figure.findobj(lambda a: a.get_gid() == "band:throughput_rps:poll")
        assert len(bars) == (len(CONNECTIONS) if kind == "bar" else 0)
        assert bool(band.get_paths()) == (kind == "band")
        origin = " ".join(t.get_text() for t in figure.texts).replace("\N{NO-BREAK SPACE}", " ")
        assert ("bar: range of 2 replicates" in origin) == (kind == "bar")
        assert ("band: range (75 % interval)" in origin) == (kind == "band")


def test_a_model_never_driven_past_capacity_has_only_a_lower_bound(tmp_path: Path) -> None:
    path = write_run(
        tmp_path / "run",
        experiment="load_latency",
        models=["poll", "thread"],
        levels=[20000, 180000],
    )
    labels = {t.get_gid(): t.get_text() for t in draw_run(load_run(path))["load_latency"].texts}
    assert labels["label:poll"].startswith("poll 16")
    assert labels["label:thread"].startswith("thread ≥ 180k")


def test_badges_and_stray_replicates_are_told_of(tmp_path: Path) -> None:
    states: dict[tuple[str, float], dict[str, str]] = {
        ("poll", 1): {"badges": "1 connection"},
        ("poll", 10): {"strays": "1 of 5 void"},
        ("poll", 100): {"badges": "saturated"},
    }
    path = write_run(tmp_path / "run", models=["poll"], states=states)
    told = notes(draw_run(load_run(path))["throughput"])
    assert told == "Remarks: poll at 1 (1 connection); poll at 10 (1 of 5 void)."


def test_what_a_reason_says_is_not_taken_for_a_code_or_a_badge(tmp_path: Path) -> None:
    """Prose may name any word: what is counted on stands in columns of its own."""
    prose = "steal; saturated; 1 of 5 void: lag, or so the kernel says"
    states = {("poll", 10): {"status": "suspect", "codes": "retransmits", "reason": prose}}
    path = write_run(tmp_path / "run", models=["poll"], states=states)
    told = notes(draw_run(load_run(path))["throughput"])
    assert told == "○ hollow, suspect: poll at 10 (retransmits)."


def test_reasons_that_differ_in_their_numbers_alone_are_told_once(tmp_path: Path) -> None:
    states: dict[tuple[str, float], dict[str, str]] = {
        ("poll", level): {
            "status": "failed",
            "reason": f"no descriptor for connection {level + 1}",
        }
        for level in (100, 1000)
    }
    path = write_run(tmp_path / "run", models=["poll"], states=states)
    told = notes(draw_run(load_run(path))["throughput"])
    assert told == "! failed: poll at 100, 1k (no descriptor for connection 101)."


def test_an_interrupted_run_says_so(drawn: Any) -> None:
    figure = drawn["cut"][1]["throughput"]
    told = notes(figure)
    assert "Not measured (run ended early)" in told
    assert "io_uring at 100–10k" in told
    assert any(
        "run\N{NO-BREAK SPACE}not\N{NO-BREAK SPACE}complete" in t.get_text() for t in figure.texts
    )


@pytest.mark.parametrize("name", RUNS)
def test_the_origin_of_the_numbers_is_on_every_figure(name: str, drawn: Any) -> None:
    for figure in drawn[name][1].values():
        origin = " ".join(t.get_text() for t in figure.texts if t.get_gid() == "origin")
        for part in (
            "Synthetic CPU",
            "2 CPUs",
            "different CPUs",
            "replicate",
            "commit synthetic",
        ):
            assert part in origin.replace("\N{NO-BREAK SPACE}", " ")


def test_labels_stand_in_the_order_in_which_the_curves_end(drawn: Any) -> None:
    path, figures = drawn["ten"]
    figure = figures["throughput"]
    ends = {
        p.model: p.estimate
        for p in load_run(path).points
        if p.metric == "throughput_rps" and p.level("connections") == "10000" and p.estimate > 0
    }
    heights: dict[str, float] = {
        t.get_gid().removeprefix("label:"): t.get_position()[1]
        for t in figure.texts
        if str(t.get_gid()).startswith("label:")
    }
    assert sorted(ends, key=lambda m: -ends[m]) == sorted(ends, key=lambda m: -heights[m])


def test_a_model_has_one_colour_in_every_figure(drawn: Any) -> None:
    for name in ("ten", "load", "many"):
        run = load_run(drawn[name][0])
        models = run.models
        assert len({look.colour for look in styles(models).values()}) == len(models)
        for figure in drawn[name][1].values():
            for line in figure.findobj(
                lambda a: str(a.get_gid()).startswith(("curve:", "swatch:"))
            ):
                model = line.get_gid().rsplit(":", 1)[1]
                own = styles(models)[model].colour
                # Grey is for curves that are not to stand out, and they have no label.
                quiet = line.get_gid().startswith("curve:") and model not in emphasised(run)
                assert line.get_color() == (QUIET if quiet else own)


def test_one_more_factor_gives_one_figure_per_level(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", models=["epoll_lt", "poll"])
    lines = (path / "summary.tsv").read_text(encoding="utf-8").splitlines()
    wide = [lines[0].replace("connections", "protocol\tconnections")]
    for protocol in ("echo", "http"):
        wide += [line.replace("\t", f"\t{protocol}\t", 1) for line in lines[1:]]
    (path / "summary.tsv").write_text("\n".join(wide) + "\n", encoding="utf-8")
    for cell in (path / "cells").glob("*.json"):
        text = cell.read_text(encoding="utf-8")
        text = text.replace('"factors": {', '"factors": {"protocol": "echo", ')
        cell.write_text(text, encoding="utf-8")
    figures = draw_run(load_run(path))
    assert "at protocol echo, 10k connections" in figures["spectrum"].texts[0].get_text()
    assert {"throughput-protocol=echo", "throughput-protocol=http"} <= set(figures)
    origin = " ".join(t.get_text() for t in figures["throughput-protocol=echo"].texts)
    assert "protocol\N{NO-BREAK SPACE}echo" in origin


def test_files_are_written_and_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", models=["epoll_lt", "select"])
    files = draw_all(path)
    assert {f.name for f in files} == {
        *(f"{k}.{s}" for k in C10K_FIGURES for s in ("png", "svg")),
        "notes.md",
    }
    drawings = [f for f in files if f.name != "notes.md"]
    assert all(f.parent == path / "figures" and f.stat().st_size > 5000 for f in drawings)
    before = {f: f.read_bytes() for f in files}
    draw_all(path)
    assert {f: f.read_bytes() for f in files} == before
    for figure in draw_run(load_run(path)).values():  # rendering leaves no trace in the layout
        assert_readable(figure)


def test_every_kind_of_figure_documents_itself() -> None:
    found = kinds()
    assert C10K_FIGURES | {"load_latency", "achieved", "coordinated_omission"} <= set(found)
    told = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    for name, kind in found.items():
        assert kind.__doc__ and kind.applies.__doc__ and kind.draw.__doc__
        assert f"`{name}`" in told, f"docs/figures.md does not mention {name}"


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the header must be"),
        ("model\tconnections\tmetric\n", "the header must be"),
        (
            "model\tc\tmetric\tunit\tn\testimate\tlo\thi\tstatus\treason\n",
            "harness/tenk plot",
        ),
        (
            "model\tc\tmetric\tunit\tn\testimate\tlo\thi\tstatus\tcodes\tbadges\tstrays\treason\na\t1\tm\n",
            ":2: 3 fields",
        ),
        (
            "model\tc\tmetric\tunit\tn\testimate\tlo\thi\tstatus\tcodes\tbadges\tstrays\treason\n"
            "a\t1\tm\tu\t1\t1\t1\t1\tgreat\t\t\t\t\n",
            "unknown status 'great'",
        ),
    ],
)
def test_a_malformed_summary_is_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = write_run(tmp_path / "run", models=["poll"])
    (path / "summary.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_run(path)
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


def test_a_spectrum_is_read_in_nanoseconds_and_ends_where_requests_are_infinite(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.hgrm"
    path.write_text(
        "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
        "       1.000 0.000000000000        500           1.00\n"
        "       2.000 0.500000000000        800           2.00\n"
        "       4.000 0.900000000000        980          10.00\n"
        "#[Mean    =        1.500, StdDeviation   =        0.500]\n"
        "#[Max     =        4.000, Total count    =         1000]\n"
        "#[Buckets =           27, SubBuckets     =         2048]\n"
        "#[Infinite = 20, Overflow = 0, Fraction = 0.020000000]\n",
        encoding="utf-8",
    )
    spectrum = read_spectrum(path)
    assert spectrum.count == 1000
    assert spectrum.at(2) == 2e6
    assert spectrum.at(10) == 4e6
    assert spectrum.at(49) == 4e6
    assert spectrum.at(100) == math.inf


@pytest.mark.parametrize("text", ["", "Value Percentile TotalCount\n", "1.0 1.5 10\n", "a b c\n"])
def test_a_malformed_spectrum_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.hgrm"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        read_spectrum(path)


def test_latest_means_the_newest_run_of_each_experiment(tmp_path: Path) -> None:
    for name in ("20260101T000000Z-a", "20260102T000000Z-b"):
        write_run(tmp_path / "m" / "c10k" / name, models=["poll"], levels=[1])
    write_run(tmp_path / "reference" / "c10k" / "20260103T000000Z-c", models=["poll"], levels=[1])
    (tmp_path / "m" / "c10k" / "20260104T000000Z-d").mkdir()
    assert find_runs(tmp_path) == [tmp_path / "m" / "c10k" / "20260102T000000Z-b"]


def test_without_a_summary_the_medians_of_the_cells_are_drawn(drawn: Any) -> None:
    path, figures = drawn["no_summary"]
    run = load_run(path)
    assert not run.summarised
    values = sorted(
        cell.metrics["throughput_rps"]
        for cell in run.cells
        if cell.model == "poll" and cell.factors["connections"] == "100"
    )
    (point,) = (
        p
        for p in run.points
        if (p.model, p.metric, p.level("connections")) == ("poll", "throughput_rps", "100")
    )
    assert point.estimate == values[2] and math.isnan(point.lo)
    assert set(figures) == C10K_FIGURES


# --- looks ---------------------------------------------------------------------------------------


def _linear(colour: str) -> list[float]:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]


def _apply(matrix: list[list[float]], v: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, v)) for row in matrix]


def _oklab(rgb: list[float]) -> list[float]:
    """B. Ottosson, A perceptual color space for image processing, 2020."""
    to_cone = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return _apply(to_lab, [max(v, 0.0) ** (1 / 3) for v in _apply(to_cone, rgb)])


# Machado, Oliveira, Fernandes, A Physiologically-based Model for Simulation of Color Vision
# Deficiency, 2009, severity 1.
VISIONS = {
    "normal": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen_apart(one: str, two: str, vision: str) -> float:
    """The distance of two colours in OKLab as someone of that vision sees them."""

    def seen(colour: str) -> list[float]:
        shown = _apply(VISIONS[vision], _linear(colour))
        return _oklab([min(max(v, 0.0), 1.0) for v in shown])

    return math.dist(seen(one), seen(two))


@pytest.mark.parametrize("vision", VISIONS)
def test_listed_colours_stay_apart_for_every_vision(vision: str) -> None:
    colours = {name: look.colour for name, look in listed_styles().items()}
    for (m, one), (n, two) in itertools.combinations(colours.items(), 2):
        assert seen_apart(one, two, vision) > 0.075, f"{m} and {n}"


@pytest.mark.parametrize("vision", VISIONS)
def test_spare_colours_stay_apart_from_each_other_and_from_the_listed(vision: str) -> None:
    listed = [look.colour for look in listed_styles().values()]
    for one, two in itertools.combinations([*SPARE_COLOURS, *listed], 2):
        assert seen_apart(one, two, vision) > 0.045, f"{one} and {two}"


def test_without_colour_dash_and_marker_tell_neighbours_apart() -> None:
    looks = listed_styles().values()
    grey = {look.name: _oklab(_linear(look.colour))[0] for look in looks}
    for a, b in itertools.combinations(looks, 2):
        if (a.dash, a.marker) == (b.dash, b.marker):
            assert abs(grey[a.name] - grey[b.name]) > 0.12, f"{a.name} and {b.name}"


def test_every_server_is_listed_under_its_own_name() -> None:
    listed = listed_styles()
    assert all(look.label == name for name, look in listed.items())
    assert set(TEN) <= set(listed)
    assert len({(s.colour, s.dash, s.marker) for s in listed.values()}) == len(listed)


@pytest.mark.parametrize("others", [0, 5, 12, 13, 40])
def test_no_two_models_get_one_colour(others: int) -> None:
    names = [*listed_styles(), *(f"new_model_{i}" for i in range(others))]
    looks = styles(names)
    assert list(looks) == names
    assert len({look.colour.upper() for look in looks.values()}) == len(names)
    assert styles(reversed(names)) == looks


def test_an_unlisted_model_keeps_its_look_whoever_else_takes_part() -> None:
    alone = styles(["reactor_pool"])["reactor_pool"]
    assert alone == styles([*MANY, "reactor_pool"])["reactor_pool"] == derived_style("reactor_pool")
    # A fixed expectation: a change of the derivation would repaint every published figure.
    assert (alone.colour, alone.dash, alone.marker) == REACTOR_POOL
    names = (
        "rt_signal libaio reactor reactor_pool coroutine fiber libevent libev libuv asio "
        "epoll_oneshot epoll_exclusive io_uring_multishot io_uring_sqpoll prefork thread_per_core"
    ).split()
    looks = {(s.colour, s.dash, s.marker) for s in styles(names).values()}
    assert len(looks) == len(names)
    assert all(s.marker in MARKERS for s in styles(names).values())


REACTOR_POOL = ("#B59432", ".", "circle")


# --- arithmetic of the page ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "gap", "expected"),
    [
        ([5.0, 3.0, 1.0], 1.0, [5.0, 3.0, 1.0]),
        ([5.0, 5.0], 1.0, [5.5, 4.5]),
        ([10.0, 10.0, 10.0], 1.0, [10.0, 9.0, 8.0]),
        ([0.0, 0.0], 1.0, [1.0, 0.0]),
        ([], 1.0, []),
        ([5.0] * 21, 1.0, [10 - i / 2 for i in range(21)]),
    ],
)
def test_labels_are_spread_without_leaving_the_page(
    wanted: list[float], gap: float, expected: list[float]
) -> None:
    assert spread(wanted, gap, 0.0, 10.0) == pytest.approx(expected)


def test_wrapped_lines_fit() -> None:
    text = "a machine with a long name · two CPUs · five replicates each · commit abcdef"
    lines = wrap(text, 8.0, 2.0)
    assert " ".join(lines) == text and len(lines) > 1
    assert all(text_width(line, 8.0) <= 2.0 for line in lines)


@pytest.mark.parametrize(
    ("low", "high", "log", "base"),
    [(0, 251234, False, 10), (70e3, 3e9, True, 10), (90, 250000, True, 2), (4.1, 4.4, True, 10)],
)
def test_ticks_lie_within_the_axis_and_are_few(
    low: float, high: float, log: bool, base: int
) -> None:
    found = ticks(low, high, log, base)
    assert len(found) <= 7
    assert all(low * 0.99 <= t <= high * 1.01 for t in found)
    assert found == sorted(found)


def test_numbers_are_written_as_readers_write_them() -> None:
    assert [format_count(v) for v in (1, 999.7, 1000, 12500, 1.5e6)] == [
        "1",
        "1000",
        "1k",
        "12.5k",
        "1.5M",
    ]
    assert [format_ns(v).replace("\u202f", " ") for v in (0, 900, 1e3, 2.5e5, 1e6, 1.5e9)] == [
        "0",
        "900 ns",
        "1 µs",
        "250 µs",
        "1 ms",
        "1.5 s",
    ]
    assert [format_bytes(v).replace("\u202f", " ") for v in (256, 4096, 2**20)] == [
        "256 B",
        "4 KiB",
        "1 MiB",
    ]
    assert [format_inverse(v).replace("\u202f", " ") for v in (1, 2, 10, 100, 1000, 10000)] == [
        "0 %",
        "50 %",
        "90 %",
        "99 %",
        "99.9 %",
        "99.99 %",
    ]


# --- gnuplot and the command ---------------------------------------------------------------------


def test_gnuplot_text_names_every_model_and_fits_a_terminal(drawn: Any) -> None:
    for name in ("ten", "many", "load", "single"):
        path, _ = drawn[name]
        run = load_run(path)
        text = draw_text(run)
        assert all(len(line) <= COLUMNS for line in text.splitlines())
        for model in run.models:
            assert re.search(
                rf"(^|  ){re.escape(chr_of(run.models.index(model)))} {model}\b", text, re.M
            )
    assert "throughput (requests/s) against connections" in draw_text(load_run(drawn["ten"][0]))
    assert "p99 response time (ms) against offered load" in draw_text(load_run(drawn["load"][0]))


def chr_of(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index]


def test_gnuplot_text_shows_every_model_with_a_value_at_each_level(drawn: Any) -> None:
    text = draw_text(load_run(drawn["ten"][0])).split("a blocking")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.count("|") >= 2]
    for index, model in enumerate(TEN):
        expected = {"blocking": 1, "thread_pool": 2, "select": 4, "fork": 4}.get(model, 5)
        assert sum(row.count(chr_of(index)) for row in rows) == expected, model
    assert "unsupported: blocking at 10, 100, 1k, 10k" in draw_text(load_run(drawn["ten"][0]))


def test_gnuplot_writes_pdfs_for_print(drawn: Any, tmp_path: Path) -> None:
    for name, expected in (
        ("ten", ["throughput", "spectrum"]),
        ("load", ["load_latency", "spectrum"]),
    ):
        files = draw_pdf(load_run(drawn[name][0]), tmp_path / name)
        assert [f.name for f in files] == [f"{stem}-print.pdf" for stem in expected]
        assert all(f.read_bytes().startswith(b"%PDF") and f.stat().st_size > 5000 for f in files)


def test_every_gnuplot_script_is_driven() -> None:
    stems = {p.stem for p in (ROOT / "plots" / "gnuplot").glob("*.gp")}
    assert stems == set(SCRIPTS) | {"common"}


def command(*arguments: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path if path is not None else "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-m", "plots", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_draws_a_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", models=["poll"])
    done = command(path, "--formats", "svg")
    assert done.returncode == 0, done.stderr
    written = {Path(line).name for line in done.stdout.splitlines()}
    assert written == {f"{k}.svg" for k in C10K_FIGURES} | {
        "notes.md",
        "throughput-print.pdf",
        "spectrum-print.pdf",
    }
    text = command(path, "--term", "dumb")
    assert text.returncode == 0 and "a poll" in text.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["/nonexistent"], 2, "RUN /nonexistent: not a run directory"),
        (["--formats", "gif"], 2, "--formats gif: must be from png, svg, pdf"),
        (["--width", "column", "--term", "dumb"], 2, "--width column: cannot go with --term"),
        (["--term", "x11"], 2, "invalid choice: 'x11'"),
        (["--results", "/nonexistent"], 1, "no run to draw"),
        (["--out", "/tmp/x"], 2, "--out needs exactly one RUN"),
    ],
)
def test_bad_usage_is_one_clear_line(arguments: list[str], status: int, complaint: str) -> None:
    done = command(*arguments)
    assert done.returncode == status
    assert complaint in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_gnuplot_the_rest_is_drawn_and_its_absence_named(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", models=["poll"])
    done = command(path, "--formats", "svg", path="/nonexistent")
    assert done.returncode == 0
    assert "gnuplot is not installed" in done.stderr
    assert (path / "figures" / "throughput.svg").is_file()
    asked = command(path, "--term", "pdf", path="/nonexistent")
    assert asked.returncode == 1 and "gnuplot is not installed" in asked.stderr
