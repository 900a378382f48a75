# SPDX-License-Identifier: MIT
"""What is told of a figure: its keys below it, its footnotes on the page beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthetic_run import write_run
from test_plots import DOUBTS, assert_readable

from plots import draw_all
from plots.curves import draw_curves
from plots.data import load_run
from plots.draw import draw_run, notes_page
from plots.page import Footnote, Sheet
from plots.scale import Axis, Panel, scale_of
from plots.style import format_level, format_ns, styles


def below(figure: Any) -> str:
    """What the figure itself says below its panels."""
    return " ".join(t.get_text() for t in figure.texts if t.get_gid() in ("note", "key"))


def test_a_figure_has_the_keys_of_its_footnotes_and_the_page_beside_it_the_rest(
    tmp_path: Path,
) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", states=DOUBTS, cells=False)
    figure = draw_run(load_run(path))["throughput"]
    for key in ("× not supported", "○ hollow: in doubt", "! failed", "notes.md"):
        assert below(figure).count(key) == 1
    assert "FD_SETSIZE" not in below(figure)
    files = draw_all(path, ["svg"])
    assert path / "figures" / "notes.md" in files
    page = (path / "figures" / "notes.md").read_text(encoding="utf-8")
    assert "select at 10k (FD_SETSIZE is 1024)" in page
    assert "suspect: poll at 10k (steal)." in page


def test_a_run_without_doubts_points_to_no_footnote(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "c10k" / "run", models=["poll", "epoll_lt"], cells=False)
    assert "notes.md" not in below(draw_run(load_run(path))["throughput"])


def test_figures_with_the_same_notes_stand_together_on_the_page() -> None:
    sheets = {name: Sheet() for name in ("one", "two", "other")}
    for name, sheet in sheets.items():
        sheet.title = f"title of {name}"
        sheet.footnotes = (Footnote("×", "nobody came" if name == "other" else "all came"),)
    page = notes_page(sheets)
    assert "## one, two\n" in page and "## other\n" in page
    assert page.count("all came") == 1
    assert all(f"**title of {name}**" in page for name in sheets)


def test_no_number_on_an_axis_stands_on_the_name_of_a_strip(tmp_path: Path) -> None:
    states = {("poll", 1): {"status": "failed", "reason": "it fell"}}
    path = write_run(tmp_path / "run", models=["poll", "epoll_lt"], levels=[1, 10], states=states)
    run = load_run(path)
    panel, axis = Panel("p50_ns", "p50", format_ns, "log"), Axis("connections", "connections")
    series = run.series("p50_ns", "connections")
    points = [p for line in series.values() for p in line]
    for height in (1.0, 1.7, 2.6):
        figure = draw_run(run)["latency"]
        for axes in figure.axes:
            axes.remove()
        box = figure.add_axes((0.2, 0.3, 0.5, height / figure.get_figheight()))
        # The lowest number on the axis may fall anywhere, also on the strip's edge.
        draw_curves([box], axis, [panel], [series], styles(run.models), scale_of(panel, points))
        assert "strip:n/a" in {t.get_gid() for t in box.texts}
        assert_readable(figure)


def test_levels_are_shortened_where_that_loses_nothing() -> None:
    assert [format_level(v) for v in (0, 64, 1000, 1024, 9900, 16384, 1e6)] == [
        *("0", "64", "1k", "1024", "9.9k", "16384", "1M")
    ]
