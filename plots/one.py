# SPDX-License-Identifier: MIT
"""One figure of each of several runs, for a page of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

from plots.data import DataError, load_run
from plots.draw import draw_figure, kinds, notes_page
from plots.page import NOTES_FILE, RC, Sheet

DPI = 110


def draw_each(runs: Mapping[str, tuple[Path, str]], out: Path) -> None:
    """A PNG for each run, by its name; and the notes to those that have some. runs: where it is,
    and the kind of figure. DataError for a run that has none of the kind, or cannot be read."""
    out.mkdir(parents=True, exist_ok=True)
    sheets = {}
    for name, (path, kind) in runs.items():
        sheets[name] = one_figure(path, kind)
        with matplotlib.rc_context(RC):
            sheets[name].savefig(out / f"{name}.png", dpi=DPI, metadata={"Software": "tenk"})
    if told := {name: sheet for name, sheet in sheets.items() if sheet.footnotes}:
        (out / NOTES_FILE).write_text(notes_page(told), encoding="utf-8")


def one_figure(run_dir: Path, name: str) -> Sheet:
    """Of a kind with one figure for each level of a factor the last that makes a curve."""
    run, kind = load_run(run_dir), kinds().get(name)
    if kind is None:
        raise DataError(f"there is no figure {name or 'named in its page'}")
    parts = [run]
    if kind.X:
        whole = run.slices(kind.X)
        # Of a run with more factors, one level is no curve.
        parts = [part for at, part in whole if not at or len(part.levels(kind.X)) > 1]
    told = [part for part in parts if kind.applies(part)]
    if not told:
        raise DataError(f"figure {name} does not apply to {run_dir}")
    return draw_figure(kind, told[-1])
