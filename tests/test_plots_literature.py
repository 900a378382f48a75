# SPDX-License-Identifier: MIT
"""The figures of experiments of the literature, from made-up runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthetic_run import write_run
from test_plots import assert_fits_column, assert_readable, gids, notes, texts

from plots.data import load_run
from plots.draw import draw_figure, kinds
from plots.one import one_figure
from plots.page import COLUMN

CPU = "server_cpu_us_per_request"


def drawn(path: Path, kind: str) -> Any:
    """That figure of the run, or None where it does not apply."""
    run, found = load_run(path), kinds()[kind]
    if not found.applies(run):
        return None
    assert_fits_column(draw_figure(found, run, COLUMN))
    return draw_figure(found, run)


def with_meta(path: Path, **more: Any) -> Path:
    file = path / "run.json"
    meta = json.loads(file.read_text(encoding="utf-8"))
    meta["experiment"] |= more
    file.write_text(json.dumps(meta), encoding="utf-8")
    return path


def subtracted(path: Path, beyond: dict[str, tuple[float, float, float]]) -> Path:
    """A run with what each model costs beyond blocking at 1 connection."""
    write_run(path, models=["blocking", *beyond])
    with (path / "summary.tsv").open("a", encoding="utf-8") as out:
        for name, numbers in beyond.items():
            fields = [name, 1, f"beyond:{CPU}", "us", 5, *numbers, "ok", "", "", "", ""]
            out.write("\t".join(map(str, fields)) + "\n")
    return with_meta(path, baseline="blocking")


def test_what_is_beyond_the_baseline_is_a_bar_for_each_model_and_the_title_says_the_ends(
    tmp_path: Path,
) -> None:
    costs = {"fork": (52.0, 50.0, 54.0), "thread": (11.0, 10.0, 12.0), "epoll_lt": (1.0, -1.0, 3.0)}
    figure = drawn(subtracted(tmp_path / "m" / "x" / "run", costs), "process_control")
    assert {f"beyond:{name}" for name in costs} <= gids(figure)
    written = " ".join(text for text, _ in texts(figure))
    assert "costs fork 52" in written and "epoll_lt nothing that was seen" in written
    assert "52 ± 2" in written and "subtracted" in written
    assert "Below nought" not in notes(figure)
    assert_readable(figure)


def test_a_bar_below_nought_is_explained(tmp_path: Path) -> None:
    costs = {"fork": (52.0, 50.0, 54.0), "epoll_lt": (-4.0, -5.0, -3.0)}
    figure = drawn(subtracted(tmp_path / "m" / "x" / "run", costs), "process_control")
    assert "Below nought" in notes(figure)


def test_a_run_without_a_baseline_has_no_such_figure(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "x" / "run", models=["blocking", "fork"])
    assert drawn(path, "process_control") is None


def test_settings_of_a_design_are_one_curve_and_the_title_names_the_best(tmp_path: Path) -> None:
    rates = {("pool", 1): 10, ("pool", 8): 30, ("pool", 64): 20}
    rates |= {("loop", 1): 40, ("loop", 8): 35, ("loop", 64): 5}
    names = [f"{design} -w {workers}" for design, workers in rates]
    path = write_run(tmp_path / "m" / "x" / "run", models=names)
    header, *rows = (path / "summary.tsv").read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if "\tthroughput_rps\t" not in row]
    for (design, workers), rate in rates.items():
        numbers = (1000 * rate, 990 * rate, 1010 * rate)
        fields = [f"{design} -w {workers}", 10000, "throughput_rps", "1/s", 5, *numbers, "ok"]
        kept.append("\t".join(map(str, [*fields, "", "", "", ""])))
    (path / "summary.tsv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    figure = drawn(path, "tuned")
    written = " ".join(text for text, _ in texts(figure)).replace("\N{NO-BREAK SPACE}", " ")
    assert "8 in pool, 1 in loop" in written and "10k connections" in written
    assert "pool -w 8" not in written
    assert_readable(figure)


def test_the_one_figure_of_a_run_is_a_part_that_makes_a_curve(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "x" / "run", models=["epoll_lt", "poll"])
    header, *rows = (path / "summary.tsv").read_text(encoding="utf-8").splitlines()
    wide = [header.replace("connections", "protocol\tconnections")]
    for protocol, told in (("echo", rows), ("http", [r for r in rows if "\t10000\t" in r])):
        wide += [row.replace("\t", f"\t{protocol}\t", 1) for row in told]
    (path / "summary.tsv").write_text("\n".join(wide) + "\n", encoding="utf-8")
    origin = " ".join(t.get_text() for t in one_figure(path, "throughput").texts)
    assert "protocol echo" in origin.replace("\N{NO-BREAK SPACE}", " ")


def test_one_setting_of_each_model_is_nothing_to_tune(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "x" / "run", models=["pool -w 8", "loop -w 8", "epoll_lt"])
    assert drawn(path, "tuned") is None


def test_a_level_that_is_a_text_is_safe_in_the_name_of_a_figure(tmp_path: Path) -> None:
    path = write_run(tmp_path / "m" / "x" / "run", models=["epoll_lt"])
    text = (path / "summary.tsv").read_text(encoding="utf-8")
    header, *rows = (line.split("\t") for line in text.splitlines())
    levels = ("", "--root /tmp/a b")
    lines = ["\t".join([*header[:2], "server", *header[2:]])]
    lines += ["\t".join([*row[:2], level, *row[2:]]) for level in levels for row in rows]
    (path / "summary.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    suffixes = [suffix for suffix, _ in load_run(path).slices("connections")]
    assert suffixes == ["-server=", "-server=--root_tmp_a_b"]
