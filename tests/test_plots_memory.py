# SPDX-License-Identifier: MIT
"""The figures of connections that say nothing: c1m and idle_memory."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthetic_run import COLUMNS, meta
from test_plots import assert_fits_column, assert_readable, drawn_levels, notes

from plots.data import load_run
from plots.draw import draw_figure, draw_run, kinds
from plots.page import COLUMN

USER, KERNEL = "user_bytes_per_connection", "kernel_bytes_per_connection"
FAMILY = {"epoll_lt": "readiness", "thread": "blocking", "guest:go": "coroutine"}


def written(folder: Path, name: str, metric: str, rows: list[tuple[str, int, str, str]]) -> Path:
    """A made-up run of that experiment: rows of model, idle, metric and value; "" is unsupported."""
    path = folder / "m" / name / "r"
    path.mkdir(parents=True)
    names = list(dict.fromkeys(model for model, *_ in rows))
    run = meta(name, names)
    run["experiment"] = {"name": name, "metric": metric, "factors": {"idle": {"scale": "log"}}}
    run["models"] = {model: {"family": FAMILY.get(model, "")} for model in names}
    (path / "run.json").write_text(json.dumps(run))
    lines = ["\t".join(["model", "idle", *COLUMNS])]
    for model, idle, of, value in rows:
        told = [value or "nan"] * 3
        status = ["ok", "", "", "", ""] if value else ["unsupported", "", "", "", "it has no room"]
        lines.append(
            "\t".join([model, str(idle), of, "bytes", "3" if value else "0", *told, *status])
        )
    (path / "summary.tsv").write_text("\n".join(lines) + "\n")
    return path


def drawn(path: Path, kind: str) -> Any:
    run = load_run(path)
    figure = draw_run(run)[kind]
    assert_fits_column(draw_figure(kinds()[kind], run, COLUMN))
    assert_readable(figure)
    return figure


def test_idle_memory_has_a_bar_for_each_model_the_most_frugal_first(tmp_path: Path) -> None:
    rows = [
        ("thread", 9900, USER, "17000"),
        ("thread", 9900, KERNEL, "28000"),
        ("guest:go", 9900, USER, "18000"),
        ("guest:go", 9900, KERNEL, "6500"),
        ("epoll_lt", 9900, USER, "110"),
        ("epoll_lt", 9900, KERNEL, "-300"),
        ("select", 9900, USER, ""),
    ]
    figure = drawn(written(tmp_path, "idle_memory", USER, rows), "idle_memory")
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == ["epoll_lt", "guest:go", "thread"]
    lengths = {
        patch.get_gid(): patch.get_x() + patch.get_width() for patch in figure.axes[0].patches
    }
    assert {k: round(v) for k, v in lengths.items()} == {
        "bar:epoll_lt": 110,
        "bar:guest:go": 18000,
        "bar:thread": 17000,
    }
    said = {t.get_gid(): t.get_text() for t in figure.axes[1].texts}
    assert said["total:epoll_lt"] == "noise"  # no bar for less than nothing
    assert "select (it has no room)" in notes(figure)


def test_idle_memory_shows_the_level_with_the_most_connections(tmp_path: Path) -> None:
    rows = [
        (model, idle, metric, str(1000 * (1 + (idle > 900)) + n))
        for n, model in enumerate(FAMILY)
        for idle in (900, 9900)
        for metric in (USER, KERNEL)
    ]
    figure = drawn(written(tmp_path, "idle_memory", USER, rows), "idle_memory")
    ends = [round(p.get_x() + p.get_width()) for p in figure.axes[0].patches]
    assert ends == [2000, 2001, 2002]


def test_fifty_names_fit_into_idle_memory(tmp_path: Path) -> None:
    rows = [
        (f"model_with_a_long_name_{n}", 9900, metric, str(100 * 1.2**n))
        for n in range(50)
        for metric in (USER, KERNEL)
    ]
    figure = drawn(written(tmp_path, "idle_memory", USER, rows), "idle_memory")
    assert len(figure.axes[0].patches) == 50


def test_c1m_draws_time_memory_and_tail_against_connections(tmp_path: Path) -> None:
    levels = (1000, 10_000, 100_000, 1_000_000)
    rows = [
        ("prefork_reuseport", idle, metric, str(scale * (idle if metric == "open_s" else 1)))
        for idle in levels
        for metric, scale in {
            "open_s": 5e-5,
            USER: 105,
            KERNEL: 9500,
            "service_p50_ns": 40_000,
            "service_p99_ns": 900_000,
            "client_bytes_per_connection": 200,
        }.items()
    ]
    rows += [("epoll_lt", idle, "open_s", "0.07" if idle == 1000 else "") for idle in levels]
    path = written(tmp_path, "c1m", "open_s", rows)
    figure = drawn(path, "c1m")
    assert drawn_levels(figure, "open_s", "prefork_reuseport") == set(levels)
    assert drawn_levels(figure, "service_p99_ns", "prefork_reuseport") == set(levels)
    assert "factor" not in draw_run(load_run(path))
    assert "it has no room" in notes(figure)
    said = " ".join(text.get_text() for text in figure.texts)
    assert "prefork_reuseport held 1M idle connections, opened in 50" in said
